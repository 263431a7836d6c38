"""Any module with an ``encode`` and decoder directions, as a dictionary: activations are what its ``encode`` returns.

The module is run as it is: without gradients, in evaluation mode, on copies of the inputs, in its own dtype and on its
own device. Its mode and the random state are put back. Each block of rows passes through a dense matrix on the way,
because that is what ``encode`` returns; a format that is read by this package itself is quicker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, is_dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from sae_vis.errors import InputError
from sae_vis.models.forward import eval_mode
from sae_vis.models.wrapped import bare_modules, bare_name
from sae_vis.neutral import all_neutrally, neutrally
from sae_vis.saes.base import Dictionary, SparseCodes, dense_to_codes
from sae_vis.saes.linear import BlockDictionary, Decoder

_BIASES = ("b_dec", "decoder_bias", "pre_bias", "bias")
_WIDTHS = ("d_in", "activation_dim", "d_model", "n_inputs")
_ELSEWHERE = frozenset({"training", "device", "hook_name"})  # not what is computed


class Encoder(Protocol):
    """What a module must have: ``encode``. Decoder directions are looked for (`from_module`)."""

    def encode(self, x: Tensor, /) -> object:
        """Activations ``[n, d_sae]`` of ``x [n, d_in]``, or what `from_module` says it can read them from."""


@neutrally
def from_module(
    module: Encoder,
    *,
    decoder: Tensor | None = None,
    d_in: int | None = None,
    hook_name: str | None = None,
) -> Dictionary:
    """A dictionary whose activations are exactly what ``module.encode`` returns.

    ``encode`` returns activations ``[n, d_sae]``, or a tuple that begins with them, or an object with
    ``top_acts [n, k]`` and ``top_indices [n, k]``. Negative activations are kept.

    Args:
        module: a `torch.nn.Module`, or any object, with ``encode``.
        decoder: directions ``[d_sae, d_out]``; None: the module's ``W_dec``, ``decoder`` (both ``[d_sae, d_out]``) or
            ``decoder.weight`` of a linear layer (``[d_out, d_sae]``), the first that is there.
        d_in: width of the input; None: from ``W_enc``, ``encoder.weight``, or an attribute such as ``d_in``; where
            there is none, as wide as the decoder.
        hook_name: where the dictionary reads, or None.

    Returns:
        The dictionary.

    Raises:
        InputError: no ``encode``, no decoder directions, an ``encode`` that fails or returns something else.
    """
    if not callable(getattr(module, "encode", None)):
        raise InputError(f"{_name(module)} has no method encode; give a module with one, or tensors (from_tensors)")
    directions = _directions(module) if decoder is None else decoder
    if directions.ndim != 2:
        raise InputError(
            f"the decoder of {_name(module)} must be [d_sae, d_out]; found a tensor of shape {list(directions.shape)}"
        )
    directions = directions.detach().float()
    about: dict[str, object] = {"format": "module", "architecture": _name(module), "source": "memory"}
    parts = Decoder(directions=directions, bias=_bias(module, directions), hook_name=hook_name, facts=about)
    made = ModuleDictionary(module, parts, d_in or _width(module) or directions.shape[1])
    made.try_out()
    return made


@all_neutrally
class ModuleDictionary(BlockDictionary):
    """See `from_module`.

    Args:
        module: what encodes; kept, not copied.
        decoder: directions, bias and facts.
        d_in: width of the input.
    """

    def __init__(self, module: Encoder, decoder: Decoder, d_in: int) -> None:
        super().__init__(decoder, (d_in, decoder.directions.shape[0]))
        self._module = module

    def try_out(self) -> None:
        """Encode one vector of ones; raises `InputError` if that fails, or for another shape than ``[1, d_sae]``."""
        device, _ = self._place()
        try:
            self.encode_dense(torch.ones(1, self.d_in, device=device))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{_name(self._module)}.encode failed on a [1, {self.d_in}] tensor ({str(error)[:200]}); "
                "if that is not the width it takes, give d_in="
            ) from error

    def _config(self) -> dict[str, object]:
        return {
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            "dtype": str(self._place()[1]).removeprefix("torch."),
            "activation": "module",
            "module": _settings(self._module),
        }

    def _hashed(self) -> dict[str, Tensor]:
        return _tensors(self._module) | {"W_dec": self._decoder.directions, "b_dec": self._decoder.bias}

    def _place(self) -> tuple[torch.device, torch.dtype]:
        module = self._module
        tensors = module.parameters() if isinstance(module, nn.Module) else _tensors(module).values()
        found = next((tensor for tensor in tensors if tensor.is_floating_point()), self._decoder.directions)
        return found.device, found.dtype

    def _codes(self, x: Tensor) -> SparseCodes:
        return dense_to_codes(self._dense(x))

    def _encoded(self, x: Tensor) -> object:
        """What the module's ``encode`` returns for ``x [n, d_in]``, which it may write to."""
        return self._module.encode(x)

    def _dense(self, x: Tensor) -> Tensor:
        module = self._module
        evaluating = eval_mode(module) if isinstance(module, nn.Module) else nullcontext()
        with evaluating, _random_state_kept(x.device):
            returned = self._encoded(x.clone())
        acts = _activations(returned, self.d_sae)
        if acts is None or list(acts.shape) != [x.shape[0], self.d_sae]:
            raise InputError(
                f"{_name(self._module)}.encode returned {_shown(returned)}; expected activations of shape "
                f"[{x.shape[0]}, {self.d_sae}], since the decoder has {self.d_sae} directions"
            )
        if not bool(torch.isfinite(acts).all()):
            raise InputError(f"{_name(self._module)}.encode returned NaN or infinity")
        return acts


def _activations(returned: object, d_sae: int) -> Tensor | None:
    """The activations in what an ``encode`` returned, or None."""
    top_acts, top_indices = getattr(returned, "top_acts", None), getattr(returned, "top_indices", None)
    if isinstance(top_acts, Tensor) and isinstance(top_indices, Tensor):
        return top_acts.new_zeros(top_acts.shape[0], d_sae).scatter_(1, top_indices, top_acts)
    if isinstance(returned, tuple | list) and returned:
        return _activations(returned[0], d_sae)
    if not isinstance(returned, Tensor):
        return None
    return returned.to_dense() if returned.layout != torch.strided else returned


def _shown(returned: object) -> str:
    if isinstance(returned, Tensor):
        return f"a tensor of shape {list(returned.shape)}"
    if isinstance(returned, tuple | list) and returned:
        return f"a {type(returned).__name__} that begins with {_shown(returned[0])}"
    return f"a {type(returned).__name__}"


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def _directions(module: object) -> Tensor:
    weight = getattr(module, "W_dec", None)
    if isinstance(weight, Tensor):
        return weight
    part = getattr(module, "decoder", None)
    if isinstance(part, Tensor):
        return part
    weight = getattr(part, "weight", None)
    if isinstance(weight, Tensor):
        return weight.T
    raise InputError(
        f"{_name(module)} has no decoder directions that are known: looked for W_dec, decoder and decoder.weight; "
        "give them, [d_sae, d_out], as decoder="
    )


def _bias(module: object, directions: Tensor) -> Tensor:
    """The decoder's bias ``[d_out]``, of the usual names the first that fits, or zeros: sums are centred on it."""
    found = [getattr(module, name, None) for name in _BIASES]
    found.append(getattr(getattr(module, "decoder", None), "bias", None))
    shape = directions.shape[1:]
    fitting = (bias for bias in found if isinstance(bias, Tensor) and bias.shape == shape)
    return next(fitting, torch.zeros(shape, device=directions.device)).detach().float()


def _width(module: object) -> int | None:
    weight = getattr(module, "W_enc", None)
    if isinstance(weight, Tensor) and weight.ndim == 2:
        return weight.shape[0]
    weight = getattr(getattr(module, "encoder", None), "weight", None)
    if isinstance(weight, Tensor) and weight.ndim == 2:
        return weight.shape[1]
    widths = [getattr(place, name, None) for name in _WIDTHS for place in (module, getattr(module, "cfg", None))]
    return next((width for width in widths if isinstance(width, int)), None)


def _tensors(module: object) -> dict[str, Tensor]:
    """Weights by name: the state dictionary of a module, the attributes of another object."""
    if isinstance(module, nn.Module):
        return {bare_name(name): x for name, x in module.state_dict().items() if isinstance(x, Tensor)}
    return {name: value for name, value in _attributes(module).items() if isinstance(value, Tensor)}


def _attributes(module: object) -> dict[str, object]:
    return getattr(module, "__dict__", {})


def _settings(module: object) -> dict[str, object]:
    """Class and plain attributes (numbers, text) of a module, its configuration and its parts, for the fingerprint."""
    parts = bare_modules(module) if isinstance(module, nn.Module) else {"": module}
    return {name: {"class": type(part).__name__, **_plain(_attributes(part))} for name, part in parts.items()}


def _plain(attributes: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in sorted(attributes.items()):
        if name.startswith("_") or name in _ELSEWHERE:
            continue
        if isinstance(value, bool | int | float | str):
            found[name] = value
        elif is_dataclass(value) and not isinstance(value, type):
            found[name] = _plain(asdict(value))
    return found


def _name(module: object) -> str:
    return type(module).__name__
