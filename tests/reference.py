"""The slow definitions: every statistic from dense activations, one loop at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Dense:
    """Dense activations ``[n_tokens, d_sae]`` of a corpus (masked rows too), and what counts."""

    acts: NDArray[np.float32]
    x: NDArray[np.float32]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    counted: NDArray[np.bool_]

    @property
    def n(self) -> int:
        return int(self.counted.sum())

    def column(self, feature: int) -> NDArray[np.float64]:
        return self.acts[self.counted, feature].astype(np.float64)

    def firings(self, feature: int) -> list[tuple[int, float]]:
        return [(t, float(a)) for t, a in enumerate(self.acts[:, feature]) if self.counted[t] and a != 0]

    def pearson(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        a, b = a - a.mean(), b - b.mean()
        scale = math.sqrt((a @ a) * (b @ b))
        return float(a @ b) / scale if scale > 0 else math.nan

    def cosine(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        scale = math.sqrt((a @ a) * (b @ b))
        return float(a @ b) / scale if scale > 0 else math.nan

    def sequence_of(self, position: int) -> int:
        return next(s for s in range(len(self.offsets) - 1) if self.offsets[s] <= position < self.offsets[s + 1])

    def window(self, position: int, before: int | None, after: int | None) -> range:
        s = self.sequence_of(position)
        low, high = int(self.offsets[s]), int(self.offsets[s + 1])
        start = low if before is None else max(low, position - before)
        return range(start, high if after is None else min(high, position + after + 1))

    def context(self, position: int, before: int | None, after: int | None) -> tuple[object, ...]:
        window = self.window(position, before, after)
        return (position - window.start, tuple(int(self.tokens[t]) for t in window))

    def top(
        self, feature: int, k: int, before: int | None, after: int | None, sign: int = 1
    ) -> list[tuple[int, float, int]]:
        """(position, activation, repeats): of firings of one sign, that of largest size of each context, best first."""
        chosen: dict[tuple[object, ...], list[float]] = {}
        firings = [(position, act) for position, act in self.firings(feature) if sign * act > 0]
        for position, act in sorted(firings, key=lambda f: (-abs(f[1]), f[0])):
            key = self.context(position, before, after)
            if key in chosen:
                chosen[key][2] += 1
            else:
                chosen[key] = [position, act, 0]
        return [(int(p), a, int(r)) for p, a, r in list(chosen.values())[:k]]

    def interval_members(self, feature: int, n: int) -> dict[int, list[int]]:
        """Positions by interval: 0 to n - 1 above zero, -1 to -n below, from zero outwards."""
        firings = self.firings(feature)
        reach = max(abs(a) for _, a in firings)
        members: dict[int, list[int]] = {j: [] for j in range(-n, n)}
        for position, act in firings:
            j = min(n - 1, max(0, math.ceil(n * abs(act) / reach) - 1))
            members[j if act > 0 else -1 - j].append(position)
        return members

    def fired_tokens(self, feature: int) -> dict[int, tuple[int, float]]:
        """Firings and sum of ``|a|`` by token id; the most firings first, then the larger sum, then the smaller id."""
        found: dict[int, tuple[int, float]] = {}
        for position, act in self.firings(feature):
            count, mass = found.get(int(self.tokens[position]), (0, 0.0))
            found[int(self.tokens[position])] = (count + 1, mass + abs(act))
        return dict(sorted(found.items(), key=lambda one: (-one[1][0], -one[1][1], one[0])))

    def quantile_of(self, feature: int, value: float, among: str) -> float:
        column = self.column(feature)
        values = column if among == "tokens" else column[column != 0]
        return float((values <= np.float32(value)).mean()) if len(values) else math.nan
