"""Every query of an index against the slow reference, for given features."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sae_vis.index.index import Index
from tests.reference import Dense


def check_feature(index: Index, dense: Dense, feature: int, *, exact: bool = True) -> None:
    close = (lambda v: v) if exact else (lambda v: pytest.approx(v, rel=1e-5, abs=1e-6))
    firings = dense.firings(feature)
    found = index.firings(feature)
    assert [int(p) for p in found.positions] == [p for p, _ in firings]
    assert [float(a) for a in found.acts] == [close(a) for _, a in firings]
    row = {name: index.column(name)[feature] for name in ("n_firings", "density", "max", "mean", "std", "max_position")}
    assert row["n_firings"] == len(firings)
    assert row["density"] == len(firings) / dense.n
    acts = np.array([a for _, a in firings])
    if len(acts) == 0:
        assert (row["max"], row["mean"], row["std"], row["max_position"]) == (0, 0, 0, -1)
        assert len(index.lists("quantiles", feature)) == 0
        assert len(index.fired_tokens(feature).tokens) == index.fired_tokens(feature).n_tokens == 0
        assert index.column("mass")[feature] == 0
        assert index.minima()[feature] == 0
        return
    assert row["max"] == close(max(acts.max(), 0))
    assert index.minima()[feature] == close(min(acts.min(), 0))
    assert row["mean"] == pytest.approx(acts.mean(), rel=1e-12 if exact else 1e-5)
    assert row["std"] == pytest.approx(acts.std(), rel=1e-9 if exact else 1e-4, abs=1e-12 if exact else 1e-5)
    assert row["max_position"] == (firings[int(acts.argmax())][0] if acts.max() > 0 else -1)
    if index.signed:
        expected = firings[int(acts.argmin())][0] if acts.min() < 0 else -1
        assert index.column("min_position")[feature] == expected
    _check_higher_moments(index, feature, acts)
    _check_quantiles(index, feature, acts)
    assert index.column("mass")[feature] == pytest.approx(np.abs(acts).sum(), rel=1e-12 if exact else 1e-5)
    check_fired_tokens(index, dense, feature, exact=exact)


def check_fired_tokens(index: Index, dense: Dense, feature: int, *, exact: bool = True) -> None:
    """The tokens that a feature fires on most against counts and sums in a loop over its firings."""
    expected = dense.fired_tokens(feature)
    found = index.fired_tokens(feature)
    assert found.n_tokens == len(expected)
    assert len(found.tokens) == min(index.manifest.provenance.settings["fired_tokens"], len(expected))
    if exact:
        assert found.tokens.tolist() == list(expected)[: len(found.tokens)]
    n, total = sum(count for count, _ in expected.values()), sum(mass for _, mass in expected.values())
    for token, *row in zip(*found[:-1], strict=True):
        count, mass = expected[int(token)]
        assert row == pytest.approx([count, mass, count / n, mass / total], rel=1e-12 if exact else 1e-5)


def _check_higher_moments(index: Index, feature: int, acts: np.ndarray) -> None:
    deviation = acts - acts.mean()
    variance = (deviation**2).mean()
    if variance > 1e-9:
        assert index.column("skewness")[feature] == pytest.approx(
            (deviation**3).mean() / variance**1.5, rel=1e-3, abs=1e-4
        )
        assert index.column("kurtosis")[feature] == pytest.approx(
            (deviation**4).mean() / variance**2 - 3, rel=1e-3, abs=1e-4
        )


def _check_quantiles(index: Index, feature: int, acts: np.ndarray) -> None:
    table = index.lists("quantiles", feature)
    ordered = np.sort(acts)
    n = len(table)
    expected = [ordered[max(math.ceil(i * len(acts) / (n - 1) - 1e-12) - 1, 0)] for i in range(n)]
    assert table == pytest.approx(np.array(expected), rel=1e-5)


def check_positions(index: Index, dense: Dense, feature: int, n_bins: int) -> None:
    """Counts by position against a loop over all tokens."""
    found = index.by_position(feature, n_bins)
    longest = max(np.diff(index.offsets))
    assert found.width * len(found.n_tokens) >= longest
    assert len(found.n_tokens) <= n_bins
    assert found.width == 1 or (found.width - 1) * n_bins < longest
    kept = dense.counted.nonzero()[0]
    acts = dense.acts[:, feature]
    for i in range(len(found.n_tokens)):
        inside = [t for t in kept if (t - index.offsets[dense.sequence_of(t)]) // found.width == i]
        fires = [float(acts[t]) for t in inside if acts[t] != 0]
        assert found.n_tokens[i] == len(inside)
        assert found.n_firings[i] == len(fires)
        assert found.mean[i] == pytest.approx(np.mean(fires) if fires else math.nan, nan_ok=True, rel=1e-12)


def check_queries(index: Index, dense: Dense, feature: int, *, before: int | None, after: int | None) -> None:
    """Examples, intervals, windows, histogram, quantile of a value."""
    top = index.top_examples(feature, 4, before=before, after=after)
    assert [(int(p), float(a), int(r)) for p, a, r in zip(*top, strict=True)] == dense.top(feature, 4, before, after)
    bottom = index.bottom_examples(feature, 4, before=before, after=after)
    expected = dense.top(feature, 4, before, after, sign=-1)
    assert [(int(p), float(a), int(r)) for p, a, r in zip(*bottom, strict=True)] == expected
    if not dense.firings(feature):
        assert index.intervals(feature, 5, 2) == []
        return
    _check_intervals(index, dense, feature)
    shown = np.concatenate([top.positions, bottom.positions])
    windows = index.windows(feature, shown, before=before, after=after)
    for i, position in enumerate(shown):
        span = slice(int(windows.offsets[i]), int(windows.offsets[i + 1]))
        expected = dense.window(int(position), before, after)
        assert list(windows.positions[span]) == list(expected)
        assert list(windows.tokens[span]) == [int(dense.tokens[t]) for t in expected]
        acts = [dense.acts[t, feature] if dense.counted[t] else np.nan for t in expected]
        np.testing.assert_array_equal(windows.acts[span], np.array(acts, dtype=np.float32))
        assert windows.positions[span][windows.focus[i]] == position
    largest, smallest = max(act for _, act in dense.firings(feature)), min(act for _, act in dense.firings(feature))
    for value in (0.0, -1.0, largest, smallest, largest / 2, smallest / 2, 1e9):
        for among in ("tokens", "firings"):
            assert index.quantile_of(feature, [value], among=among)[0] == pytest.approx(
                dense.quantile_of(feature, value, among), rel=1e-12
            )


def _check_intervals(index: Index, dense: Dense, feature: int) -> None:
    every, acts = dense.interval_members(feature, 5), dict(dense.firings(feature))
    counts = list(index.histogram([feature], 5)[0])
    assert counts == [len(every[j]) for j in (range(-5, 5) if index.signed else range(5))]
    reached = [j for j in every if every[j]]
    members = [every[j] for j in range(min(0, *reached), max(-1, *reached) + 1)]  # as far as activations go
    intervals = index.intervals(feature, 5, 2, seed=3)
    assert [interval.n_firings for interval in intervals] == [len(m) for m in members]
    for interval, inside in zip(intervals, members, strict=True):
        assert len(interval.examples.positions) == min(2, len(inside))
        for act in interval.examples.acts:
            low, high = sorted((abs(interval.low), abs(interval.high)))
            assert low * (1 - 1e-12) < abs(act) <= high * (1 + 1e-12)
            assert (act < 0) == (interval.low < 0)
        assert set(interval.examples.positions.tolist()) <= set(inside)
        assert [float(a) for a in interval.examples.acts] == [acts[int(p)] for p in interval.examples.positions]
        assert list(interval.examples.acts) == sorted(interval.examples.acts, key=abs, reverse=True)


def check_correlations(index: Index, dense: Dense, feature: int, *, tolerance: float = 1e-6) -> None:
    """Tables of correlated features and neurons against all pairs computed one by one."""
    own = dense.column(feature)
    pairs = {}
    for other in range(dense.acts.shape[1]):
        if other != feature:
            pairs[other] = (dense.pearson(own, dense.column(other)), dense.cosine(own, dense.column(other)))
    together = {o: p for o, p in pairs.items() if ((own != 0) & (dense.column(o) != 0)).any()}
    _check_table(index, "correlated_features", feature, {o: p for o, p in together.items() if p[0] > 0}, tolerance)
    if "correlated_neurons_index" in index.column_names:
        x = dense.x[dense.counted].astype(np.float64)
        neurons = {j: (dense.pearson(own, x[:, j]), dense.cosine(own, x[:, j])) for j in range(x.shape[1])}
        _check_table(
            index, "correlated_neurons", feature, {j: p for j, p in neurons.items() if not math.isnan(p[0])}, tolerance
        )


def _check_table(
    index: Index, name: str, feature: int, pairs: dict[int, tuple[float, float]], tolerance: float
) -> None:
    found = {part: index.lists(f"{name}_{part}", feature) for part in ("index", "pearson", "cosine")}
    held = index.manifest.provenance.settings[name]
    firing = {o: p for o, p in pairs.items() if not math.isnan(p[0])}
    best = sorted((p for p, _ in firing.values()), reverse=True)[:held]
    if name == "correlated_features":
        best = [p for p in best if p > tolerance]
        kept = found["pearson"] > tolerance
        found = {part: values[kept] for part, values in found.items()}
    assert found["pearson"] == pytest.approx(np.array(best), abs=tolerance)
    for other, pearson, cosine in zip(found["index"], found["pearson"], found["cosine"], strict=True):
        assert pearson == pytest.approx(firing[int(other)][0], abs=tolerance)
        assert cosine == pytest.approx(firing[int(other)][1], abs=tolerance)


def check_everything(index: Index, dense: Dense, *, before: int | None, after: int | None, n_bins: int) -> None:
    """Every statistic and query of every feature."""
    for feature in range(dense.acts.shape[1]):
        check_feature(index, dense, feature)
        check_queries(index, dense, feature, before=before, after=after)
        check_correlations(index, dense, feature)
        check_positions(index, dense, feature, n_bins=n_bins)
