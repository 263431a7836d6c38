"""Train the demo's tokenizer: byte-level BPE, no normalisation, one token for each digit, runs of spaces kept whole.

Run: python -m training.tokenizer --corpora CORPORA --out MODEL_DIR
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.corpus import CorpusConfig, load_pieces

VOCAB_SIZE = 4096
END_OF_TEXT = "<|endoftext|>"

# Contractions, words with their leading space, single digits, punctuation with its leading space, line ends with the
# spaces before them, indentation without its last space (that one belongs to the word), other white space.
SPLIT_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)(?!\p{L})| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|[^\S\r\n]*[\r\n]+|[^\S\r\n]+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> PreTrainedTokenizerFast:
    """A tokenizer of exactly `vocab_size` tokens that can encode any text, with `<|endoftext|>` as BOS, EOS and PAD."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Save under the class name that every version of transformers knows."""
    tokenizer.save_pretrained(directory)
    path = directory / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Command line: train on the training pieces and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="directory with the *.txt.gz files")
    parser.add_argument("--out", type=Path, required=True, help="directory for tokenizer.json and its config")
    args = parser.parse_args()
    pieces = load_pieces(CorpusConfig(corpora=args.corpora))
    tokenizer = train_tokenizer(piece.text for piece in pieces if not piece.held_out)
    save_tokenizer(tokenizer, args.out)
    print(f"{len(tokenizer)} tokens -> {args.out}")


if __name__ == "__main__":
    main()
