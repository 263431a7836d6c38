"""The names that sae_vis 0.3 had in this module."""

from sae_vis.facade import SaeVisData

__all__ = ["SaeVisData"]
