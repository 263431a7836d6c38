"""Small sizes for any configuration class of transformers: rules over the names of its fields."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from transformers import PreTrainedConfig

from tests.models.zoo.overrides import OVERRIDES

D_MODEL, N_LAYERS, N_HEADS, N_VOCAB = 64, 3, 4, 120

LAYERS = (
    r"num_hidden_layers|n_layers?|num_layers|num_blocks|depth|num_layers_per_stack"
    r"|((de|en)coder_|num_(de|en)coder_)layers"
)
HEADS = (
    r"num_attention_heads|n_heads?|num_heads|attention_heads|swa_num_attention_heads"
    r"|(num_)?(de|en)coder_attention_heads"
)
KV_HEADS = r"num_key_value_heads|num_kv_heads|kv_n_heads|swa_num_key_value_heads|num_query_groups"
D_MLP = (
    r"intermediate_size|n_inner|(de|en)coder_ffn_dim|ffn_dim|ffn_hidden_size|d_ff|dim_ff|d_inner|feed_forward_size|dff|mlp_dim"
    r"|dense_intermediate_size|intermediate_size_mlp"
)
WIDTHS = (
    r"hidden_size|n_embd|d_model|emb_dim|embedding_dim|embed_dim|word_embed_proj_dim|lru_width|dim|hidden_size_global"
    r"|backbone_hidden_size|out_hidden_size|output_hidden_size|projection_dim|projector_hidden_size|output_proj_dims"
    r"|cross_attention_hidden_size|attention_hidden_size|(text|audio|encoder|lm|vision|output)_hidden_size|output_dim|input_dim"
    r"|hidden_dim|vision_output_dim|projector_(in|out)put_dim|adapter_(in|out)_dim|adapter_input_size"
)
CONTEXTS = (
    r"max_position_embeddings|n_positions|n_ctx|max_seq_len|max_sequence_length|context_length|model_max_length"
    r"|max_(target|source)_positions|seq_length|original_max_position_embeddings|decoder_max_position_embeddings"
)

# What an integer field becomes, unless it is smaller already; the first pattern that fits the whole name counts. Sizes
# differ wherever a model can tell them apart, so that a test which mixes them up fails.
AT_MOST: list[tuple[str, int]] = [
    (r"\w*vocab_size(_per_layer_input)?", N_VOCAB),
    (WIDTHS, D_MODEL),
    (HEADS, N_HEADS),
    (KV_HEADS, 2),
    (CONTEXTS, 80),
    (r"((in|out)put_)?embedding_size|\w+_embed_dim|router_hidden_size|alignment_intermediate_size", 40),
    (r"(swa_)?(v_)?head_dim|d_kv|kv_channels|attention_head_size|dim_head", 24),
    (r"qk_(nope|rope)_head_dim", 16),
    (r"qk_head_dim", 32),
    (r"q_lora_rank", 20),
    (r"kv_lora_rank", 12),
    (r"\w*(lora|norm)_rank|laurel_rank|adapter_rank|hc_lowrank", 8),
    (r"num_experts|num_local_experts|n_routed_experts|moe_num_experts|zero_expert_num", 4),
    (r"num_experts_per_tok|num_experts_per_token|moe_topk|moe_top_k|moe_k|top_k_experts", 2),
    (r"num_shared_experts|n_shared_experts|moe_num_shared_experts", 1),
    (r"n_group|num_expert_group|n_groups", 2),
    (r"topk_group|first_k_dense_replace|num_dense_layers|moe_layer_start_index", 1),
    (r"sliding_window(_size)?|window_size|attention_window_size|local_attention|attention_chunk_size", 4),
    (r"mamba_d_state|ssm_state_size|state_size", 8),
    (r"time_step_rank|mamba_dt_rank", 4),
    (r"mamba_n_heads|mamba_num_heads|n_mamba_heads|linear_num_heads|linear_num_value_heads", 4),
    (r"mamba_d_head|mamba_head_dim|mamba_headdim", 32),
    (r"linear_num_key_heads|index_n_heads", 2),
    (r"linear_(key_|value_)?head_dim|hidden_size_per_layer_input", 8),
    (r"index_head_dim", 16),
    (r"index_topk|\w*chunk_size|rotary_dim|patch_size|num_mel_bins", 4),
    (r"image_size|num_position_embeddings", 16),
    (r"base_channels|downsample_hidden_size|num_filters", 32),
]

# What a number becomes, whatever it was: layers of every kind; factors at neither 1 nor a size that drowns the rest.
EXACTLY: list[tuple[str, float]] = [
    (LAYERS, N_LAYERS),
    (D_MLP, 88),
    (r"(moe|expert)_(intermediate|ffn_hidden)_size|ffn_dim_exp", 40),
    (r"(moe_)?(shared|shared_expert|shared_experts)_intermediate_size|share_expert_dim", 48),
    (r"embedding_multiplier|scale_emb", 2.5),
    (r"residual_multiplier", 0.6),
    (r"logits_scaling", 1.7),
    (r"logits_mup_width_multiplier", 1.5),
    (r"attention_multiplier", 0.3),
    (r"logit_scale|lm_head_multiplier|output_multiplier", 0.7),
    (r"(attention|ssm)_out_multiplier", 0.8),
    (r"(key|attention_in|ssm_in)_multiplier", 1.2),
    (r"(full_attn|linear_attn|mlp)_alpha_factor", 1.3),
    (r"(full_attn|linear_attn|mlp)_beta_factor", 0.9),
]

IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
TEXT = range(5, 100)  # ids that no field of a configuration names
PER_LAYER = r"\w*layer_types|layers_block_type|no_rope_layers|layer_rope_theta|indexer_types"


def shrunk(
    cls: type[PreTrainedConfig], like: PreTrainedConfig | None = None, said: dict[str, Any] | None = None
) -> PreTrainedConfig:
    """A configuration of that class with small sizes.

    What no rule names stays as `like`, or the class, has it; what is `said` comes before any rule.
    """
    own = {field.name: field.default for field in dataclasses.fields(cls)}
    stored = vars(cls() if like is None else like)
    values = {name: stored.get((cls.attribute_map or {}).get(name, name)) for name in own}
    own = {name: default for name, default in own.items() if name not in _COMMON}
    known = OVERRIDES.get(cls.model_type, {}) | (said or {})
    kwargs = {name: small for name in own if name not in known and (small := _small(name, values[name])) is not None}
    kwargs |= _token_ids(own, values)
    if like is not None:
        for name, default in own.items():
            given = values[name]
            if name not in kwargs and isinstance(default, bool | int | float | str) and given not in (None, default):
                kwargs[name] = given
    kwargs |= _per_layer(own, values)
    if values.get("kv_lora_rank"):
        kwargs["num_key_value_heads"] = N_HEADS  # every head has keys of its own, made from the shared latent
    kwargs |= known
    if "mrope_section" in (getattr(cls, "ignore_keys_at_rope_validation", None) or ()):
        kwargs.setdefault("rope_parameters", _sections(values.get("rope_parameters"), kwargs.get("head_dim")))
    return cls(**kwargs)


_COMMON = {field.name for field in dataclasses.fields(PreTrainedConfig)}


def _small(name: str, value: Any) -> Any:
    """The value of one field made small; None where it stays."""
    if isinstance(value, PreTrainedConfig):
        return shrunk(type(value), value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return None
    for pattern, size in EXACTLY:
        if re.fullmatch(pattern, name):
            return size
    for pattern, size in AT_MOST:
        if re.fullmatch(pattern, name):
            return min(size, int(value))
    return None


def _token_ids(own: dict[str, Any], values: dict[str, Any]) -> dict[str, int]:
    """Special tokens: the usual ones first, all others counted down from the end of the vocabulary."""
    found = {name: IDS[name] for name in own if name in IDS and values.get(name) is not None}
    others = [name for name in own if name not in IDS and re.fullmatch(r"\w+_token_(id|index|idx)|image_index", name)]
    others = [name for name in others if isinstance(values.get(name), int)]
    return found | {name: N_VOCAB - 1 - i for i, name in enumerate(others)}


def _per_layer(own: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The lists with one entry for each layer, cut to a few layers that show every combination of entries."""
    lists = {name: values[name] for name in own if re.fullmatch(PER_LAYER, name) and values.get(name)}
    lists = {name: value for name, value in lists.items() if isinstance(value, list | tuple)}
    if not lists:
        return {}
    kinds = list(zip(*lists.values(), strict=True))
    first = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    rest = [i for i in range(len(kinds)) if i not in first.values()]
    keep = sorted(first.values()) + rest[: max(0, N_LAYERS - len(first))]
    cut: dict[str, Any] = {name: [value[i] for i in sorted(keep)] for name, value in lists.items()}
    return cut | {name: len(keep) for name in own if name in ("num_hidden_layers", "n_layer", "num_layers", "n_layers")}


def _sections(rope: dict[str, Any] | None, head_dim: int | None) -> dict[str, Any]:
    """Rotary positions of text, height and width: the pairs of a head in three parts."""
    rope = {"rope_type": "default", "rope_theta": 10000.0} | (rope or {})
    pairs = int((head_dim or D_MODEL // N_HEADS) * rope.get("partial_rotary_factor", 1.0)) // 2
    return rope | {"mrope_section": [pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]}
