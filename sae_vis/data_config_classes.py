"""The names that sae_vis 0.3 and 0.2 had in this module."""

from typing import Any

from sae_vis.compat import SaeVisConfig
from sae_vis.errors import InputError
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
    "SequencesConfig",
]


def SequencesConfig(*, stack_mode: str = "stack-all", **options: Any) -> SeqMultiGroupConfig:  # noqa: ANN401, N802
    """What sae_vis 0.2 called `SeqMultiGroupConfig`, with the options of that.

    Args:
        stack_mode: groups stand in one column, ``stack-all``.
        options: the others.

    Raises:
        InputError: another stack mode.
    """
    if stack_mode != "stack-all":
        raise InputError(
            f"SequencesConfig.stack_mode is {stack_mode!r}, but groups of examples stand in one column: leave it out, "
            "or give the component more width, Column(…, width=)"
        )
    return SeqMultiGroupConfig(**options)
