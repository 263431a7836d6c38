"""A tiny random model of every causal language model class of the installed transformers, and of some others.

A kind is a `model_type` (`"llama"`), or one with a word before it: `"multimodal:qwen2_vl"`, `"masked:bert"`,
`"base:llama"` (no head), `"variant:falcon-new"` (a type of which there are models wired in another way).
"""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from transformers.models.auto import modeling_auto as auto

from tests.models.zoo.notes import LOOK_AHEAD, NOTES, ZooNote
from tests.models.zoo.overrides import VARIANTS
from tests.models.zoo.pinned import PINNED
from tests.models.zoo.sizes import D_MODEL, N_LAYERS, N_VOCAB, TEXT, shrunk
from tests.models.zoo.weights import randomise

__all__ = [
    "D_MODEL",
    "LOOK_AHEAD",
    "NOTES",
    "N_LAYERS",
    "N_VOCAB",
    "PINNED",
    "ZooNote",
    "logits",
    "made_types",
    "model_class",
    "random_tokens",
    "tiny_config",
    "tiny_model",
    "zoo_types",
]

MULTIMODAL = dict(auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) | dict(auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES)
MASKED = ["albert", "bert", "deberta-v2", "distilbert", "electra", "eurobert", "modernbert", "mpnet", "nomic_bert"]
MASKED += ["roberta", "xlm-roberta"]
BASE = ["bert", "bloom", "falcon_mamba", "gemma2", "gpt2", "gpt_neox", "llama", "mixtral", "opt", "qwen3"]


def zoo_types() -> list[str]:
    """Every kind, those that can't be made included."""
    causal = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    multimodal = [f"multimodal:{kind}" for kind, name in MULTIMODAL.items() if causal.get(kind) != name]
    others = {"masked": MASKED, "base": BASE, "variant": VARIANTS}
    return [*causal, *multimodal, *(f"{head}:{kind}" for head, kinds in others.items() for kind in kinds)]


def made_types() -> list[str]:
    """The kinds of which `tiny_model` makes a model that runs on text."""
    return [kind for kind in zoo_types() if kind not in NOTES]


def model_class(kind: str) -> type[hf.PreTrainedModel]:
    """The class of transformers that a kind is made of."""
    head, model_type, _ = _parts(kind)
    names = {
        "": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "variant": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "multimodal": MULTIMODAL,
        "masked": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        "base": auto.MODEL_MAPPING_NAMES,
    }[head]
    cls: type[hf.PreTrainedModel] = getattr(hf, names[model_type])
    return cls


def _parts(kind: str) -> tuple[str, str, dict[str, Any]]:
    head, _, name = kind.rpartition(":")
    model_type, said = VARIANTS[name] if head == "variant" else (name, {})
    return head, model_type, said


def tiny_config(kind: str) -> hf.PreTrainedConfig:
    """The configuration of a kind: defaults of its class with small sizes."""
    head, model_type, said = _parts(kind)
    config = shrunk(hf.CONFIG_MAPPING[model_type], said=said)
    wanted = model_class(kind).config_class
    if not isinstance(config, wanted):  # the causal model is a part: its configuration is too
        config = next((part for part in vars(config).values() if isinstance(part, wanted)), config)
    if head == "" and hasattr(config, "is_decoder"):
        config.is_decoder = True
    return config


def tiny_model(kind: str, seed: int = 0) -> hf.PreTrainedModel:
    """The model of a kind: float32, CPU, evaluation mode, eager attention; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(kind)._from_config(tiny_config(kind), attn_implementation="eager", dtype=torch.float32)
        randomise(model)
    return model.float().eval()


def random_tokens(n_tokens: int, seed: int = 1) -> torch.Tensor:
    """Tokens of text, none of them special: [1, n_tokens]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(TEXT.start, TEXT.stop, (1, n_tokens), generator=generator)


@torch.no_grad()
def logits(model: hf.PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """What a model gives for tokens, without a cache: logits, or hidden states where it has no head."""
    output = model(input_ids=tokens, use_cache=False)
    found = output.logits if "logits" in output else output.last_hidden_state
    assert isinstance(found, torch.Tensor)
    return found
