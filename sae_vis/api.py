"""The library in a few calls: build or open an index, write a page of feature views."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sae_vis.boards.base import BoardGame
from sae_vis.checks import a_text, feature_ids, is_whole_number, plain, require_a, shown, surrogate_at, whole_number
from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.rows import Tokens
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.deliver.output import output_file
from sae_vis.deliver.page import PageReport, write_page
from sae_vis.effects.decoder_norms import DecoderNorms
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.effects.probes import Probes
from sae_vis.effects.reference import Reference, Rows
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index.between import PARTNERS, between
from sae_vis.index.build import Order, Progress, Source, build_index, build_indices
from sae_vis.index.feature_table import FeatureColumns
from sae_vis.index.from_activations import Activations, ActivationsSource
from sae_vis.index.index import Index
from sae_vis.index.manifest import PLACES_WRITTEN, written_place
from sae_vis.layout import FeatureTablesConfig, SaeVisLayoutConfig
from sae_vis.models.base import LanguageModel, RunnableModel, Unembedding
from sae_vis.models.unembedding_only import UnembeddingOnly
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.saes.base import Dictionary
from sae_vis.saes.crosscoder import Crosscoder
from sae_vis.saes.directions import DirectionsOnly
from sae_vis.saes.layers import load_dictionaries
from sae_vis.views.compare import CompareSettings, CompareSources, chosen_features, compare_page
from sae_vis.views.feature import feature_page
from sae_vis.views.places import has_places, has_two_models
from sae_vis.views.prompt import PromptSettings, PromptSources, prompt_page
from sae_vis.views.sources import SecondDictionary, ViewSources

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAGE_SCHEMES = ("http", "https", "file")


@neutrally
def index_features(
    corpus: Corpus,
    parts: ModelAndSae,
    out: str | Path | None = None,
    *,
    text: TokenText | None = None,
    config: IndexConfig | None = None,
    progress: Progress | None = None,
) -> Index:
    """Index every feature of a dictionary over a corpus, in one pass.

    Args:
        corpus: the tokens.
        parts: model, dictionary, hook point.
        out: directory of the index; None: in memory.
        text: what token ids spell (`TokenText.from_tokenizer`).
        config: settings.
        progress: called with stage, done, total.

    Raises:
        InputError: parts that don't fit, activations that aren't finite.
        ForeignIndexError: ``out`` holds something else.
        IndexFileError: the disk refused.
    """
    config = config or IndexConfig()
    order = _order(corpus, parts, out, text, config)
    return build_index(order.source, out, config=config, columns=order.columns, progress=progress)


@neutrally
def index_several(
    corpus: Corpus,
    several: Sequence[tuple[ModelAndSae, str | Path | None]],
    *,
    text: TokenText | None = None,
    config: IndexConfig | None = None,
    progress: Progress | None = None,
) -> list[Index]:
    """Index several dictionaries over one corpus; those that read one model share its forward passes.

    Args:
        corpus: the tokens.
        several: of each index the model, dictionary and hook point, and its directory (None: in memory). Dictionaries
            whose ``model`` is the same object read it in one pass, whatever their hook points.
        text: what token ids spell.
        config: settings of all of them.
        progress: called with stage, done, total.

    Raises:
        InputError: parts that don't fit, activations that aren't finite.
        ForeignIndexError: a directory holds something else.
        IndexFileError: the disk refused.
    """
    config = config or IndexConfig()
    orders = [_order(corpus, parts, out, text, config) for parts, out in several]
    return build_indices(orders, config=config, progress=progress)


@neutrally
def index_layers(
    corpus: Corpus,
    model: LanguageModel,
    dictionaries: Mapping[str, Dictionary] | str | Path,
    out: str | Path | None = None,
    *,
    hooks: tuple[str | None, str | None] = (None, None),
    text: TokenText | None = None,
    config: IndexConfig | None = None,
    progress: Progress | None = None,
) -> dict[str, Index]:
    """Index a dictionary for every layer of a model over one corpus, in one pass of the model.

    An index is called as the place that its dictionary reads: with ``out`` it is the folder of that name in there. A
    build that was interrupted goes on; indices that are finished are opened.

    Args:
        corpus: the tokens.
        model: that all of them read.
        dictionaries: by name, as `load_dictionaries` gives them; or what it takes.
        out: the folder for all of them; None: in memory.
        hooks: where they read and where they write, for those that don't say or say something else:
            ``{layer}`` in these names stands for the first number in a dictionary's name.
        text: what token ids spell.
        config: settings of all of them.
        progress: called with stage, done, total.

    Raises:
        CheckpointError: no dictionaries there.
        InputError: two that read the same place, none at all, parts that don't fit, activations that aren't finite.
        ForeignIndexError: a directory holds something else.
        IndexFileError: the disk refused.
    """
    given = load_dictionaries(dictionaries) if isinstance(dictionaries, str | Path) else dictionaries
    if not given:
        raise InputError("there are no dictionaries to index: give one or more by name")
    by_place: dict[str, ModelAndSae] = {}
    for name, sae in given.items():
        hook, hook_out = (_at_layer(template, name) for template in hooks)
        parts = ModelAndSae(model=model, sae=sae, hook=hook, hook_out=hook_out)
        if parts.hook_name in by_place:
            raise InputError(
                f"two dictionaries read {parts.hook_name}, the second is {name!r}: an index is called as the place, "
                "so index one of them by itself"
            )
        by_place[parts.hook_name] = parts
    several = [
        (parts, None if out is None else Path(out) / re.sub(r"[^\w.-]+", "_", place))
        for place, parts in by_place.items()
    ]
    made = index_several(corpus, several, text=text, config=config, progress=progress)
    return dict(zip(by_place, made, strict=True))


def _at_layer(template: str | None, name: str) -> str | None:
    """A hook name with the number of the layer in it, where there is to be one."""
    if template is None or "{layer}" not in template:
        return template
    found = re.search(r"\d+", name)
    if found is None:
        raise InputError(f"the dictionary {name!r} has no number in its name to stand for {{layer}} in {template!r}")
    return template.replace("{layer}", found[0])


def _order(
    corpus: Corpus, parts: ModelAndSae, out: str | Path | None, text: TokenText | None, config: IndexConfig
) -> Order:
    require_a(Corpus, corpus, "corpus", "Corpus.from_texts or Corpus.from_tokens makes one")
    require_a(ModelAndSae, parts, "parts", "ModelAndSae(model=…, sae=…)")
    source = Source(
        corpus=corpus,
        model=parts.reader,
        sae=parts.sae,
        hook=parts.read,
        text=text,
        reads=parts.places_read,
        writes=parts.places_written,
    )
    source.check()
    lens = parts.lens(config) if config.logit_tokens else None
    columns: list[FeatureColumns] = [] if lens is None else [lens]
    if isinstance(parts.sae, Crosscoder):
        columns.append(DecoderNorms(parts.sae))
    return Order(source=source, out=out, columns=columns)


@neutrally
def index_activations(  # noqa: PLR0913  all that may be known of activations
    tokens: Corpus | Tokens,
    activations: Activations,
    out: str | Path | None = None,
    *,
    d_sae: int | None = None,
    decoder: torch.Tensor | None = None,
    unembedding: torch.Tensor | Unembedding | None = None,
    text: TokenText | None = None,
    mask: MaskConfig | None = None,
    name: str = "activations",
    hook: str = "own activations",
    fingerprint: str | None = None,
    config: IndexConfig | None = None,
    progress: Progress | None = None,
) -> Index:
    """Index activations that were computed elsewhere, by any dictionary: no model and no SAE is needed.

    Args:
        tokens: ``[n_seqs, seq_len]`` ids, rows of unequal lengths, or a corpus. Rows stay as they are, padding at the
            left included (`Corpus.from_tokens`, ``padding="keep"``), since every token has its activations.
        activations: of every token, masked ones included: ``[n_seqs, seq_len, d_sae]``, ``[n_tokens, d_sae]`` (sparse
            tensors, too), `SparseCodes`, or a function that gives an iterator over blocks of these.
        out: directory of the index; None: in memory.
        d_sae: number of features; None: from dense activations or the decoder.
        decoder: directions ``[d_sae, d_model]`` in the residual stream, for tables of weights and neighbours.
        unembedding: ``[d_vocab, d_model]``, any gain of the final norm in it: with the decoder it gives logit tables.
        text: what token ids spell.
        mask: what is left out of the statistics, where `tokens` is no corpus.
        name: what pages call the dictionary.
        hook: where the activations come from, in words.
        fingerprint: of a stream: tells it from others, so that a build that was killed can go on.
        config: settings.
        progress: called with stage, done, total.

    Raises:
        InputError: parts that don't fit, activations that aren't finite.
        ForeignIndexError: ``out`` holds something else.
        IndexFileError: the disk refused.
    """
    if isinstance(tokens, Corpus) and mask is not None:
        raise InputError("both a corpus and mask= are given; the corpus has its mask already")
    config, corpus = config or IndexConfig(), tokens
    if not isinstance(corpus, Corpus):
        corpus = Corpus.from_tokens(corpus, mask, padding="keep")
    end = None if unembedding is None else UnembeddingOnly(unembedding)
    source = ActivationsSource(
        corpus=corpus,
        activations=activations,
        n_features=_n_features(activations, decoder, d_sae),
        directions=decoder,
        text=text,
        name=name,
        hook_name=hook,
        fingerprint=fingerprint,
        extra=() if end is None else (end.unembedding().gain, end.unembedding().weight),
    )
    source.check()
    columns = [] if end is None or not config.logit_tokens else [_decoder_lens(source, end, config)]
    return build_index(source, out, config=config, columns=columns, progress=progress)


def _decoder_lens(source: ActivationsSource, end: UnembeddingOnly, config: IndexConfig) -> LogitLens:
    source.corpus.check_vocabulary(end.n_vocab)
    hook = end.hook_point(source.hook_name)
    sae = DirectionsOnly(source.directions, hook)
    return LogitLens(end, sae, hook, n_tokens=config.logit_tokens, n_bins=config.logits_bins)


def _n_features(activations: Activations, decoder: torch.Tensor | None, d_sae: int | None) -> int:
    dense = int(activations.shape[-1]) if isinstance(activations, torch.Tensor) else None
    found = [d_sae, dense, None if decoder is None else len(decoder)]
    known = next((n for n in found if n is not None), None)
    if known is None:
        raise InputError("the number of features is not known: give d_sae=, or the decoder")
    return known


@neutrally
def save_feature_page(  # noqa: PLR0913  all that makes a page
    index: Index,
    path: str | Path,
    *,
    features: Sequence[int] | int | None = 256,
    parts: ModelAndSae | None = None,
    layout: SaeVisLayoutConfig | None = None,
    title: str | None = None,
    selection: str | None = None,
    first: int | None = None,
    effects: bool = True,
    linear_probes: Sequence[object] | Probes | None = None,
    target_logits: torch.Tensor | Rows | Reference | None = None,
    game: BoardGame | None = None,
    seed: int = 0,
    index_b: Index | None = None,
    b_page: str | None = None,
    compare_page: str | None = None,
) -> PageReport:
    """Write one self-contained HTML file of feature views.

    Args:
        index: where the numbers come from.
        path: the file.
        features: feature ids; or how many of those that fire, evenly spaced by number; None: all that fire.
        parts: model and dictionary of the index: with them every token shown has its logit effect, features have their
            decoder neighbours, tokens on which the feature fires its direct effect on the next token's loss, and
            examples of an attention SAE the source tokens and heads that their activation comes from.
        layout: columns of components; None: the default three.
        title: page title; None: made from model and hook point.
        selection: how the features were chosen, said on the page; None: said from ``features``.
        first: the feature that the page opens with; None: the first.
        effects: whether to compute direct effects that the index does not keep yet; they are kept in it.
        linear_probes: `LinearProbe` objects, or tuples ``(side, name, tensor)`` as for `as_probes`; need ``parts``.
        target_logits: `Reference`, or what it takes: the loss is then the cross entropy against it; need ``parts``.
        game: whose boards are drawn where the layout asks for boards; None: Othello, by the tokens' names.
        seed: of the interval samples.
        index_b: of a second dictionary (B) over the same tokens: the default layout then has the table of the B
            features that fire with each feature. It may be of another hook point, width or architecture.
        b_page: address of a page of B's features, relative to this one: B features are links to it.
        compare_page: address of a page that compares both (`save_compare_page`), relative to this one.

    Raises:
        InputError: no such feature, a layout that asks for more than the index holds, a second index over other tokens,
            an address that is none of a page.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    path, title = _checked(path, title, index)
    if parts is not None:
        _require_parts(index, parts)
    ids, rule = _selected(index, features)
    layout = _layout(index, index_b, layout)
    sources = _sources(index, parts, effects=effects, seed=seed, target_logits=target_logits)
    b = _second(index, index_b, layout, b_page, compare_page)
    attention = None if parts is None else parts.attribution()
    sources = replace(sources, b=b, probes=_probes(parts, linear_probes), game=game, attention=attention)
    title = title or f"Features at {index.manifest.provenance.hook['name']} — sae_vis"
    page = feature_page(sources, ids, layout, title=title, selection=selection or rule, first=_first(first))
    return write_page(page, path)


def _layout(index: Index, index_b: Index | None, layout: SaeVisLayoutConfig | None) -> SaeVisLayoutConfig | None:
    """What was asked for; in place of the default one for crosscoders, or one with the table of B features."""
    if layout not in (None, SaeVisLayoutConfig.default_feature_centric_layout()):
        return layout
    default = SaeVisLayoutConfig.default_feature_centric_layout(labels=bool(index.labellings))
    if has_places(index):
        layout = default = SaeVisLayoutConfig.default_crosscoder_layout(two_models=has_two_models(index))
    tables = default.find(FeatureTablesConfig)
    if index_b is None or tables is None:
        return layout
    return default.replacing(replace(tables, correlated_b_features_table=True))


def _second(
    index: Index, index_b: Index | None, layout: SaeVisLayoutConfig | None, page: str | None, compare: str | None
) -> SecondDictionary | None:
    for name, address in (("b_page", page), ("compare_page", compare)):
        if address is not None and index_b is None:
            raise InputError(f"{name} is {address!r}, but there is no second dictionary: give index_b=, too")
        _require_page_address(name, address)
    if index_b is None:
        return None
    tables = None if layout is None else layout.find(FeatureTablesConfig)
    found = between(index, index_b, partners=PARTNERS if tables is None else tables.n_rows)
    return SecondDictionary(index=index_b, between=found, page=page, compare=compare)


def _require_page_address(name: str, address: str | None) -> None:
    if address is None:
        return
    scheme = re.match(r"\s*([A-Za-z][A-Za-z0-9+.-]*):", address)
    if not address.strip() or "#" in address or (scheme is not None and scheme[1].lower() not in PAGE_SCHEMES):
        raise InputError(
            f"{name} is {address!r}, expected the address of a page, relative to the one that is made, such as "
            "'b.html', without anything behind a #"
        )


@neutrally
def save_compare_page(  # noqa: PLR0913  all that makes a page
    index_a: Index,
    index_b: Index,
    path: str | Path,
    *,
    features: Sequence[int] | int | None = 128,
    parts_a: ModelAndSae | None = None,
    parts_b: ModelAndSae | None = None,
    layout: SaeVisLayoutConfig | None = None,
    settings: CompareSettings | None = None,
    title: str | None = None,
    first: int | None = None,
    effects: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> PageReport:
    """Write one self-contained HTML file that compares two dictionaries over the same tokens.

    For each feature of A its nearest features of B side by side, the texts on which only one of them fires, what B has
    in several pieces (splits) or A has (merges), and the features of each that the other lacks. Two widths, two
    checkpoints of one training run, two architectures and two places of a model are the same case.

    Args:
        index_a: of the first dictionary.
        index_b: of the second, over the same tokens with the same mask.
        path: the file.
        features: feature ids of A; or how many: a quarter of least counterpart in B, a quarter of splits and merges,
            the rest evenly spaced; None: all that fire.
        parts_a: model and dictionary of A's index: with both, pairs have the cosine of their decoder directions; for
            the rest see `save_feature_page`.
        parts_b: of B's.
        layout: of all cards; None: histogram, logit table, top examples.
        settings: what is shown of each pair, and links to pages of each dictionary.
        title: page title; None: made from the hook points.
        first: the feature of A that the page opens with; None: the first.
        effects: whether to compute direct effects that the indices do not keep yet.
        seed: of the interval samples.
        progress: called with stage, done, total while the dictionaries are correlated.

    Raises:
        InputError: indices over other tokens, no such feature, a layout that asks for more than an index holds.
        ForeignIndexError: parts that are not those of their index.
    """
    path, title = _checked(path, title, index_a, index_b)
    settings, asked = settings or CompareSettings(), _asked(features)
    for name in ("a_page", "b_page"):
        _require_page_address(name, getattr(settings, name))
    for index, parts in ((index_a, parts_a), (index_b, parts_b)):
        if parts is not None:
            _require_parts(index, parts)
    found = between(index_a, index_b, partners=max(PARTNERS, settings.partners), progress=progress)
    views = [_sources(*given, effects=effects, seed=seed) for given in ((index_a, parts_a), (index_b, parts_b))]
    sources = CompareSources(a=views[0], b=views[1], between=found)
    if isinstance(asked, list):
        ids, rule = _selected(index_a, asked)
    else:
        ids, rule = chosen_features(index_a, index_b, found, asked)
    title = title or f"Two dictionaries at {_hooks(index_a, index_b)} — sae_vis"
    page = compare_page(sources, ids, layout, settings, title=title, selection=rule, first=_first(first))
    return write_page(page, path)


Prompt = str | Sequence[int] | Sequence[dict[str, str]]
"""A text, token ids, or the messages of a chat."""


@neutrally
def save_prompt_page(  # noqa: PLR0913  all that makes a page
    index: Index,
    path: str | Path,
    prompt: Prompt,
    *,
    parts: ModelAndSae,
    tokenizer: PreTrainedTokenizerBase | None = None,
    compare: Prompt | None = None,
    settings: PromptSettings | None = None,
    layout: SaeVisLayoutConfig | None = None,
    linear_probes: Sequence[object] | Probes | None = None,
    game: BoardGame | None = None,
    title: str | None = None,
) -> PageReport:
    """Write one self-contained HTML file about one text: at every token, the features that matter most.

    Args:
        index: of the model and dictionary; the features' cards are made from it.
        path: the file.
        prompt: a text, token ids ``[n]``, or chat messages ``[{"role": …, "content": …}, …]``.
        parts: model and dictionary of the index.
        tokenizer: of the model; not needed for token ids.
        compare: a second prompt, shown beside the first.
        settings: what is measured, and how the page begins.
        layout: of a feature's card; None: the default of prompt-centric pages.
        linear_probes: for a layout with `ProbeLogitsTablesConfig`, as for `save_feature_page`.
        game: whose boards are drawn, where the layout asks for boards; None: Othello.
        title: page title; None: made from model and hook point.

    Raises:
        InputError: an empty prompt, one longer than the model takes, no tokenizer for a text, a position out of range.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    path, title = _checked(path, title, index)
    _require_parts(index, parts)
    if not isinstance(parts.measured, RunnableModel):
        raise InputError(f"a prompt page runs the model to its end, which a {type(parts.measured).__name__} can't")
    mask = mask_of(index)
    given = [prompt] if compare is None else [prompt, compare]
    names = ["Prompt"] if compare is None else ["Prompt A", "Prompt B"]
    views = _sources(index, parts, effects=False, seed=0)
    sources = PromptSources(
        views=replace(views, probes=_probes(parts, linear_probes), game=game),
        model=parts.measured,
        sae=parts.sae,
        hook=parts.wiring,
        mask=mask,
    )
    prompts = [(name, _prompt_ids(one, tokenizer, mask)) for name, one in zip(names, given, strict=True)]
    hook = index.manifest.provenance.hook["name"]
    page = prompt_page(sources, prompts, settings, layout, title=title or f"Prompt at {hook} — sae_vis")
    return write_page(page, path)


def token_ids(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None, bos_id: int | None = None) -> list[int]:
    """Token ids of a prompt.

    Args:
        prompt: a text, which gets `bos_id` in front; chat messages, through the tokenizer's template; or token ids,
            which are taken as they are.
        tokenizer: for text and messages.
        bos_id: what the index's sequences began with; None: nothing.

    Raises:
        InputError: an empty prompt, something else than one, text without a tokenizer, messages without a template.
    """
    if isinstance(prompt, str):
        return _text_ids(prompt, tokenizer, bos_id)
    listed = _listed_prompt(prompt)
    if all(is_whole_number(one) for one in listed):
        return [whole_number(one, "a token of the prompt", 0) for one in listed]
    if not all(isinstance(one, Mapping) and {"role", "content"} <= one.keys() for one in listed):
        raise InputError(f"the prompt is {shown(prompt)}, expected {PROMPTS}; for two prompts there is compare=")
    if tokenizer is None:
        raise InputError(_NO_TOKENIZER)
    if tokenizer.chat_template is None:
        raise InputError("the prompt is a chat, but the tokenizer has no chat template: give the text, or token ids")
    found: Any = tokenizer.apply_chat_template(listed, tokenize=True, add_generation_prompt=True, return_dict=True)
    return [int(token) for token in found["input_ids"]]


PROMPTS = "a text, token ids [n], or a list of chat messages with role and content"
_NO_TOKENIZER = "the prompt is text, so its tokenizer is needed: give tokenizer=, or the prompt as token ids"


def _text_ids(prompt: str, tokenizer: PreTrainedTokenizerBase | None, bos_id: int | None) -> list[int]:
    """Token ids of a text."""
    if not prompt:
        raise InputError("the prompt is empty: give some text, messages or token ids")
    if tokenizer is None:
        raise InputError(_NO_TOKENIZER)
    at = surrogate_at(prompt)
    if at is not None:
        raise InputError(
            f"the prompt holds half a character (the surrogate {prompt[at]!r} at index {at}), which is no text: give "
            "it without, or .encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        )
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return ([] if bos_id is None else [bos_id]) + [int(token) for token in ids]


def _listed_prompt(prompt: object) -> list[Any]:
    """What a prompt that is no text holds."""
    if isinstance(prompt, Mapping) and "input_ids" in prompt:
        raise InputError("the prompt is a tokenizer's output, expected token ids [n]: give its input_ids, of one text")
    if isinstance(prompt, (bytes, bytearray, Mapping)) or not isinstance(prompt, Iterable):
        raise InputError(f"the prompt is {shown(prompt)}, expected {PROMPTS}")
    values = plain(prompt)
    listed = list(values) if isinstance(values, Iterable) else [values]
    if not listed:
        raise InputError("the prompt is empty: give some text, messages or token ids")
    if all(isinstance(plain(one), (list, tuple)) for one in listed):
        raise InputError(f"the prompt is {shown(prompt)}, expected one row of token ids [n]: give prompt[0]")
    return listed


def _prompt_ids(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None, mask: MaskConfig) -> list[int]:
    """Token ids of a prompt; ids that begin with padding, which would be attended to, are refused."""
    ids = token_ids(prompt, tokenizer, mask.bos_id)
    if isinstance(prompt, str) or mask.pad_id is None:
        return ids
    leading = next((i for i, token in enumerate(ids) if token != mask.pad_id), len(ids))
    if leading > (0 if mask.bos_id not in (None, mask.pad_id) else 1):
        raise InputError(
            f"the prompt begins with {leading} tokens of padding (id {mask.pad_id}), which the model would attend to: "
            "give it without"
        )
    return ids


def single_token(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The id of the one token that a text is.

    Raises:
        InputError: a text of another number of tokens.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise InputError(f"{text!r} is {len(ids)} tokens, expected one; mind the space that most words begin with")
    return int(ids[0])


def mask_of(index: Index) -> MaskConfig:
    """The mask that an index was made with; an empty one where its manifest does not say."""
    settings = dict(index.manifest.provenance.corpus.get("mask_settings", {}))
    listed = {name: tuple(settings[name]) for name in ("ids", "seqpos_slice") if name in settings}
    return MaskConfig(**{**settings, **listed})


def _probes(parts: ModelAndSae | None, given: Sequence[object] | Probes | None) -> Probes | None:
    if given is None or isinstance(given, Probes):
        return given
    if parts is None:
        raise InputError("linear_probes= are compared with the SAE's directions: give parts=, the model and the SAE")
    return parts.probes(given)


@neutrally
def reference_of(
    index: Index, parts: ModelAndSae, target_logits: torch.Tensor | Rows | Reference | None
) -> Reference | None:
    """Target logits as reference distributions over the tokens of an index; None for none.

    Raises:
        InputError: another shape than the index's tokens and the model's vocabulary have.
    """
    if target_logits is None or isinstance(target_logits, Reference):
        return target_logits
    d_vocab = len(parts.measured.unembedding().weight)
    return Reference(target_logits, n_tokens=len(index.tokens), d_vocab=d_vocab)


def _sources(
    index: Index,
    parts: ModelAndSae | None,
    *,
    effects: bool,
    seed: int,
    target_logits: torch.Tensor | Rows | Reference | None = None,
) -> ViewSources:
    seed = whole_number(seed, "seed")
    if parts is None:
        if target_logits is not None:
            raise InputError("target_logits= change the loss that effects are of: give parts=, the model and the SAE")
        return ViewSources(index=index, text=index.text, seed=seed)
    reference = reference_of(index, parts, target_logits)
    return ViewSources(
        index=index,
        text=index.text,
        lens=parts.lens(IndexConfig()),
        place_lenses=parts.place_lenses(IndexConfig()),
        sae=parts.sae,
        effects=parts.direct_effects(reference) if effects else None,
        seed=seed,
    )


def _hooks(*indices: Index) -> str:
    return " and ".join(dict.fromkeys(str(index.manifest.provenance.hook["name"]) for index in indices))


def _checked(path: str | Path, title: str | None, *indices: Index) -> tuple[Path, str | None]:
    """The file and the title of a page, before any work is done for it."""
    for index in indices:
        require_a(Index, index, "index", "Index.open(path) opens one, index_features builds one")
    return output_file(path), None if title is None else a_text(title, "title")


def _first(feature: object) -> int | None:
    return None if feature is None else whole_number(feature, "first")


def _asked(features: object) -> list[int] | int | None:
    """Feature ids, or how many features; None: all that fire."""
    if features is None or not is_whole_number(features):
        return None if features is None else feature_ids(features)
    number = whole_number(features, "features")
    if number < 1:
        raise InputError(f"asked for {number} features; give 1 or more, feature ids, or None for all that fire")
    return number


def _selected(index: Index, features: Sequence[int] | int | None) -> tuple[list[int], str]:
    asked = _asked(features)
    if not isinstance(asked, list):
        chosen = index.select(asked)
        n_firing = int((index.column("n_firings") > 0).sum())
        if len(chosen) == 0:
            raise InputError("no feature fires on any unmasked token of this corpus, so there is nothing to show")
        if len(chosen) == n_firing:
            return chosen.tolist(), f"all {n_firing:,} features that fire"
        return chosen.tolist(), f"{len(chosen)} of the {n_firing:,} features that fire, evenly spaced by number"
    return asked, f"{len(asked)} features, asked for by number"


def _require_parts(index: Index, parts: ModelAndSae) -> None:
    require_a(ModelAndSae, parts, "parts", "ModelAndSae(model=…, sae=…)")
    made = index.manifest.provenance
    found: dict[str, object] = {
        "model": parts.reader.fingerprint(),
        "SAE": parts.sae.fingerprint(),
        "hook point": parts.read.place,
    }
    written = [written_place(one) for one in parts.places_written]
    found |= {PLACES_WRITTEN: written} if written else {}
    expected = {name: made.identity.get(name) for name in [*found, PLACES_WRITTEN]}
    differing = [name for name in expected if found.get(name) != expected[name]]
    if differing:
        raise ForeignIndexError(
            f"the index was made with another {' and another '.join(differing)} than the one given now"
            f"{made.other_dtype(parts.reader.describe())}; "
            "give the same, or none (then tokens on the page have no logit effects)"
        )
