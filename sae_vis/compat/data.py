"""`SaeVisData`: the library as scripts for sae_vis 0.3 call it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sae_vis.api import (
    ComputeSettings,
    FeatureSettings,
    Index,
    Prompt,
    SecondIndex,
    reference_of,
    save_compare_page,
    save_feature_page,
    save_prompt_page,
)
from sae_vis.boards.base import BoardGame
from sae_vis.checks import shown, whole_number
from sae_vis.compat.config import SaeVisConfig, layout_with_dfa
from sae_vis.compat.corpus import corpus_of
from sae_vis.compat.indices import indices_of
from sae_vis.compat.options import CreateOptions
from sae_vis.compat.parts import every_part
from sae_vis.compat.told import told
from sae_vis.compat.words import token_text, vocabularies
from sae_vis.corpus.rows import Tokens
from sae_vis.deliver.page import PageReport
from sae_vis.effects.probes import Probes
from sae_vis.effects.reference import Reference, Rows
from sae_vis.errors import InputError
from sae_vis.index.between import Between, between
from sae_vis.models.any_model import bos_of, tokenizer_of
from sae_vis.moved import Moved, moved
from sae_vis.neutral import all_neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.views.compare import CompareSettings
from sae_vis.views.prompt import PromptSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@all_neutrally
@dataclass(frozen=True, kw_only=True)
class SaeVisData:
    """An SAE's features over some text, ready to be looked at.

    Attributes:
        index: every feature's firings and statistics, in memory.
        parts: model and dictionary.
        cfg: what is shown.
        tokenizer: of the model, where there is one.
        index_b: of the second SAE, over the same tokens; None: there is none.
        parts_b: model and second SAE.
        probes: linear probes that features are compared with.
        reference: what loss effects on the tokens are taken against, in place of the next token.
        game: whose boards are drawn; None: Othello, by the tokens' names.
    """

    index: Index
    parts: ModelAndSae
    cfg: SaeVisConfig
    tokenizer: PreTrainedTokenizerBase | None = None
    index_b: Index | None = None
    parts_b: ModelAndSae | None = None
    probes: Probes | None = None
    reference: Reference | None = None
    game: BoardGame | None = None

    @classmethod
    @moved(
        Moved(
            "options",
            CreateOptions,
            ("game", "tokenizer", "hook", "hook_out", "hook_B", "effects_model", "labels"),
        ),
        Moved("sae", None, ("encoder",)),
        Moved("sae_B", None, ("encoder_B",)),
    )
    def create(  # noqa: PLR0913, PLR0917  the parameters of sae_vis 0.3, in their order
        cls,
        sae: object = None,
        model: object = None,
        tokens: Tokens | None = None,
        cfg: SaeVisConfig | None = None,
        sae_B: object = None,
        linear_probes: Sequence[object] | None = None,
        target_logits: torch.Tensor | Rows | Reference | None = None,
        vocab_dict: Mapping[int, str] | Mapping[str, Mapping[int, str]] | None = None,
        verbose: bool = False,
        clear_memory_between_batches: bool = False,
        *,
        options: CreateOptions | None = None,
    ) -> SaeVisData:
        """Run the model over the tokens once and index every feature of the SAE.

        Args:
            sae: a SAELens SAE, a path or repository id, or anything with ``encode`` and decoder directions.
            model: as `as_model` takes it: an object, name or path; a list for a crosscoder that reads several.
            tokens: as `Corpus.from_tokens` takes them. BOS is left out of all statistics where all rows begin with it.
            cfg: what is shown; None: the defaults.
            sae_B: a second SAE of the same model, read in the same pass, here or at another hook point.
            linear_probes: tuples ``(side, name, [d_model, *class_shape])``, side ``input`` or ``output``.
            target_logits: ``[n_seqs, seq_len, d_vocab]``: the loss is the cross entropy against their softmax.
            vocab_dict: text of each token id, or ``embed``: these, and ``probes``: names of the probes' classes.
            verbose: print progress, and how long each part took.
            clear_memory_between_batches: accepted, without effect.
            options: what sae_vis 0.3 did not take: hook points, labels, the tokenizer, a game.

        Returns:
            The indexed data, from which pages are written.

        Raises:
            InputError: parts that are missing or don't fit, tokens that begin with padding.
        """
        cfg, options = cfg or SaeVisConfig(), options or CreateOptions()
        first, *others = every_part(sae, sae_B, model, cfg, options)
        tokenizer = options.tokenizer or tokenizer_of(first.model)
        pad = None if tokenizer is None else tokenizer.pad_token_id
        names, classes = vocabularies(vocab_dict)
        corpus = corpus_of(tokens, cfg, options.labels, bos=bos_of(first.model), pad=pad)
        probes = None if linear_probes is None else first.probes(linear_probes, classes)
        index, *more = indices_of([first, *others], corpus, token_text(names, tokenizer), cfg, verbose=verbose)
        data = cls(index=index, parts=first, cfg=cfg, tokenizer=tokenizer, probes=probes, game=options.game)
        data = replace(data, reference=reference_of(index, first, target_logits))
        return replace(data, index_b=more[0], parts_b=others[0]) if more else data

    @moved(Moved("feature", None, ("feature_idx",)))
    def save_feature_centric_vis(
        self,
        filename: str | Path,
        feature: int | None = None,
        verbose: bool = False,
        *,
        b_page: str | None = None,
        compare_page: str | None = None,
    ) -> PageReport:
        """Write the page of the features that ``cfg.features`` names; with a second SAE, the B features of each, too.

        Args:
            filename: the file.
            feature: the one that the page opens with; None: the first.
            verbose: print how long it took.
            b_page: address of a page of the second SAE's features, relative to this one, for links.
            compare_page: address of the page that `save_compare_vis` writes, relative to this one, for links.

        Returns:
            Path and sizes of the page.

        Raises:
            InputError: a feature that is not among them, or does not exist.
        """
        feature = None if feature is None else whole_number(feature, "feature")
        chosen = self.index.select(None).tolist() if self.cfg.features is None else list(self._features)
        if feature is not None and feature not in chosen:
            raise InputError(f"feature={feature} is not among the page's features; add it to SaeVisConfig(features=…)")
        second = self._second(b_page, compare_page)
        with told(verbose or self.cfg.verbose, "feature-centric page"):
            return save_feature_page(
                self.index,
                filename,
                features=chosen,
                parts=self.parts,
                layout=layout_with_dfa(self.cfg),
                settings=FeatureSettings(first=feature),
                compute=replace(
                    self._compute,
                    effects=self.cfg.perform_ablation_experiments,
                    target_logits=self.reference,
                    seed=self.cfg.seed or 0,
                ),
                second=second,
            )

    def _second(self, b_page: str | None, compare_page: str | None) -> SecondIndex | None:
        """The second SAE, with the addresses of its pages."""
        if self.index_b is not None:
            return SecondIndex(index_b=self.index_b, b_page=b_page, compare_page=compare_page)
        for name, address in (("b_page", b_page), ("compare_page", compare_page)):
            if address is not None:
                raise InputError(f"{name} is {address!r}, but there is no second SAE: give sae_B= to SaeVisData.create")
        return None

    @property
    def _compute(self) -> ComputeSettings:
        return ComputeSettings(linear_probes=self.probes, game=self.game)

    def save_prompt_centric_vis(
        self,
        filename: str | Path,
        prompt: Prompt,
        metric: str | None = None,
        seq_pos: int | None = None,
        num_top_features: int = 10,
        verbose: bool = False,
    ) -> PageReport:
        """Write the page of one prompt: at every token, the features that matter most.

        Args:
            filename: the file.
            prompt: a text, chat messages, or token ids.
            metric: the one to begin with; a name of `METRICS`, such as ``act_size``, ``act_quantile``,
                ``loss_effect``; None: attribution. The page holds all of them.
            seq_pos: position to begin with, negative from the end; None: the whole prompt.
            num_top_features: features in a ranking.
            verbose: print how long it took.

        Returns:
            Path and sizes of the page.

        Raises:
            InputError: an empty or too long prompt, an unknown metric, a position out of range.
        """
        if isinstance(prompt, str) and prompt.endswith(".html") and not str(filename).endswith(".html"):
            raise InputError(
                f"the prompt is {shown(prompt)} and the file {shown(str(filename))}: the file comes first, then the "
                "prompt; name them: save_prompt_centric_vis(filename=…, prompt=…)"
            )
        settings = PromptSettings(metric=metric or None, seq_pos=seq_pos, num_top_features=num_top_features)
        with told(verbose or self.cfg.verbose, "prompt-centric page"):
            return save_prompt_page(
                self.index,
                filename,
                prompt,
                parts=self.parts,
                tokenizer=self.tokenizer,
                settings=settings,
                layout=self.cfg.prompt_centric_layout,
                compute=self._compute,
            )

    @property
    def between(self) -> Between:
        """How the features of both SAEs go together: for each feature of one its partners in the other.

        Raises:
            InputError: there is no second SAE.
        """
        return between(self.index, self._other[0])

    def turned(self, features: int | Iterable[int] | None = None) -> SaeVisData:
        """The same with the two SAEs in each other's place: pages of B's features, with tables of A's.

        Args:
            features: of B, for its pages; None: all that fire.

        Returns:
            The same data with A and B exchanged.

        Raises:
            InputError: there is no second SAE.
        """
        index, parts = self._other
        cfg = replace(self.cfg, features=features)
        return replace(self, index=index, parts=parts, index_b=self.index, parts_b=self.parts, cfg=cfg)

    @property
    def _other(self) -> tuple[Index, ModelAndSae]:
        if self.index_b is None or self.parts_b is None:
            raise InputError("there is no second SAE: give sae_B= to SaeVisData.create")
        return self.index_b, self.parts_b

    def save_compare_vis(
        self,
        filename: str | Path,
        feature: int | None = None,
        *,
        settings: CompareSettings | None = None,
        verbose: bool = False,
    ) -> PageReport:
        """Write the page that compares the two SAEs: the features that ``cfg.features`` names with their nearest in B.

        Args:
            filename: the file.
            feature: the one that the page opens with; None: the first.
            settings: what is shown of each pair, and links to pages of each SAE.
            verbose: print how long it took.

        Returns:
            Path and sizes of the page.

        Raises:
            InputError: there is no second SAE, or no such feature.
        """
        index_b, parts_b = self._other
        settings = settings or CompareSettings()
        settings = settings if feature is None else replace(settings, first=feature)
        with told(verbose or self.cfg.verbose, "page of two SAEs"):
            return save_compare_page(
                self.index,
                index_b,
                filename,
                features=128 if self.cfg.features is None else self._features,
                parts=(self.parts, parts_b),
                settings=settings,
                compute=ComputeSettings(seed=self.cfg.seed or 0),
            )

    @property
    def _features(self) -> tuple[int, ...]:
        features = self.cfg.features
        assert isinstance(features, tuple)
        return features
