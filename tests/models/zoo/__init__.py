"""A tiny random model of every causal language model class of the installed transformers, and of some others.

A kind is a `model_type` (`"llama"`), or one with a word before it: `"multimodal:qwen2_vl"`, `"masked:bert"`,
`"base:llama"` (no head).
"""

from __future__ import annotations

import torch
import transformers as hf
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto as auto

from tests.models.zoo.sizes import shrunk
from tests.models.zoo.weights import randomise

MULTIMODAL = dict(auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) | dict(auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES)
MASKED = "albert bert deberta-v2 distilbert electra eurobert modernbert mpnet nomic_bert roberta xlm-roberta".split()
BASE = "bert bloom falcon_mamba gemma2 gpt2 gpt_neox llama mixtral opt qwen3".split()


def zoo_types() -> list[str]:
    """Every kind, those that can't be made included."""
    causal = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    multimodal = [f"multimodal:{kind}" for kind, name in MULTIMODAL.items() if causal.get(kind) != name]
    return [*causal, *multimodal, *(f"masked:{kind}" for kind in MASKED), *(f"base:{kind}" for kind in BASE)]


def model_class(kind: str) -> type[PreTrainedModel]:
    """The class of transformers that a kind is made of."""
    head, _, model_type = kind.rpartition(":")
    names = {
        "": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "multimodal": MULTIMODAL,
        "masked": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        "base": auto.MODEL_MAPPING_NAMES,
    }[head]
    cls: type[PreTrainedModel] = getattr(hf, names[model_type])
    return cls


def tiny_config(kind: str) -> PreTrainedConfig:
    """The configuration of a kind: defaults of its class with small sizes."""
    model_type = kind.split(":")[-1]
    config = shrunk(CONFIG_MAPPING[model_type])
    wanted = model_class(kind).config_class
    if not isinstance(config, wanted):  # the causal model is a part: its configuration is too
        config = next((part for part in vars(config).values() if isinstance(part, wanted)), config)
    if ":" not in kind and hasattr(config, "is_decoder"):
        config.is_decoder = True
    return config


def tiny_model(kind: str, seed: int = 0) -> PreTrainedModel:
    """The model of a kind: float32, CPU, evaluation mode, eager attention; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(kind)._from_config(tiny_config(kind), attn_implementation="eager", dtype=torch.float32)
        randomise(model)
    return model.float().eval()
