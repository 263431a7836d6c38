"""Dictionaries with a linear encoder: an input map, one or two matrix products, an activation function."""

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
from sae_vis.saes.activations import Activation, gated_codes, gated_dense
from sae_vis.saes.base import Dictionary, SparseCodes
from sae_vis.saes.selection import join_codes

_Result = TypeVar("_Result")
BLOCK_ROWS = 1024  # rows multiplied at a time: enough for a full-speed product ...
BLOCK_ELEMENTS = 1 << 25  # ... as long as pre-activations stay within so many (128 MB as float32)
_NORM_EPS = 1e-5  # SAELens' layer_norm
_HASH_ROWS = 1 << 22  # elements hashed at a time


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
            x = x / (x.std(dim=-1, keepdim=True) + _NORM_EPS)
        return x if self.shift is None else x - self.shift

    def output_scale(self, x: Tensor) -> Tensor | None:
        """The factor ``[n]`` that undoes the normalisation on the decoder's side, None where it is 1."""
        if self.normalize == "constant_norm_rescale":
            norms: Tensor = torch.linalg.vector_norm(x, dim=-1)
            return norms / math.sqrt(x.shape[-1])
        if self.normalize == "layer_norm":
            return x.std(dim=-1)
        return None


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """The way back, and what the checkpoint says about itself.

    Attributes:
        directions: ``[d_sae, d_out]``: what one unit of activation adds to the reconstruction.
        bias: ``[d_out]``.
        hook_name: where the dictionary reads, or None.
        facts: JSON-able, for the manifest; no part of the fingerprint.
    """

    directions: Tensor
    bias: Tensor
    hook_name: str | None = None
    facts: dict[str, object] = field(default_factory=dict)


class LinearDictionary(Dictionary):
    """Common part: blocks of rows through reused buffers, input checks, the fingerprint.

    Rows are multiplied `BLOCK_ROWS` at a time, by `encode` and `encode_dense` alike, so the two agree to the last bit.
    A row's activations can differ in the last bits between batches of different sizes, where the BLAS library chooses
    another kernel for another number of rows (seen with MKL for a few hundred rows; 512 and more gave equal bits).
    """

    def __init__(self, input_map: InputMap, decoder: Decoder, shape: tuple[int, int]) -> None:
        self.d_in, self.d_sae = shape
        self.hook_name = decoder.hook_name
        self._input_map = input_map
        self._decoder = decoder
        self._fingerprint: str | None = None
        self._buffers: list[Tensor] = []  # scratch not in use; pop and append are atomic, so threads may share this

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
        """The decoder bias where it has the input's width and scale, else zeros ``[d_in]``."""
        bias = self._decoder.bias
        if bias.shape[0] != self.d_in or self._input_map.normalize != "none":
            return torch.zeros(self.d_in, device=bias.device)
        return bias

    def output_scale(self, x: Tensor) -> Tensor | None:
        """See `Dictionary.output_scale`."""
        return self._input_map.output_scale(x.to(self._weights()["W_enc"].dtype))

    def describe(self) -> dict[str, object]:
        """Architecture, sizes, hook and the checkpoint's own metadata."""
        return {
            **self._config(),
            "hook_name": self.hook_name,
            "fingerprint": self.fingerprint(),
            **self._decoder.facts,
        }

    def fingerprint(self) -> str:
        """sha256 over the configuration that changes numbers, and the weights' values as float32."""
        if self._fingerprint is None:
            digest = hashlib.sha256(json.dumps(self._config(), sort_keys=True).encode())
            tensors = self._weights() | {"W_dec": self._decoder.directions, "b_dec": self._decoder.bias}
            for name in sorted(tensors):
                _hash_tensor(digest.update, name, tensors[name])
            self._fingerprint = f"sha256:{digest.hexdigest()}"
        return self._fingerprint

    def __getstate__(self) -> dict[str, object]:
        """For pickling and copying: everything but the scratch memory."""
        return self.__dict__ | {"_buffers": []}

    @abstractmethod
    def _config(self) -> dict[str, object]: ...

    @abstractmethod
    def _weights(self) -> dict[str, Tensor]: ...

    @abstractmethod
    def _codes(self, x: Tensor) -> SparseCodes: ...

    @abstractmethod
    def _dense(self, x: Tensor) -> Tensor: ...

    def _by_block(self, x: Tensor, encode: Callable[[Tensor], _Result]) -> list[_Result]:
        """``encode`` of the encoder's input for each block of rows; at least one block, which may be empty."""
        self._check_shape(x)
        weight = self._weights()["W_enc"]
        height = min(BLOCK_ROWS, max(64, BLOCK_ELEMENTS // self.d_sae))
        parts = []
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            for start in range(0, max(1, x.shape[0]), height):
                block = x[start : start + height].detach().to(weight.device, weight.dtype)
                _check_finite(block, start)
                parts.append(encode(self._input_map(block)))
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

    @contextmanager
    def _product(self, x: Tensor, weight: Tensor) -> Iterator[Tensor]:
        """``x @ weight`` in a reused buffer: fresh memory of this size costs as much time as the selection itself."""
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = x.new_empty(0, self.d_sae)
        if buffer.shape[0] < x.shape[0]:
            buffer = x.new_empty(x.shape[0], self.d_sae)
        yield torch.mm(x, weight, out=buffer[: x.shape[0]])
        self._buffers.append(buffer)


class SparseAutoencoder(LinearDictionary):
    """One encoder matrix and an activation function: standard, TopK, BatchTopK and JumpReLU SAEs.

    Args:
        W_enc: ``[d_in, d_sae]``.
        b_enc: ``[d_sae]``.
        activation: from pre-activations to activations.
        input_map: what happens before the encoder.
        decoder: directions, bias and facts.
    """

    def __init__(
        self, W_enc: Tensor, b_enc: Tensor, activation: Activation, input_map: InputMap, decoder: Decoder
    ) -> None:
        super().__init__(input_map, decoder, (W_enc.shape[0], W_enc.shape[1]))
        self._W_enc, self._b_enc, self._activation = W_enc, b_enc, activation

    def _config(self) -> dict[str, object]:
        return _common_config(self._W_enc, self._input_map) | self._activation.describe()

    def _weights(self) -> dict[str, Tensor]:
        return {"W_enc": self._W_enc, "b_enc": self._b_enc, **self._activation.tensors()}

    def _codes(self, x: Tensor) -> SparseCodes:
        with self._product(x, self._W_enc) as product:
            return self._activation.codes(product, self._b_enc)

    def _dense(self, x: Tensor) -> Tensor:
        return self._activation.dense(x @ self._W_enc, self._b_enc)


class GatedAutoencoder(LinearDictionary):
    """Gated SAE: one product decides what fires, a second one (the same weights, rescaled) says how strongly.

    Args:
        W_enc: ``[d_in, d_sae]``.
        r_mag: ``[d_sae]``: the magnitude's weights are ``W_enc * exp(r_mag)``.
        b_gate: ``[d_sae]``.
        b_mag: ``[d_sae]``.
        input_map: what happens before the encoder.
        decoder: directions, bias and facts.
    """

    def __init__(
        self, W_enc: Tensor, r_mag: Tensor, b_gate: Tensor, b_mag: Tensor, input_map: InputMap, decoder: Decoder
    ) -> None:
        super().__init__(input_map, decoder, (W_enc.shape[0], W_enc.shape[1]))
        self._W_enc, self._r_mag, self._b_gate, self._b_mag = W_enc, r_mag, b_gate, b_mag
        self._W_mag = W_enc * r_mag.exp()

    def _config(self) -> dict[str, object]:
        return _common_config(self._W_enc, self._input_map) | {"activation": "gated"}

    def _weights(self) -> dict[str, Tensor]:
        return {"W_enc": self._W_enc, "r_mag": self._r_mag, "b_gate": self._b_gate, "b_mag": self._b_mag}

    def _codes(self, x: Tensor) -> SparseCodes:
        with self._product(x, self._W_enc) as gate, self._product(x, self._W_mag) as magnitude:
            return gated_codes(gate, self._b_gate, magnitude, self._b_mag)

    def _dense(self, x: Tensor) -> Tensor:
        return gated_dense(x @ self._W_enc, self._b_gate, x @ self._W_mag, self._b_mag)


def _common_config(W_enc: Tensor, input_map: InputMap) -> dict[str, object]:
    return {
        "d_in": W_enc.shape[0],
        "d_sae": W_enc.shape[1],
        "dtype": str(W_enc.dtype).removeprefix("torch."),
        "normalize_activations": input_map.normalize,
        "apply_b_dec_to_input": input_map.shift is not None,
    }


def _check_finite(x: Tensor, first_row: int) -> None:
    """Raises `InputError` for NaN or infinity; one sum in the ordinary case."""
    if bool(torch.isfinite(x.sum(dtype=torch.float32))) or bool(torch.isfinite(x).all()):
        return
    row = first_row + int(torch.nonzero(~torch.isfinite(x).all(dim=1))[0])
    raise InputError(f"the activations hold NaN or infinity, first in row {row}: is the model's dtype too narrow?")


def _hash_tensor(update: Callable[[bytes], None], name: str, tensor: Tensor) -> None:
    """Name, shape and values as little-endian float32, a piece at a time."""
    update(f"{name}{list(tensor.shape)}".encode())
    flat = tensor.detach().reshape(-1)
    for start in range(0, flat.shape[0], _HASH_ROWS):
        update(flat[start : start + _HASH_ROWS].float().cpu().numpy().astype("<f4", copy=False).tobytes())
