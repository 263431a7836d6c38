"""A dictionary for every layer of a model: found, loaded, and indexed in one pass of the model."""

from __future__ import annotations

import json

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import sae_vis as sv
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.demo import run as demo
from sae_vis.errors import CheckpointError, InputError
from sae_vis.models.loading import load_model
from sae_vis.saes.formats import load_dictionary
from sae_vis.saes.layers import is_layer_set, load_dictionaries
from tests.saes.checkpoints import checkpoint
from tests.saes.fractions import fractions
from tests.test_cli import command, failure
from tests.tiny_models import D_MODEL, N_LAYERS, build

D, D_SAE = D_MODEL, 32


def transcoder(seed: int, d: int = D) -> dict[str, torch.Tensor]:
    return {
        "W_enc": fractions(D_SAE, d, seed=seed),
        "W_dec": fractions(D_SAE, d, seed=seed + 50),
        "b_enc": fractions(D_SAE, seed=seed + 100),
        "b_dec": fractions(d, seed=seed + 150),
    }


def circuit_tracer(root):
    for layer in range(N_LAYERS):
        save_file(transcoder(layer), root / f"layer_{layer}.safetensors")
    (root / "config.yaml").write_text(
        "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"
    )
    return [f"blocks.{layer}.mlp.hook_in" for layer in range(N_LAYERS)]


def listed(root):
    """Gemma Scope's own file format, with a config.yaml of circuit-tracer that lists the files."""
    paths = []
    for layer in range(N_LAYERS):
        folder = root / "params" / f"layer_{layer}" / "width_16k"
        folder.mkdir(parents=True)
        w = transcoder(layer)
        np.savez(folder / "params.npz", W_enc=w["W_enc"].T.numpy(), threshold=np.zeros(D_SAE, dtype=np.float32),
                 **{name: w[name].numpy() for name in ("W_dec", "b_enc", "b_dec")})  # fmt: skip
        paths.append(f"params/layer_{layer}/width_16k/params.npz")
    (root / "config.yaml").write_text(
        "model_kind: transcoder_set\nfeature_input_hook: ln2.hook_normalized\nfeature_output_hook: hook_mlp_out\n"
        f"transcoders: {json.dumps(paths)}\n"
    )
    return [f"blocks.{layer}.ln2.hook_normalized" for layer in range(N_LAYERS)]


def cross_layer(root):
    for layer in range(N_LAYERS):
        w = transcoder(layer)
        save_file(
            {f"{name}_{layer}": w[name] for name in ("W_enc", "b_enc", "b_dec")}, root / f"W_enc_{layer}.safetensors"
        )
        decoder = fractions(D_SAE, N_LAYERS - layer, D, seed=layer)
        save_file({f"W_dec_{layer}": decoder}, root / f"W_dec_{layer}.safetensors")
    return [f"blocks.{layer}.hook_resid_mid" for layer in range(N_LAYERS)]


def gemma_scope_2(root):
    for layer in range(N_LAYERS):
        w = transcoder(layer)
        made = {"w_enc": w["W_enc"].T.contiguous(), "b_enc": w["b_enc"], "b_dec": w["b_dec"]}
        made |= {"w_dec": fractions(D_SAE, N_LAYERS, D, seed=layer), "threshold": torch.zeros(D_SAE)}
        save_file(made, root / f"params_layer_{layer}.safetensors")
    (root / "config.json").write_text(
        json.dumps(
            {
                "type": "crosscoder",
                "architecture": "jump_relu",
                "hf_hook_point_in": "model.layers.{2,1,0}.output",
                "hf_hook_point_out": "model.layers.{2,1,0}.output",
            }
        )
    )
    return [f"blocks.{layer}.hook_resid_post" for layer in (2, 1, 0)]


def qwen_scope(root):
    for layer in range(N_LAYERS):
        w = transcoder(layer)
        torch.save(w | {"W_dec": w["W_dec"].T.contiguous()}, root / f"layer{layer}.sae.pt")
    (root / "config.json").write_text(json.dumps({"model_type": "topk_sae", "k": 4, "hook_point": "resid_post"}))
    return [f"blocks.{layer}.hook_resid_post" for layer in range(N_LAYERS)]


def sparsify(root):
    for layer in range(N_LAYERS):
        w = transcoder(layer)
        folder = root / f"layers.{layer}"
        folder.mkdir()
        made = {"encoder.weight": w["W_enc"], "encoder.bias": w["b_enc"], "W_dec": w["W_dec"], "b_dec": w["b_dec"]}
        save_file(made, folder / "sae.safetensors")
        (folder / "cfg.json").write_text(json.dumps({"d_in": D, "num_latents": D_SAE, "k": 4}))
    return [f"blocks.{layer}.hook_resid_post" for layer in range(N_LAYERS)]


def sae_lens(root):
    for layer in range(N_LAYERS):
        metadata = {"sae_lens_version": "6.5.0", "hook_name": f"blocks.{layer}.hook_resid_pre"}
        made = checkpoint("jumprelu", d_in=D, d_sae=D_SAE, seed=layer, metadata=metadata)
        made.write(root / f"release/blocks.{layer}.hook_resid_pre")
    return [f"blocks.{layer}.hook_resid_pre" for layer in range(N_LAYERS)]


WRITERS = {f.__name__: f for f in (circuit_tracer, listed, cross_layer, gemma_scope_2, qwen_scope, sparsify, sae_lens)}


@pytest.fixture(scope="module")
def model():
    return load_model(build("llama"))


def corpus_of(n_seqs: int = 8) -> Corpus:
    return Corpus.from_tokens(torch.randint(1, 31, (n_seqs, 16), generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def passes(model):
    """The batches of the corpus that went through the model: an entry for each forward pass, but those of a few tokens,
    however long the corpus, that find out how the model is put together and how wide a place is.
    """
    seen: list[int] = []

    def note(module, args, output) -> None:
        seen.extend([args[0].numel()] if args[0].numel() >= 32 else [])

    handle = model.model.get_input_embeddings().register_forward_hook(note)
    yield seen
    handle.remove()


CONFIG = IndexConfig(batch_tokens=32, shard_tokens=32)


def same(one, other) -> bool:
    return one.features.equals(other.features) and all(
        np.array_equal(getattr(one.firings(f), name), getattr(other.firings(f), name))
        for f in range(one.n_features)
        for name in ("positions", "acts")
    )


@pytest.mark.parametrize("name", WRITERS)
def test_every_layer_is_found_and_indexed_in_one_pass(tmp_path, name, model, passes):
    root = tmp_path / "saes"
    root.mkdir()
    hooks = WRITERS[name](root)
    assert is_layer_set(root)
    found = load_dictionaries(root)
    assert list(found) == hooks
    out, corpus = tmp_path / "out", corpus_of()
    made = sv.index_layers(corpus, model, root, out, config=CONFIG)
    assert len(passes) == corpus.n_tokens // 32
    assert list(made) == hooks
    assert sorted(path.name for path in out.iterdir()) == sorted(hooks)
    passes.clear()
    for hook in hooks:
        opened = sv.Index.open(out / hook)
        assert same(opened, made[hook])
        assert opened.manifest.provenance.hook["name"] == hook
        assert int(opened.column("n_firings").sum()) > 0
    alone = sv.index_features(corpus, sv.ModelAndSae(model=model, sae=found[hooks[1]]), config=CONFIG)
    assert same(made[hooks[1]], alone)
    assert len(passes) == corpus.n_tokens // 32
    passes.clear()
    again = sv.index_layers(corpus, model, found, out, config=CONFIG)
    assert passes == []
    assert all(same(again[hook], made[hook]) for hook in hooks)


def test_layers_are_indexed_below_an_address(tmp_path, model):
    circuit_tracer(tmp_path)
    memory, corpus = fsspec.filesystem("memory"), corpus_of()
    made = sv.index_layers(corpus, model, tmp_path, "memory://layers/all", config=CONFIG)
    assert len(made) > 1
    assert all(same(sv.Index.open(f"memory://layers/all/{hook}"), one) for hook, one in made.items())
    memory.rm("/layers", recursive=True)


def test_an_interrupted_build_goes_on(tmp_path, model, passes):
    circuit_tracer(tmp_path)
    out, corpus = tmp_path / "out", corpus_of()

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "index" and done > 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sv.index_layers(corpus, model, tmp_path, out, config=CONFIG, progress=stop)
    before = len(passes)
    assert 0 < before < corpus.n_tokens // 32
    made = sv.index_layers(corpus, model, tmp_path, out, config=CONFIG)
    assert len(passes) <= corpus.n_tokens // 32 + 1  # the batch in hand is read again
    whole = sv.index_layers(corpus, model, tmp_path, config=CONFIG)
    assert all(same(made[hook], whole[hook]) for hook in whole)


def test_numbers_are_in_order_and_patterns_choose(tmp_path):
    for layer in (10, 9, 2):
        for width in ("16k", "65k"):
            metadata = {"sae_lens_version": "6.5.0", "hook_name": f"blocks.{layer}.hook_resid_pre"}
            made = checkpoint("standard", d_in=D, d_sae=D_SAE, seed=layer, metadata=metadata)
            made.write(tmp_path / f"layer_{layer}" / width)
    with pytest.raises(
        InputError, match=r"several dictionaries that read blocks\.2\.hook_resid_pre: layer_2/16k and lay"
    ):
        load_dictionaries(tmp_path)
    found = load_dictionaries(tmp_path, match="*/65k")
    assert list(found) == [f"blocks.{layer}.hook_resid_pre" for layer in (2, 9, 10)]
    assert list(load_dictionaries(tmp_path, subfolder="layer_9", match="16k")) == ["blocks.9.hook_resid_pre"]
    with pytest.raises(CheckpointError, match=r"has no dictionaries whose path matches 'none'"):
        load_dictionaries(tmp_path, match="none")


def test_one_dictionary_is_a_set_of_one_but_no_layer_set(tmp_path):
    made = checkpoint("standard", d_in=D, d_sae=D_SAE).write(tmp_path / "sae")
    assert list(load_dictionaries(made)) == ["blocks.3.hook_resid_post"]
    assert not is_layer_set(made)
    assert not is_layer_set(tmp_path / "nowhere")
    assert not is_layer_set("someone/some-saes")
    (tmp_path / "empty").mkdir()
    assert not is_layer_set(tmp_path / "empty")
    with pytest.raises(CheckpointError, match="has no dictionaries: expected files such as layer_0"):
        load_dictionaries(tmp_path / "empty")


def test_a_single_dictionary_is_asked_for_where_there_are_layers(tmp_path):
    circuit_tracer(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"one for each layer \(layer_0\.safetensors, layer_1\.safetensors, layer_2"
    ):
        load_dictionary(tmp_path)


def test_places_that_the_dictionaries_do_not_name(tmp_path, model):
    """sparsify's transcoders say neither where they read nor where they write."""
    for layer in range(N_LAYERS):
        w = transcoder(layer)
        folder = tmp_path / f"layers.{layer}.mlp"
        folder.mkdir()
        made = {"encoder.weight": w["W_enc"], "encoder.bias": w["b_enc"], "W_dec": w["W_dec"], "b_dec": w["b_dec"]}
        save_file(made, folder / "sae.safetensors")
        settings = {"d_in": D, "num_latents": D_SAE, "k": 4, "transcode": True}
        (folder / "cfg.json").write_text(json.dumps(settings))
    found = load_dictionaries(tmp_path)
    assert list(found) == [f"layers.{layer}.mlp" for layer in range(N_LAYERS)]
    with pytest.raises(InputError, match="names no hook point"):
        sv.index_layers(corpus_of(), model, found)
    hooks = ("blocks.{layer}.mlp.hook_in", "blocks.{layer}.hook_mlp_out")
    made = sv.index_layers(corpus_of(2), model, found, config=CONFIG, hooks=hooks)
    assert list(made) == [f"blocks.{layer}.mlp.hook_in" for layer in range(N_LAYERS)]
    assert made["blocks.1.mlp.hook_in"].manifest.provenance.hook["name"] == "blocks.1.mlp.hook_in"
    assert "top_tokens" in made["blocks.1.mlp.hook_in"].features.column_names
    with pytest.raises(
        InputError, match=r"two dictionaries read blocks\.0\.mlp\.hook_in, the second is 'layers\.1\.mlp'"
    ):
        sv.index_layers(corpus_of(2), model, found, hooks=("blocks.0.mlp.hook_in", None))
    with pytest.raises(InputError, match=r"the dictionary 'mlp' has no number in its name to stand for \{layer\}"):
        sv.index_layers(corpus_of(2), model, {"mlp": found["layers.0.mlp"]}, hooks=hooks)
    with pytest.raises(InputError, match="there are no dictionaries to index"):
        sv.index_layers(corpus_of(2), model, {})


def test_a_list_of_hub_addresses(tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "hub" / "models--someone--transcoders" / "snapshots" / "c0ffee"
    (snapshot / "b").mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("c0ffee")
    hooks = circuit_tracer(snapshot / "b")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert list(load_dictionaries("someone/transcoders:b")) == hooks
    assert list(load_dictionaries("someone/transcoders", subfolder="b", match="layer_[12].safetensors")) == hooks[1:]
    files = [f"hf://someone/transcoders/b/layer_{layer}.safetensors?revision=main" for layer in range(N_LAYERS)]
    (tmp_path / "config.yaml").write_text(
        "model_kind: transcoder_set\nfeature_input_hook: hook_resid_mid\nfeature_output_hook: hook_mlp_out\n"
        f"transcoders: {json.dumps(files)}\n"
    )
    found = load_dictionaries(tmp_path)
    assert list(found) == [f"blocks.{layer}.hook_resid_mid" for layer in range(N_LAYERS)]
    assert [sae.hook_name_out for sae in found.values()] == [f"blocks.{i}.hook_mlp_out" for i in range(N_LAYERS)]


def test_the_command_indexes_every_layer(tmp_path, capsys):
    saes, text, out = tmp_path / "saes", tmp_path / "text.txt", tmp_path / "out"
    d_model, n_layers = demo.demo_parts(demo.RESID).model.d_model, 2
    for layer in range(n_layers):
        metadata = {"sae_lens_version": "6.5.0", "hook_name": f"blocks.{layer}.hook_resid_post"}
        for width in (8, 16):
            made = checkpoint("standard", d_in=d_model, d_sae=width, seed=layer, metadata=metadata)
            made.write(saes / f"layer_{layer}_width_{width}")
    text.write_text("Some words of a text. " * 40)
    words = ("index", "--model", demo.assets() / "model", "--sae", saes, "--text", text, "--out", out)
    assert "has several dictionaries that read blocks.0.hook_resid_post" in failure(capsys, *words)
    command(*words, "--match", "*_width_16")
    said = capsys.readouterr().out
    for layer in range(n_layers):
        place = f"blocks.{layer}.hook_resid_post"
        assert f"{place}: 16 features" in said
        assert sv.Index.open(out / place).n_features == 16
    assert f"sae-vis feature {out / 'blocks.0.hook_resid_post'}" in said
    one = saes / "layer_0_width_8"
    command(*words[:4], one, *words[5:-1], tmp_path / "one", "--every-layer")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["blocks.0.hook_resid_post"]
    told = failure(capsys, *words[:4], one, *words[5:], "--match", "*")
    assert "--match chooses among the layers of --sae, but" in told


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_a_transcoder_that_writes_to_what_the_mlp_gives(tmp_path, kind):
    """circuit-tracer's ``mlp.hook_out``: before a post-norm, where there is one."""
    model = load_model(build(kind))
    w = transcoder(1)
    save_file(w, tmp_path / "layer_1.safetensors")
    (tmp_path / "config.yaml").write_text(
        "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    )
    sae = load_dictionary(tmp_path / "layer_1.safetensors")
    parts = sv.ModelAndSae(model=model, sae=sae)
    by_path = sv.ModelAndSae(model=model, sae=sae, hook_out="model.layers.1.mlp")
    behind = sv.ModelAndSae(model=model, sae=sae, hook_out="blocks.1.hook_mlp_out")
    effects = [one.lens(CONFIG).effects([3, 5]) for one in (parts, by_path, behind)]
    assert torch.equal(effects[0], effects[1])
    assert torch.equal(effects[0], effects[2]) == (kind == "llama")
