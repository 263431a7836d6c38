"""Half-precision weights on a CPU: in float32, unless the processor has fast products of that dtype.

A processor without such instructions converts every operand, or multiplies one number at a time: a forward in float16
takes 3 to 7 times as long there as one in float32. What a processor can do is asked of it, not timed, so that a shell
and a notebook on one machine always decide alike.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

_LOG = logging.getLogger("sae_vis")
HALF = (torch.float16, torch.bfloat16)


def has_fast_products(dtype: torch.dtype) -> bool:
    """Whether this processor multiplies matrices of `dtype`, ``float16`` or ``bfloat16``, with its own instructions.

    On x86-64: AMX, or AVX-512 with FP16 or BF16; on Arm: the BF16 extension. Whatever torch can't tell counts as no.
    """
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return dtype == torch.bfloat16 and _says_yes(_mkldnn("_is_mkldnn_bf16_supported"))
    if dtype == torch.bfloat16:
        return _cpu("_is_avx512_bf16_supported") or _cpu("_is_amx_tile_supported")
    return _cpu("_is_amx_fp16_supported") or _says_yes(_mkldnn("_is_mkldnn_fp16_supported"))


def dtype_to_run(stored: torch.dtype, device: torch.device | str | None) -> torch.dtype:
    """The dtype in which weights of dtype `stored` run on a device (None: the CPU), where nothing else is asked for."""
    on_cpu = device is None or torch.device(device).type == "cpu"
    return torch.float32 if on_cpu and stored in HALF and not has_fast_products(stored) else stored


def say_widened(name: str, stored: torch.dtype) -> None:
    """One line: which model runs in float32, why, and how to have it otherwise."""
    kind = str(stored).removeprefix("torch.")
    _LOG.warning(
        "%s is stored in %s, which this processor multiplies slowly: it runs in float32 "
        '(dtype="%s", --dtype %s, runs it as stored)',
        name,
        kind,
        kind,
        kind,
    )


@cache
def say_if_slow(name: str, dtype: torch.dtype, device: torch.device) -> None:
    """One line, once, about a model in memory, which is used as it is, where another dtype would be quicker."""
    if dtype_to_run(dtype, device) != dtype:
        kind = str(dtype).removeprefix("torch.")
        _LOG.warning("the %s given is in %s, which this processor multiplies slowly: float32 is faster", name, kind)


def _cpu(name: str) -> bool:
    return _says_yes(getattr(torch.cpu, name, None))


def _mkldnn(name: str) -> Callable[[], Any] | None:
    return getattr(torch.ops.mkldnn, name, None)


def _says_yes(ask: Callable[[], Any] | None) -> bool:
    return ask is not None and bool(ask())
