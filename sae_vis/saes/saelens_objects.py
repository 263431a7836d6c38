"""SAELens SAEs in memory: any class of the package, used as it is and left as it is. SAELens is not imported here.

Classes whose arithmetic we know are read like the checkpoint that they would write, and encoded sparsely. All others
(temporal, matching pursuit, classes of the user's own, SAEs with hooks on them) go through their own ``encode``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from sae_vis.errors import CheckpointError, InputError
from sae_vis.neutral import all_neutrally, neutrally
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, InputMap
from sae_vis.saes.module import Encoder, ModuleDictionary
from sae_vis.saes.saelens_config import parse_config
from sae_vis.saes.saelens_format import from_parts

_HALVES_TOO = (torch.float32, torch.bfloat16, torch.float16)


class SaeLensSae(Protocol):
    """The part of a ``sae_lens.SAE`` in memory that is needed."""

    @property
    def cfg(self) -> _Config:
        """Its configuration."""

    def state_dict(self) -> dict[str, Tensor]:
        """Its weights."""

    def encode(self, x: Tensor) -> Tensor:
        """Its activations."""


class _Config(Protocol):
    def to_dict(self) -> dict[str, object]: ...


@neutrally
def from_sae_lens(sae: SaeLensSae, *, dtype: torch.dtype | None = None) -> Dictionary:
    """The dictionary of a SAELens SAE in memory: its activations are its ``encode``'s, on the same rows bit for bit.

    The SAE is neither modified nor moved nor put into another mode, and the random state is left alone. Weights are
    shared, not copied. A training SAE counts as the one it would save for inference.

    Args:
        sae: an object of any class of the package, or of one made from them.
        dtype: of the computation; None: the SAE's own.

    Returns:
        The dictionary.

    Raises:
        CheckpointError: weights that can't be right.
        InputError: another dtype for an SAE that only its own ``encode`` can read; an ``encode`` that fails.
    """
    weights = {name: tensor.detach() for name, tensor in sae.state_dict().items()}
    own = weights["W_dec"].dtype
    if _is_plain(sae) and (dtype or own) in _HALVES_TOO:
        return from_parts(sae.cfg.to_dict(), weights, "this SAELens SAE", dtype=dtype)
    if dtype not in {None, own}:
        raise InputError(
            f"{type(sae).__name__} is encoded by its own encode, in {own}; for {dtype} convert it: sae.to({dtype})"
        )
    made = SaeLensDictionary(sae)
    made.try_out()
    return made


def _is_plain(sae: SaeLensSae) -> bool:
    """Whether the arithmetic is known: a class of the package, an architecture and settings of ours, no hooks."""
    if not type(sae).__module__.startswith("sae_lens."):
        return False
    if any(part._forward_hooks or part._forward_pre_hooks for part in cast("nn.Module", sae).modules()):
        return False
    try:
        parse_config(sae.cfg.to_dict(), "this SAELens SAE")
    except CheckpointError:
        return False
    return True


@all_neutrally
class SaeLensDictionary(ModuleDictionary):
    """An SAE of SAELens through its own ``encode``; see `from_sae_lens`.

    What ``encode`` leaves behind on the object (norms of the last input, shapes of heads) is taken away again.

    Args:
        sae: kept, not copied.
    """

    def __init__(self, sae: SaeLensSae) -> None:
        config: Any = sae.cfg
        found = config.to_dict()
        metadata = found.get("metadata") or {}
        elsewhere = hasattr(config, "d_out")
        about: dict[str, object] = {"format": "saelens", "architecture": str(found.get("architecture")), **metadata}
        directions = _directions(sae, config)
        bias = cast("Any", sae).b_dec.detach().float()
        decoder = Decoder(
            directions=directions,
            bias=bias,
            hook_name=metadata.get("hook_name"),
            facts={**about, "source": "memory"},
            elsewhere=elsewhere,
            hook_name_out=metadata.get("hook_name_out") if elsewhere else None,
        )
        super().__init__(cast("Encoder", sae), decoder, int(config.d_in))
        self.contextual = hasattr(sae, "attn_layers")  # a temporal SAE attends to the tokens before
        self._normalize = str(found.get("normalize_activations", "none"))

    def output_scale(self, x: Tensor) -> Tensor | None:
        """See `Dictionary.output_scale`."""
        return None if self.writes_elsewhere else InputMap(normalize=self._normalize).output_scale(x)

    def _encoded(self, x: Tensor) -> object:
        sae: Any = self._module
        with _attributes_kept(sae):
            if self.contextual:
                return sae.encode(x[None])[0]
            heads = getattr(sae, "hook_z_reshaping_mode", False)
            return sae.encode(x[:, None] if heads else x)


@contextmanager
def _attributes_kept(module: object) -> Iterator[None]:
    """Plain attributes that are set, replaced or deleted meanwhile are as before in the end."""
    attributes = vars(module)
    before = dict(attributes)
    try:
        yield
    finally:
        for name in attributes.keys() - before.keys():
            del attributes[name]
        attributes.update({name: value for name, value in before.items() if attributes.get(name) is not value})


def _directions(sae: object, config: Any) -> Tensor:  # noqa: ANN401 (a SAELens configuration)
    """What one unit of activation adds, ``[d_sae, d_out]`` float32: what ``decode`` does to the rows of ``W_dec``."""
    directions: Tensor = cast("Any", sae).W_dec.detach().float()
    if getattr(config, "rescale_acts_by_decoder_norm", False):
        directions = directions / directions.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    if getattr(config, "normalize_activations", "none") == "constant_scalar_rescale":
        directions = directions / float(config.activation_normalization_factor)
    return directions
