"""Matrix products whose last bits depend on their shape, as on some machines, made visible on every machine.

A BLAS library chooses a kernel by the processor, the number of rows and the layout and alignment of the operands, and
kernels add in different orders. MKL's product of 1 to 3 rows differs in the last bits from the same rows of a larger
product, and from itself where an operand begins 4 or 8 bytes after a multiple of 16. `ShapeNoise` does that on purpose,
for all shapes. ``make test-kernels`` runs the tests that depend on kernels under it, under other instruction sets, and
with several numbers of threads.

So a test may ask for equal bits where both sides make the very same call (same shapes, same layout), or where the
product is exact in float32 (whole numbers, binary fractions: `binary`), since no order of additions changes that.
Anything else is compared within a bound, or in float64, whose rounding no bound here sees.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

VARIABLE = "SAE_VIS_SHAPE_NOISE"
"""Environment variable: 1 runs all tests under `ShapeNoise`."""
NOISE = 1e-6
"""Relative; some units in the last place of float32."""
ALIGNMENT = 16
"""Bytes: where in a block of so many an operand begins counts as its layout."""

_aten = torch.ops.aten
_PRODUCTS: dict[Any, Callable[..., Tensor]] = {
    _aten.mm: lambda a, b: a @ b,
    _aten.bmm: lambda a, b: a @ b,
    _aten.mv: lambda a, b: a @ b,
    _aten.dot: lambda a, b: a @ b,
    _aten.addmm: lambda bias, a, b: a @ b + bias,
    _aten.addmv: lambda bias, a, b: a @ b + bias,
    _aten.baddbmm: lambda bias, a, b: a @ b + bias,
}
"""Products, and each as plain operations on float64."""
_OF_PRODUCTS = {_aten.matmul, _aten.linear, _aten.einsum, _aten.scaled_dot_product_attention}
"""Taken apart first: in inference mode they arrive whole."""
_NEVER_EXACT = {_aten._scaled_dot_product_flash_attention_for_cpu, _aten.convolution}


class ShapeNoise(TorchDispatchMode):
    """Within it every product that rounds has relative noise of `NOISE`, a function of its operands' shapes and layout.

    What is exact stays as it is: where a product equals that in float64, or in half precision is that rounded once, no
    kernel would give anything else. Products in float64 and of sparse operands are left alone.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, packet = kwargs or {}, func.overloadpacket
        if packet in _OF_PRODUCTS:
            with self:
                return func.decompose(*args, **kwargs)
        plain = _PRODUCTS.get(packet) if not kwargs.keys() - {"out"} and all(map(_rounds, args)) else None
        wide = None if plain is None else plain(*(operand.double() for operand in args))
        found = func(*args, **kwargs)
        if wide is not None:
            _stir(found, args, (wide.float() != wide) | (found.double() != wide.to(found.dtype)))
        elif packet in _NEVER_EXACT and _rounds(args[0]):
            _stir(found[0] if isinstance(found, tuple) else found, args, None)
        return found


def _rounds(operand: object) -> bool:
    """Whether it is an ordinary tensor of float32 or less, with values."""
    return (
        isinstance(operand, Tensor)
        and not isinstance(operand, FakeTensor)
        and operand.layout == torch.strided
        and operand.dtype in {torch.float32, torch.float16, torch.bfloat16}
        and operand.device.type != "meta"
    )


def _stir(found: Tensor, operands: tuple[Any, ...], where: Tensor | None) -> None:
    """Puts noise on `found`, everywhere or where told."""
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    call = [(tuple(operand.shape), operand.stride(), operand.data_ptr() % ALIGNMENT) for operand in tensors]
    generator = torch.Generator().manual_seed(zlib.crc32(repr(call).encode()))
    noise = 1 + NOISE * (2 * torch.rand(found.shape, generator=generator, dtype=torch.float64, device="cpu") - 1)
    noisy = found.double() * noise
    found.copy_(noisy if where is None else torch.where(where, noisy, found.double()))


def binary(tensor: Tensor, places: int = 4) -> Tensor:
    """Values rounded to ``places`` binary places: products of few hundred of them are exact in float32."""
    return (tensor * 2**places).round() / 2**places


def rounding(values: Tensor | NDArray[Any], products: int) -> float:
    """How far apart results may be after so many products in turn: `NOISE` of the largest value for each of them."""
    return products * NOISE * float(abs(values).max())


def noise_everywhere() -> Callable[[], None]:
    """`ShapeNoise` in this thread and in all that are started from now on; returns what ends it."""
    own, run = ShapeNoise(), threading.Thread.run

    def noisy(thread: threading.Thread) -> None:
        with ShapeNoise():
            run(thread)

    def end() -> None:
        threading.Thread.run = run  # type: ignore[method-assign]
        own.__exit__(None, None, None)

    threading.Thread.run = noisy  # type: ignore[method-assign]
    own.__enter__()
    return end
