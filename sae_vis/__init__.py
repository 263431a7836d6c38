"""See what the features of a sparse autoencoder mean: an exact index in one pass, and pages that work offline."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sae_vis.api import ActivationFacts as ActivationFacts
    from sae_vis.api import ComputeSettings as ComputeSettings
    from sae_vis.api import FeatureCard as FeatureCard
    from sae_vis.api import FeatureSettings as FeatureSettings
    from sae_vis.api import Index as Index
    from sae_vis.api import SecondIndex as SecondIndex
    from sae_vis.api import convert_index as convert_index
    from sae_vis.api import index_activations as index_activations
    from sae_vis.api import index_features as index_features
    from sae_vis.api import index_layers as index_layers
    from sae_vis.api import index_several as index_several
    from sae_vis.api import keep_explanations as keep_explanations
    from sae_vis.api import make_map as make_map
    from sae_vis.api import save_compare_page as save_compare_page
    from sae_vis.api import save_feature_page as save_feature_page
    from sae_vis.api import save_prompt_page as save_prompt_page
    from sae_vis.boards.base import BoardGame as BoardGame
    from sae_vis.boards.othello import Othello as Othello
    from sae_vis.compat import CreateOptions as CreateOptions
    from sae_vis.compat import SaeVisConfig as SaeVisConfig
    from sae_vis.compat import SaeVisData as SaeVisData
    from sae_vis.config import IndexConfig as IndexConfig
    from sae_vis.config import Ranks as Ranks
    from sae_vis.config import RayWorkers as RayWorkers
    from sae_vis.corpus.mask import MaskConfig as MaskConfig
    from sae_vis.corpus.text import TokenText as TokenText
    from sae_vis.corpus.tokens import Corpus as Corpus
    from sae_vis.effects.probes import LinearProbe as LinearProbe
    from sae_vis.effects.reference import Reference as Reference
    from sae_vis.errors import SaeVisError as SaeVisError
    from sae_vis.index.explanation_files import read_explanations as read_explanations
    from sae_vis.index.explanations import Explanation as Explanation
    from sae_vis.index.push import push_index as push_index
    from sae_vis.layout import ActsByPositionConfig as ActsByPositionConfig
    from sae_vis.layout import ActsHistogramConfig as ActsHistogramConfig
    from sae_vis.layout import Column as Column
    from sae_vis.layout import CustomComponent as CustomComponent
    from sae_vis.layout import DecoderNormsConfig as DecoderNormsConfig
    from sae_vis.layout import FeatureQuery as FeatureQuery
    from sae_vis.layout import FeatureTablesConfig as FeatureTablesConfig
    from sae_vis.layout import LabelsConfig as LabelsConfig
    from sae_vis.layout import LogitsByPlaceConfig as LogitsByPlaceConfig
    from sae_vis.layout import LogitsHistogramConfig as LogitsHistogramConfig
    from sae_vis.layout import LogitsTableConfig as LogitsTableConfig
    from sae_vis.layout import ModelDiffConfig as ModelDiffConfig
    from sae_vis.layout import ProbeLogitsTablesConfig as ProbeLogitsTablesConfig
    from sae_vis.layout import PromptConfig as PromptConfig
    from sae_vis.layout import SaeVisLayoutConfig as SaeVisLayoutConfig
    from sae_vis.layout import SeqMultiGroupConfig as SeqMultiGroupConfig
    from sae_vis.layout import TopTokensConfig as TopTokensConfig
    from sae_vis.models.any_model import as_model as as_model
    from sae_vis.models.loading import load_model as load_model
    from sae_vis.models.loading import load_tokenizer as load_tokenizer
    from sae_vis.parts import ModelAndSae as ModelAndSae
    from sae_vis.saes.formats import load_dictionary as load_dictionary
    from sae_vis.saes.layers import load_dictionaries as load_dictionaries
    from sae_vis.saes.saelens_format import load_sae as load_sae
    from sae_vis.server.run import ServerSettings as ServerSettings
    from sae_vis.server.serve import serve as serve
    from sae_vis.site.build import SiteSettings as SiteSettings
    from sae_vis.site.build import save_site as save_site
    from sae_vis.views.compare import CompareSettings as CompareSettings
    from sae_vis.views.prompt import PromptSettings as PromptSettings
    from sae_vis.widget.explorer import Explorer as Explorer
    from sae_vis.widget.make import explore_index as explore_index
    from sae_vis.widget.make import prompt as prompt

__version__ = "1.0.0.dev0"

_HOMES = {
    "ActivationFacts": "api",
    "ActsByPositionConfig": "layout",
    "ActsHistogramConfig": "layout",
    "BoardGame": "boards.base",
    "Column": "layout",
    "CompareSettings": "views.compare",
    "ComputeSettings": "api",
    "Corpus": "corpus.tokens",
    "CreateOptions": "compat",
    "CustomComponent": "layout",
    "DecoderNormsConfig": "layout",
    "Explanation": "index.explanations",
    "FeatureCard": "api",
    "FeatureQuery": "layout",
    "FeatureSettings": "api",
    "FeatureTablesConfig": "layout",
    "Index": "api",
    "IndexConfig": "config",
    "LabelsConfig": "layout",
    "LinearProbe": "effects.probes",
    "LogitsByPlaceConfig": "layout",
    "LogitsHistogramConfig": "layout",
    "LogitsTableConfig": "layout",
    "MaskConfig": "corpus.mask",
    "ModelAndSae": "parts",
    "ModelDiffConfig": "layout",
    "Othello": "boards.othello",
    "ProbeLogitsTablesConfig": "layout",
    "PromptConfig": "layout",
    "PromptSettings": "views.prompt",
    "Ranks": "config",
    "RayWorkers": "config",
    "Reference": "effects.reference",
    "SaeVisConfig": "compat",
    "SaeVisData": "compat",
    "SaeVisError": "errors",
    "SaeVisLayoutConfig": "layout",
    "SecondIndex": "api",
    "SeqMultiGroupConfig": "layout",
    "ServerSettings": "server.run",
    "SiteSettings": "site.build",
    "TokenText": "corpus.text",
    "TopTokensConfig": "layout",
    "as_model": "models.any_model",
    "convert_index": "api",
    "explore_index": "widget.make",
    "index_activations": "api",
    "index_features": "api",
    "index_layers": "api",
    "index_several": "api",
    "keep_explanations": "api",
    "load_dictionaries": "saes.layers",
    "load_dictionary": "saes.formats",
    "load_model": "models.loading",
    "load_sae": "saes.saelens_format",
    "load_tokenizer": "models.loading",
    "make_map": "api",
    "prompt": "widget.make",
    "push_index": "index.push",
    "read_explanations": "index.explanation_files",
    "save_compare_page": "api",
    "save_feature_page": "api",
    "save_prompt_page": "api",
    "save_site": "site.build",
    "serve": "server.serve",
}
_OPTIONAL = {"Explorer": "widget.explorer"}
"""Names that need a package which is an extra."""
__all__ = sorted(_HOMES)  # noqa: PLE0605  a list, made from the table


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: importing the package itself stays light."""
    home = _HOMES.get(name) or _OPTIONAL.get(name)
    if home is None:
        raise AttributeError(f"module 'sae_vis' has no attribute {name!r}")
    return getattr(import_module(f"sae_vis.{home}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, *_OPTIONAL, "__version__"]
