"""The names that sae_vis 0.3 had in this module."""

from sae_vis.facade import SaeVisConfig
from sae_vis.layout import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    ProbeLogitsTablesConfig,
    PromptConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
)

__all__ = [
    "ActsHistogramConfig",
    "Column",
    "FeatureTablesConfig",
    "LogitsHistogramConfig",
    "LogitsTableConfig",
    "ProbeLogitsTablesConfig",
    "PromptConfig",
    "SaeVisConfig",
    "SaeVisLayoutConfig",
    "SeqMultiGroupConfig",
]
