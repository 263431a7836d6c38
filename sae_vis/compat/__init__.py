"""The library under the names of sae_vis 0.3: `SaeVisData` and `SaeVisConfig`."""

from sae_vis.compat.config import SaeVisConfig
from sae_vis.compat.data import SaeVisData
from sae_vis.compat.options import CreateOptions

__all__ = ["CreateOptions", "SaeVisConfig", "SaeVisData"]
