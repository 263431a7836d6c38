"""The demo: index the embedded model's SAEs over the embedded text, write the pages of features and of a prompt."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sae_vis.api import ComputeSettings, FeatureSettings, index_features, make_map, save_feature_page, save_prompt_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.labels import LabelledText
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.deliver.page import PageReport
from sae_vis.index.build import Progress
from sae_vis.index.index import Index
from sae_vis.parts import ModelAndSae
from sae_vis.views.prompt import PromptSettings

SEQ_LEN = 128
PROMPT = "def __init__(self, master):\n    self.tk = master  # the United States went to war with England"
FULL_EFFECTS = 40


@dataclass(frozen=True)
class DemoSae:
    """One of the embedded SAEs.

    Attributes:
        name: in the names of the demo's files.
        folder: of its checkpoint.
        reads: what it reads, in words.
        first: the feature that the page and the explorer open with.
        picked: features worth a look, always on the page; ``FEATURES.md`` beside the checkpoints says what they are.
    """

    name: str
    folder: str
    reads: str
    first: int
    picked: tuple[int, ...]


RESID_PICKED = (18, 111, 228, 353, 564, 626, 704, 955, 1008, 1025, 1574, 1594, 1604, 1855, 1945, 2004)
RESID = DemoSae("resid", "sae-resid", "residual stream after layer 2", 1594, RESID_PICKED)
MLP = DemoSae("mlp", "sae-mlp", "MLP neurons of layer 2", 905, (464, 475, 823, 905))
SAES = (RESID, MLP)


@dataclass(frozen=True)
class DemoResult:
    """What a run of the demo made of one SAE."""

    index: Index
    page: PageReport
    prompt: PageReport


def assets() -> Path:
    """The folder of the embedded model, SAEs and text."""
    return Path(str(resources.files("sae_vis") / "demo" / "assets"))


def demo_texts() -> Iterator[str]:
    """The embedded documents."""
    return (document.text for document in demo_documents())


KINDS = {
    "python_stdlib": "code",
    "python_docs": "documentation",
    "sotu": "speeches",
    "austen": "novels",
    "mobydick": "novels",
    "wordnet_glosses": "dictionary",
}
"""Kind of text of each source of the embedded documents; what was written for the demo by hand has none."""


def demo_documents() -> Iterator[LabelledText]:
    """The embedded documents, labelled by ``source`` and by ``kind`` of text."""
    with gzip.open(assets() / "text.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            source = document["source"]
            yield LabelledText(document["text"], {"source": source, "kind": KINDS.get(source)})


def demo_parts(sae: DemoSae) -> ModelAndSae:
    """The embedded model and one of its SAEs, in float32."""
    import torch

    from sae_vis.models.loading import load_model
    from sae_vis.saes.saelens_format import load_sae

    model = load_model(assets() / "model", dtype=torch.float32)
    model.name = "the demo's model"
    return ModelAndSae(model=model, sae=load_sae(assets() / sae.folder))


def demo_corpus(*, labels: bool = False) -> tuple[Corpus, TokenText]:
    """The embedded text as tokens, with labels if asked for, and what the tokens spell."""
    from sae_vis.models.loading import load_tokenizer

    tokenizer = load_tokenizer(assets() / "model")
    texts = demo_documents() if labels else demo_texts()
    corpus = Corpus.from_texts(texts, tokenizer, seq_len=SEQ_LEN, source="embedded demo text")
    return corpus, TokenText.from_tokenizer(tokenizer)


def run_demo(
    sae: DemoSae,
    text: tuple[Corpus, TokenText],
    out: Path,
    *,
    features: int | None = 300,
    progress: Progress | None = None,
) -> DemoResult:
    """Index, map and pages of one SAE, under ``out``: ``index-NAME/``, ``features-NAME.html``, ``prompt-NAME.html``.

    Args:
        sae: one of the embedded SAEs (`SAES`).
        text: of `demo_corpus`.
        out: folder, made if it is missing.
        features: how many features the page shows, evenly spaced over those that fire, beside the picked ones; None:
            all that fire.
        progress: called with stage, done, total.
    """
    from sae_vis.models.loading import load_tokenizer

    corpus, spelled = text
    parts = demo_parts(sae)
    config = IndexConfig(neuron_correlations="always")  # at the residual stream, too: the demo shows every component
    index = index_features(corpus, parts, out / f"index-{sae.name}", text=spelled, config=config, progress=progress)
    make_map(index, parts.sae, progress=progress)
    title = f"sae_vis demo: {sae.reads}"
    ids, rule = _shown(index, sae, features)
    path, first = out / f"features-{sae.name}.html", sae.first if sae.first in ids else None
    page = save_feature_page(
        index,
        path,
        features=ids,
        parts=parts,
        settings=FeatureSettings(title=title, selection=rule, first=first),
        compute=ComputeSettings(progress=progress),
    )
    prompt = save_prompt_page(
        index,
        out / f"prompt-{sae.name}.html",
        PROMPT,
        parts=parts,
        tokenizer=load_tokenizer(assets() / "model"),
        settings=PromptSettings(metric="loss_effect", full_effects=FULL_EFFECTS, title=f"{title}, on one prompt"),
        compute=ComputeSettings(progress=progress),
    )
    return DemoResult(index, page, prompt)


def _shown(index: Index, sae: DemoSae, features: int | None) -> tuple[list[int], str]:
    """Ids of a page's features, and the rule in words."""
    spaced, every = index.select(features).tolist(), index.select(None).tolist()
    if len(spaced) == len(every):
        return every, f"all {len(every):,} features that fire"
    ids = sorted({*spaced, *sae.picked} & set(every))
    more = len(ids) - len(spaced)
    return (
        ids,
        f"{len(spaced)} of the {len(every):,} features that fire, evenly spaced by number, and {more} picked by hand",
    )


def is_made(out: Path) -> bool:
    """Whether `run_demo` has made everything under ``out``."""
    made = [out / f"index-{sae.name}" / "manifest.json" for sae in SAES]
    pages = [out / f"{kind}-{sae.name}.html" for sae in SAES for kind in ("features", "prompt")]
    return all(path.is_file() for path in (*made, *pages))


def serve_demo(out: Path, *, open_browser: bool = True) -> None:
    """Serve the indices that `run_demo` made under ``out``, live, until it is stopped."""
    from sae_vis.models.loading import load_tokenizer
    from sae_vis.server.run import ServerSettings
    from sae_vis.server.serve import serve

    serve(
        [out / f"index-{sae.name}" for sae in SAES],
        parts=[demo_parts(sae) for sae in SAES],
        tokenizer=load_tokenizer(assets() / "model"),
        settings=ServerSettings(open_browser=open_browser, first=SAES[0].first),
    )
