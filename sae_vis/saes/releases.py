"""SAEs by the names of SAELens' directory of releases, through SAELens, which is imported only here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from sae_vis.errors import CheckpointError
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary
from sae_vis.saes.saelens_objects import from_sae_lens


@neutrally
def load_release(
    release: str, sae_id: str, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None
) -> Dictionary:
    """An SAE of a release, such as ``gpt2-small-res-jb`` and ``blocks.8.hook_resid_pre``.

    Args:
        release: name of the release in SAELens.
        sae_id: which SAE of it.
        dtype: of the computation; None: that of the SAE.
        device: where it goes; None: CPU.

    Raises:
        CheckpointError: SAELens is not installed, knows no such SAE, or can't load it.
    """
    try:
        sae_lens: Any = import_module("sae_lens")
    except ImportError as error:
        raise CheckpointError(
            f"{release}:{sae_id} is not a path here; as the name of a release it is loaded by SAELens, which is not "
            "installed: pip install sae-lens"
        ) from error
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            found = sae_lens.SAE.from_pretrained(release, sae_id, device=str(device or "cpu"))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"SAELens can't load {sae_id!r} of release {release!r}: {reason}") from error
    return from_sae_lens(found[0] if isinstance(found, tuple) else found, dtype=dtype)
