"""Gemma Scope checkpoints: ``params.npz`` with W_enc, b_enc, W_dec, b_dec and threshold.

JumpReLU as in the tutorial of their authors: ``pre = x @ W_enc + b_enc``, ``relu(pre)`` where ``pre > threshold``. The
decoder bias is not subtracted from the input. Transcoders have the same file and the same formula.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from sae_vis.neutral import neutrally
from sae_vis.saes.activations import JumpReLU
from sae_vis.saes.base import Dictionary
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from sae_vis.saes.weights import (
    check_dtype,
    check_names,
    check_tensor,
    converted,
    facts,
    matrix_shape,
    only_tensors,
    read_entries,
)

WEIGHTS_NAME = "params.npz"
TENSORS = frozenset({"W_enc", "b_enc", "W_dec", "b_dec", "threshold"})
_HOOKS = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}


@neutrally
def load_gemma_scope(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device | None = None
) -> Dictionary:
    """The dictionary in a Gemma Scope ``params.npz``.

    The file doesn't say where the dictionary reads. Where its path names release and layer, as in the repositories
    (``gemma-scope-2b-pt-res`` … ``layer_20/width_16k/average_l0_71``), the hook point is taken from that.

    Args:
        path: the file, or the folder it is in.
        dtype: of the computation: float32, float16 or bfloat16.
        device: where the weights go; None: CPU.

    Raises:
        CheckpointError: a missing or damaged file, Python objects in it, unknown names, shapes or values that can't be
            right.
        InputError: a dtype that is not supported.
    """
    check_dtype(dtype)
    path = Path(path)
    file = path / WEIGHTS_NAME if path.is_dir() else path
    stored = only_tensors(read_entries(file), file)
    check_names(stored, set(TENSORS), file, what="a Gemma Scope checkpoint")
    d_in, d_sae = matrix_shape("W_enc", stored["W_enc"], file)
    d_out = matrix_shape("W_dec", stored["W_dec"], file)[1]
    shapes = {"W_enc": [d_in, d_sae], "W_dec": [d_sae, d_out], "b_dec": [d_out]}
    for name, tensor in stored.items():
        check_tensor(name, tensor, shapes.get(name, [d_sae]), file, reason=f"W_enc is {[d_in, d_sae]}")
    weights = converted(stored, dtype, device or "cpu", file)
    decoder = Decoder(
        directions=weights["W_dec"].float(),
        bias=weights["b_dec"].float(),
        hook_name=_hook_name(file.absolute().as_posix()),
        facts=facts("gemma_scope", "jumprelu", file, stored["W_enc"], {}),
    )
    return SparseAutoencoder(weights["W_enc"], weights["b_enc"], JumpReLU(weights["threshold"]), InputMap(), decoder)


def _hook_name(path: str) -> str | None:
    """Attention and MLP outputs are read where SAELens says that Gemma Scope reads them."""
    release = re.search(r"gemma-scope-[\w.]+-(?:pt|it)-(res|mlp|att)(?:/|-all/)", path)
    layer = re.search(r"/layer_(\d+)/", path)
    return f"blocks.{layer.group(1)}.{_HOOKS[release.group(1)]}" if release and layer else None
