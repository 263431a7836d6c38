"""Where things are in the models that we know: one record an architecture, keyed by ``config.model_type``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Norm:
    """How an architecture normalises.

    Attributes:
        centred: whether the mean is subtracted (LayerNorm), as opposed to RMSNorm.
        gain_offset: what is added to the stored weight to give the gain (1 for Gemma, which stores gain - 1).
    """

    centred: bool
    gain_offset: float


LAYER_NORM = Norm(centred=True, gain_offset=0.0)
RMS_NORM = Norm(centred=False, gain_offset=0.0)
GEMMA_NORM = Norm(centred=False, gain_offset=1.0)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Attribute paths of one architecture.

    Attributes:
        decoder: where the stack of blocks with its embedding and final norm may be, from the causal LM; first that is
            there (releases of transformers differ).
        layers: the list of blocks, from the decoder.
        final_norm: the norm before the unembedding, from the decoder.
        embed: the token embedding, from the decoder, where positions are added to it; None where the residual stream
            starts as the token embedding (rotary positions), which may be scaled outside the embedding module.
        norm: the kind of all norms named here.
        attn: attention, from the block.
        attn_proj: its output projection, from the block: reads the heads (``z``).
        attn_reads: module of the block whose input is the residual stream that attention reads.
        attn_post_norm: norm between attention and the residual stream, from the block, or None.
        mlp: the MLP, from the block.
        mlp_proj: its down projection, from the block: reads the neurons.
        mlp_act: module of the block whose output is the neurons (none in a gated MLP, where it is only one factor).
        mlp_reads: module of the block whose input is the residual stream that the MLP reads.
        mlp_post_norm: norm between the MLP and the residual stream, from the block, or None.
        parallel: whether attention and MLP read the same residual stream, so that there is no ``hook_resid_mid``.
        parallel_field: name of the configuration field that says `parallel`, where models of the kind differ.
        fixed_positions: whether no sequence can be longer than ``config.max_position_embeddings``.
    """

    decoder: tuple[str, ...]
    layers: str
    final_norm: str
    embed: str | None = None
    norm: Norm
    attn: str
    attn_proj: str
    attn_reads: str
    attn_post_norm: str | None = None
    mlp: str
    mlp_proj: str
    mlp_act: str | None = None
    mlp_reads: str
    mlp_post_norm: str | None = None
    parallel: bool = False
    parallel_field: str | None = None
    fixed_positions: bool = False


_GPT2 = Architecture(
    decoder=("transformer",),
    layers="h",
    final_norm="ln_f",
    embed="wte",
    norm=LAYER_NORM,
    attn="attn",
    attn_proj="attn.c_proj",
    attn_reads="ln_1",
    mlp="mlp",
    mlp_proj="mlp.c_proj",
    mlp_act="mlp.act",
    mlp_reads="ln_2",
    fixed_positions=True,
)
_GPT_NEOX = Architecture(
    decoder=("gpt_neox",),
    layers="layers",
    final_norm="final_layer_norm",
    norm=LAYER_NORM,
    attn="attention",
    attn_proj="attention.dense",
    attn_reads="input_layernorm",
    mlp="mlp",
    mlp_proj="mlp.dense_4h_to_h",
    mlp_act="mlp.act",
    mlp_reads="post_attention_layernorm",
    parallel_field="use_parallel_residual",
)
_PHI = Architecture(
    decoder=("model",),
    layers="layers",
    final_norm="final_layernorm",
    norm=LAYER_NORM,
    attn="self_attn",
    attn_proj="self_attn.dense",
    attn_reads="input_layernorm",
    mlp="mlp",
    mlp_proj="mlp.fc2",
    mlp_act="mlp.activation_fn",
    mlp_reads="input_layernorm",
    parallel=True,
)
# Despite its name, Llama's post_attention_layernorm is what the MLP reads through; Gemma 2's is a true post-norm.
_LLAMA = Architecture(
    decoder=("model",),
    layers="layers",
    final_norm="norm",
    norm=RMS_NORM,
    attn="self_attn",
    attn_proj="self_attn.o_proj",
    attn_reads="input_layernorm",
    mlp="mlp",
    mlp_proj="mlp.down_proj",
    mlp_reads="post_attention_layernorm",
)
_GEMMA2 = replace(
    _LLAMA,
    norm=GEMMA_NORM,
    attn_post_norm="post_attention_layernorm",
    mlp_reads="pre_feedforward_layernorm",
    mlp_post_norm="post_feedforward_layernorm",
)

ARCHITECTURES: dict[str, Architecture] = {
    "gemma": replace(_LLAMA, norm=GEMMA_NORM),
    "gemma2": _GEMMA2,
    "gemma3": replace(_GEMMA2, decoder=("model.language_model", "language_model.model")),
    "gemma3_text": _GEMMA2,
    "gpt2": _GPT2,
    "gpt_neo": replace(_GPT2, attn_proj="attn.attention.out_proj"),
    "gpt_neox": _GPT_NEOX,
    "gptj": replace(
        _GPT2,
        embed=None,
        attn_proj="attn.out_proj",
        mlp_proj="mlp.fc_out",
        mlp_reads="ln_1",
        parallel=True,
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "olmo2": replace(
        _LLAMA,
        attn_reads="self_attn",
        attn_post_norm="post_attention_layernorm",
        mlp_reads="mlp",
        mlp_post_norm="post_feedforward_layernorm",
    ),
    "phi": _PHI,
    "phi3": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "smollm3": _LLAMA,
}


def architecture_of(config: Any) -> Architecture | None:  # noqa: ANN401 (a transformers configuration)
    """The record for a model with this configuration, or None for a kind that we do not know."""
    known = ARCHITECTURES.get(config.model_type)
    if known is None or known.parallel_field is None:
        return known
    return replace(known, parallel=bool(getattr(config, known.parallel_field)))
