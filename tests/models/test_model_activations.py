"""What is read at each hook name, against the models' own outputs and hand-written arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from sae_vis.models.loading import load_model

PARALLEL = {"gpt_neox-parallel", "gptj", "phi"}
FIRST = {"gpt2": "c_fc", "gpt_neo": "c_fc", "gptj": "fc_in", "phi": "fc1"}


def read(adapter, tokens: Tensor, name: str) -> Tensor:
    return adapter.activations(tokens, adapter.hook_point(name))


def block(adapter, layer: int) -> nn.Module:
    """The transformer block, found without the table under test: the decoder is the one list of that length."""
    stacks = [m for m in adapter.model.modules() if isinstance(m, nn.ModuleList) and len(m) == 3]
    return stacks[0][layer]


def neurons_by_hand(kind: str, mlp: nn.Module, x: Tensor) -> Tensor:
    if kind.startswith("gpt_neox"):
        return mlp.act(mlp.dense_h_to_4h(x))
    if kind == "phi3":
        gate, up = mlp.gate_up_proj(x).chunk(2, dim=-1)
        return up * mlp.activation_fn(gate)
    if kind in FIRST:
        return (mlp.activation_fn if kind == "phi" else mlp.act)(getattr(mlp, FIRST[kind])(x))
    return mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)


@torch.no_grad()
def test_residual_stream_is_the_models_hidden_states(adapter, tokens, n_layers) -> None:
    hidden = adapter.model(tokens, output_hidden_states=True, use_cache=False).hidden_states
    for layer in range(n_layers):
        assert_close(read(adapter, tokens, f"blocks.{layer}.hook_resid_pre"), hidden[layer])
        if layer + 1 < n_layers:
            assert_close(read(adapter, tokens, f"blocks.{layer}.hook_resid_post"), hidden[layer + 1])
    # Hugging Face gives the last hidden state behind the final norm.
    last = adapter.hook_point(f"blocks.{n_layers - 1}.hook_resid_post")
    final_norm = [m for m in adapter.model.modules() if type(m).__name__.endswith("Norm")][-1]
    if adapter.model.config.model_type == "gemma3":  # its projector comes later
        final_norm = adapter.model.model.language_model.norm
    assert_close(final_norm(adapter.activations(tokens, last)), hidden[-1])


@torch.no_grad()
@pytest.mark.parametrize("layer", [0, 2])
def test_what_blocks_write_adds_up(kind, adapter, tokens, layer) -> None:
    pre, attn, mlp, post = (
        read(adapter, tokens, f"blocks.{layer}.hook_{what}")
        for what in ("resid_pre", "attn_out", "mlp_out", "resid_post")
    )
    assert_close(pre + attn + mlp, post)
    if kind not in PARALLEL:
        assert_close(read(adapter, tokens, f"blocks.{layer}.hook_resid_mid"), pre + attn)


@torch.no_grad()
def test_neurons_are_what_the_down_projection_reads(kind, adapter, tokens) -> None:
    mlp_path = adapter.hook_point("blocks.1.mlp.hook_post").module.rpartition(".")[0]
    assert adapter.model.get_submodule(mlp_path) is block(adapter, 1).mlp
    by_hand = neurons_by_hand(kind, block(adapter, 1).mlp, read(adapter, tokens, f"{mlp_path}:input"))
    assert_close(read(adapter, tokens, "blocks.1.mlp.hook_post"), by_hand)


@torch.no_grad()
def test_heads_are_what_the_output_projection_reads(adapter, tokens) -> None:
    z = adapter.hook_point("blocks.1.attn.hook_z")
    projection = adapter.model.get_submodule(z.module)
    attention = z.module.rpartition(".")[0]
    assert_close(projection(adapter.activations(tokens, z)), read(adapter, tokens, attention))


@torch.no_grad()
def test_heads_of_gpt2_are_pattern_times_values(make, tokens) -> None:
    adapter = load_model(make("gpt2"))
    qkv = read(adapter, tokens, "transformer.h.1.attn.c_attn").unflatten(-1, (3, 3, 4))
    queries, keys, values = qkv.permute(2, 0, 3, 1, 4)  # each [n_seqs, n_heads, seq_len, d_head]
    scores = queries @ keys.mT / 4**0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    pattern = scores.masked_fill(later, -torch.inf).softmax(-1)
    by_hand = (pattern @ values).transpose(1, 2).flatten(2)
    assert_close(read(adapter, tokens, "blocks.1.attn.hook_z"), by_hand)


@torch.no_grad()
def test_embedding_is_where_the_residual_stream_starts(adapter, tokens) -> None:
    embedded = read(adapter, tokens, "hook_embed")
    start = read(adapter, tokens, "blocks.0.hook_resid_pre")
    positions = getattr(getattr(adapter.model, "transformer", None), "wpe", None)
    assert_close(embedded if positions is None else embedded + positions.weight[: tokens.shape[1]], start)


def test_outputs_after_post_norms_are_what_is_added_and_paths_are_before(make, tokens) -> None:
    adapter = load_model(make("gemma2"))
    before = read(adapter, tokens, "model.layers.1.mlp")
    added = read(adapter, tokens, "blocks.1.hook_mlp_out")
    assert not torch.allclose(before, added)
    assert_close(adapter.model.model.layers[1].post_feedforward_layernorm(before), added)
    assert_close(read(adapter, tokens, "model.layers.1.post_feedforward_layernorm:input"), before)


def test_right_padding_changes_nothing_before_it(model, tokens) -> None:
    """In float64: products of longer sequences may round in another way, and layers amplify that."""
    adapter = load_model(model.double())
    padded = torch.cat([tokens, torch.zeros_like(tokens[:, :3])], dim=1)
    hook = adapter.hook_point("blocks.2.hook_resid_post")
    found, expected = adapter.activations(padded, hook)[:, : tokens.shape[1]], adapter.activations(tokens, hook)
    assert_close(found, expected, rtol=1e-5, atol=1e-5)  # some norms compute in float32, whatever the dtype


def test_heads_behind_extra_axes_are_flattened(make, tokens) -> None:
    adapter = load_model(make("gemma3_text"))
    hook = adapter.hook_point("model.layers.0.self_attn.v_proj")
    assert (hook.site, hook.layer, hook.d) == ("other", 0, 6)
    assert adapter.activations(tokens, hook).shape == (2, 9, 6)


def test_no_tokens_no_activations(make) -> None:
    adapter = load_model(make("gpt2"))
    hook = adapter.hook_point("blocks.0.mlp.hook_post")
    assert adapter.activations(torch.zeros(0, 5, dtype=torch.int64), hook).shape == (0, 5, 48)


def test_dtype_is_the_models_own(make, tokens) -> None:
    adapter = load_model(make("llama").to(torch.bfloat16))
    assert read(adapter, tokens, "blocks.1.hook_resid_post").dtype == torch.bfloat16
