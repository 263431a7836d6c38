"""The prompt-centric view: which features fire on one text, and what each does there, by every metric at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.checks import a_share, a_text, plain, shown, whole_number
from sae_vis.contract import FeaturePage, PromptMetric, PromptPart, PromptView
from sae_vis.corpus.mask import MaskConfig
from sae_vis.effects.attribution import AttributionTable, NextTokenLoss, Target, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.effects.wiring import Wiring, wired
from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.index.index import Index
from sae_vis.layout import SaeVisLayoutConfig
from sae_vis.models.base import HookPoint, RunnableModel
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary
from sae_vis.views.feature import feature_page, feature_summary
from sae_vis.views.prompt_direct import direct_part
from sae_vis.views.sources import ViewSources

F32 = NDArray[np.float32]
Order = Literal["large", "small", "size"]


class MetricInfo(NamedTuple):
    """What a metric is called, what it is, and which end of a ranking by it comes first.

    Attributes:
        title: in words.
        meaning: in a sentence.
        first: the end.
        both_sides: whether values below zero count by their size where the dictionary is signed.
        dense_first: whether features that fire nearly everywhere come first in a ranking by it, so that it leaves them
            out (`PromptSettings.max_density`).
    """

    title: str
    meaning: str
    first: Order
    both_sides: bool = False
    dense_first: bool = False

    def first_of(self, *, signed: bool) -> Order:
        """Which end comes first, of a signed dictionary or another."""
        return "size" if signed and self.both_sides else self.first


Prompt = str | Sequence[int] | Sequence[dict[str, str]]
"""A text, token ids, or the messages of a chat."""

METRICS: dict[str, MetricInfo] = {
    "act_size": MetricInfo(
        "Activation", "The feature's activation at the token.", "large", both_sides=True, dense_first=True
    ),
    "act_quantile": MetricInfo(
        "Activation quantile", "Share of the corpus's unmasked tokens whose activation is at most this one.", "large"
    ),
    "rarity": MetricInfo(
        "Rarity-weighted activation",
        "Activation times -ln(density): features that seldom fire in the corpus count for more.",
        "large",
        both_sides=True,
    ),
    "loss_effect": MetricInfo(
        "Loss effect, direct",
        "Loss of the next token with the feature minus without it, its contribution taken out of the final residual, "
        "in nats. Negative: it helps.",
        "size",
    ),
    "logit_effect": MetricInfo(
        "Logit effect, direct", "What the feature adds to the logit of the chosen token, directly.", "size"
    ),
    "attribution": MetricInfo(
        "Attribution",
        "Activation times gradient: to first order, the target with the feature minus without it, in nats.",
        "size",
    ),
    "full_loss_effect": MetricInfo(
        "Loss effect, full",
        "Loss of the next token with the feature minus without it, its contribution taken out at the hook and the rest "
        "of the model run again, in nats. Negative: it helps.",
        "size",
    ),
    "full_later_effect": MetricInfo(
        "Loss effect on the rest, full",
        "As the full loss effect, summed over this and all later tokens of the prompt.",
        "size",
    ),
}
N_PREDICTED = 5  # likeliest next tokens named at each position
MOST_CARDS = 1000  # features whose cards a page holds, at most
MAX_DENSITY = 0.1
"""Features denser than this are left out of a ranking by activation: the bound from which on features are called dense
in the literature (Sun et al. 2025, "Dense SAE latents are features, not bugs")."""


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """What is measured on a prompt, and how its page begins.

    Attributes:
        metric: name of the metric to begin with, one of `METRICS`; None: attribution, or the activation where nothing
            can be attributed. Attribution goes along with what a measured ablation does; the activation of dense
            features says little of it.
        seq_pos: position to begin with, negative from the end; None: the whole prompt.
        num_top_features: features in a ranking.
        max_density: features that fire on a larger share of the corpus's tokens than this are left out of a ranking by
            activation, which they would lead on every text; 1: none. The page shows it and lets it be changed. No other
            ranking leaves any out. None: `MAX_DENSITY`, but none are left out of a dictionary that is not sparse, so
            that more than half of its features are above it (steering vectors, neurons).
        target: what attribution is to; None: the sum of the losses of all next tokens.
        target_words: the target in words.
        logit_tokens: token ids whose logits a feature's effect is also known on, at every position; the token that
            follows and the likeliest ones are there in any case.
        full_effects: how many (token, feature) pairs of largest attribution have their full effects measured; each is a
            run of the model.
        compare: a second prompt, shown beside the first; None: there is none.
        title: page title; None: made from the hook point.

    Raises:
        InputError: an unknown metric; one of full effects, while none are measured; a number that makes no sense.
    """

    metric: str | None = None
    seq_pos: int | None = None
    num_top_features: int = 10
    max_density: float | None = None
    target: Target | None = None
    target_words: str = "the summed loss of all next tokens"
    logit_tokens: tuple[int, ...] = ()
    full_effects: int = 0
    compare: Prompt | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        """Every setting must make sense; numbers become Python's."""
        if self.metric is not None and (not isinstance(self.metric, str) or self.metric not in METRICS):
            raise InputError(f"metric is {self.metric!r}, expected one of {', '.join(METRICS)}")
        object.__setattr__(self, "num_top_features", whole_number(self.num_top_features, "num_top_features", 1))
        if self.max_density is not None:
            object.__setattr__(self, "max_density", a_share(self.max_density, "max_density"))
        object.__setattr__(self, "full_effects", whole_number(self.full_effects, "full_effects"))
        if self.title is not None:
            object.__setattr__(self, "title", a_text(self.title, "title"))
        if self.seq_pos is not None:
            object.__setattr__(self, "seq_pos", whole_number(self.seq_pos, "seq_pos"))
        tokens: object = plain(self.logit_tokens)
        if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
            raise InputError(f"logit_tokens is {shown(tokens)}, expected token ids, such as (262, 290)")
        ids = tuple(whole_number(token, "a token of logit_tokens", 0) for token in tokens)
        object.__setattr__(self, "logit_tokens", ids)
        if self.full_effects < 0:
            raise InputError(f"full_effects is {self.full_effects}, expected a number of pairs, 0 for none")
        if (self.metric or "").startswith("full") and self.full_effects == 0:
            raise InputError(f"metric is {self.metric!r}, but full_effects is 0: give the number of pairs to measure")

    def position(self, n: int) -> int | None:
        """The position that `seq_pos` names, counted from the start.

        Args:
            n: tokens of the prompt.

        Returns:
            The position; None: the whole prompt.

        Raises:
            InputError: no such position.
        """
        if self.seq_pos is None:
            return None
        if not -n <= self.seq_pos < n:
            raise InputError(f"seq_pos is {self.seq_pos}, but the prompt has {n} tokens: 0 to {n - 1}")
        return self.seq_pos % n


class PromptSources(NamedTuple):
    """What a prompt is read with; the index is that of model and dictionary at this hook point.

    Attributes:
        views: index, token text and logit lens, for the cards.
        model: runs the prompt.
        sae: the dictionary.
        hook: where it reads and writes.
        mask: the index's, or None where it is not known.
    """

    views: ViewSources
    model: RunnableModel
    sae: Dictionary
    hook: HookPoint | Wiring
    mask: MaskConfig | None = None


@neutrally
def prompt_page(
    sources: PromptSources,
    prompts: Sequence[tuple[str, Sequence[int]]],
    config: PromptSettings | None = None,
    layout: SaeVisLayoutConfig | None = None,
    *,
    title: str = "sae_vis",
) -> FeaturePage:
    """A page of one prompt, or of two to be compared.

    Args:
        sources: index, model and dictionary.
        prompts: a name and token ids of each.
        config: what is measured, and how the page begins.
        layout: of a feature's card; None: the default of prompt-centric pages.
        title: page title.

    Raises:
        InputError: no prompt or more than two, an empty one, one that is longer than the model takes, a position out of
            range, a layout that asks for what such a page can't show.
    """
    config = config or PromptSettings()
    layout = layout or SaeVisLayoutConfig.default_prompt_centric_layout()
    part = prompt_part(sources, prompts, config)
    firing = part.firing.feature.astype(np.int64)
    cards = firing if len(firing) <= MOST_CARDS else np.sort(best(part, MOST_CARDS))
    rule = f"{len(cards)} of the {len(firing)} features that fire on the prompt"
    return feature_page(sources.views, cards.tolist(), layout, title=title, selection=rule, prompt=part)


def prompt_part(
    sources: PromptSources, prompts: Sequence[tuple[str, Sequence[int]]], config: PromptSettings
) -> PromptPart:
    """What is known of one prompt, or of two, without cards: arguments and errors as for `prompt_page`."""
    if len(prompts) not in {1, 2}:
        raise InputError(f"a page shows one prompt, or compares two; got {len(prompts)}")
    position = config.position(len(prompts[0][1]))
    views = tuple(prompt_view(sources, name, tokens, config) for name, tokens in prompts)
    firing = np.unique(np.concatenate([view.features for view in views])).astype(np.int64)
    return PromptPart(
        prompts=views,
        aligned=aligned(views[0].tokens, views[-1].tokens) if len(views) == 2 else np.zeros(0, dtype=np.int32),
        firing=feature_summary(sources.views.index, firing),
        metric=config.metric or metric_of(*views),
        position=position,
        n_features=config.num_top_features,
    )


def metric_of(*views: PromptView) -> str:
    """Name of the metric that texts are ranked by unless asked otherwise: what is known of all of them."""
    for view in views:
        values = next((metric.values for metric in view.metrics if metric.name == "attribution"), np.zeros(0))
        if len(values) and np.isnan(values).all():
            return "act_size"
    return "attribution"


def prompt_tensor(sources: PromptSources, tokens: Sequence[int]) -> torch.Tensor:
    """A prompt's tokens as the model takes them, int64 ``[n]``.

    Raises:
        InputError: no tokens, or more than the model takes.
    """
    text = torch.as_tensor(list(tokens), dtype=torch.int64)
    if len(text) == 0:
        raise InputError("the prompt is empty: give at least one token")
    longest = sources.model.n_context
    if longest is not None and len(text) > longest:
        raise InputError(
            f"the prompt has {len(text)} tokens, but the model takes {longest} at most: give a shorter one"
        )
    return text


@neutrally
def prompt_view(sources: PromptSources, title: str, tokens: Sequence[int], config: PromptSettings) -> PromptView:
    """Every feature that fires on a text, with every metric.

    Raises:
        InputError: no tokens, tokens the model does not have, or more than it takes.
    """
    text = prompt_tensor(sources, tokens)
    table, no_gradient = attributions(sources, text, config)
    direct = direct_part(sources, text, table, N_PREDICTED, config.logit_tokens)
    predictions, targets = direct.predictions, direct.targets
    values = _values(sources, table, config, text)
    values["loss_effect"], values["logit_effect"] = direct.loss_effects, direct.logit_effects[:, 0]
    max_density = usual_max_density(sources.views.index) if config.max_density is None else config.max_density
    unknown = {"attribution": no_gradient, "loss_effect": direct.unknown, "logit_effect": direct.unknown}
    return PromptView(
        title=title,
        tokens=text.numpy().astype(np.int32),
        masked=_masked(sources.mask, text),
        loss=predictions.loss,
        n_predicted=N_PREDICTED,
        predicted=predictions.tokens.astype(np.int32).reshape(-1),
        predicted_prob=predictions.probs.reshape(-1),
        offsets=np.searchsorted(table.positions, np.arange(len(text) + 1)).astype(np.int32),
        features=table.features.astype(np.int32),
        metrics=tuple(
            PromptMetric(
                name=name,
                title=info.title,
                meaning=info.meaning if unknown.get(name) is None else f"Not known here: {unknown[name]}.",
                first=info.first_of(signed=sources.views.index.signed),
                max_density=max_density if info.dense_first else 1.0,
                values=values[name],
            )
            for name, info in METRICS.items()
            if name in values
        ),
        n_targets=targets.shape[1],
        targets=targets.astype(np.int32).reshape(-1),
        logit_effects=direct.logit_effects.reshape(-1),
        attributed=config.target_words,
    )


def usual_max_density(index: Index) -> float:
    """Above which density features are left out of rankings by activation; 1 where more than half would be."""
    dense = index.column("density") > MAX_DENSITY
    return 1.0 if 2 * int(dense.sum()) > index.n_features else MAX_DENSITY


def attributions(
    sources: PromptSources, text: torch.Tensor, config: PromptSettings
) -> tuple[AttributionTable, str | None]:
    """Of all firing features; and why nothing is attributed to them, or None.

    A text of one token has no next token, so nothing can be attributed to its loss.
    """
    why = None
    if len(text) > 1 or config.target is not None:
        try:
            target = config.target or NextTokenLoss()
            return attribute(sources.model, sources.sae, sources.hook, text, target), None
        except UnknownWiringError as error:
            why = str(error)
    wiring = wired(sources.model, sources.sae, sources.hook)
    codes = sources.sae.encode(wiring.reader.activations(text[None], wiring.read)[0])
    table = AttributionTable(
        positions=torch.repeat_interleave(codes.offsets.diff()).cpu().numpy(),
        features=codes.features.cpu().numpy(),
        acts=codes.acts.cpu().numpy(),
        values=np.full(len(codes.acts), np.nan),
        target=float("nan"),
    )
    return table, why


def _values(
    sources: PromptSources, table: AttributionTable, config: PromptSettings, text: torch.Tensor
) -> dict[str, F32]:
    """Metrics that need neither norm nor unembedding, by name."""
    index = sources.views.index
    density = np.maximum(index.column("density")[table.features], 1 / index.n_counted)
    found = {
        "act_size": table.acts,
        "act_quantile": _quantiles(index, table.features, table.acts),
        "rarity": (-np.log(density) * table.acts).astype(np.float32),
        "attribution": table.values.astype(np.float32),
    }
    if config.full_effects:
        found |= _full_effects(sources, table, config.full_effects, text)
    return found


def _quantiles(index: Index, features: NDArray[np.int64], acts: F32) -> F32:
    """`Index.quantile_of` of each pair, each feature's firings read once."""
    found = np.empty(len(acts), dtype=np.float32)
    order = np.argsort(features, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(features[order])) + 1):
        if len(rows):
            found[rows] = index.quantile_of(int(features[rows[0]]), acts[rows])
    return found


def _full_effects(sources: PromptSources, table: AttributionTable, n: int, text: torch.Tensor) -> dict[str, F32]:
    """Of the pairs of largest attribution; NaN for the others."""
    chosen = np.argsort(-np.abs(table.values), kind="stable")[:n]
    measured = FullEffects(sources.model, sources.sae, sources.hook).at(
        text, table.positions[chosen], table.features[chosen], table.acts[chosen]
    )
    found = {
        name: np.full(len(table.acts), np.nan, dtype=np.float32) for name in ("full_loss_effect", "full_later_effect")
    }
    found["full_loss_effect"][chosen] = measured.loss_at_first
    found["full_later_effect"][chosen] = measured.total_loss
    return found


def _masked(mask: MaskConfig | None, text: torch.Tensor) -> NDArray[np.int32]:
    if mask is None:
        return np.zeros(len(text), dtype=np.int32)
    kept = mask.counted(text.numpy().astype(np.int32), np.array([0, len(text)], dtype=np.int64))
    return (~kept).astype(np.int32)


def aligned(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
    """Positions of two prompts that stand for each other, int32 ``[2 * k]``: ``a0, b0, a1, b1, …``.

    Equal tokens in the longest common runs; between two runs, tokens that were replaced by equally many.
    """
    found: list[tuple[int, int]] = []
    matcher = difflib.SequenceMatcher(None, a.tolist(), b.tolist(), autojunk=False)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind == "equal" or (kind == "replace" and a1 - a0 == b1 - b0):
            found += zip(range(a0, a1), range(b0, b1), strict=True)
    return np.array(found, dtype=np.int32).reshape(-1)


def best(part: PromptPart, n: int) -> NDArray[np.int64]:
    """The ``n`` features that stand highest in a ranking of any metric at any position; equal ones by number."""
    ranks = {int(feature): len(view.features) for view in part.prompts for feature in view.features}
    for view in part.prompts:
        positions = np.repeat(np.arange(len(view.tokens)), np.diff(view.offsets))
        density = part.firing.density[np.searchsorted(part.firing.feature, view.features)]
        for metric in view.metrics:
            worth = {"large": metric.values, "small": -metric.values, "size": np.abs(metric.values)}[metric.first]
            known = np.flatnonzero(~np.isnan(worth) & (density <= np.float32(metric.max_density)))
            order = known[np.lexsort((-worth[known], positions[known]))]
            starts = np.searchsorted(positions[known], positions[order])
            rank = np.arange(len(order)) - starts
            for feature, place in zip(view.features[order].tolist(), rank.tolist(), strict=True):
                ranks[feature] = min(place, ranks[feature])
    return np.array(sorted(ranks, key=lambda feature: (ranks[feature], feature))[:n], dtype=np.int64)
