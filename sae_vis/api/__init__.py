"""The library in a few calls: build or open an index, write pages from it."""

from sae_vis.api.activations import index_activations
from sae_vis.api.card import FeatureCard, FeatureStats
from sae_vis.api.compare_pages import save_compare_page
from sae_vis.api.explanations import keep_explanations
from sae_vis.api.feature_pages import save_feature_page
from sae_vis.api.index import Index
from sae_vis.api.indices import convert_index, index_features, index_layers, index_several
from sae_vis.api.maps import make_map
from sae_vis.api.options import ActivationFacts, ComputeSettings, FeatureSettings, SecondIndex
from sae_vis.api.prompt_pages import save_prompt_page
from sae_vis.api.prompts import mask_of, single_token, token_ids
from sae_vis.api.sources import reference_of
from sae_vis.parts import ModelAndSae
from sae_vis.views.prompt import Prompt

__all__ = [
    "ActivationFacts",
    "ComputeSettings",
    "FeatureCard",
    "FeatureSettings",
    "FeatureStats",
    "Index",
    "ModelAndSae",
    "Prompt",
    "SecondIndex",
    "convert_index",
    "index_activations",
    "index_features",
    "index_layers",
    "index_several",
    "keep_explanations",
    "make_map",
    "mask_of",
    "reference_of",
    "save_compare_page",
    "save_feature_page",
    "save_prompt_page",
    "single_token",
    "token_ids",
]
