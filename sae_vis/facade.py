"""`SaeVisData` and `SaeVisConfig`: the library under the names that scripts for sae_vis 0.3 use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sae_vis.api import Prompt, index_several, reference_of, save_compare_page, save_feature_page, save_prompt_page
from sae_vis.boards.base import BoardGame
from sae_vis.checks import require_a, shown, whole_number
from sae_vis.config import IndexConfig
from sae_vis.corpus.labels import LabelValues
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.rows import Rows as TokenRows
from sae_vis.corpus.rows import Tokens, attended, token_rows, without_left_padding
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.deliver.page import PageReport
from sae_vis.effects.probes import Probes
from sae_vis.effects.reference import Reference, Rows
from sae_vis.errors import InputError
from sae_vis.facade_config import SaeVisConfig
from sae_vis.index.between import Between, between
from sae_vis.index.build import Progress
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig, SeqMultiGroupConfig
from sae_vis.models.any_model import as_model, bos_of, tokenizer_of
from sae_vis.models.base import LanguageModel
from sae_vis.models.huggingface import load_model
from sae_vis.neutral import all_neutrally
from sae_vis.parts import ModelAndSae, Names
from sae_vis.saes.formats import as_dictionary
from sae_vis.views.compare import CompareSettings
from sae_vis.views.prompt import METRICS, PromptSettings

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
    def create(  # noqa: PLR0913, PLR0917  the parameters of sae_vis 0.3
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
        game: BoardGame | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        hook: Names = None,
        hook_out: Names = None,
        hook_B: str | None = None,
        effects_model: int = 0,
        labels: LabelValues | None = None,
        encoder: object = None,
        encoder_B: object = None,
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
            game: whose boards are drawn, where the layout asks for boards; None: Othello.
            tokenizer: of the model; None: the one that the model was loaded with, if it can be found on this machine.
            hook: where the SAE reads, of a crosscoder one name for all places or one for each; None: where it says.
            hook_out: where a transcoder writes, likewise.
            hook_B: where the second SAE reads, likewise.
            effects_model: of several models the one whose logits and losses effects are of.
            labels: of the rows of `tokens`, by labelling, such as ``{"language": ["de", "fr", None]}``.
            encoder: the name of ``sae`` in sae_vis 0.2.
            encoder_B: that of ``sae_B``.

        Raises:
            InputError: parts that are missing or don't fit, tokens that begin with padding.
        """
        cfg = cfg or SaeVisConfig()
        saes = _one_of(sae=sae, encoder=encoder), _one_of(sae_B=sae_B, encoder_B=encoder_B)
        every = _every_part(saes, model, cfg, (hook, hook_out, hook_B), effects_model)
        tokenizer = tokenizer or tokenizer_of(every[0].model)
        names, classes = _vocabularies(vocab_dict)
        corpus = _corpus(every[0].model, tokens, cfg, labels, tokenizer)
        probes = None if linear_probes is None else every[0].probes(linear_probes, classes)
        index, *more = _indices(every, corpus, _text(names, tokenizer), cfg, verbose=verbose)
        reference = reference_of(index, every[0], target_logits)
        data = cls(index=index, parts=every[0], cfg=cfg, tokenizer=tokenizer, probes=probes, reference=reference)
        return replace(data, game=game, index_b=more[0] if more else None, parts_b=every[1] if more else None)

    def save_feature_centric_vis(
        self,
        filename: str | Path,
        feature: int | None = None,
        verbose: bool = False,
        *,
        b_page: str | None = None,
        compare_page: str | None = None,
        feature_idx: int | None = None,
    ) -> PageReport:
        """Write the page of the features that ``cfg.features`` names; with a second SAE, the B features of each, too.

        Args:
            filename: the file.
            feature: the one that the page opens with; None: the first.
            b_page: address of a page of the second SAE's features, relative to this one, for links.
            compare_page: address of the page that `save_compare_vis` writes, relative to this one, for links.
            feature_idx: the name of ``feature`` in sae_vis 0.2.
            verbose: print how long it took.

        Raises:
            InputError: a feature that is not among them, or does not exist.
        """
        feature = _one_of(feature=feature, feature_idx=feature_idx)
        feature = None if feature is None else whole_number(feature, "feature")
        chosen = self.index.select(None).tolist() if self.cfg.features is None else list(self._features)
        if feature is not None and feature not in chosen:
            raise InputError(f"feature={feature} is not among the page's features; add it to SaeVisConfig(features=…)")
        with _told(verbose or self.cfg.verbose, "feature-centric page"):
            return save_feature_page(
                self.index,
                filename,
                features=chosen,
                parts=self.parts,
                layout=_with_dfa(self.cfg),
                first=feature,
                effects=self.cfg.perform_ablation_experiments,
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
        if isinstance(prompt, str) and prompt.endswith(".html") and not str(filename).endswith(".html"):
            raise InputError(
                f"the prompt is {shown(prompt)} and the file {shown(str(filename))}: the file comes first, then the "
                "prompt; name them: save_prompt_centric_vis(filename=…, prompt=…)"
            )
        settings = PromptSettings(
            metric=metric or next(iter(METRICS)), seq_pos=seq_pos, num_top_features=num_top_features
        )
        with _told(verbose or self.cfg.verbose, "prompt-centric page"):
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
        with _told(verbose or self.cfg.verbose, "page of two SAEs"):
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


def _one_of(**given: object) -> Any:  # noqa: ANN401  whatever it is
    """A parameter that has two names; raises `InputError` where both are given, with different values."""
    named = {name: value for name, value in given.items() if value is not None}
    values = list(named.values())
    if (
        len(values) > 1
        and values[0] is not values[1]
        and not (isinstance(values[0], str | int) and values[0] == values[1])
    ):
        raise InputError(f"{' and '.join(named)} are two names of one parameter, and both are given; give one")
    return values[0] if values else None


def _every_part(
    saes: tuple[object, object], model: object, cfg: SaeVisConfig, hooks: tuple[Names, Names, Names], effects_model: int
) -> list[ModelAndSae]:
    """Model and SAE, and the second SAE if there is one; `hooks`: where the first reads and writes, and the second."""
    if saes[0] is None or model is None:
        raise InputError("SaeVisData.create needs all of sae=, model= and tokens=")
    hook = _one_of(hook=hooks[0], hook_point=cfg.hook_point)
    first = _parts(saes[0], _models(model, cfg), hook, hooks[1], effects_model)
    _require_features(cfg.features, first)
    return [first] if saes[1] is None else [first, _parts(saes[1], first.model, hooks[2], None, 0)]


def _indices(
    every: Sequence[ModelAndSae], corpus: Corpus, text: TokenText, cfg: SaeVisConfig, *, verbose: bool
) -> list[Index]:
    config = IndexConfig(batch_tokens=cfg.minibatch_size_tokens * int(np.diff(corpus.offsets).max()))
    with _told(verbose or cfg.verbose) as told:
        return index_several(corpus, [(parts, None) for parts in every], text=text, config=config, progress=told)


def _models(model: object, cfg: SaeVisConfig) -> object:
    """The model or models, those given by name loaded as the settings say."""
    if cfg.device is None and cfg.dtype is None:
        return model
    return [_model(one, cfg) for one in model] if isinstance(model, list | tuple) else _model(model, cfg)


def _model(model: object, cfg: SaeVisConfig) -> object:
    if isinstance(model, str | PathLike):
        return load_model(model, dtype=cfg.dtype, device=cfg.device)  # type: ignore[arg-type]
    module: Any = getattr(model, "model", model) if isinstance(model, LanguageModel) else model
    first = next(module.parameters())
    for name, asked, found in (("device", cfg.device, first.device.type), ("dtype", cfg.dtype, first.dtype)):
        wanted = None if asked is None else str(asked).removeprefix("torch.").partition(":")[0]
        if wanted is not None and wanted != str(found).removeprefix("torch."):
            raise InputError(
                f"SaeVisConfig.{name} is {str(asked)!r}, but the model given is in {found}; it is used as it is: "
                "convert it yourself, such as by model.to(…)"
            )
    return model


def _require_features(features: object, parts: ModelAndSae) -> None:
    """Raise `InputError` for a feature that the SAE does not have, before it is run."""
    wrong = [feature for feature in features or () if not 0 <= feature < parts.sae.d_sae]  # type: ignore[attr-defined]
    if wrong:
        raise InputError(f"feature {wrong[0]} does not exist: the SAE has features 0 to {parts.sae.d_sae - 1}")


def _with_dfa(cfg: SaeVisConfig) -> SaeVisLayoutConfig:
    """The feature-centric layout, with or without source tokens of attention SAEs if the settings say which."""
    layout = cfg.feature_centric_layout
    sequences = layout.find(SeqMultiGroupConfig)
    if cfg.use_dfa is None or sequences is None:
        return layout
    return layout.replacing(replace(sequences, dfa_for_attn_saes=cfg.use_dfa))


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
    require_a(Mapping, given, "vocab_dict", "the text of each token id, {id: text}")
    inner: dict[str, Mapping[int, str]] = {
        name: words for name, words in given.items() if isinstance(name, str) and isinstance(words, Mapping)
    }
    if not inner:
        by_id: Any = {int(token) if str(token).isdecimal() else token: text for token, text in given.items()}
        return by_id, None
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


def _corpus(
    model: LanguageModel,
    tokens: Tokens | None,
    cfg: SaeVisConfig,
    labels: LabelValues | None,
    tokenizer: PreTrainedTokenizerBase | None,
) -> Corpus:
    """The tokens with their mask: BOS where every row begins with it, and what the settings leave out."""
    if tokens is None:
        raise InputError("SaeVisData.create needs all of sae=, model= and tokens=")
    rows, attention = token_rows(tokens)
    rows = rows if attention is None else attended(attention).of(rows)
    bos = bos_of(model)
    if attention is None:
        _require_no_padding(rows, None if tokenizer is None else tokenizer.pad_token_id, bos)
    begins = bos is not None and len(rows.values) > 0 and bool((rows.values[rows.offsets[:-1]] == bos).all())
    ids = cfg.ignore_tokens
    assert isinstance(ids, tuple)
    mask = MaskConfig(bos_id=bos if begins else None, ids=ids, seqpos_slice=cfg.seqpos_slice)
    return Corpus.from_tokens(tokens, mask, labels=labels)


def _require_no_padding(rows: TokenRows, pad: int | None, bos: int | None) -> None:
    """Raise `InputError` where a row begins with padding, more of it than BOS and a separator may be."""
    if pad is None:
        return
    leading = without_left_padding(rows, MaskConfig(bos_id=pad, pad_id=pad)).starts
    own = 2 if pad == bos else 1
    if len(leading) and int(leading.max()) > own:
        row = int(leading.argmax())
        raise InputError(
            f"row {row} of tokens begins with padding (id {pad}), which the model would attend to: give what the "
            "tokenizer returned, with its attention_mask, as tokens="
        )


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
