"""Linear probes: directions found elsewhere, and how much of each a feature reads or writes.

A probe is a matrix with a column for each class. What a feature *writes* along a class is the dot product of its
decoder direction, carried to the residual stream, with the column; what it *reads* is the dot product of its encoder
direction with the column. Both are the plain products of sae_vis 0.3; neither direction is normalised, so a unit of
activation changes the probe's logit by the first number. The cosine is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.wiring import Wiring
from sae_vis.errors import InputError
from sae_vis.models.base import HookPoint, LanguageModel
from sae_vis.models.precision import doubled
from sae_vis.neutral import all_neutrally
from sae_vis.saes.base import Dictionary

Side = Literal["input", "output"]
SIDES = ("input", "output")
TUPLE_SIZES = (3, 4)


@all_neutrally
@dataclass(frozen=True)
class LinearProbe:
    """A linear probe.

    Attributes:
        side: what is compared with it: ``input``: encoder directions, ``output``: decoder directions.
        name: what tables call it.
        directions: ``[d_model, n_classes]``, or ``[d_model, *class_shape]``; of the hook point's own width, where
            features are compared before they reach the residual stream (side ``input`` only).
        classes: name of each class, in the order of the flattened shape; None: their numbers.

    Raises:
        InputError: another side, a name that is no text, directions or classes that don't fit.
    """

    side: Side
    name: str
    directions: Tensor
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Raises `InputError` for a side, shape, value or number of names that makes no sense."""
        where, found = f"linear probe {self.name!r}", self.directions
        if self.side not in SIDES:
            raise InputError(f"{where}: its side is {self.side!r}, expected 'input' or 'output'")
        if not isinstance(found, Tensor) or found.ndim < len(("d_model", "class")) or not found.numel():
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"{where}: expected a tensor [d_model, *class_shape], got {shape}")
        if not bool(torch.isfinite(found).all()):
            raise InputError(f"{where}: it holds NaN or infinity")
        if self.classes is not None and len(self.classes) != found[0].numel():
            raise InputError(f"{where}: {found[0].numel()} classes, but {len(self.classes)} names for them")

    @property
    def class_shape(self) -> tuple[int, ...]:
        """Sizes of the class axes."""
        return tuple(self.directions.shape[1:])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class: those given, else numbers such as ``3`` or ``3, 5``."""
        if self.classes is not None:
            return self.classes
        return tuple(", ".join(str(i) for i in place) for place in np.ndindex(*self.class_shape))


def as_probes(given: Sequence[object], names: Mapping[int, str] | None = None) -> list[LinearProbe]:
    """Probes from `LinearProbe` objects or tuples ``(side, name, tensor)``, ``(side, name, tensor, class names)``.

    Args:
        given: the probes.
        names: of the classes of those that bring none and have as many classes as there are names here.

    Raises:
        InputError: something else; a probe that makes no sense; two with one side and name.
    """
    probes = [_as_probe(one) for one in given]
    seen: set[tuple[str, str]] = set()
    for probe in probes:
        if (probe.side, probe.name) in seen:
            raise InputError(f"two linear probes are called {probe.name!r} ({probe.side}); give them different names")
        seen.add((probe.side, probe.name))
    return [_named(probe, names) for probe in probes]


def _as_probe(one: object) -> LinearProbe:
    if isinstance(one, LinearProbe):
        return one
    if not isinstance(one, (tuple, list)) or len(one) not in TUPLE_SIZES:
        raise InputError(
            "linear_probes= is a list of (side, name, tensor), side being 'input' or 'output', "
            f"or of LinearProbe objects; found {type(one).__name__}"
        )
    side, name, directions, *classes = one
    return LinearProbe(side, str(name), directions, tuple(map(str, classes[0])) if classes else None)


def _named(probe: LinearProbe, names: Mapping[int, str] | None) -> LinearProbe:
    n = int(np.prod(probe.class_shape))
    if probe.classes is not None or not names or set(names) != set(range(n)):
        return probe
    return LinearProbe(probe.side, probe.name, probe.directions, tuple(names[i] for i in range(n)))


class Readings(NamedTuple):
    """n features against one probe.

    Attributes:
        values: float32 ``[n, n_classes]`` dot products.
        cosines: float32 ``[n, n_classes]``, 0 where a direction is 0.
    """

    values: NDArray[np.float32]
    cosines: NDArray[np.float32]


@all_neutrally
class Probes:
    """Linear probes beside the features of a dictionary.

    Args:
        probes: the probes.
        model: knows the way between hook point and residual stream.
        sae: the dictionary.
        reads: hook point where it reads.
        writes: where it writes; None: not known, which rules out probes of the side ``output``.

    Raises:
        InputError: a probe of another width than the directions it is compared with, or no known way to these.
    """

    def __init__(
        self,
        probes: Sequence[LinearProbe],
        model: LanguageModel,
        sae: Dictionary,
        reads: HookPoint,
        writes: Wiring | None,
    ) -> None:
        self.probes = tuple(probes)
        self._model, self._sae, self._reads, self._writes = model, sae, reads, writes
        for probe in self.probes:
            width = self._directions(probe, [0]).shape[1]
            if probe.directions.shape[0] != width:
                raise InputError(
                    f"linear probe {probe.name!r} has directions of {probe.directions.shape[0]} numbers, but those of "
                    f"features have {width} ({probe.side} side, dictionary at {reads.name!r}): expected a tensor "
                    f"[{width}, *class_shape], got {tuple(probe.directions.shape)}"
                )

    def readings(self, probe: LinearProbe, features: Sequence[int]) -> Readings:
        """Dot products and cosines of features with every class of a probe."""
        directions = self._directions(probe, features)
        columns = probe.directions.detach().to(directions).flatten(1)
        values = directions @ columns
        sizes = directions.norm(dim=1)[:, None] * columns.norm(dim=0)[None]
        cosines = torch.where(sizes > 0, values / sizes.clamp(min=torch.finfo(sizes.dtype).tiny), 0.0)
        return Readings(values.float().cpu().numpy(), cosines.float().cpu().numpy())

    def _directions(self, probe: LinearProbe, features: Sequence[int]) -> Tensor:
        """Float64, ``[n, d_model]`` or ``[n, hook.d]``."""
        chosen = torch.as_tensor(list(features), dtype=torch.int64)
        if probe.side == "input":
            directions = doubled(self._sae.encoder_directions(chosen).detach())
            own = self._reads.d == probe.directions.shape[0] and self._reads.d != self._model.d_model
            return directions if own else self._model.from_residual(directions, self._reads)
        if self._writes is None or not self._writes.one_way(self._model):
            raise InputError(
                f"linear probe {probe.name!r}: no one way is known from where this dictionary writes to the "
                "residual stream, so there is nothing to compare with a probe of the side 'output'"
            )
        decoder = doubled(self._sae.decoder[chosen.to(self._sae.decoder.device)].detach())
        return self._writes.in_residual(self._model, decoder)
