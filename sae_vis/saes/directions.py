"""Dictionaries that nobody trained as one: steering vectors, probes, neurons."""

from __future__ import annotations

import hashlib
from typing import NoReturn

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.base import HookPoint
from sae_vis.neutral import all_neutrally, neutrally
from sae_vis.saes.activations import JumpReLU, Linear
from sae_vis.saes.base import Dictionary, Endpoint, SparseCodes, dense_to_codes
from sae_vis.saes.linear import BlockDictionary, Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import check_dtype, check_tensor


@neutrally
def from_directions(
    directions: Tensor,
    bias: Tensor | None = None,
    *,
    signed: bool = False,
    hook_name: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Dictionary:
    """Steering vectors or probes as features: the activation of feature i is ``relu(x · directions[i] + bias[i])``.

    The decoder directions are the same vectors, so the logit lens shows what adding one does. They are not normalised:
    the activation of a vector of norm 1 is the length of the projection, that of a probe its logit.

    Args:
        directions: ``[n, d_in]``, one a row.
        bias: ``[n]``, added before the ReLU; None: zeros.
        signed: no ReLU, activations of either sign. These are dense: `Dictionary.encode` stores every one that is not
            0, so an index holds about one firing for each token and direction.
        hook_name: where the vectors belong, or None.
        dtype: of the computation: float32, float16 or bfloat16.

    Returns:
        The dictionary.

    Raises:
        CheckpointError: shapes that don't fit, NaN or infinity.
        InputError: no matrix, a dtype that is not supported.
    """
    check_dtype(dtype)
    if directions.ndim != 2:
        raise InputError(f"directions must be [n, d_in], one a row; found a tensor of shape {list(directions.shape)}")
    d_in = directions.shape[1]
    check_tensor("directions", directions, [len(directions), d_in], "these vectors", reason="one direction a row")
    offset = torch.zeros(len(directions), device=directions.device) if bias is None else bias.detach()
    check_tensor("bias", offset, [len(directions)], "these vectors", reason="one number for each direction")
    rows = directions.detach().to(dtype)
    offset = offset.to(rows.device, dtype)
    activation = Linear() if signed else JumpReLU(torch.zeros_like(offset))
    decoder = Decoder(
        directions=rows.float(),
        bias=torch.zeros(d_in, device=rows.device),
        hook_name=hook_name,
        facts={"format": "directions", "architecture": "signed" if signed else "relu", "source": "memory"},
    )
    return SparseAutoencoder(rows.T, offset, activation, InputMap(), decoder)


@all_neutrally
class DirectionsOnly(Dictionary):
    """Decoder directions whose activations were computed elsewhere: they write, and read nothing.

    Args:
        directions: ``[d_sae, d_out]``; None is refused.
        hook: where they are.

    Raises:
        InputError: no matrix, or another width than that of the hook point.
    """

    def __init__(self, directions: Tensor | None, hook: HookPoint) -> None:
        if directions is None or directions.ndim != 2 or directions.shape[1] != hook.d:
            found = "none" if directions is None else f"a tensor of shape {list(directions.shape)}"
            raise InputError(f"logit effects need decoder directions [d_sae, {hook.d}]; found {found}")
        self._directions = directions.detach().float()
        self.d_sae, self.d_in = (int(n) for n in directions.shape)
        self.hook_name = hook.name

    def encode(self, x: Tensor) -> NoReturn:
        """Raises `InputError`: there is no encoder."""
        raise InputError("these are directions without an encoder: their activations were computed elsewhere")

    def encode_dense(self, x: Tensor) -> NoReturn:
        """Raises `InputError`: there is no encoder."""
        self.encode(x)

    @property
    def decoder(self) -> Tensor:
        """The directions, float32."""
        return self._directions

    @property
    def centre(self) -> Tensor:
        """Zeros ``[d_out]``."""
        return torch.zeros(self.d_in, device=self._directions.device)

    def fingerprint(self) -> str:
        """``sha256:…`` of the directions."""
        values = self._directions.cpu().contiguous().numpy()
        return f"sha256:{hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()}"

    def describe(self) -> dict[str, object]:
        """Sizes."""
        return {"format": "directions", "architecture": "directions", "d_sae": self.d_sae, "d_in": self.d_in}


@neutrally
def from_neurons(d_in: int, *, hook_name: str | None = None, device: str | torch.device | None = None) -> Dictionary:
    """The neurons of a layer as features: the activation of feature i is ``x[i]`` where it is positive, else 0.

    Args:
        d_in: number of neurons.
        hook_name: where they are, such as ``blocks.3.mlp.hook_post``.
        device: of the activations; None: the CPU.

    Returns:
        The dictionary.

    Raises:
        InputError: ``d_in`` is not a positive number.
    """
    if d_in < 1:
        raise InputError(f"d_in must be the number of neurons, 1 or more; found {d_in}")
    return NeuronDictionary(d_in, hook_name, torch.device(device or "cpu"))


@all_neutrally
class NeuronDictionary(BlockDictionary):
    """See `from_neurons`. The identity matrix is made when `decoder` is first asked for, never to encode.

    Args:
        d_in: number of neurons.
        hook_name: where they are, or None.
        device: where they are read.
    """

    def __init__(self, d_in: int, hook_name: str | None, device: torch.device) -> None:
        zeros = torch.zeros(d_in, device=device)
        facts: dict[str, object] = {"format": "neurons", "architecture": "identity", "source": "memory"}
        parts = Decoder(directions=zeros.new_empty(0, d_in), bias=zeros, hook_name=hook_name, facts=facts)
        super().__init__(parts, (d_in, d_in))
        self._identity: Tensor | None = None

    @property
    def writes(self) -> tuple[Endpoint, ...]:
        """Where the neurons are."""
        return self.reads

    @property
    def decoder(self) -> Tensor:
        """The identity ``[d_in, d_in]`` float32."""
        if self._identity is None:
            self._identity = torch.eye(self.d_in, device=self._decoder.bias.device)
        return self._identity

    def encoder_directions(self, features: Tensor) -> Tensor:
        """Rows of the identity."""
        return nn.functional.one_hot(features.to(self._decoder.bias.device), self.d_in).float()

    def __getstate__(self) -> dict[str, object]:
        """For pickling and copying: everything but the identity matrix."""
        return self.__dict__ | {"_identity": None}

    def _config(self) -> dict[str, object]:
        return {"d_in": self.d_in, "d_sae": self.d_in, "dtype": "float32", "activation": "identity"}

    def _hashed(self) -> dict[str, Tensor]:
        return {}

    def _place(self) -> tuple[torch.device, torch.dtype]:
        return self._decoder.bias.device, torch.float32

    def _codes(self, x: Tensor) -> SparseCodes:
        return dense_to_codes(torch.relu(x))

    def _dense(self, x: Tensor) -> Tensor:
        return torch.relu(x)
