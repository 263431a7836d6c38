"""Tiny random models of every architecture with hook names, each with awkward sizes and no weight at its default."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
import transformers as hf
from transformers import PreTrainedModel

N_LAYERS, N_VOCAB, D_MODEL = 3, 31, 12
IDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
GPT = {"n_layer": N_LAYERS, "n_head": 3, "n_embd": D_MODEL, "vocab_size": N_VOCAB, "n_positions": 16, **IDS}
COMMON = {
    "vocab_size": N_VOCAB,
    "hidden_size": D_MODEL,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    **IDS,
}
LLAMA = {**COMMON, "num_key_value_heads": 1, "head_dim": 6}  # n_heads * d_head is not d_model
GEMMA = {**LLAMA, "query_pre_attn_scalar": 6, "sliding_window": 4, "tie_word_embeddings": True}


def gemma3() -> PreTrainedModel:
    """The multimodal class that AutoModelForCausalLM may give for Gemma 3: the decoder is one level deeper."""
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    vision |= {"image_size": 8, "patch_size": 4}
    text = {**GEMMA, "final_logit_softcapping": None}
    config = hf.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=30)
    return hf.Gemma3ForConditionalGeneration(config)


def neox(parallel: bool) -> Callable[[], PreTrainedModel]:
    return lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**COMMON, use_parallel_residual=parallel))


BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT)),
    "gpt_neo": lambda: hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(
            vocab_size=N_VOCAB,
            hidden_size=D_MODEL,
            num_layers=N_LAYERS,
            num_heads=3,
            max_position_embeddings=16,
            attention_types=[[["global", "local", "global"], 1]],
            window_size=4,
            **IDS,
        )
    ),
    "gpt_neox-parallel": neox(parallel=True),
    "gpt_neox-sequential": neox(parallel=False),
    "gptj": lambda: hf.GPTJForCausalLM(hf.GPTJConfig(**GPT, rotary_dim=2, tie_word_embeddings=False)),
    "phi": lambda: hf.PhiForCausalLM(hf.PhiConfig(**COMMON)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**COMMON, num_key_value_heads=3)),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA, mlp_bias=True, attention_bias=True)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**LLAMA, sliding_window=4)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**COMMON, num_key_value_heads=1)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**LLAMA)),
    "smollm3": lambda: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**COMMON, num_key_value_heads=1)),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**COMMON, num_key_value_heads=1)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**LLAMA)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**GEMMA, final_logit_softcapping=2.0)),
    "gemma3_text": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**GEMMA)),
    "gemma3": gemma3,
}


@functools.cache
def built(kind: str) -> PreTrainedModel:
    """A model of that kind in evaluation mode; every weight random, so that no gain is 1 and no bias 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BUILDERS[kind]().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, mean=0.1, std=0.4)
    return model


def build(kind: str) -> PreTrainedModel:
    """A model of that kind that the test may do anything with."""
    try:
        return copy.deepcopy(built(kind))
    except AttributeError as error:
        if not str(error).startswith("module transformers has no attribute"):
            raise
        pytest.skip(f"transformers {hf.__version__} has no {kind}")
