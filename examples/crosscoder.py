"""A crosscoder of two models: the demo's model, and a copy of it that was fine-tuned on dialogues.

    python examples/crosscoder.py page.html

The crosscoder reads the residual stream after block 2 of both models on the same tokens. The page's features are those
whose decoders differ most between the two models, then some that both share alike. With a crosscoder of your own, load
it (`load_crosscoder`) or make it from tensors (`from_crosscoder_tensors`), and give both models.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "crosscoder"
sys.path.insert(0, str(FOLDER))

from dialogues import dialogues, load_base, load_tuned  # noqa: E402  (beside this script)

from sae_vis import (  # noqa: E402
    Corpus,
    FeatureSettings,
    Index,
    ModelAndSae,
    TokenText,
    index_features,
    load_model,
    load_tokenizer,
    save_feature_page,
)
from sae_vis.demo.run import assets, demo_texts  # noqa: E402
from sae_vis.effects.decoder_norms import relative_norms  # noqa: E402
from sae_vis.saes.crosscoder import CrosscoderPlaces  # noqa: E402
from sae_vis.saes.crosscoder_formats import load_crosscoder  # noqa: E402

HOOK = "blocks.2.hook_resid_post"
EVERY = 16  # documents of the embedded text


def make_index() -> tuple[Index, ModelAndSae]:
    """An index over plain text and dialogues, and what it was made from."""
    places = CrosscoderPlaces(reads=[HOOK, HOOK], models=[0, 1])
    base, tuned = load_model(load_base()), load_model(load_tuned())
    base.name, tuned.name = "base", "tuned"
    sae = load_crosscoder(FOLDER, places=places)
    parts = ModelAndSae(model=base, other_models=(tuned,), sae=sae, effects_model=1)
    texts = [text for number, text in enumerate(demo_texts()) if number % EVERY == 0]
    tokenizer = load_tokenizer(assets() / "model")
    corpus = Corpus.from_texts([*texts, *dialogues(texts)], tokenizer, seq_len=128, source="text and dialogues")
    return index_features(corpus, parts, text=TokenText.from_tokenizer(tokenizer)), parts


def chosen(index: Index, n: int = 12) -> list[int]:
    """The features that are most of the tuned model, most of the base model, and some that both have alike."""
    norms = np.array(index.features["decoder_norms"].to_pylist(), dtype=np.float32)
    share = relative_norms(norms, np.array([0, 1]))
    order = [int(f) for f in np.argsort(share) if index.column("n_firings")[f] >= 20]
    middle = len(order) // 2
    return [*order[: -n - 1 : -1], *order[:n], *order[middle : middle + n]]


def main(path: Path) -> None:
    """Write the page."""
    index, parts = make_index()
    settings = FeatureSettings(title="sae_vis: a crosscoder of two models")
    save_feature_page(index, path, features=chosen(index), parts=parts, settings=settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
