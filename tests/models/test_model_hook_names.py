"""Hook names and module paths: the same places, and plain words where there is no such place."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers as hf

from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.loading import load_model

GEMMA2_POST = "model.layers.1.post_feedforward_layernorm"


@pytest.mark.parametrize(
    ("kind", "path", "hook"),
    [
        ("llama", "model.layers.1", "blocks.1.hook_resid_post"),
        ("llama", "model.layers.1:output", "blocks.1.hook_resid_post"),
        ("llama", "model.layers.1:input", "blocks.1.hook_resid_pre"),
        ("llama", "model.layers.1.post_attention_layernorm:input", "blocks.1.hook_resid_mid"),
        ("llama", "model.layers.1.mlp", "blocks.1.hook_mlp_out"),
        ("llama", "model.layers.1.self_attn", "blocks.1.hook_attn_out"),
        ("llama", "model.layers.1.mlp.down_proj:input", "blocks.1.mlp.hook_post"),
        ("llama", "model.layers.1.self_attn.o_proj:input", "blocks.1.attn.hook_z"),
        ("llama", "model.layers.0:input", "hook_embed"),
        ("gpt2", "transformer.h.1.attn", "blocks.1.hook_attn_out"),
        ("gpt2", "transformer.wte", "hook_embed"),
        ("gpt_neox-parallel", "gpt_neox.layers.1.attention.dense:input", "blocks.1.attn.hook_z"),
        ("gemma2", GEMMA2_POST, "blocks.1.hook_mlp_out"),
        ("gemma3", "model.language_model.layers.1", "blocks.1.hook_resid_post"),
    ],
)
def test_a_path_and_a_hook_name_are_one_place(make, kind, path, hook) -> None:
    adapter = load_model(make(kind))
    by_path, by_hook = adapter.hook_point(path), adapter.hook_point(hook)
    assert by_path.name == path
    assert replace(by_path, name=hook) == by_hook
    assert by_path.place == by_hook.place


@pytest.mark.parametrize(
    ("kind", "name", "site", "d", "onward"),
    [
        ("llama", "blocks.1.hook_resid_post", "resid", 12, ()),
        ("llama", "blocks.1.mlp.hook_post", "neurons", 20, ("model.layers.1.mlp.down_proj",)),
        ("llama", "blocks.1.attn.hook_z", "heads", 18, ("model.layers.1.self_attn.o_proj",)),
        ("llama", "model.layers.1.mlp.act_fn", "other", 20, None),  # gated: only a factor of the neurons
        ("gpt2", "transformer.h.1.mlp.act", "neurons", 48, ("transformer.h.1.mlp.c_proj",)),
        ("gpt2", "transformer.h.1.mlp:input", "other", 12, None),
        ("gemma2", "model.layers.1.mlp", "mlp_out", 12, (GEMMA2_POST,)),
        ("gemma2", "blocks.1.hook_mlp_out", "mlp_out", 12, ()),
        ("gemma2", "blocks.1.mlp.hook_post", "neurons", 20, ("model.layers.1.mlp.down_proj", GEMMA2_POST)),
    ],
)
def test_what_a_place_is(make, kind, name, site, d, onward) -> None:
    hook = load_model(make(kind)).hook_point(name)
    assert (hook.site, hook.d, hook.onward, hook.layer) == (site, d, onward, 1)
    assert hook.privileged is (site == "neurons")


def test_places_outside_the_blocks(make) -> None:
    adapter = load_model(make("llama"))
    last = adapter.hook_point("model.norm:input")
    assert (last.site, last.layer, last.onward) == ("resid", None, ())
    logits = adapter.hook_point("lm_head")
    assert (logits.site, logits.layer, logits.d) == ("other", None, adapter.n_vocab)


def no_such_place(adapter, name: str) -> str:
    with pytest.raises(InputError) as caught:
        adapter.hook_point(name)
    return str(caught.value)


def test_a_misspelt_hook_name(make) -> None:
    text = no_such_place(load_model(make("gpt2")), "blocks.1.hook_resid_pots")
    assert text.startswith("no hook point 'blocks.1.hook_resid_pots' in GPT2LMHeadModel (3 layers, 0 to 2)")
    assert "near names: 'blocks.1.hook_resid_post'" in text
    assert "hook names: blocks.N.hook_resid_pre, blocks.N.hook_resid_post, blocks.N.hook_resid_mid" in text
    assert text.endswith("or give the path of a module, such as 'transformer.h.0' or 'transformer.h.0:input'")


def test_a_misspelt_path(make) -> None:
    text = no_such_place(load_model(make("llama")), "model.layers.1.mlp.dwn_proj")
    assert "'model.layers.1.mlp.down_proj'" in text


@pytest.mark.parametrize("name", ["", ":", ":input", "nothing like it at all"])
def test_nonsense(make, name) -> None:
    assert no_such_place(load_model(make("gpt2")), name).startswith(f"no hook point {name!r} in GPT2LMHeadModel")


@pytest.mark.parametrize("name", ["blocks.3.hook_resid_post", "blocks.12.mlp.hook_post", "model.layers.3:input"])
def test_a_layer_too_many(make, name) -> None:
    text = no_such_place(load_model(make("llama")), name)
    assert text == f"no hook point {name!r}: LlamaForCausalLM has 3 layers, 0 to 2"


def test_a_side_that_is_none(make) -> None:
    text = no_such_place(load_model(make("llama")), "model.layers.1:middle")
    assert text == "hook point 'model.layers.1:middle': a module is read at ':input' or ':output', not at 'middle'"


def test_no_middle_in_a_parallel_block(make) -> None:
    text = no_such_place(load_model(make("gpt_neox-parallel")), "blocks.1.hook_resid_mid")
    assert "attention and MLP of GPTNeoXForCausalLM read the same residual stream" in text
    load_model(make("gpt_neox-sequential")).hook_point("blocks.1.hook_resid_mid")


def test_places_where_nothing_can_be_read(make) -> None:
    adapter = load_model(make("gpt2"))
    assert no_such_place(adapter, "transformer.h") == (
        "hook point 'transformer.h': the model's forward never calls this module, so there is nothing to read there"
    )
    assert "the output of 'transformer.wpe' has the shape (1, 3, 12) for tokens of shape (2, 3)" in no_such_place(
        adapter, "transformer.wpe"
    )
    rotary = no_such_place(load_model(make("llama")), "model.rotary_emb")
    assert "activations are read where there is one vector a token, [n_seqs, seq_len, d]" in rotary


@pytest.fixture
def no_stream():
    """A model whose blocks normalise the sum of their input and what they add: nothing is carried on as it is."""
    config = hf.OpenAIGPTConfig(vocab_size=31, n_embd=12, n_layer=2, n_head=3, n_positions=16)
    return load_model(hf.OpenAIGPTLMHeadModel(config).eval())


def test_a_model_without_a_residual_stream_is_read(no_stream, tokens) -> None:
    hook = no_stream.hook_point("blocks.1.hook_resid_post")
    assert (hook.module, hook.site, hook.d, hook.layer, hook.onward) == ("transformer.h.1", "other", 12, 1, None)
    hidden = no_stream.model(tokens, output_hidden_states=True).hidden_states
    assert no_stream.activations(tokens, hook).allclose(hidden[2])
    assert no_stream.activations(tokens, no_stream.hook_point("transformer.h.1:input")).allclose(hidden[1])


def test_a_model_without_a_residual_stream_says_so(no_stream) -> None:
    text = no_such_place(no_stream, "blocks.1.hook_mlp_out")
    assert text == (
        "no hook point 'blocks.1.hook_mlp_out' in OpenAIGPTLMHeadModel: of the block 'transformer.h.1' this is known: "
        "its output is not its input plus what some of its modules give; give the path of a module, such as "
        "'transformer.h.0' or 'transformer.h.0:input'"
    )
    with pytest.raises(
        UnknownWiringError, match=r"to the logits is unknown: the last block's output goes into no Layer"
    ):
        no_stream.unembedding()
    hook = no_stream.hook_point("transformer.h.1")
    with pytest.raises(
        UnknownWiringError, match=r"no known way from 'transformer.h.1' to the residual stream \(its out"
    ):
        no_stream.to_residual(torch.ones(1, 12), hook)


def test_a_part_that_a_block_does_not_have(make) -> None:
    text = no_such_place(
        load_model(hf.MambaForCausalLM(hf.MambaConfig(vocab_size=31, hidden_size=12, num_hidden_layers=2))),
        "blocks.1.hook_attn_out",
    )
    assert (
        "of the block 'backbone.layers.1' this is known: what adds to the stream is 'backbone.layers.1.mixer' (mixes"
        in text
    )
