"""Indices of the features of dictionaries, in one pass of their model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sae_vis.api.index import Index
from sae_vis.checks import require_a
from sae_vis.config import IndexConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.decoder_norms import DecoderNorms
from sae_vis.errors import InputError
from sae_vis.index.build import Order, Progress, Source, build_index, build_indices
from sae_vis.index.convert import convert_index as converted
from sae_vis.index.feature_table import FeatureColumns
from sae_vis.index.remote import below
from sae_vis.models.base import LanguageModel
from sae_vis.neutral import neutrally
from sae_vis.parts import ModelAndSae
from sae_vis.saes.base import Dictionary
from sae_vis.saes.crosscoder import Crosscoder
from sae_vis.saes.layers import load_dictionaries


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
        out: directory of the index, or the address of one in an object store (``s3://…``); None: in memory.
        text: what token ids spell (`TokenText.from_tokenizer`).
        config: settings.
        progress: called with stage, done, total.

    Returns:
        The index, open.

    Raises:
        InputError: parts that don't fit, activations that aren't finite.
        ForeignIndexError: ``out`` holds something else.
        IndexFileError: the disk, or the object store, refused.
    """
    config = config or IndexConfig()
    order = _order(corpus, parts, out, text, config)
    built = build_index(order.source, out, config=config, columns=order.columns, progress=progress)
    return Index.of(built)


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
        several: of each index the model, dictionary and hook point, and its directory or address (None: in memory).
            Dictionaries whose ``model`` is the same object read it in one pass, whatever their hook points.
        text: what token ids spell.
        config: settings of all of them.
        progress: called with stage, done, total.

    Returns:
        The indices, open, in the order given.

    Raises:
        InputError: parts that don't fit, activations that aren't finite.
        ForeignIndexError: a directory holds something else.
        IndexFileError: the disk, or the object store, refused.
    """
    config = config or IndexConfig()
    orders = [_order(corpus, parts, out, text, config) for parts, out in several]
    return [Index.of(built) for built in build_indices(orders, config=config, progress=progress)]


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
        out: the folder for all of them, or its address (``s3://…``); None: in memory.
        hooks: where they read and where they write, for those that don't say or say something else:
            ``{layer}`` in these names stands for the first number in a dictionary's name.
        text: what token ids spell.
        config: settings of all of them.
        progress: called with stage, done, total.

    Returns:
        The indices, open, by the place that each dictionary reads.

    Raises:
        CheckpointError: no dictionaries there.
        InputError: two that read the same place, none at all, parts that don't fit, activations that aren't finite.
        ForeignIndexError: a directory holds something else.
        IndexFileError: the disk, or the object store, refused.
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
        (parts, None if out is None else below(out, re.sub(r"[^\w.-]+", "_", place)))
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


def convert_index(
    old: str | Path, new: str | Path, *, config: IndexConfig | None = None, progress: Progress | None = None
) -> Index:
    """Convert an index of format 1 to this version's format. The result equals an index that this version has built.

    Every file of the old index is compared with its checksum, and none is changed. A conversion that was interrupted is
    done again.

    Args:
        old: directory of an index of format 1.
        new: directory to make: a new or an empty one.
        config: of it only ``codes``, ``shard_tokens`` (the tokens in a file of codes) and ``fired_tokens`` are used.
        progress: called with stage, done, total.

    Returns:
        The new index, open.

    Raises:
        DamagedIndexError: no index of format 1 there, or a damaged one.
        ForeignIndexError: ``new`` holds something else.
        IndexFileError: the disk, or the object store, refused.
    """
    return Index.of(converted(old, new, config=config, progress=progress))
