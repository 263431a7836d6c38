"""Dictionaries that encode a block of rows at a time; most have a linear encoder: input map, product, activation."""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from sae_vis.errors import InputError
from sae_vis.neutral import all_neutrally
from sae_vis.saes.activations import (
    Activation,
    gated_codes,
    gated_dense,
    rescaled_gate_codes,
    rescaled_gate_dense,
)
from sae_vis.saes.base import Dictionary, PackedCodes, SparseCodes
from sae_vis.saes.hashing import hash_tensor
from sae_vis.saes.packing import Slots, has_static_selection, packed, slots_of_dense
from sae_vis.saes.selection import join_codes

_Result = TypeVar("_Result")
BLOCK_ROWS = 1024  # rows multiplied at a time: enough for a full-speed product ...
BLOCK_ELEMENTS = 1 << 25  # ... as long as pre-activations stay within so many (128 MB as float32)
DEVICE_ROWS = 1 << 14  # the same elsewhere than on a CPU, ...
DEVICE_ELEMENTS = 1 << 28  # ... where a wide encoder must be read seldom, and caches don't hold a block anyhow (1 GB)
_NORM_EPS = 1e-5  # SAELens' layer_norm


@dataclass(frozen=True, kw_only=True)
class InputMap:
    """What happens to an activation vector before the encoder, in this order.

    Attributes:
        normalize: ``none``; ``constant_norm_rescale`` (to norm sqrt(d_in)); ``layer_norm`` (minus its mean, divided by
            its standard deviation with n - 1, plus 1e-5).
        shift: ``[d_in]``, subtracted last (the decoder bias), or None.
    """

    normalize: str = "none"
    shift: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The encoder's input for ``x [n, d_in]``; ``x`` is not modified."""
        if self.normalize == "constant_norm_rescale":
            x = x * ((x.shape[-1] ** 0.5) / x.norm(dim=-1, keepdim=True))
        elif self.normalize == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            x = x / (_std(x)[:, None] + _NORM_EPS)
        return x if self.shift is None else x - self.shift

    def input_scale(self, x: Tensor) -> Tensor | None:
        """The factor ``[n]`` that the normalisation multiplies a (centred) row with, None where it is 1."""
        if self.normalize == "constant_norm_rescale":
            norms: Tensor = torch.linalg.vector_norm(x, dim=-1)
            return math.sqrt(x.shape[-1]) / norms
        if self.normalize == "layer_norm":
            return 1 / (_std(x) + _NORM_EPS)
        return None

    def centred(self, directions: Tensor) -> Tensor:
        """Directions ``[n, d_in]`` of the encoder as directions of what it is given: less their means under layer_norm.

        The product with a vector less its mean is that of the vector with the direction less its mean.
        """
        return directions - directions.mean(dim=-1, keepdim=True) if self.normalize == "layer_norm" else directions

    def output_scale(self, x: Tensor) -> Tensor | None:
        """The factor ``[n]`` that undoes the normalisation on the decoder's side, None where it is 1."""
        if self.normalize == "constant_norm_rescale":
            norms: Tensor = torch.linalg.vector_norm(x, dim=-1)
            return norms / math.sqrt(x.shape[-1])
        if self.normalize == "layer_norm":
            return _std(x)
        return None


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """The way back, and what the checkpoint says about itself.

    Attributes:
        directions: ``[d_sae, d_out]``: what one unit of activation adds to the reconstruction.
        bias: ``[d_out]``.
        hook_name: where the dictionary reads, or None.
        facts: JSON-able, for the manifest; no part of the fingerprint.
        elsewhere: whether it writes at another place than the encoder reads (a transcoder): then what is done to the
            input is not undone.
        hook_name_out: where that is, or None.
    """

    directions: Tensor
    bias: Tensor
    hook_name: str | None = None
    facts: dict[str, object] = field(default_factory=dict)
    elsewhere: bool = False
    hook_name_out: str | None = None


@all_neutrally
class BlockDictionary(Dictionary):
    """Common part: input checks, blocks of rows, the decoder, the fingerprint.

    Rows are encoded `BLOCK_ROWS` at a time (on another device than a CPU `DEVICE_ROWS`), by `encode` and `encode_dense`
    alike: of one ``x`` both make the same products, so the two agree to the last bit. A row's activations can differ in
    the last bits between batches of different sizes, and between processors ("When bits are equal" in
    ``docs/numerics.md``).
    """

    def __init__(self, decoder: Decoder, shape: tuple[int, int]) -> None:
        self.d_in, self.d_sae = shape
        self.hook_name, self.hook_name_out = decoder.hook_name, decoder.hook_name_out
        self.writes_elsewhere = decoder.elsewhere
        self._decoder = decoder
        self._fingerprint: str | None = None

    def encode(self, x: Tensor) -> SparseCodes:
        """Sparse codes of ``x [n, d_in]``; raises `InputError` for a wrong width, NaN or infinity."""
        return join_codes(self._by_block(x, self._codes))

    def encode_dense(self, x: Tensor) -> Tensor:
        """The plain definition ``[n, d_sae]``, in the dictionary's dtype; errors as `encode`."""
        return torch.cat(self._by_block(x, self._dense))

    @property
    def decoder(self) -> Tensor:
        """What one unit of each activation adds, ``[d_sae, d_out]`` float32."""
        return self._decoder.directions

    @property
    def centre(self) -> Tensor:
        """The decoder bias where it is one of the input, else zeros ``[d_in]``."""
        bias = self._decoder.bias
        of_input = bias.shape[0] == self.d_in and not self.writes_elsewhere
        return bias if of_input else torch.zeros(self.d_in, device=bias.device)

    def describe(self) -> dict[str, object]:
        """Architecture, sizes, hook and the checkpoint's own metadata."""
        return {
            **self._config(),
            "hook_name": self.hook_name,
            **({"hook_name_out": self.hook_name_out} if self.writes_elsewhere else {}),
            "fingerprint": self.fingerprint(),
            **self._decoder.facts,
        }

    def fingerprint(self) -> str:
        """sha256 over the configuration that changes numbers, and the weights' values as float32.

        The order in which a sum is rounded is no part of it (whether a bias is added within the matrix product, how
        ties are broken): two files of one dictionary have one fingerprint, whichever library wrote them.
        """
        if self._fingerprint is None:
            digest = hashlib.sha256(json.dumps(self._config(), sort_keys=True).encode())
            tensors = self._hashed()
            for name in sorted(tensors):
                hash_tensor(digest.update, name, tensors[name])
            self._fingerprint = f"sha256:{digest.hexdigest()}"
        return self._fingerprint

    @abstractmethod
    def _config(self) -> dict[str, object]:
        """JSON-able: sizes and what else decides the activations."""

    @abstractmethod
    def _hashed(self) -> dict[str, Tensor]:
        """The tensors of the fingerprint, by name."""

    @abstractmethod
    def _place(self) -> tuple[torch.device, torch.dtype]:
        """Where and in what the encoder computes."""

    @abstractmethod
    def _codes(self, x: Tensor) -> SparseCodes: ...

    @abstractmethod
    def _dense(self, x: Tensor) -> Tensor: ...

    def _by_block(self, x: Tensor, encode: Callable[[Tensor], _Result], *, finite: bool = False) -> list[_Result]:
        """``encode`` of each block of rows on the encoder's device; one block at least, maybe empty.

        ``finite`` says that somebody else looks for NaN and infinity.
        """
        self._check_shape(x)
        device, dtype = self._place()
        height = max(1, len(x)) if self.contextual else _block_rows(device, self.d_sae)
        parts = []
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
            for start in range(0, max(1, x.shape[0]), height):
                block = x.narrow(0, start, min(height, len(x) - start)).detach().to(device, dtype)
                if not finite:
                    _check_finite(block, start)
                parts.append(encode(block))
        return parts

    def _check_shape(self, x: Tensor) -> None:
        hook = self.hook_name or "this dictionary's hook"
        if x.ndim != 2:
            raise InputError(f"activations at {hook} must be [n, d_in]; found a tensor of shape {list(x.shape)}")
        if x.shape[1] != self.d_in:
            raise InputError(
                f"the dictionary has d_in {self.d_in}, but the activations at {hook} are {x.shape[1]} wide: "
                "give it the activations that it was trained on (check model, layer and hook point)"
            )


@all_neutrally
class LinearDictionary(BlockDictionary):
    """An encoder of matrix products, made into a reused buffer, after an input map."""

    def __init__(self, input_map: InputMap, decoder: Decoder, shape: tuple[int, int]) -> None:
        super().__init__(decoder, shape)
        self._input_map = input_map
        self._buffers: list[Tensor] = []  # scratch not in use; pop and append are atomic, so threads may share this

    @property
    def centre(self) -> Tensor:
        """The decoder bias where it has the input's width and scale, else zeros ``[d_in]``."""
        bias = super().centre
        return bias if self._input_map.normalize == "none" else torch.zeros_like(bias)

    def output_scale(self, x: Tensor) -> Tensor | None:
        """See `Dictionary.output_scale`."""
        return None if self.writes_elsewhere else self._input_map.output_scale(x.to(self._weights()["W_enc"].dtype))

    def input_scale(self, x: Tensor) -> Tensor | None:
        """See `Dictionary.input_scale`."""
        return self._input_map.input_scale(x.to(self._weights()["W_enc"].dtype))

    def encoder_directions(self, features: Tensor) -> Tensor:
        """See `Dictionary.encoder_directions`."""
        W_enc = self._weights()["W_enc"]
        chosen = features.to(W_enc.device)
        directions = W_enc[:, chosen].T.float()
        factor = self._feature_scale()
        return self._input_map.centred(directions if factor is None else directions * factor[chosen, None].float())

    def _feature_scale(self) -> Tensor | None:
        """Factors ``[d_sae]`` on the features' pre-activations that are not in ``W_enc``, or None."""
        return None

    def pack(self, x: Tensor, room: int) -> PackedCodes | None:
        """`encode` that never waits for the device: neither looks for NaN in ``x`` nor asks how many firings there are.

        Args:
            x: ``[n, d_in]`` on a device of the dictionary's kind.
            room: firings a row, on average, that there is memory for.

        Returns:
            The codes, which may be short; None where there is no such way.

        Raises:
            InputError: a wrong width.
        """
        device, _ = self._place()
        sparse = 4 * room <= self.d_sae
        if x.device.type != device.type or self.contextual or not sparse or not has_static_selection(device):
            return None
        return packed(self._by_block(x, lambda block: (len(block), self._slots(block, room * len(block))), finite=True))

    @abstractmethod
    def _slots(self, x: Tensor, m: int) -> Slots:
        """What fires in a block, in at most ``m`` slots or as many as are needed in any case."""

    def __getstate__(self) -> dict[str, object]:
        """For pickling and copying: everything but the scratch memory."""
        return self.__dict__ | {"_buffers": []}

    @abstractmethod
    def _weights(self) -> dict[str, Tensor]:
        """The encoder's tensors, by name, ``W_enc [d_in, d_sae]`` among them."""

    def _hashed(self) -> dict[str, Tensor]:
        return self._weights() | {"W_dec": self._decoder.directions, "b_dec": self._decoder.bias}

    def _place(self) -> tuple[torch.device, torch.dtype]:
        weight = self._weights()["W_enc"]
        return weight.device, weight.dtype

    @contextmanager
    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Iterator[Tensor]:
        """`_matmul` in a reused buffer: fresh memory of this size costs as much time as the selection itself."""
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = x.new_empty(0, self.d_sae)
        if buffer.shape[0] < x.shape[0]:
            buffer = x.new_empty(x.shape[0], self.d_sae)
        yield _matmul(x, weight, bias, out=buffer.narrow(0, 0, x.shape[0]))
        self._buffers.append(buffer)


@all_neutrally
class SparseAutoencoder(LinearDictionary):
    """One encoder matrix and an activation function: standard, TopK, BatchTopK and JumpReLU SAEs.

    Args:
        W_enc: ``[d_in, d_sae]``.
        b_enc: ``[d_sae]``.
        activation: from pre-activations to activations.
        input_map: what happens before the encoder.
        decoder: directions, bias and facts.
        fused_bias: whether the bias is added within the product, as ``torch.nn.Linear`` does, or to its rounded result;
            the two can differ in the last bit.
    """

    def __init__(
        self,
        W_enc: Tensor,
        b_enc: Tensor,
        activation: Activation,
        input_map: InputMap,
        decoder: Decoder,
        *,
        fused_bias: bool = False,
    ) -> None:
        super().__init__(input_map, decoder, (W_enc.shape[0], W_enc.shape[1]))
        self._W_enc, self._b_enc, self._activation = W_enc, b_enc, activation
        self._within = b_enc if fused_bias else None  # added within the product ...
        self._after = torch.zeros_like(b_enc) if fused_bias else b_enc  # ... and after it

    def _config(self) -> dict[str, object]:
        return _common_config(self._W_enc, self._input_map) | self._activation.describe()

    def _weights(self) -> dict[str, Tensor]:
        return {"W_enc": self._W_enc, "b_enc": self._b_enc, **self._activation.tensors()}

    def _feature_scale(self) -> Tensor | None:
        return self._activation.tensors().get("scale")

    def _codes(self, x: Tensor) -> SparseCodes:
        x = self._input_map(x)
        with self._product(x, self._W_enc, self._within) as product:
            return self._activation.codes(product, self._after)

    def _slots(self, x: Tensor, m: int) -> Slots:
        with self._product(self._input_map(x), self._W_enc, self._within) as product:
            return self._activation.slots(product, self._after, m)

    def _dense(self, x: Tensor) -> Tensor:
        product = _matmul(self._input_map(x), self._W_enc, self._within)
        return self._activation.dense(product, self._after)


@all_neutrally
class GatedAutoencoder(LinearDictionary):
    """Gated SAE: one product decides what fires; the same with rescaled columns says how strongly.

    Args:
        W_enc: ``[d_in, d_sae]``.
        r_mag: ``[d_sae]``: the magnitude's weights are ``W_enc * exp(r_mag)``.
        b_gate: ``[d_sae]``.
        b_mag: ``[d_sae]``.
        input_map: what happens before the encoder.
        decoder: directions, bias and facts.
        rescale_product: whether the product is rescaled (dictionary_learning), or the weights before a second product
            (SAELens); the two can differ in the last bits.
    """

    def __init__(
        self,
        W_enc: Tensor,
        r_mag: Tensor,
        b_gate: Tensor,
        b_mag: Tensor,
        input_map: InputMap,
        decoder: Decoder,
        *,
        rescale_product: bool = False,
    ) -> None:
        super().__init__(input_map, decoder, (W_enc.shape[0], W_enc.shape[1]))
        self._W_enc, self._r_mag, self._b_gate, self._b_mag = W_enc, r_mag, b_gate, b_mag
        self._scale = r_mag.exp()
        self._W_mag = None if rescale_product else W_enc * self._scale

    def _config(self) -> dict[str, object]:
        return _common_config(self._W_enc, self._input_map) | {"activation": "gated"}

    def _weights(self) -> dict[str, Tensor]:
        return {"W_enc": self._W_enc, "r_mag": self._r_mag, "b_gate": self._b_gate, "b_mag": self._b_mag}

    def _feature_scale(self) -> Tensor | None:
        return self._scale

    def _codes(self, x: Tensor) -> SparseCodes:
        x = self._input_map(x)
        with self._product(x, self._W_enc) as gate:
            if self._W_mag is None:
                return rescaled_gate_codes(gate, self._b_gate, self._scale, self._b_mag)
            with self._product(x, self._W_mag) as magnitude:
                return gated_codes(gate, self._b_gate, magnitude, self._b_mag)

    def _slots(self, x: Tensor, m: int) -> Slots:
        return slots_of_dense(self._dense(x), m)

    def _dense(self, x: Tensor) -> Tensor:
        x = self._input_map(x)
        gate = x @ self._W_enc
        if self._W_mag is None:
            return rescaled_gate_dense(gate, self._b_gate, self._scale, self._b_mag)
        return gated_dense(gate, self._b_gate, x @ self._W_mag, self._b_mag)


def _matmul(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    """``x [n, d_in] @ weight [d_in, d_sae]``, the bias ``[d_sae]`` added before rounding where one is given."""
    return torch.mm(x, weight, out=out) if bias is None else torch.addmm(bias, x, weight, out=out)


def _common_config(W_enc: Tensor, input_map: InputMap) -> dict[str, object]:
    return {
        "d_in": W_enc.shape[0],
        "d_sae": W_enc.shape[1],
        "dtype": str(W_enc.dtype).removeprefix("torch."),
        "normalize_activations": input_map.normalize,
        "apply_b_dec_to_input": input_map.shift is not None,
    }


def _std(x: Tensor) -> Tensor:
    """Standard deviation ``[n]`` of each row, with n - 1; torch warns about a matrix without rows."""
    return x.std(dim=-1) if x.shape[0] else x.new_empty(0)


def _block_rows(device: torch.device, d_sae: int) -> int:
    """Rows that are multiplied at a time."""
    rows, elements = (BLOCK_ROWS, BLOCK_ELEMENTS) if device.type == "cpu" else (DEVICE_ROWS, DEVICE_ELEMENTS)
    return min(rows, max(64, elements // d_sae))


def _check_finite(x: Tensor, first_row: int) -> None:
    """Raises `InputError` for NaN or infinity; one sum in the ordinary case."""
    if bool(torch.isfinite(x.sum(dtype=torch.float32))) or bool(torch.isfinite(x).all()):
        return
    row = first_row + int(torch.nonzero(~torch.isfinite(x).all(dim=1))[0])
    raise InputError(f"the activations hold NaN or infinity, first in row {row}: is the model's dtype too narrow?")
