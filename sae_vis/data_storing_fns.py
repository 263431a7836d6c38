"""The names that sae_vis 0.3 had in this module."""

from sae_vis.compat import SaeVisData

__all__ = ["SaeVisData"]
