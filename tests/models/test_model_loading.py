"""Loading, identity and description of models."""

from __future__ import annotations

import json

import pytest
import torch
import transformers as hf
from torch import nn
from torch.testing import assert_close

from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models import half
from sae_vis.models.fingerprint import fingerprint
from sae_vis.models.loading import load_model, load_tokenizer


@pytest.fixture
def saved(make, tmp_path, monkeypatch):
    """A directory with a GPT-2 in bfloat16, on a processor that multiplies it quickly."""
    monkeypatch.setattr(half, "has_fast_products", lambda dtype: True)
    make("gpt2").to(torch.bfloat16).save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


def test_a_path_is_loaded_in_the_dtype_of_the_checkpoint(saved, make, tokens) -> None:
    state = torch.get_rng_state()
    adapter = load_model(saved)
    assert torch.equal(torch.get_rng_state(), state)
    assert adapter.model.dtype == torch.bfloat16
    assert not adapter.model.training
    original = load_model(make("gpt2").to(torch.bfloat16))
    hook = original.hook_point("blocks.1.hook_resid_post")
    assert_close(adapter.activations(tokens, hook), original.activations(tokens, hook))


def test_half_precision_is_widened_where_the_processor_is_slow_at_it(saved, tokens, monkeypatch, caplog) -> None:
    monkeypatch.setattr(half, "has_fast_products", lambda dtype: dtype == torch.float16)
    adapter = load_model(saved)
    assert adapter.model.dtype == torch.float32
    assert [record.getMessage() for record in caplog.records] == [
        "gpt2 is stored in bfloat16, which this processor multiplies slowly: it runs in float32 "
        '(dtype="bfloat16", --dtype bfloat16, runs it as stored)'
    ]
    assert (adapter.describe()["dtype"], adapter.describe()["stored_dtype"]) == ("float32", "bfloat16")
    wide = load_model(saved, dtype="float32")
    assert adapter.fingerprint() == wide.fingerprint()
    hook = wide.hook_point("blocks.1.hook_resid_post")
    assert torch.equal(adapter.activations(tokens, hook), wide.activations(tokens, hook))
    assert load_model(saved, dtype="bfloat16").model.dtype == torch.bfloat16
    assert len(caplog.records) == 1
    assert "stored_dtype" not in wide.describe()


def test_which_dtype_runs_where(monkeypatch, caplog) -> None:
    monkeypatch.setattr(half, "has_fast_products", lambda dtype: dtype == torch.bfloat16)
    assert half.dtype_to_run(torch.float16, None) == half.dtype_to_run(torch.float16, "cpu") == torch.float32
    assert half.dtype_to_run(torch.float16, "cuda:1") == half.dtype_to_run(torch.float16, "mps") == torch.float16
    assert half.dtype_to_run(torch.bfloat16, "cpu") == torch.bfloat16
    assert half.dtype_to_run(torch.float64, "cpu") == torch.float64
    half.say_if_slow.cache_clear()
    for _ in range(2):
        half.say_if_slow("GPT2LMHeadModel", torch.float16, torch.device("cpu"))
        half.say_if_slow("GPT2LMHeadModel", torch.bfloat16, torch.device("cpu"))
    said = "the GPT2LMHeadModel given is in float16, which this processor multiplies slowly: float32 is faster"
    assert [record.getMessage() for record in caplog.records] == [said]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_processor_is_asked_and_what_cant_be_asked_is_a_no(dtype, monkeypatch) -> None:
    assert half.has_fast_products(dtype) in {True, False}
    for answer in (True, False):
        monkeypatch.setattr(half, "_cpu", lambda name, answer=answer: answer)
        monkeypatch.setattr(half, "_mkldnn", lambda name: None)
        monkeypatch.setattr(half.platform, "machine", lambda: "x86_64")
        assert half.has_fast_products(dtype) is answer
        monkeypatch.setattr(half.platform, "machine", lambda: "aarch64")
        assert half.has_fast_products(dtype) is False
        monkeypatch.setattr(half, "_mkldnn", lambda name: lambda: True)
        assert half.has_fast_products(dtype) is (dtype == torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, "float32", "torch.float32"])
def test_dtype_and_device_as_asked(saved, dtype) -> None:
    adapter = load_model(str(saved), dtype=dtype, device="cpu")
    assert adapter.model.dtype == torch.float32


def test_a_model_in_memory_is_used_as_it_is(make) -> None:
    model = make("gpt2")
    assert load_model(model, dtype="float32", device="cpu").model is model
    with pytest.raises(InputError, match=r"is torch.float32, not torch.float16; it is used as it is: convert it yours"):
        load_model(model, dtype="float16")
    with pytest.raises(InputError, match="is on cpu, not meta; it is used as it is: move it yourself"):
        load_model(model, device="meta")


def test_what_is_no_causal_language_model(make, tmp_path) -> None:
    with pytest.raises(InputError, match=r"a Linear is not a transformers model \(PreTrainedModel\)"):
        load_model(nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"can't load a causal language model from '.*nowhere': "):
        load_model(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no torch dtype 'float17'"):
        load_model(tmp_path, dtype="float17")
    t5 = hf.T5Config(d_model=8, d_ff=8, d_kv=4, num_heads=2, num_layers=1, vocab_size=11, decoder_start_token_id=0)
    with pytest.raises(InputError, match="T5ForConditionalGeneration is an encoder-decoder; give a causal"):
        load_model(hf.T5ForConditionalGeneration(t5))


def test_a_model_without_its_head_has_all_but_logits(make, tokens) -> None:
    whole, bare = load_model(make("llama")), load_model(make("llama").model)
    for name in ("blocks.1.hook_resid_post", "blocks.1.mlp.hook_post", "blocks.0.attn.hook_z"):
        assert_close(bare.activations(tokens, bare.hook_point(name)), whole.activations(tokens, whole.hook_point(name)))
    with pytest.raises(UnknownWiringError, match="the model gives no logits: load it with its head, as a causal lang"):
        bare.unembedding()
    with pytest.raises(UnknownWiringError, match="LlamaModel gives no logits: load it as a causal language model"):
        bare.logits(tokens)


def test_tokenizers(tmp_path) -> None:
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "tokenizer")
    assert load_tokenizer(tmp_path / "tokenizer").convert_tokens_to_ids("a") == 0
    with pytest.raises(InputError, match=r"can't load a tokenizer from '.*nowhere': "):
        load_tokenizer(tmp_path / "nowhere")


def test_fingerprint_is_of_the_contents_not_the_place(make, saved, tmp_path) -> None:
    first = load_model(saved).fingerprint()
    assert first.startswith("sha256:")
    assert len(first) == len("sha256:") + 64
    load_model(saved).model.save_pretrained(tmp_path / "copy")
    assert load_model(tmp_path / "copy").fingerprint() == first
    assert load_model(make("gpt2").to(torch.bfloat16)).fingerprint() == first


def test_fingerprint_sees_weights_dtype_and_configuration(make) -> None:
    def print_of(change=lambda model: None) -> str:
        model = make("gpt2")
        with torch.no_grad():
            change(model)
        return load_model(model).fingerprint()

    def tell(**fields):
        return lambda model: [setattr(model.config, name, value) for name, value in fields.items()]

    original = print_of()
    assert print_of(tell(resid_pdrop=0.5, use_cache=False, pad_token_id=3, _name_or_path="elsewhere")) == original
    assert print_of(lambda model: model.transformer.h[2].mlp.c_proj.weight[3, 4].add_(1e-4)) != original
    assert print_of(lambda model: model.to(torch.float16)) != original
    assert print_of(tell(layer_norm_epsilon=1e-6)) != original
    assert print_of(tell(activation_function="relu")) != original


def test_fingerprint_of_tensors() -> None:
    a, b = torch.arange(6.0), torch.arange(6.0).flip(0)
    original = fingerprint({"a": a, "b": b}, {})
    assert fingerprint({"b": b, "a": a}, {}) == original
    assert fingerprint({"a": b, "b": a}, {}) != original
    assert fingerprint({"a": a.view(2, 3), "b": b}, {}) != original
    assert fingerprint({"a": a.view(torch.int32), "b": b}, {}) != original
    # Tied or not, transposed in memory or not, with an axis or without: the contents count.
    assert fingerprint({"a": a, "b": a}, {}) == fingerprint({"a": a, "b": a.clone()}, {})
    square = torch.arange(4.0).view(2, 2)
    assert fingerprint({"a": square.T}, {}) == fingerprint({"a": square.T.contiguous()}, {})
    assert fingerprint({"a": square.T}, {}) != fingerprint({"a": square}, {})
    for odd in (torch.tensor(1.5), torch.zeros(0, 3), torch.ones(3, dtype=torch.bfloat16), torch.tensor([True])):
        assert fingerprint({"a": odd}, {}) == fingerprint({"a": odd.clone()}, {})


def test_fields_of_a_configuration() -> None:
    fields = {"model_type": "x", "eps": 1e-5, "rope": {"theta": 10000.0, "scaling": None}, "layer_types": ["a", "b"]}
    original = fingerprint({}, fields)
    off = {"is_decoder": False, "pruned_heads": {}, "sep_token_id": None, "temperature": 0.7, "_private": 1}
    assert fingerprint({}, fields | off) == original
    assert fingerprint({}, dict(reversed(fields.items()))) == original
    for changed in ({"is_decoder": True}, {"eps": 0}, {"rope": {"theta": 1.0}}, {"layer_types": ["b", "a"]}):
        assert fingerprint({}, fields | changed) != original


def test_weights_that_are_not_in_memory(make) -> None:
    with pytest.raises(InputError, match=r"the weight 'transformer.wte.weight' of a Embedding is not in memory"):
        load_model(make("gpt2").to("meta")).fingerprint()


def test_description_is_plain_json(saved) -> None:
    facts = load_model(saved).describe()
    assert facts.pop("source") == str(saved.absolute())
    assert json.loads(json.dumps(facts)) == {
        "class": "GPT2LMHeadModel",
        "name": "gpt2",  # of a local folder the last part
        "model_type": "gpt2",
        "n_layers": 3,
        "d_model": 12,
        "n_vocab": 31,
        "n_parameters": 6240,
        "dtype": "bfloat16",
    }


def test_a_folder_of_an_adapter_without_the_package_that_reads_it(tmp_path, monkeypatch) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "nowhere")}))
    monkeypatch.setattr("sae_vis.models.loading.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"It is an adapter, which takes the package peft: pip install peft$"):
        load_model(tmp_path)
