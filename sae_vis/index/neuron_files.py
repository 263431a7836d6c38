"""Sums over neurons on their way through a build, as files: of the run in hand, of a range, of all ranges so far.

Ranges are finished in any order, by anybody; their sums are added in corpus order, each as soon as it can be. A file is
deleted once what it went into is written. Whoever finds one gone meanwhile looks again at what there is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sae_vis.errors import DamagedIndexError
from sae_vis.index.build_files import range_name, sums_name, up_to_name
from sae_vis.index.neurons import NeuronSums, NeuronTotals, Sums
from sae_vis.index.storage import Store


class NeuronFiles:
    """Of one build.

    Args:
        store: of the build.
        d_sae: number of features.
        centre: constant near the mean of what is encoded ``[d_in]``.
        n_ranges: number of ranges.
    """

    def __init__(self, store: Store, d_sae: int, centre: Tensor, n_ranges: int) -> None:
        self._store, self._d_sae, self._centre, self._n_ranges = store, d_sae, centre, n_ranges
        self._held: tuple[int, NeuronSums] | None = None  # the run that sums reach to, and the sums

    def before(self, run: int, first: int) -> NeuronSums:
        """Sums of the runs before one in its range, whose first run is ``first``.

        Raises:
            DamagedIndexError: they are not there, or can't be read.
        """
        if run == first:
            return NeuronSums(self._d_sae, self._centre)
        if self._held is not None and self._held[0] == run - 1:
            return self._held[1]
        return NeuronSums.from_arrays(self._store.arrays(sums_name(run - 1)))

    def keep(self, run: int, sums: NeuronSums, closes: int | None) -> None:
        """Write the sums up to the end of a run; ``closes`` is the range that it is the last of, if it is."""
        if closes is None:
            self._store.write_arrays(sums_name(run), sums.to_arrays())
            self._held = (run, sums)
        else:
            self._store.write_arrays(range_name(closes), sums.closed().to_arrays(""))
            self._held = None

    def forget_before(self, run: int, first: int) -> None:
        """Delete what went into the sums of a run that is safe."""
        if run > first:
            self._store.delete(sums_name(run - 1))

    def join(self) -> bool:
        """Add up what can be, in corpus order; whether that is all of it."""
        while (reached := self._reached()) is not None:
            if reached + 1 == self._n_ranges:
                return True
            names = up_to_name(reached), range_name(reached + 1)
            if not self._store.exists(names[1]):
                return False
            try:
                sums, more = (_sums_in(self._store, name) for name in names)
            except DamagedIndexError:
                if all(self._store.exists(name) for name in names):
                    raise
                continue  # somebody else has just joined them
            sums.join(more)
            self._store.write_arrays(up_to_name(reached + 1), sums.to_arrays(""))
            for name in names:
                self._store.delete(name)
        return False

    @property
    def joined(self) -> bool:
        """Whether the sums of all ranges are one."""
        return self._store.exists(up_to_name(self._n_ranges - 1))

    def of(self, first: int, stop: int) -> NeuronTotals:
        """Of the features ``first`` to ``stop``, over all tokens."""
        arrays = self._store.arrays(up_to_name(self._n_ranges - 1))
        cross, total, square = (
            torch.from_numpy(np.array(part))
            for part in (arrays["cross"][first:stop], arrays["total"], arrays["square"])
        )
        return NeuronTotals(cross, total, square, self._centre.detach().cpu().double())

    def _reached(self) -> int | None:
        """The last range that is in a sum of all up to it."""
        with self._store.at_a_glance():
            return next((n for n in reversed(range(self._n_ranges)) if self._store.exists(up_to_name(n))), None)


def _sums_in(store: Store, name: str) -> Sums:
    found = Sums.from_arrays(store.arrays(name), "")
    assert found is not None
    return found
