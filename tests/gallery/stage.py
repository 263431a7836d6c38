"""What the pictures show: the embedded model's features over a quarter of the embedded text, in memory."""

from __future__ import annotations

import runpy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from examples.othello.page import othello_data
from sae_vis.api import (
    FeatureSettings,
    ModelAndSae,
    index_features,
    index_several,
    save_compare_page,
    save_feature_page,
    save_prompt_page,
)
from sae_vis.config import IndexConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.data_storing_fns import SaeVisData
from sae_vis.demo import run as demo
from sae_vis.index.index import Index
from sae_vis.layout import Column, DecoderNormsConfig, LogitsByPlaceConfig, ModelDiffConfig, SaeVisLayoutConfig
from sae_vis.models.loading import load_tokenizer
from sae_vis.saes.directions import from_directions
from sae_vis.saes.saelens_format import load_sae
from sae_vis.views.compare import CompareSettings
from sae_vis.views.prompt import PromptSettings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CROSSCODER = SaeVisLayoutConfig(
    [
        Column(DecoderNormsConfig(), width=300),
        Column(LogitsByPlaceConfig(n_rows=8), width=460),
        Column(ModelDiffConfig(n_bins=40), width=300),
    ]
)
EVERY = 4
TITLED = FeatureSettings(title="sae_vis demo: residual stream after layer 2")
SELF_DOT, COMMENT, UNITED, WARM = 1945, 111, 1594, 1008
"""Features of the demo that FEATURES.md describes."""
SPLIT = (1533, 198)
"""Features that the narrow SAE has in several pieces."""


class Stage:
    """One index for all pictures; the same text, seed and features every time.

    Args:
        folder: where pages are put.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[object, Path] = {}

    @cached_property
    def parts(self) -> ModelAndSae:
        """The embedded model and its SAE on the residual stream."""
        return demo.demo_parts(demo.RESID)

    @cached_property
    def narrow(self) -> ModelAndSae:
        """A narrower SAE of the same place."""
        return ModelAndSae(model=self.parts.model, sae=load_sae(EXAMPLES / "sae-resid-narrow"))

    @cached_property
    def indices(self) -> list[Index]:
        """The indices of both, from one pass, neurons correlated too."""
        text = TokenText.from_tokenizer(load_tokenizer(demo.assets() / "model"))
        config = IndexConfig(neuron_correlations="always")
        return index_several(self.corpus, [(self.parts, None), (self.narrow, None)], text=text, config=config)

    @property
    def index(self) -> Index:
        """The index of the embedded SAE."""
        return self.indices[0]

    @cached_property
    def corpus(self) -> Corpus:
        """The text."""
        texts = [text for number, text in enumerate(demo.demo_texts()) if number % EVERY == 0]
        return Corpus.from_texts(
            texts,
            load_tokenizer(demo.assets() / "model"),
            seq_len=demo.SEQ_LEN,
            source="embedded demo text, every 4th document",
        )

    def attention_page(self) -> Path:
        """The file of the page that `examples/attention.py` writes."""
        if "attention" not in self.files:
            self.files["attention"] = self.folder / "attention.html"
            script = runpy.run_path(str(EXAMPLES / "attention.py"))
            script["main"](self.files["attention"])
        return self.files["attention"]

    def signed_page(self) -> Path:
        """The file of a page of two steering vectors, each what one feature of the demo writes less another's."""
        if "signed" not in self.files:
            rows = self.parts.sae.decoder
            directions = torch.stack([rows[COMMENT] - rows[UNITED], rows[SELF_DOT] - rows[WARM]])
            sae = from_directions(directions / directions.norm(dim=1, keepdim=True), signed=True)
            parts = ModelAndSae(model=self.parts.model, sae=sae, hook=self.parts.hook_name)
            tokenizer = load_tokenizer(demo.assets() / "model")
            texts = [text for number, text in enumerate(demo.demo_texts()) if number % (8 * EVERY) == 0]
            corpus = Corpus.from_texts(texts, tokenizer, seq_len=demo.SEQ_LEN, source="some of the embedded demo text")
            index = index_features(corpus, parts, text=TokenText.from_tokenizer(tokenizer))
            path = self.folder / "signed.html"
            save_feature_page(
                index, path, features=None, parts=parts, settings=FeatureSettings(title="Steering vectors")
            )
            self.files["signed"] = path
        return self.files["signed"]

    @cached_property
    def othello(self) -> SaeVisData:
        """The Othello example over 200 games, the feature that tells its square best."""
        return othello_data(200, 1)

    def othello_page(self, layout: SaeVisLayoutConfig) -> Path:
        """The file of a page of that feature."""
        key = ("othello", layout)
        if key not in self.files:
            self.files[key] = self.folder / f"page{len(self.files)}.html"
            data = replace(self.othello, cfg=replace(self.othello.cfg, feature_centric_layout=layout))
            data.save_feature_centric_vis(self.files[key])
        return self.files[key]

    @cached_property
    def labelled(self) -> Index:
        """An index of every 8th document, labelled by source and by kind."""
        tokenizer = load_tokenizer(demo.assets() / "model")
        texts = [document for number, document in enumerate(demo.demo_documents()) if number % 8 == 0]
        corpus = Corpus.from_texts(
            texts, tokenizer, seq_len=demo.SEQ_LEN, source="embedded demo text, every 8th document"
        )
        return index_features(corpus, self.parts, text=TokenText.from_tokenizer(tokenizer))

    def labelled_page(self, *features: int, layout: SaeVisLayoutConfig) -> Path:
        """The file of a page of the given features and of those that fire most unevenly over the sources."""
        key = ("labels", features, layout)
        if key not in self.files:
            file = self.folder / f"page{len(self.files)}.html"
            uneven = [int(f) for f in self.labelled.rank_by_label("source", k=30) if f not in features]
            every = [*features, *uneven]
            save_feature_page(
                self.labelled,
                file,
                features=every,
                parts=self.parts,
                layout=layout,
                settings=TITLED,
            )
            self.files[key] = file
        return self.files[key]

    def page(self, *features: int, layout: SaeVisLayoutConfig | None = None) -> Path:
        """The file of a page of the given features and a few more."""
        every = (*features, *(f for f in (SELF_DOT, COMMENT, UNITED, WARM) if f not in features))
        return self.saved(every, layout)

    def long_page(self) -> Path:
        """The file of a page of many features: those picked for the demo."""
        return self.saved(demo.RESID_PICKED, SaeVisLayoutConfig.default_feature_centric_layout())

    def saved(self, features: tuple[int, ...], layout: SaeVisLayoutConfig | None) -> Path:
        """Make a page once."""
        key = (features, layout)
        if key not in self.files:
            file = self.folder / f"page{len(self.files)}.html"
            save_feature_page(
                self.index,
                file,
                features=features,
                parts=self.parts,
                layout=layout,
                settings=TITLED,
            )
            self.files[key] = file
        return self.files[key]

    def compare(self) -> Path:
        """The file of a page that compares the SAE with a narrower one of the same place."""
        if "compare" not in self.files:
            self.files["compare"] = self.folder / "compare.html"
            save_compare_page(
                *self.indices,
                self.files["compare"],
                features=(*demo.RESID_PICKED, *SPLIT),
                parts=(self.parts, self.narrow),
                settings=CompareSettings(
                    title="sae_vis demo: two widths at the residual stream after layer 2", first=SPLIT[0]
                ),
            )
        return self.files["compare"]

    def prompt(self, text: str, compare: str | None = None, metric: str = "loss_effect", at: int | None = None) -> Path:
        """The file of a prompt page, ranked by a metric over all tokens, or at one."""
        key = (text, compare, metric, at)
        if key not in self.files:
            file = self.folder / f"page{len(self.files)}.html"
            save_prompt_page(
                self.index,
                file,
                text,
                parts=self.parts,
                tokenizer=load_tokenizer(demo.assets() / "model"),
                settings=PromptSettings(
                    metric=metric,
                    seq_pos=at,
                    compare=compare,
                    title="sae_vis demo: one prompt" if compare is None else "sae_vis demo: two prompts",
                ),
            )
            self.files[key] = file
        return self.files[key]

    def crosscoder(self) -> Path:
        """The file of the page of `examples/crosscoder.py`, with its components one under the other."""
        if "crosscoder" not in self.files:
            example = runpy.run_path(str(EXAMPLES / "crosscoder.py"))
            index, parts = example["make_index"]()
            file = self.folder / "crosscoder.html"
            save_feature_page(index, file, features=example["chosen"](index), parts=parts, layout=CROSSCODER)
            self.files["crosscoder"] = file
        return self.files["crosscoder"]
