"""What features write at each place of a crosscoder or cross-layer transcoder, and how two models share them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import F32, LogitTable, PlaceWeights, WrittenPlaces
from sae_vis.effects.decoder_norms import relative_norms
from sae_vis.effects.extremes import extremes
from sae_vis.effects.logit_lens import BLOCK_BYTES, LogitLens
from sae_vis.index.index import Index
from sae_vis.index.many import lists_of
from sae_vis.layout import DecoderNormsConfig, LogitsByPlaceConfig, ModelDiffConfig, SaeVisLayoutConfig
from sae_vis.views.sources import ViewSources

SHOWS_PLACES = (DecoderNormsConfig, LogitsByPlaceConfig, ModelDiffConfig)


def has_places(index: Index) -> bool:
    """Whether the dictionary of an index writes at several places."""
    return "decoder_norms" in index.column_names and len(index.manifest.provenance.writes) > 1


def has_two_models(index: Index) -> bool:
    """Whether the dictionary of an index writes in two models."""
    return has_places(index) and {write["model"] for write in index.manifest.provenance.writes} == {0, 1}


def written_places(index: Index, layout: SaeVisLayoutConfig) -> WrittenPlaces | None:
    """What all features share; None where no component shows it, or there is one place only."""
    if not has_places(index) or not any(isinstance(c, SHOWS_PLACES) for c in layout.components):
        return None
    diff, writes = layout.find(ModelDiffConfig), index.manifest.provenance.writes
    shares = None if diff is None else relative_norm(index, np.arange(index.n_features))
    known = np.zeros(0) if shares is None else shares[~np.isnan(shares)]
    counts = np.histogram(known, bins=1 if diff is None else diff.n_bins, range=(0.0, 1.0))[0]
    return WrittenPlaces(
        labels=tuple(place_labels(index)),
        names=tuple(str(write["name"]) for write in writes),
        models=tuple(int(write["model"]) for write in writes),
        model_names=tuple(model_names(index)),
        measured=next((int(write["model"]) for write in writes if write.get("measured")), 0),
        shares=() if shares is None else tuple(counts.tolist()),
        undefined=0 if shares is None else int(np.isnan(shares).sum()),
    )


def relative_norm(index: Index, features: NDArray[Any]) -> F32 | None:
    """Relative norm of the second model's decoder of each feature (`relative_norms`); None without two models."""
    if not has_two_models(index):
        return None
    models = np.array([write["model"] for write in index.manifest.provenance.writes], dtype=np.int64)
    norms = np.stack(lists_of(index, "decoder_norms", features)).reshape(-1, len(models))
    return relative_norms(norms, models)


def model_names(index: Index) -> list[str]:
    """Names of the models of an index; those of one name are numbered."""
    made = index.manifest.provenance.model or {}
    others = list(made.get("other_models", []))
    first = {**made, "name": made.get("own_name" if others else "name")}
    names = [str(facts.get("name") or facts.get("class")) for facts in (first, *others)]
    return [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def place_labels(index: Index) -> list[str]:
    """Places in few words: the layer where all are at the same kind of place, the model where there are several."""
    writes = index.manifest.provenance.writes
    found = [re.fullmatch(r"blocks\.(\d+)\.(.+)", str(write["name"])) for write in writes]
    kinds = {match[2] if match else str(write["name"]) for match, write in zip(found, writes, strict=True)}
    several = len({write["model"] for write in writes}) > 1
    names, labels = model_names(index), []
    for match, write in zip(found, writes, strict=True):
        where = str(write["name"]) if match is None else f"layer {match[1]}"
        if match is not None and len(kinds) > 1:
            where += " " + match[2].replace("hook_", "")
        layers = {str(other["name"]) for other in writes}
        own = names[int(write["model"])]
        labels.append(where if not several else own if len(layers) == 1 else f"{own}, {where}")
    return labels


def place_weights(
    sources: ViewSources, features: Sequence[int], layout: SaeVisLayoutConfig
) -> list[PlaceWeights | None]:
    """Norms, cosines and logit tables of each feature."""
    index = sources.index
    if not has_places(index) or not any(isinstance(c, SHOWS_PLACES) for c in layout.components):
        return [None] * len(features)
    tables = _tables(sources, features, layout.find(LogitsByPlaceConfig))
    alike = "decoder_cosines" in index.column_names
    return [
        PlaceWeights(
            norms=index.lists("decoder_norms", feature).astype(np.float32),
            cosines=index.lists("decoder_cosines", feature).astype(np.float32) if alike else np.zeros(0, np.float32),
            logits=own,
        )
        for feature, own in zip(features, tables, strict=True)
    ]


def _tables(
    sources: ViewSources, features: Sequence[int], config: LogitsByPlaceConfig | None
) -> list[tuple[LogitTable, ...]]:
    lenses = [lens for lens in sources.place_lenses if lens is not None]
    if config is None or not lenses or len(lenses) < len(sources.place_lenses):
        return [()] * len(features)
    of_places = [_table(lens, features, config.n_rows) for lens in lenses]
    return list(zip(*of_places, strict=True))


def _table(lens: LogitLens, features: Sequence[int], n: int) -> list[LogitTable]:
    """Of each feature the tokens of largest and smallest effect, some features at a time."""
    height, found = max(1, BLOCK_BYTES // (4 * lens.n_vocab)), []
    for start in range(0, len(features), height):
        effects = lens.effects(list(features[start : start + height]))
        k = min(n, effects.shape[1])
        (top, top_at), (bottom, bottom_at) = (extremes(effects, k, largest=largest) for largest in (True, False))
        columns = [array.cpu().numpy() for array in (top_at, top, bottom_at, bottom)]
        for t_at, t, b_at, b in zip(*columns, strict=True):
            found.append(
                LogitTable(
                    top_tokens=t_at.astype(np.int32), top_values=t, bottom_tokens=b_at.astype(np.int32), bottom_values=b
                )
            )
    return found
