"""v1"""
from __future__ import annotations

import dataclasses
import re
from typing import Any

import torch
import transformers as hf
from torch import nn
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto as auto

D_MODEL, N_LAYERS, N_VOCAB = 32, 3, 120
MULTIMODAL = "multimodal:"
MASKED = "masked:"
BASE = "base:"

SIZES: list[tuple[str, Any]] = [
    (r"vocab_size|decoder_vocab_size|vocab_size_per_layer_input|(text_)?vocab_size", N_VOCAB),
    (r"hidden_size|n_embd|d_model|emb_dim|embedding_dim|word_embed_proj_dim|lru_width|embed_dim|dim_model", D_MODEL),
    (r"backbone_hidden_size|out_hidden_size|projection_dim|projector_hidden_size|cross_attention_hidden_size|attention_hidden_size|dim", D_MODEL),
    (r"text_hidden_size|output_dim|input_dim|proj_dim|projector_dim|output_hidden_size|lm_hidden_size|vision_feature_dim", D_MODEL),
    (r"embedding_size|input_embedding_size|output_embedding_size", 24),
    (r"num_hidden_layers|n_layers?|num_layers|decoder_layers|encoder_layers|num_blocks|num_(en|de)coder_layers", N_LAYERS),
    (r"depth|num_layers_per_stack", 2),
    (r"num_attention_heads|n_heads?|num_heads|(en|de)coder_attention_heads|num_(en|de)coder_attention_heads|attention_heads|swa_num_attention_heads", 4),
    (r"num_key_value_heads|num_kv_heads|kv_n_heads|swa_num_key_value_heads|num_query_groups|num_global_key_value_heads", 2),
    (r"(swa_|global_)?head_dim|d_kv|kv_channels|attention_head_size|swa_v_head_dim", 16),
    (r"qk_nope_head_dim", 8), (r"qk_rope_head_dim", 8), (r"v_head_dim", 12),
    (r"qk_head_dim", 16),
    (r"q_lora_rank", 20), (r"kv_lora_rank", 16), (r"\w*lora_rank", 8),
    (r"intermediate_size|n_inner|(en|de)coder_ffn_dim|ffn_dim|ffn_hidden_size|d_ff|dim_ff|d_inner|feed_forward_size|dense_intermediate_size|intermediate_size_mlp", 56),
    (r"(moe|expert|shared|shared_expert|moe_shared_expert)_(intermediate|ffn_hidden)_size|ffn_dim_exp", 24),
    (r"num_experts|num_local_experts|n_routed_experts|moe_num_experts|zero_expert_num", 4),
    (r"num_experts_per_tok|num_experts_per_token|moe_topk|moe_top_k|moe_k|top_k_experts", 2),
    (r"num_shared_experts|n_shared_experts|moe_num_shared_experts", 1),
    (r"n_group|num_expert_group|n_groups", 2),
    (r"topk_group", 1),
    (r"first_k_dense_replace|num_dense_layers|moe_layer_start_index", 1),
    (r"max_position_embeddings|n_positions|n_ctx|max_seq_len|max_sequence_length|context_length|model_max_length|max_target_positions|max_source_positions|seq_length|original_max_position_embeddings|decoder_max_position_embeddings", 64),
    (r"sliding_window(_size)?|window_size|attention_window_size|local_attention|attention_chunk_size", 4),
    (r"mamba_d_state|ssm_state_size|state_size", 8), (r"time_step_rank|mamba_dt_rank", 4),
    (r"mamba_n_heads|mamba_num_heads|n_mamba_heads|linear_num_heads", 4),
    (r"mamba_d_head|mamba_head_dim|mamba_headdim", 16),
    (r"linear_num_key_heads", 2), (r"linear_num_value_heads", 4), (r"linear_(key_|value_)?head_dim", 8),
    (r"\w*chunk_size", 4),
    (r"rotary_dim", 4),
    (r"index_n_heads", 2), (r"index_head_dim", 16), (r"index_topk", 4),
    (r"hidden_size_per_layer_input", 8), (r"laurel_rank", 8),
    (r"embedding_multiplier", 2.5), (r"residual_multiplier", 0.6), (r"logits_scaling", 1.7), (r"attention_multiplier", 0.3),
    (r"lm_head_multiplier", 0.7), (r"attention_out_multiplier|ssm_out_multiplier", 0.8), (r"(key|attention_in|ssm_in)_multiplier", 1.2),
    (r"\w+_attn_(alpha|beta)_factor|mlp_(alpha|beta)_factor", 1.3), (r"logit_scale", 0.7), (r"logits_mup_width_multiplier", 1.5),
    (r"image_size", 16), (r"patch_size", 4),
]
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3, "sep_token_id": 4, "cls_token_id": 4}


GEMMA4 = {"global_head_dim": 32, "hidden_size_per_layer_input": 8}
OVERRIDES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention", "linear_attention"]},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 4, "attn_layer_offset": 2},
    "falcon_h1": {"mamba_d_ssm": 64, "mlp_multipliers": [0.9, 1.2], "ssm_multipliers": [0.9, 1.1, 1.2, 0.8, 1.3]},
    "gemma4_text": GEMMA4, "gemma4_unified_text": GEMMA4,
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": 56,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0]},
    "helium": {"head_dim": 8},
    "hunyuan_v1_dense": {"head_dim": 16}, "hunyuan_v1_moe": {"head_dim": 16, "num_experts": 4, "moe_topk": 2}, "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 2},
    "xlm": {"causal": True}, "xlnet": {"attn_type": "uni"},
    "reformer": {"axial_pos_embds_dim": (16, 16), "axial_pos_shape": (8, 8), "attn_layers": ["local", "lsh", "local"]},
    "xlstm": {"hidden_size": 64, "qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "qwen4_exp_text": {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 4, "indexer_compress_ratio": 2,
        "hc_lowrank": 8, "ple_layer_ids": [1], "ple_embed_dim": 32, "heads_per_ngram": 2, "ngram_vocab_size_base": 200, "split_ngram_parts": 4,
        "make_ngram_vocab_size_divisible_by": 4, "eos_token_id": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "max_window_layers": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"]},
    "longcat_flash": {"head_dim": 8, "num_layers": 2},
    "hrm_text": {"num_hidden_layers": 2, "num_layers_per_stack": None},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}},
}


def tiny(cls, config=None, overrides=None) -> PreTrainedConfig:
    overrides = dict(overrides or {})
    default = config if config is not None else cls()
    kwargs: dict[str, Any] = {}
    names = {f.name: f.default for f in dataclasses.fields(cls)}
    base = {f.name for f in dataclasses.fields(PreTrainedConfig)}
    special = N_VOCAB - 1
    for name in names:
        if name in base and name not in ("is_decoder",):
            continue
        value = vars(default).get(name)
        if isinstance(value, PreTrainedConfig):
            inner = overrides.pop(name, {})
            kwargs[name] = tiny(type(value), value, inner)
            continue
        if isinstance(value, bool) or value is None:
            continue
        if name in IDS and isinstance(value, (int, list)):
            kwargs[name] = IDS[name]
        elif re.fullmatch(r"\w+_(token_id|token_index|idx|index|token_ids)", name) and isinstance(value, int):
            if "altup" in name: continue
            kwargs[name] = special
            special -= 1
        elif isinstance(value, (int, float)):
            for pattern, size in SIZES:
                if re.fullmatch(pattern, name):
                    if value != 0:
                        kwargs[name] = size if re.search("intermediate|layers|multiplier|scal|factor", name) else min(size, int(value))
                    break
    n_default = getattr(default, "num_hidden_layers", None)
    if isinstance(n_default, int):
        lists = {n: getattr(default, n) for n in names if isinstance(getattr(default, n, None), (list, tuple))
                 and len(getattr(default, n)) == n_default and n_default > 4 or (n in ("layers_block_type", "layer_types", "mlp_layer_types") and isinstance(getattr(default, n, None), (list)))}
        if lists:
            keep = chosen(lists, n_default)
            for n, v in lists.items():
                kwargs[n] = [v[i] for i in keep]
            for n in ("num_hidden_layers", "n_layer", "num_layers", "n_layers"):
                if n in names and not isinstance(names[n], property):
                    kwargs[n] = len(keep)
    if kwargs.get("kv_lora_rank"):
        kwargs["num_key_value_heads"] = 4
    kwargs.update(OVERRIDES.get(cls.model_type, {}))
    kwargs.update(overrides)
    return cls(**kwargs)


def chosen(lists, n):
    kinds = list(zip(*(map(str, v) for v in lists.values())))
    n = len(kinds)
    first = {}
    for i, k in enumerate(kinds):
        first.setdefault(k, i)
    keep = sorted(first.values())
    for i in range(n):
        if len(keep) >= N_LAYERS: break
        if i not in keep: keep.append(i)
    return sorted(keep)


def zoo_types() -> list[str]:
    causal = list(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    multi = {**auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, **auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}
    multi = [MULTIMODAL + k for k, v in multi.items() if auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(k) != v]
    masked = [MASKED + k for k in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES]
    base = [BASE + k for k in ("llama", "gpt2", "mamba", "gemma2", "qwen3")]
    return causal + multi + masked + base


def tiny_config(kind: str) -> PreTrainedConfig:
    model_type = kind.split(":")[-1]
    cls = CONFIG_MAPPING[model_type]
    config = tiny(cls)
    if ":" not in kind:
        wanted = getattr(hf, auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]).config_class
        if not isinstance(config, wanted):
            config = next(c for c in vars(config).values() if isinstance(c, wanted))
    if ":" not in kind and hasattr(config, "is_decoder"):
        config.is_decoder = True
    return config


def tiny_model(kind: str, seed: int = 0) -> PreTrainedModel:
    config = tiny_config(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind.startswith(MULTIMODAL):
            name = {**auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, **auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}[kind.split(":")[1]]
            model = getattr(hf, name)._from_config(config, attn_implementation="eager", dtype=torch.float32)
        else:
            c = hf.AutoModelForMaskedLM if kind.startswith(MASKED) else hf.AutoModel if kind.startswith(BASE) else hf.AutoModelForCausalLM
            model = c.from_config(config, attn_implementation="eager", dtype=torch.float32)
        model = model.eval().float()
        randomise(model)
    return model


@torch.no_grad()
def randomise(model):
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            noise = torch.randn(p.shape)
            if isinstance(module, nn.Embedding):
                p.copy_(0.4 * noise)
            elif p.ndim >= 2 and not re.search(r"A_log|norm", name):
                p.copy_(noise / p.shape[-1] ** 0.5)
            else:
                p.add_(0.2 * noise)
