"""Layouts: what a page shows and where. Columns, from left to right, of components, each with options.

A layout is plain frozen data. Views read it to know what to compute (`SaeVisLayoutConfig.find`), pages read it to know
what to draw (`SaeVisLayoutConfig.to_spec`). Every option carries its meaning, which `SaeVisLayoutConfig.help` prints.
A component of your own derives from `CustomComponent`.
"""

from __future__ import annotations

from sae_vis.layout.base import Component as Component
from sae_vis.layout.base import option as option
from sae_vis.layout.columns import Column as Column
from sae_vis.layout.columns import SaeVisLayoutConfig as SaeVisLayoutConfig
from sae_vis.layout.components import ActsByPositionConfig as ActsByPositionConfig
from sae_vis.layout.components import ActsHistogramConfig as ActsHistogramConfig
from sae_vis.layout.components import DecoderNormsConfig as DecoderNormsConfig
from sae_vis.layout.components import FeatureTablesConfig as FeatureTablesConfig
from sae_vis.layout.components import LabelsConfig as LabelsConfig
from sae_vis.layout.components import LogitsByPlaceConfig as LogitsByPlaceConfig
from sae_vis.layout.components import LogitsHistogramConfig as LogitsHistogramConfig
from sae_vis.layout.components import LogitsTableConfig as LogitsTableConfig
from sae_vis.layout.components import ModelDiffConfig as ModelDiffConfig
from sae_vis.layout.components import ProbeLogitsTablesConfig as ProbeLogitsTablesConfig
from sae_vis.layout.components import PromptConfig as PromptConfig
from sae_vis.layout.components import SeqMultiGroupConfig as SeqMultiGroupConfig
from sae_vis.layout.components import TopTokensConfig as TopTokensConfig
from sae_vis.layout.custom import CustomComponent as CustomComponent
from sae_vis.layout.custom import FeatureQuery as FeatureQuery
