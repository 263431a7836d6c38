"""What the rules of `sizes.py` can't know, by the `model_type` of the configuration, nested ones included."""

from __future__ import annotations

from typing import Any

_MAMBA_AND_ATTENTION = ["linear_attention", "full_attention", "linear_attention"]
_MAMBA_AND_HYBRID = ["linear_attention", "hybrid"] * 2  # two hybrids, so that there is something to share
_GEMMA4 = {"global_head_dim": 32, "hidden_size_per_layer_input": 8}
_MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
_DOTS3_SLIDING = {"num_attention_heads": 4, "num_key_value_heads": 4, "q_lora_rank": 20, "kv_lora_rank": 12} | {
    "head_dim": 32,
    "qk_nope_head_dim": 16,
    "v_head_dim": 24,
}

OVERRIDES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "blt": {
        "encoder_hash_byte_group_vocab": 50,
        "encoder_hash_byte_group_size": [3, 4],
        "local_attention_window_len": 8,
    },
    "chameleon": {"vocabulary_map": {"<image>": 119}},
    "chameleon_vqgan": {"num_embeddings": 64, "latent_channels": 32, "channel_multiplier": [1, 1], "num_res_blocks": 1},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _MROPE}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse", "sparse"], "num_experts_per_tok": 2},
    "deepseek_v2": {"n_routed_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "diffusion_gemma_text": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 40, "global_head_dim": 32},
    "distilbert": {"hidden_dim": 88},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1}
    | {"max_window_layers": 2},
    "dots3_note_text": {f"swa_{name}": size for name, size in _DOTS3_SLIDING.items()},
    "emu3": {"vocabulary_map": {"<image>": 119, "<|extra_200|>": 118}},
    "emu3_vqgan": {"codebook_size": 64, "num_res_blocks": 1, "channel_multiplier": [1, 1], "embed_dim": 8},
    "ernie4_5_vl_moe_text": {
        "rope_parameters": _MROPE | {"mrope_section": [3, 3, 2]},
        "moe_intermediate_size": [40, 48],
    },
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_d_head": 32, "mlp_multipliers": [0.9, 1.2]}
    | {"ssm_multipliers": [0.9, 1.1, 1.2, 0.8, 1.3]},
    "florence_vision": {"depths": [1, 1], "embed_dim": [32, 64], "num_heads": [2, 2], "num_groups": [2, 2]}
    | {"patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True]},
    "fun_asr_nano": {"adaptor_config": {"hidden_size": 64, "intermediate_size": 16, "num_attention_heads": 4}},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": 88}
    | {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0],
    },
    "gemma4_text": _GEMMA4,
    "gemma4_unified_text": _GEMMA4,
    "glm5_next_text": {"index_kpool": 2},
    "got_ocr2_vision": {"output_channels": 32},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "granite4_vision": {"downsample_rate": "1/2", "deepstack_layer_map": [[-2, 1]]},
    "granitemoehybrid": {"layer_types": _MAMBA_AND_ATTENTION},
    "helium": {"head_dim": 16},
    "hrm_text": {"num_hidden_layers": 2, "num_layers_per_stack": None},
    "hunyuan_v1_dense": {"head_dim": 24},
    "hunyuan_v1_moe": {"head_dim": 24, "num_experts": 4, "moe_topk": 2},
    "hunyuan_vl_text": {"head_dim": 16},
    "hunyuan_vl_vision": {"max_image_size": 64, "img_max_token_num": 16, "max_vit_seq_len": 16},
    "inkling_vision": {"num_hidden_layers": 6, "patch_size": 4},
    "inkling2_text": {"n_layers_per_attn_res_block": 2},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 4, "attn_layer_offset": 2},
    "janus_vqgan": {"num_embeddings": 64, "latent_channels": 32, "channel_multiplier": [1, 1], "num_res_blocks": 1},
    "laguna": {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}
    | {"num_attention_heads_per_layer": [4, 6, 4]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"]},
    "llama4_text": {"interleave_moe_layer_step": 2},
    "longcat_flash": {"head_dim": 16, "num_layers": 2},
    "mamba2": {"head_dim": 32},
    "mimi": {"upsample_groups": 64, "num_filters": 4},
    "minicpm3": {"dim_model_base": 48},
    "minimax_m3_vl_text": {"layer_types": ["full_attention", "minimax_m3_sparse", "full_attention"]}
    | {"mlp_layer_types": ["dense", "sparse", "sparse"], "index_block_size": 4, "index_topk_blocks": 2},
    "ministral": {"head_dim": 24},
    "mllama_text_model": {"num_hidden_layers": 4, "cross_attention_layers": [1]},  # skipped where there is no image
    "molmo2_adapter": {"vision_feature_layer": [1, 0]},
    "muse_spark_audio": {"num_hidden_layers": 4, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "muse_spark_text": {"moe_hidden_size": 48},
    "musicgen_decoder": {"num_codebooks": 1},
    "musicgen_melody_decoder": {"num_codebooks": 1},
    "nemotron": {"num_key_value_heads": 2},
    "paddleocr_vl_text": {"rope_parameters": _MROPE, "head_dim": 16},
    "phi4_multimodal_audio": {
        "ext_pw_out_channel": 64,
        "depthwise_separable_out_channel": 64,
        "nemo_conv_channels": 64,
    },
    "qwen2_5_omni_bigvgan": {"upsample_initial_channel": 64},
    "qwen4_exp_text": {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 24, "indexer_budget": 4}
    | {"indexer_compress_ratio": 2, "ple_layer_ids": [1], "ple_embed_dim": 32, "heads_per_ngram": 2, "eos_token_id": 2}
    | {"ngram_vocab_size_base": 200, "split_ngram_parts": 4, "make_ngram_vocab_size_divisible_by": 4},
    "radio": {"max_img_size": 64, "video_temporal_patch_size": 2},
    "reformer": {"axial_pos_embds_dim": (24, 40), "axial_pos_shape": (8, 10), "attn_layers": ["local", "lsh", "local"]},
    "rwkv": {"rescale_every": 2},  # real models halve the residual stream after every 6 of many layers
    "sam_vision_model": {"output_channels": 32},
    "step3p5": {"sliding_window": 4},
    "unlimited_ocr_text": {"num_key_value_heads": 4},
    "vibevoice_acoustic_tokenizer_encoder": {"num_filters": 4, "depths": [1, 1, 1], "downsampling_ratios": [2, 2]},
    "vibevoice_asr": {"acoustic_tokenizer_chunk_size": 4},
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni"},
    "xlstm": {"qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"attention_hidden_size": 128, "num_hidden_layers": 4, "layers_block_type": _MAMBA_AND_HYBRID},
    "zamba2": {"num_hidden_layers": 4, "layers_block_type": _MAMBA_AND_HYBRID},
}

# Types of which there are models wired in another way: name of the variant, type, what the configuration says.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom-residual-after-norm": ("bloom", {"apply_residual_connection_post_layernorm": True}),
    "cohere-qk-norm": ("cohere", {"use_qk_norm": True}),
    "falcon-alibi": ("falcon", {"alibi": True}),
    "falcon-new": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-sequential": ("falcon", {"parallel_attn": False, "bias": True}),
    "gemma2-uncapped": ("gemma2", {"final_logit_softcapping": None, "attn_logit_softcapping": None}),
    "gemma3-capped": ("gemma3_text", {"final_logit_softcapping": 2.0}),
    "gemma4-experts": (
        "gemma4_text",
        {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2}
        | {"moe_intermediate_size": 40, "hidden_size_per_layer_input": 0, "final_logit_softcapping": 2.0},
    ),
    "gemma4-shared-keys": (
        "gemma4_text",
        {"num_hidden_layers": 4, "num_kv_shared_layers": 2}
        | {
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "attention_k_eq_v": True,
            "use_double_wide_mlp": True,
        },
    ),
    "gpt_bigcode-many-keys": ("gpt_bigcode", {"multi_query": False}),
    "gpt_neox-sequential": ("gpt_neox", {"use_parallel_residual": False}),
    "llama-biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "mpt-no-alibi": ("mpt", {"attn_config": {"alibi": False, "qk_ln": False}}),
    "opt-projected": ("opt", {"word_embed_proj_dim": 40, "do_layer_norm_before": False}),
    "stablelm-parallel": ("stablelm", {"use_parallel_residual": True, "qk_layernorm": True, "use_qkv_bias": True}),
    "xglm-unscaled": ("xglm", {"scale_embedding": False}),
}
