"""Token text: exact bytes for every kind of vocabulary, whole characters, nothing lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from sae_vis.corpus.text import TokenText, token_bytes
from sae_vis.errors import InputError

TEXT = ["The cat sat on the mat, and the dog did not.\n\nnaïve café — 日本語 🦙", "a b  c\t\td  the the the"]
TESTBED = Path(os.environ.get("SAE_VIS_TESTBED", "~/.cache/sae_vis/testbed")).expanduser()


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"]
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_tokens([AddedToken("    ", normalized=False), AddedToken("éé", normalized=False)])
    return tokenizer


def byte_fallback_bpe() -> Tokenizer:
    """As Llama 2 and Gemma: spaces are ``▁``, characters without a token are spelt in bytes."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁thecatsn", "▁t", "he", "▁the"]
    vocab = {word: token_id for token_id, word in enumerate(dict.fromkeys(words))}
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he")]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁the", -1.0), ("▁c", -2.0), ("at", -2.0), ("▁", -5.0)], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def joined(text: TokenText, ids: list[int]) -> bytes:
    return b"".join(text.bytes_of(token_id) for token_id in ids)


BYTE_LEVEL = byte_level()
BYTE_LEVEL_TEXT = TokenText.from_tokenizer(BYTE_LEVEL)
FALLBACK = byte_fallback_bpe()
FALLBACK_TEXT = TokenText.from_tokenizer(FALLBACK)

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=300, deadline=None)
@given(any_text)
def test_byte_level_bytes_are_the_text(drawn):
    ids = BYTE_LEVEL.encode(drawn).ids
    assert joined(BYTE_LEVEL_TEXT, ids) == drawn.encode()
    if not any(BYTE_LEVEL_TEXT.is_special(token_id) for token_id in ids):
        assert "".join(span.text for span in BYTE_LEVEL_TEXT.display(ids)) == drawn


@settings(max_examples=300, deadline=None)
@given(any_text.filter(lambda text: "▁" not in text))
def test_byte_fallback_bytes_are_the_text(drawn):
    ids = FALLBACK.encode(drawn).ids
    assert joined(FALLBACK_TEXT, ids) == drawn.encode()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 320), max_size=30))
def test_display_loses_nothing_and_covers_each_token_once(ids):
    spans = BYTE_LEVEL_TEXT.display(ids)
    assert b"".join(span.data for span in spans) == joined(BYTE_LEVEL_TEXT, ids)
    assert [index for span in spans for index in range(span.start, span.stop)] == list(range(len(ids)))
    for span in spans:
        assert span.special == any(BYTE_LEVEL_TEXT.is_special(token_id) for token_id in ids[span.start : span.stop])
        assert not span.special or span.stop == span.start + 1
        assert span.text == span.data.decode(errors="backslashreplace")
        if span.stop - span.start > 1:  # grouped for a character, so the text is whole
            assert "\N{REPLACEMENT CHARACTER}" not in span.text


def test_characters_split_over_tokens_are_shown_whole():
    ids = BYTE_LEVEL.encode("the 🦙!").ids
    spans = BYTE_LEVEL_TEXT.display(ids)
    llama = next(span for span in spans if "🦙" in span.text)
    assert llama.stop - llama.start > 1
    assert spans[-1].text == "!"
    cut = BYTE_LEVEL_TEXT.display(ids[: llama.stop - 1])
    assert "\\x" in cut[-1].text  # the character's end is missing: its bytes, each under its own token
    assert all(span.stop - span.start == 1 for span in cut)


def test_special_and_added_tokens_are_literal():
    end, spaces, accented = (BYTE_LEVEL.token_to_id(token) for token in ("<|end|>", "    ", "éé"))
    assert BYTE_LEVEL_TEXT.bytes_of(end) == b"<|end|>"
    assert BYTE_LEVEL_TEXT.is_special(end)
    assert BYTE_LEVEL_TEXT.bytes_of(spaces) == b"    "
    assert BYTE_LEVEL_TEXT.bytes_of(accented) == "éé".encode()
    assert not BYTE_LEVEL_TEXT.is_special(spaces)
    half = BYTE_LEVEL.encode(" 🦙").ids[0]
    assert [span.text for span in BYTE_LEVEL_TEXT.display([half, end, end])] == [" \\xf0\\x9f", "<|end|>", "<|end|>"]


def test_sentencepiece_spellings():
    assert FALLBACK_TEXT.bytes_of(FALLBACK.token_to_id("▁the")) == b" the"
    assert FALLBACK_TEXT.bytes_of(FALLBACK.token_to_id("<0x0A>")) == b"\n"
    assert FALLBACK_TEXT.bytes_of(FALLBACK.token_to_id("<s>")) == b"<s>"
    assert FALLBACK_TEXT.is_special(FALLBACK.token_to_id("<s>"))
    text = TokenText.from_tokenizer(unigram())
    assert joined(text, unigram().encode("the cat").ids) == b" the cat"


def test_word_pieces_have_a_space_before_a_word():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "em": 1, "##bed": 2, "it": 3}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    text = TokenText.from_tokenizer(tokenizer)
    assert joined(text, tokenizer.encode("embed it").ids) == b" embed it"


def test_vocabularies_given_as_a_dictionary():
    raw = TokenText.from_vocab({token_id: token for token, token_id in BYTE_LEVEL.get_vocab().items()})
    assert all(raw.bytes_of(i) == BYTE_LEVEL_TEXT.bytes_of(i) for i in BYTE_LEVEL.encode("the dog\n café").ids)
    board = TokenText.from_vocab({0: "pass", 1: "A1", 2: "B 2"})
    assert [board.bytes_of(i) for i in (0, 1, 2)] == [b"pass", b"A1", b"B 2"]
    assert TokenText.from_vocab({0: "▁a", 1: "<0x0A>"}).bytes_of(1) == b"\n"
    assert TokenText.from_vocab({0: "▁a"}).bytes_of(0) == b" a"


def test_slow_tokenizers_are_read_by_how_their_words_look():
    class Slow:
        def __init__(self):
            self.decoder = {}
            self.added_tokens_decoder = {2: AddedToken("<s>", special=True)}

        def get_vocab(self):
            return {"Ġa": 0, "Ã": 1, "<s>": 2}

    text = TokenText.from_tokenizer(Slow())
    assert [text.bytes_of(i) for i in range(3)] == [b" a", b"\xc3", b"<s>"]
    assert [text.is_special(i) for i in range(3)] == [False, False, True]


def test_ids_without_text_have_labels():
    text = TokenText.labels()
    assert text.bytes_of(123).decode() == "⟨123⟩"
    assert text.is_special(123)
    assert [span.text for span in text.display([1, 22])] == ["⟨1⟩", "⟨22⟩"]
    with pytest.raises(InputError, match="-1 is not a token id; ids start at 0"):
        text.bytes_of(-1)


def test_table_of_all_ids():
    table = token_bytes(BYTE_LEVEL)
    assert len(table) == BYTE_LEVEL.get_vocab_size()
    assert table[BYTE_LEVEL.token_to_id("Ġthe")] == b" the"


def test_transformers_tokenizers():
    transformers = pytest.importorskip("transformers")
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<|end|>")
    text = TokenText.from_tokenizer(wrapped)
    sample = "the 🦙\n\n  café<|end|>"
    assert joined(text, wrapped(sample)["input_ids"]) == sample.encode()
    assert text.is_special(wrapped.eos_token_id)


@pytest.mark.real
@pytest.mark.skipif(not (TESTBED / "tokenizer.json").exists(), reason="no real tokenizer in the test bed's cache")
def test_a_real_tokenizer():
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(TESTBED)
    text = TokenText.from_tokenizer(tokenizer)

    spelt = {text.bytes_of(token_id) for token_id in range(len(tokenizer))}  # a few control bytes have no token at all

    @settings(max_examples=200, deadline=None)
    @given(any_text.filter(lambda drawn: all(bytes([byte]) in spelt for byte in drawn.encode())))
    def bytes_are_the_text(drawn):
        ids = tokenizer(drawn)["input_ids"]
        assert joined(text, ids) == drawn.encode()
        assert b"".join(span.data for span in text.display(ids)) == drawn.encode()

    bytes_are_the_text()
    assert text.is_special(tokenizer.convert_tokens_to_ids("<|im_end|>"))
