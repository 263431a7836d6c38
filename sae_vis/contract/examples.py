"""Texts on which a feature fires, and what is known of their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sae_vis.contract.annotations import F32, I32, Array


@dataclass(frozen=True, kw_only=True)
class TokenEffects:
    """What the feature does to the next token's prediction, at those tokens of a group for which it was computed.

    Attributes:
        kind: ``direct``: its contribution taken out of the final residual; ``full``: taken out at the hook.
        against: what the loss is of: ``next``: the token that follows; ``reference``: cross entropy against a
            distribution that the page was given (`target_logits`).
        at: index of the token among the group's tokens, ascending.
        loss: loss with the feature minus loss without it, in nats (negative: it helps).
        next_token: token that follows in the text, whose loss it is; -1 against a reference.
        prob: probability of that token with the feature; without it, it is ``prob * exp(loss)``. NaN
            against a reference.
        listed: which of the effects have lists of the tokens that the feature changes most, ascending.
        n_changed: tokens in each of these lists.
        up_tokens: tokens whose log-probability is raised most, largest change first.
        up_values: change of their log-probability, with minus without, in nats.
        down_tokens: tokens whose log-probability is lowered most, largest change first.
        down_values: change of theirs.
    """

    kind: Literal["direct", "full"]
    against: Literal["next", "reference"] = "next"
    at: Annotated[I32, Array("n_effects", "gaps")]
    loss: Annotated[F32, Array("n_effects", unit="nats")]
    next_token: Annotated[I32, Array("n_effects", "token")]
    prob: Annotated[F32, Array("n_effects")]
    listed: Annotated[I32, Array("n_listed", "gaps")]
    n_changed: int
    up_tokens: Annotated[I32, Array("n_listed * n_changed", "token")]
    up_values: Annotated[F32, Array("n_listed * n_changed", unit="nats", digits=3)]
    down_tokens: Annotated[I32, Array("n_listed * n_changed", "token")]
    down_values: Annotated[F32, Array("n_listed * n_changed", unit="nats", digits=3)]


@dataclass(frozen=True, kw_only=True)
class AttentionSources:
    """Where the activations of a group's examples come from: direct feature attribution at their tokens in focus.

    What a feature's pre-activation is made of, less biases, is a sum over source tokens and heads. Source tokens are
    shown around the largest; example ``i`` owns those from ``offsets[i]`` to ``offsets[i + 1]``.

    Attributes:
        n_heads: heads of the layer.
        total: sum over all source tokens and heads: the pre-activation less biases.
        heads: each head's part, summed over all source tokens.
        offsets: where the source tokens of each example begin, and where the last ones end.
        start: position in the row of the first source token shown.
        main: index, among an example's source tokens shown, of the largest.
        tokens: ids of the source tokens.
        parts: of each source token, summed over heads.
        head: the head that a source token's part comes through most, -1 where it is not told (small parts).
        head_parts: that head's part, 0 where it is not told.
    """

    n_heads: int
    total: Annotated[F32, Array("n_contexts", unit="activation")]
    heads: Annotated[F32, Array("n_contexts * n_heads", unit="activation")]
    offsets: Annotated[I32, Array("n_contexts + 1", "offsets", ends_at="n_sources")]
    start: Annotated[I32, Array("n_contexts")]
    main: Annotated[I32, Array("n_contexts")]
    tokens: Annotated[I32, Array("n_sources", "token")]
    parts: Annotated[F32, Array("n_sources", "sparse", unit="activation")]
    head: Annotated[I32, Array("n_sources")]
    head_parts: Annotated[F32, Array("n_sources", "sparse", unit="activation")]


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """Windows of text, flattened: context ``i`` owns tokens ``offsets[i]:offsets[i + 1]``.

    Where the layout lets examples expand, the windows are the expanded ones, and the page shows the layout's `buffer`
    of each until it is asked for more.

    Attributes:
        offsets: where the tokens of each context begin, and where the last ones end.
        tokens: ids.
        acts: activation of the feature, 0 where it does not fire, NaN where masked.
        logits: logit effect of the feature on that token, or None where no logit lens was made.
        effects: effects on the prediction of the next token; None where none were computed.
        sources: the source tokens of each; None where there is no attention to ask, or nobody asked.
        sequence: row in the corpus.
        start: position in the row of the first token shown.
        focus: index within the context of the token the example is about (bold).
        repeats: how many further firings show this very context (and are not shown).
        labels: for each labelling of the page the label of each token; -1: none.
    """

    offsets: Annotated[I32, Array("n_contexts + 1", "offsets", ends_at="n_tokens")]
    tokens: Annotated[I32, Array("n_tokens", "token")]
    acts: Annotated[F32, Array("n_tokens", "sparse", unit="activation")]
    logits: Annotated[F32, Array("n_tokens", "per token", unit="logits", digits=3)] | None
    effects: TokenEffects | None
    sources: AttentionSources | None = None
    sequence: Annotated[I32, Array("n_contexts")]
    start: Annotated[I32, Array("n_contexts")]
    focus: Annotated[I32, Array("n_contexts")]
    repeats: Annotated[I32, Array("n_contexts")]
    labels: tuple[Annotated[I32, Array("n_tokens", "delta")], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SequenceGroup:
    """Examples of one kind.

    Attributes:
        kind: ``top``: the largest firings; ``bottom``: the most negative; ``label``: those of largest size on tokens of
            one label; ``interval``: a uniform sample of the firings in ``(low, high]``, below zero in ``[low, high)``.
        low: lower end of the interval; else the smallest activation shown, for ``bottom`` the minimum.
        high: upper end; else the largest activation shown, for ``top`` the maximum.
        n_firings: firings in the interval or on the label (exact, not only those shown).
        share: ``n_firings`` over all firings of the feature, 0 to 1.
        labelling: of a ``label`` group, its place among the page's labellings; else -1.
        label: of a ``label`` group, its place in the labelling; else -1.
    """

    kind: Literal["top", "bottom", "interval", "label"]
    low: float
    high: float
    n_firings: int
    share: float
    contexts: Contexts
    labelling: int = -1
    label: int = -1
