"""Crosscoders and cross-layer transcoders: one activation of a feature, several places that it reads or writes.

A crosscoder (Lindsey et al., Sparse Crosscoders for Cross-Layer Features and Model Diffing, 2024) reads several layers
of a model, or one place of several models on the same tokens: the pre-activation is the sum of one product for each
place, and each place has a decoder of its own. A layer of a cross-layer transcoder (Ameisen et al., Circuit Tracing,
2025) reads at one layer and writes to this and all later ones. Both are one product with what is read side by side:

    pre = [s_1 x_1, s_2 x_2, …] @ [W_enc_1; W_enc_2; …] + b_enc

with factors `s` that the activations of a place were multiplied by in training, 1 unless given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sae_vis.errors import CheckpointError, InputError
from sae_vis.neutral import all_neutrally, neutrally
from sae_vis.saes.activations import Activation, JumpReLU, TopK, WeightedThreshold
from sae_vis.saes.base import Endpoint
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import check_dtype, check_names, check_tensor, converted, count, facts, tensors_but_k

REQUIRED = frozenset({"W_enc", "W_dec"})
OPTIONAL = frozenset({"b_enc", "b_dec", "threshold", "threshold_weight", "k", "scale", "mean"})


@dataclass(frozen=True, kw_only=True)
class ScaledInput(InputMap):
    """Activations less a mean, then multiplied by a factor for each place, before the encoder.

    Attributes:
        scale: ``[d_in]``, the factor of the place that each number is of.
        mean: ``[d_in]``.
    """

    scale: Tensor | None = None
    mean: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The encoder's input for ``x [n, d_in]``; ``x`` is not modified."""
        x = x if self.mean is None else x - self.mean
        return super().__call__(x if self.scale is None else x * self.scale)

    def centred(self, directions: Tensor) -> Tensor:
        """Directions ``[n, d_in]`` of the encoder as directions of what it is given: with the factors."""
        return super().centred(directions if self.scale is None else directions * self.scale.float())


@dataclass(frozen=True, kw_only=True)
class CrosscoderPlaces:
    """Where a crosscoder reads and writes.

    Attributes:
        reads: names of the places in the order of the encoder's weights, None for those that nobody named yet.
        models: of which model each is, counted from 0; None: all of the first.
        writes: names of the places in the order of the decoder's weights; None: where it reads.
        write_models: of which model each of these is; None: all of the first, or those of the reads.
    """

    reads: Sequence[str | None] | None = None
    models: Sequence[int] | None = None
    writes: Sequence[str | None] | None = None
    write_models: Sequence[int] | None = None


@dataclass(frozen=True, kw_only=True)
class CrosscoderOptions:
    """What the tensors of a crosscoder don't say.

    Attributes:
        places: where it reads and writes.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: where they are.
        facts: for the manifest.
    """

    places: CrosscoderPlaces = field(default_factory=CrosscoderPlaces)
    dtype: torch.dtype = torch.float32
    device: str | torch.device | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


@all_neutrally
class Crosscoder(SparseAutoencoder):
    """A dictionary that reads or writes at several places; see `from_crosscoder_tensors`.

    Args:
        encoder: ``W_enc [sum of the reads' widths, d_sae]`` and ``b_enc [d_sae]``.
        activation: from pre-activations to activations.
        input_map: with the factors of the places.
        decoder: directions ``[d_sae, sum of the writes' widths]``, in the units of the models' own activations.
        places: reads, then writes.
        norms: ``[d_sae, n_writes]``: see `decoder_norms`.
    """

    def __init__(
        self,
        encoder: tuple[Tensor, Tensor],
        activation: Activation,
        input_map: ScaledInput,
        decoder: Decoder,
        places: tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]],
        norms: Tensor,
    ) -> None:
        super().__init__(*encoder, activation, input_map, decoder)
        self._reads, self._writes = places
        self._scale, self._mean, self._norms = input_map.scale, input_map.mean, norms

    @property
    def reads(self) -> tuple[Endpoint, ...]:
        """Where it reads."""
        return self._reads

    @property
    def writes(self) -> tuple[Endpoint, ...]:
        """Where it writes."""
        return self._writes

    @property
    def decoder_norms(self) -> Tensor:
        """Euclidean norms of the decoder for each place, float32 ``[d_sae, n_writes]``, of the weights as stored.

        So they are in the units that the crosscoder was trained in, where activations of all places are of one size.
        """
        return self._norms

    def describe(self) -> dict[str, object]:
        """Architecture, sizes, places and the checkpoint's own metadata."""
        return {**super().describe(), "reads": _told(self._reads), "writes": _told(self._writes)}

    def _config(self) -> dict[str, object]:
        shape = {name: [[e.d, e.model] for e in ends] for name, ends in self._ends.items()}
        return super()._config() | {"crosscoder": shape}

    def _hashed(self) -> dict[str, Tensor]:
        normalised = {"scale": self._scale, "mean": self._mean}
        return super()._hashed() | {name: tensor for name, tensor in normalised.items() if tensor is not None}

    @property
    def _ends(self) -> dict[str, tuple[Endpoint, ...]]:
        return {"reads": self._reads, "writes": self._writes}


@neutrally
def from_crosscoder_tensors(
    tensors: Mapping[str, Tensor | float | int], options: CrosscoderOptions | None = None
) -> Crosscoder:
    """The crosscoder of plain tensors.

    Args:
        tensors: ``W_enc [n_reads, d_in, d_sae]`` and ``W_dec [d_sae, n_writes, d_out]``; optionally ``b_enc [d_sae]``
            and ``b_dec [n_writes, d_out]``. ``threshold`` (``[d_sae]`` or one number) makes it a JumpReLU, and ``k`` a
            TopK; without either it is a ReLU. With ``threshold_weight [d_sae]`` a feature fires where its activation
            times that is above the threshold (BatchTopK). ``mean [n_reads, d_in]`` is subtracted from the activations,
            which are then multiplied by ``scale [n_reads]``. Where it writes at the places that it reads, the decoder
            is divided by the scale. The tensors are never written to.
        options: where it reads and writes, dtype, device.

    Returns:
        The crosscoder.

    Raises:
        CheckpointError: unknown or missing names, shapes that don't fit, values that can't be right.
        InputError: places that don't fit the tensors, a dtype that is not supported.
    """
    return crosscoder_of(tensors, options or CrosscoderOptions(), "memory")


def crosscoder_of(entries: Mapping[str, object], options: CrosscoderOptions, where: object) -> Crosscoder:
    """`from_crosscoder_tensors` for tensors found somewhere: `where`, for messages."""
    check_dtype(options.dtype)
    check_names(entries, set(REQUIRED), where, what="a crosscoder", optional=OPTIONAL)
    stored = _checked(tensors_but_k(entries, where), where)
    reads, writes = _endpoints(options.places, stored)
    k = count("k", entries["k"], where, most=stored["W_enc"].shape[2]) if "k" in entries else None
    about = facts("crosscoder", "crosscoder", where, stored["W_enc"], {}) | dict(options.facts)
    weights = converted(stored, options.dtype, options.device, where)
    scale, mean = weights.get("scale"), weights.get("mean")
    norms = weights["W_dec"].float().norm(dim=2)
    n_reads, d_in, d_sae = weights["W_enc"].shape
    decoder = Decoder(
        directions=_directions(weights, options.places).flatten(1),
        bias=_bias(weights, options.places).flatten(),
        hook_name=reads[0].hook_name if n_reads == 1 else None,
        facts=about,
        elsewhere=options.places.writes is not None,
        hook_name_out=writes[0].hook_name if len(writes) == 1 else None,
    )
    return Crosscoder(
        (weights["W_enc"].reshape(n_reads * d_in, d_sae), weights["b_enc"]),
        _activation(weights, k),
        ScaledInput(
            scale=None if scale is None else scale.repeat_interleave(d_in),
            mean=None if mean is None else mean.flatten(),
        ),
        decoder,
        (reads, writes),
        norms,
    )


def _checked(stored: dict[str, Tensor], where: object) -> dict[str, Tensor]:
    """The tensors with zeros for biases that aren't there; raises `CheckpointError` unless their shapes fit."""
    for name, layout in (("W_enc", "[n_reads, d_in, d_sae]"), ("W_dec", "[d_sae, n_writes, d_out]")):
        if stored[name].ndim != 3:
            shape = list(stored[name].shape)
            raise CheckpointError(f"{where}: {name} of a crosscoder is {layout}; found a tensor of shape {shape}")
    n_reads, d_in, d_sae = stored["W_enc"].shape
    _, n_writes, d_out = stored["W_dec"].shape
    shapes = {
        "W_enc": [n_reads, d_in, d_sae],
        "W_dec": [d_sae, n_writes, d_out],
        "b_enc": [d_sae],
        "b_dec": [n_writes, d_out],
        "scale": [n_reads],
        "mean": [n_reads, d_in],
        "threshold_weight": [d_sae],
        "threshold": [] if "threshold" in stored and stored["threshold"].ndim == 0 else [d_sae],
    }
    for name in ("b_enc", "b_dec"):
        stored.setdefault(name, torch.zeros(shapes[name], device=stored["W_enc"].device))
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes[name], where, reason=f"{n_reads} places read, {n_writes} written")
    if "scale" in stored and not bool((stored["scale"] > 0).all()):
        raise CheckpointError(f"{where}: scale must be positive; found {float(stored['scale'].min()):.3g}")
    if "threshold_weight" in stored and not ("threshold" in stored and bool((stored["threshold_weight"] >= 0).all())):
        raise CheckpointError(f"{where}: threshold_weight belongs to a threshold, and must not be below zero")
    return stored


def _endpoints(
    places: CrosscoderPlaces, weights: Mapping[str, Tensor]
) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    n_reads, n_writes = weights["W_enc"].shape[0], weights["W_dec"].shape[1]
    reads = _ends("reads", (places.reads, places.models), n_reads, weights["W_enc"].shape[1])
    if places.writes is None and n_writes != n_reads:
        raise InputError(
            f"the crosscoder reads {n_reads} places and writes {n_writes}: say where it writes "
            "(CrosscoderPlaces.writes)"
        )
    given = (places.writes, places.write_models)
    if places.writes is None:
        given = ([end.hook_name for end in reads], [end.model for end in reads])
    return reads, _ends("writes", given, n_writes, weights["W_dec"].shape[2])


def _ends(
    what: str, given: tuple[Sequence[str | None] | None, Sequence[int] | None], n: int, d: int
) -> tuple[Endpoint, ...]:
    names, models = given
    names = [None] * n if names is None else list(names)
    models = [0] * n if models is None else list(models)
    for kind, listed in (("names", names), ("numbers of models", models)):
        if len(listed) != n:
            raise InputError(f"the crosscoder {what} {n} places, but {len(listed)} {kind} are given")
    return tuple(Endpoint(name, int(d), int(model)) for name, model in zip(names, models, strict=True))


def _directions(weights: Mapping[str, Tensor], places: CrosscoderPlaces) -> Tensor:
    """What one unit of activation adds, ``[d_sae, n_writes, d_out]`` float32, in the models' own units."""
    directions, scale = weights["W_dec"].float(), weights.get("scale")
    return directions if scale is None or places.writes is not None else directions / scale.float()[:, None]


def _bias(weights: Mapping[str, Tensor], places: CrosscoderPlaces) -> Tensor:
    """What is rebuilt without any feature, ``[n_writes, d_out]`` float32, in the activations' own units."""
    bias, mean, scale = weights["b_dec"].float(), weights.get("mean"), weights.get("scale")
    if mean is None or places.writes is not None:
        return bias
    return (bias if scale is None else bias / scale.float()[:, None]) + mean.float()


def _activation(weights: Mapping[str, Tensor], k: int | None) -> Activation:
    if k is not None:
        return TopK(k)
    zeros = torch.zeros_like(weights["b_enc"])
    if "threshold_weight" in weights:
        return WeightedThreshold(zeros + weights["threshold"], weights["threshold_weight"])
    return JumpReLU(zeros + weights["threshold"] if "threshold" in weights else zeros)


def _told(ends: Sequence[Endpoint]) -> list[dict[str, object]]:
    return [{"hook_name": end.hook_name, "model": end.model, "d": end.d} for end in ends]
