"""`SaeVisData` and `SaeVisConfig`: the library under the names that scripts for sae_vis 0.3 use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sae_vis.api import Prompt, index_several, reference_of, save_compare_page, save_feature_page, save_prompt_page
from sae_vis.boards.base import BoardGame
from sae_vis.config import IndexConfig
from sae_vis.corpus.labels import LabelValues
from sae_vis.corpus.mask import MaskConfig, Positions
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.deliver.page import PageReport
from sae_vis.effects.probes import Probes
from sae_vis.effects.reference import Reference, Rows
from sae_vis.errors import InputError
from sae_vis.index.between import Between, between
from sae_vis.index.build import Progress
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.models.any_model import as_model, bos_of, tokenizer_of
from sae_vis.models.base import LanguageModel
from sae_vis.neutral import all_neutrally
from sae_vis.parts import ModelAndSae, Names
from sae_vis.saes.formats import as_dictionary
from sae_vis.views.compare import CompareSettings
from sae_vis.views.prompt import METRICS, PromptSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class SaeVisConfig:
    """What `SaeVisData.create` computes and shows.

    Attributes:
        features: features of the feature-centric page: ids, one id, or None for all that fire. The index always holds
            every feature.
        minibatch_size_features: accepted, without effect: all features are indexed in one pass.
        minibatch_size_tokens: sequences in one forward pass of the model.
        seqpos_slice: positions of each sequence that count, as a slice's ends.
        feature_centric_layout: of a feature's card.
        prompt_centric_layout: of a feature's card beside a prompt.
        seed: of the random samples of examples.
    """

    features: int | Iterable[int] | None = None
    minibatch_size_features: int = 256
    minibatch_size_tokens: int = 64
    seqpos_slice: Positions = (None, None)
    feature_centric_layout: SaeVisLayoutConfig = field(
        default_factory=SaeVisLayoutConfig.default_feature_centric_layout
    )
    prompt_centric_layout: SaeVisLayoutConfig = field(default_factory=SaeVisLayoutConfig.default_prompt_centric_layout)
    seed: int | None = 0

    def __post_init__(self) -> None:
        """Sizes must make sense; features become a tuple."""
        for name in ("minibatch_size_features", "minibatch_size_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"SaeVisConfig.{name} is {getattr(self, name)}, expected at least 1")
        features = (self.features,) if isinstance(self.features, int) else self.features
        object.__setattr__(self, "features", None if features is None else tuple(int(f) for f in features))

    def help(self, title: str = "SaeVisConfig") -> None:
        """Print both layouts as trees under a ``title``, every option with its value, default and meaning."""
        self.feature_centric_layout.help(title=f"{title}: feature-centric")
        self.prompt_centric_layout.help(title=f"{title}: prompt-centric", key=False)


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
    def create(  # noqa: PLR0913, PLR0917  the parameters of sae_vis 0.3
        cls,
        sae: object,
        model: object,
        tokens: torch.Tensor,
        cfg: SaeVisConfig | None = None,
        sae_B: object = None,
        linear_probes: Sequence[object] | None = None,
        target_logits: torch.Tensor | Rows | Reference | None = None,
        vocab_dict: Mapping[int, str] | Mapping[str, Mapping[int, str]] | None = None,
        verbose: bool = False,
        clear_memory_between_batches: bool = False,
        *,
        game: BoardGame | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        hook: Names = None,
        hook_out: Names = None,
        hook_B: str | None = None,
        effects_model: int = 0,
        labels: LabelValues | None = None,
    ) -> SaeVisData:
        """Run the model over the tokens once and index every feature of the SAE.

        Args:
            sae: a SAELens SAE, a path or repository id, or anything with ``encode`` and decoder directions.
            model: a Hugging Face causal language model, its name or path, a TransformerLens model, or a model that is
                adapted already; a list of them for a crosscoder that reads several.
            tokens: ``[n_seqs, seq_len]`` ids. BOS, where all rows begin with it, is left out of all statistics.
            cfg: what is shown; None: the defaults.
            sae_B: a second SAE of the same model, read in the same pass, here or at another hook point.
            linear_probes: tuples ``(side, name, [d_model, *class_shape])``, side ``input`` or ``output``.
            target_logits: ``[n_seqs, seq_len, d_vocab]``: the loss is the cross entropy against their softmax.
            vocab_dict: text of each token id, or ``embed``: these, and ``probes``: names of the probes' classes.
            verbose: print progress, and how long each part took.
            clear_memory_between_batches: accepted, without effect.
            game: whose boards are drawn, where the layout asks for boards; None: Othello.
            tokenizer: of the model; None: the one that the model was loaded with, if it can be found on this machine.
            hook: where the SAE reads, of a crosscoder one name for all places or one for each; None: where it says.
            hook_out: where a transcoder writes, likewise.
            hook_B: where the second SAE reads, likewise.
            effects_model: of several models the one whose logits and losses effects are of.
            labels: of the rows of `tokens`, by labelling, such as ``{"language": ["de", "fr", None]}``.

        Raises:
            InputError: parts that don't fit.
        """
        cfg = cfg or SaeVisConfig()
        every = [_parts(sae, model, hook, hook_out, effects_model)]
        adapted = every[0].model
        every += [] if sae_B is None else [_parts(sae_B, adapted, hook_B, None, 0)]
        tokenizer = tokenizer or tokenizer_of(adapted)
        names, classes = _vocabularies(vocab_dict)
        text, corpus = _text(names, tokenizer), _corpus(adapted, tokens, cfg, labels)
        probes = None if linear_probes is None else every[0].probes(linear_probes, classes)
        config = IndexConfig(batch_tokens=cfg.minibatch_size_tokens * tokens.shape[1])
        with _told(verbose) as told:
            index, *more = index_several(corpus, [(p, None) for p in every], text=text, config=config, progress=told)
        data = cls(index=index, parts=every[0], cfg=cfg, tokenizer=tokenizer, probes=probes, game=game)
        data = replace(data, reference=reference_of(index, every[0], target_logits))
        return replace(data, index_b=more[0], parts_b=every[1]) if more else data

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
            b_page: address of a page of the second SAE's features, relative to this one, for links.
            compare_page: address of the page that `save_compare_vis` writes, relative to this one, for links.
            verbose: print how long it took.

        Raises:
            InputError: a feature that is not among them, or does not exist.
        """
        chosen = self.index.select(None).tolist() if self.cfg.features is None else list(self._features)
        if feature is not None and feature not in chosen:
            raise InputError(f"feature={feature} is not among the page's features; add it to SaeVisConfig(features=…)")
        with _told(verbose, "feature-centric page"):
            return save_feature_page(
                self.index,
                filename,
                features=chosen,
                parts=self.parts,
                layout=self.cfg.feature_centric_layout,
                first=feature,
                linear_probes=self.probes,
                target_logits=self.reference,
                game=self.game,
                seed=self.cfg.seed or 0,
                index_b=self.index_b,
                b_page=b_page,
                compare_page=compare_page,
            )

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
                ``loss_effect``. The page holds all of them.
            seq_pos: position to begin with, negative from the end; None: the whole prompt.
            num_top_features: features in a ranking.
            verbose: print how long it took.

        Raises:
            InputError: an empty or too long prompt, an unknown metric, a position out of range.
        """
        settings = PromptSettings(
            metric=metric or next(iter(METRICS)), seq_pos=seq_pos, num_top_features=num_top_features
        )
        with _told(verbose, "prompt-centric page"):
            return save_prompt_page(
                self.index,
                filename,
                prompt,
                parts=self.parts,
                tokenizer=self.tokenizer,
                settings=settings,
                layout=self.cfg.prompt_centric_layout,
                linear_probes=self.probes,
                game=self.game,
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

        Raises:
            InputError: there is no second SAE, or no such feature.
        """
        index_b, parts_b = self._other
        with _told(verbose, "page of two SAEs"):
            return save_compare_page(
                self.index,
                index_b,
                filename,
                features=128 if self.cfg.features is None else self._features,
                parts_a=self.parts,
                parts_b=parts_b,
                settings=settings,
                first=feature,
                seed=self.cfg.seed or 0,
            )

    @property
    def _features(self) -> tuple[int, ...]:
        features = self.cfg.features
        assert isinstance(features, tuple)
        return features


def _parts(sae: object, model: object, hook: Names, hook_out: Names, effects_model: int) -> ModelAndSae:
    """The first SAE with its model, or models."""
    first, *others = [as_model(one) for one in (model if isinstance(model, list | tuple) else [model])]
    return ModelAndSae(
        model=first,
        sae=as_dictionary(sae, hook_name=hook if isinstance(hook, str) else None),
        hook=hook,
        hook_out=hook_out,
        other_models=tuple(others),
        effects_model=effects_model,
    )


def _vocabularies(
    given: Mapping[int, str] | Mapping[str, Mapping[int, str]] | None,
) -> tuple[Mapping[int, str] | None, Mapping[int, str] | None]:
    """Names of the tokens, and of the probes' classes.

    Raises:
        InputError: names of something else.
    """
    if given is None:
        return None, None
    inner: dict[str, Mapping[int, str]] = {
        name: words for name, words in given.items() if isinstance(name, str) and isinstance(words, Mapping)
    }
    if not inner:
        return {int(token): str(text) for token, text in given.items()}, None
    unknown = sorted(set(map(str, given)) - {"embed", "unembed", "probes"})
    if unknown or "embed" not in inner or inner.get("unembed", inner["embed"]) != inner["embed"]:
        raise InputError(
            "vocab_dict= holds the vocabularies 'embed' and 'probes' ('unembed' being equal to 'embed'); found "
            f"{', '.join(map(repr, given))}" + (", with 'unembed' different from 'embed'" if not unknown else "")
        )
    return inner["embed"], inner.get("probes")


def _text(vocab: Mapping[int, str] | None, tokenizer: PreTrainedTokenizerBase | None) -> TokenText:
    if vocab is not None:
        return TokenText.from_vocab(vocab)
    return TokenText.labels() if tokenizer is None else TokenText.from_tokenizer(tokenizer)


def _corpus(model: LanguageModel, tokens: torch.Tensor, cfg: SaeVisConfig, labels: LabelValues | None) -> Corpus:
    mask = MaskConfig(bos_id=_bos_of(model, tokens), seqpos_slice=cfg.seqpos_slice)
    return Corpus.from_tokens(tokens, mask, labels=labels)


def _bos_of(model: LanguageModel, tokens: torch.Tensor) -> int | None:
    """The model's BOS token where every row begins with it."""
    bos = bos_of(model)
    begins = bos is not None and tokens.ndim == 2 and tokens.numel() > 0 and bool((tokens[:, 0] == bos).all())
    return bos if begins else None


@contextmanager
def _told(verbose: bool, work: str | None = None) -> Iterator[Progress | None]:
    """With `verbose`, says how long the stages took, as a table; gives what is to be called with the progress."""
    if not verbose:
        yield None
        return
    from rich.console import Console
    from rich.table import Table

    console, took, last = Console(), dict[str, float](), [time.perf_counter()]

    def note(stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        took[stage] = took.get(stage, 0.0) + now - last[0]
        last[0] = now
        if done == total:
            console.print(f"{stage}: {total} of {total}")

    started = last[0]
    yield note
    table = Table("part", "seconds")
    for stage, seconds in (took or {work or "work": time.perf_counter() - started}).items():
        table.add_row(stage, f"{seconds:.2f}")
    console.print(table)


__all__ = ["SaeVisConfig", "SaeVisData"]
