"""What the rules of `sizes.py` can't know, by the `model_type` of the configuration, nested ones included."""

from __future__ import annotations

from typing import Any

_MAMBA_AND_ATTENTION = ["linear_attention", "full_attention", "linear_attention"]
_MAMBA_AND_HYBRID = ["linear_attention", "hybrid"] * 2  # two hybrids, so that there is something to share
_GEMMA4 = {"global_head_dim": 32, "hidden_size_per_layer_input": 8}
_MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}

OVERRIDES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _MROPE}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "deepseek_v2": {"n_routed_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1}
    | {"max_window_layers": 2},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_d_head": 32, "mlp_multipliers": [0.9, 1.2]}
    | {"ssm_multipliers": [0.9, 1.1, 1.2, 0.8, 1.3]},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": 88}
    | {"layer_types": ["sliding_attention", "full_attention"] * 2, "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0]},
    "gemma4_text": _GEMMA4,
    "gemma4_unified_text": _GEMMA4,
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "granitemoehybrid": {"layer_types": _MAMBA_AND_ATTENTION},
    "helium": {"head_dim": 16},
    "hrm_text": {"num_hidden_layers": 2, "num_layers_per_stack": None},
    "hunyuan_v1_dense": {"head_dim": 24},
    "hunyuan_v1_moe": {"head_dim": 24, "num_experts": 4, "moe_topk": 2},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 4, "attn_layer_offset": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"]},
    "llama4_text": {"interleave_moe_layer_step": 2},
    "longcat_flash": {"head_dim": 16, "num_layers": 2},
    "ministral": {"head_dim": 24},
    "nemotron": {"num_key_value_heads": 2},
    "qwen4_exp_text": {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 4}
    | {"indexer_compress_ratio": 2, "ple_layer_ids": [1], "ple_embed_dim": 32, "heads_per_ngram": 2, "eos_token_id": 2}
    | {"ngram_vocab_size_base": 200, "split_ngram_parts": 4, "make_ngram_vocab_size_divisible_by": 4},
    "reformer": {"axial_pos_embds_dim": (24, 40), "axial_pos_shape": (8, 10), "attn_layers": ["local", "lsh", "local"]},
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni"},
    "xlstm": {"qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": _MAMBA_AND_HYBRID},
    "zamba2": {"num_hidden_layers": 4, "layers_block_type": _MAMBA_AND_HYBRID},
}
