"""Loading any checkpoint: recognised from its files, from the hub's cache, and refused in words that help."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sae_vis.errors import CheckpointError, InputError
from sae_vis.saes.formats import FORMATS, as_dictionary, load_dictionary
from sae_vis.saes.tensors import TensorOptions, from_tensors
from sae_vis.saes.weights import read_entries
from tests.libraries import library
from tests.saes import layouts
from tests.saes.checkpoints import checkpoint


class Harmful:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def write_plain(folder):
    folder.mkdir(parents=True)
    save_file({"W_enc": layouts.drawn(12, 64), "W_dec": layouts.drawn(64, 12)}, folder / "any-name.safetensors")
    return folder


WRITERS = {
    "saelens": lambda folder: checkpoint("topk").write(folder),
    "sparsify": layouts.write_sparsify,
    "dictionary_learning": lambda folder: layouts.write_dictionary_learning(folder, "BatchTopKSAE"),
    "gemma_scope": layouts.write_gemma_scope,
    "openai": lambda folder: layouts.write_openai(folder / "any-name.pt").parent,
    "tensors": write_plain,
}


ELSEWHERE = {"crosscoder", "clt", "gemma_scope_2", "qwen_scope", "circuit_tracer"}
"""In test_crosscoders.py and test_newer_formats.py: a file's name or a configuration says what it is, too."""


def test_every_format_is_written_here_or_has_its_own_tests():
    assert {known.name for known in FORMATS} == WRITERS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_recognised(tmp_path, name):
    folder = WRITERS[name](tmp_path / "sae")
    sae = load_dictionary(folder)
    assert sae.describe()["format"] == name
    assert load_dictionary(str(tmp_path), subfolder="sae", format=name).fingerprint() == sae.fingerprint()
    weights = next(file for file in folder.iterdir() if file.suffix != ".json")
    assert load_dictionary(weights).fingerprint() == sae.fingerprint()
    assert as_dictionary(folder).fingerprint() == sae.fingerprint()
    assert as_dictionary(sae) is sae


@pytest.mark.parametrize("subfolder", [None, "layers.5", "a/b/layer_3"])
@pytest.mark.parametrize("name", ["saelens", "sparsify", "dictionary_learning", "gemma_scope"])
def test_a_repository_is_read_from_the_cache_without_network(tmp_path, monkeypatch, name, subfolder):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--some-saes"
    snapshot = repository / "snapshots" / commit
    WRITERS[name](snapshot / (subfolder or ""))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    sae = load_dictionary("someone/some-saes", subfolder=subfolder)
    local = load_dictionary(snapshot, subfolder=subfolder)
    assert sae.fingerprint() == local.fingerprint()
    inside = f"/{subfolder}" if subfolder else ""
    assert str(sae.describe()["source"]).startswith(f"someone/some-saes@{commit}{inside}")
    with pytest.raises(CheckpointError, match="someone/other is not a path here, and could not be fetched"):
        load_dictionary("someone/other")
    with pytest.raises(CheckpointError, match="could not be fetched"):
        load_dictionary("someone/some-saes", revision="v2")
    with pytest.raises(CheckpointError, match=r"layers.9 does not exist: give a folder, a weights file, or the id"):
        load_dictionary("someone/some-saes", subfolder="layers.9")


def test_files_of_the_cache_may_be_links(tmp_path, monkeypatch):
    from huggingface_hub import constants

    repository = tmp_path / "hub" / "models--google--gemma-scope-2b-pt-mlp"
    folder = repository / "snapshots" / "abc" / "layer_7" / "width_16k" / "average_l0_5"
    folder.mkdir(parents=True)
    (repository / "blobs").mkdir()
    written = layouts.write_gemma_scope(tmp_path / "there") / "params.npz"
    shutil.move(written, repository / "blobs" / "hash")
    (folder / "params.npz").symlink_to(repository / "blobs" / "hash")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    sae = load_dictionary(
        "google/gemma-scope-2b-pt-mlp", subfolder="layer_7/width_16k/average_l0_5/params.npz", device="cpu"
    )
    assert sae.hook_name == "blocks.7.hook_mlp_out"


def test_what_is_not_recognised_lists_the_formats(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere does not exist: give a folder, a weights file"):
        load_dictionary(tmp_path / "nowhere")
    with pytest.raises(CheckpointError) as caught:
        load_dictionary(tmp_path)
    for known in FORMATS:
        assert f"{known.name} ({known.says})" in str(caught.value)
    save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"is of no known format; it has \['weight'\]. Known formats: saelens"):
        load_dictionary(tmp_path)
    layouts.write_sparsify(tmp_path / "layers.1")
    layouts.write_sparsify(tmp_path / "deep" / "layers.2")
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"there are some in deep/layers.2, layers.1: give subfolder="):
        load_dictionary(tmp_path)
    with pytest.raises(InputError, match=r"format 'sae' is unknown; choose one of \['saelens', 'sparsify'"):
        load_dictionary(tmp_path, format="sae")
    (tmp_path / "layers.1" / "sae.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"sae.safetensors does not exist"):
        load_dictionary(tmp_path / "layers.1", format="sparsify")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"weights are read from files that end in .safetensors, .npz"):
        load_dictionary(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="revision 'v1' is for a Hugging Face repository"):
        load_dictionary(tmp_path, revision="v1")
    with pytest.raises(InputError, match=r"apply_b_dec_to_input is for plain tensors; .* is of format gemma_scope"):
        load_dictionary(layouts.write_gemma_scope(tmp_path / "g"), apply_b_dec_to_input=True)
    with pytest.raises(InputError, match="int is not a dictionary of features; give a path"):
        as_dictionary(3)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "ran"
    folder = layouts.write_dictionary_learning(tmp_path / "sae", "AutoEncoder")
    torch.save({"bias": torch.zeros(3), "other": Harmful(mark)}, folder / "ae.pt")
    with pytest.raises(CheckpointError, match=r"ae.pt holds Python objects, which could run code .*: refused. Load it"):
        load_dictionary(folder)
    (folder / "ae.pt").write_bytes(pickle.dumps({"bias": Harmful(mark)}))
    with pytest.raises(CheckpointError, match="is not a whole file in torch's zip format"):
        load_dictionary(folder)
    torch.save({"bias": torch.zeros(3)}, folder / "ae.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"or, if it was saved by torch before 1.6"):
        load_dictionary(folder)
    torch.save(torch.nn.Linear(2, 2), folder / "ae.pt")
    with pytest.raises(CheckpointError, match="save its state_dict"):
        load_dictionary(folder)
    np.savez(tmp_path / "params.npz", W_enc=np.array([Harmful(mark)], dtype=object))
    with pytest.raises(CheckpointError, match=r"params.npz holds Python objects, which could run code .* refused"):
        load_dictionary(tmp_path / "params.npz", format="gemma_scope")
    assert not mark.exists()


def test_damaged_files(tmp_path):
    whole = (layouts.write_dictionary_learning(tmp_path / "dl", "AutoEncoder") / "ae.pt").read_bytes()
    (tmp_path / "dl" / "ae.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"is not a whole file in torch's zip format: fetch it again"):
        load_dictionary(tmp_path / "dl")
    with zipfile.ZipFile(tmp_path / "dl" / "ae.pt", "w") as archive:
        archive.writestr("hello", "world")
    with pytest.raises(CheckpointError, match="is not a whole torch file"):
        load_dictionary(tmp_path / "dl")
    torch.save([torch.zeros(2)], tmp_path / "dl" / "ae.pt")
    with pytest.raises(CheckpointError, match="must hold a dictionary of tensors by name; found list"):
        load_dictionary(tmp_path / "dl")
    npz = layouts.write_gemma_scope(tmp_path / "g") / "params.npz"
    npz.write_bytes(npz.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="is not a whole npz file"):
        load_dictionary(tmp_path / "g")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    npz.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="is not an archive of arrays"):
        load_dictionary(tmp_path / "g")
    sparsify = layouts.write_sparsify(tmp_path / "s")
    (sparsify / "sae.safetensors").write_bytes(b"12345")
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        load_dictionary(sparsify)
    (sparsify / "cfg.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="must hold a JSON object; found list"):
        load_dictionary(sparsify)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dict_class": "CrossCoder"}, r"dict_class 'CrossCoder' is not supported; known: \['AutoEncoder', 'AutoEnc"),
        ({"novel": 1}, r"unknown keys \['trainer.novel'\]: an unknown setting could change the activations"),
        ({"activation_dim": 25}, r"activation_dim is 24 in the weights, but 25 in config.json"),
        ({"dict_size": 8}, r"dict_size is 512 in the weights, but 8 in config.json: are the two from the same run"),
        ({"k": 9}, r"k differs: \{'the weights': 7, 'config.json': 9\}"),
        ({"k": 0}, r"k must be a positive integer; found 0"),
        ({"k": 1000}, r"k is 1000, but there are only 512 features"),
        ({"k": "7"}, r"k must be one number; found '7'"),
        (
            {"dict_class": "AutoEncoder"},
            r"a dictionary_learning AutoEncoder has the tensors .*missing: \['bias'\], unexpected: \['b_dec'",
        ),
    ],
)
def test_refused_dictionary_learning_configurations(tmp_path, change, message):
    folder = layouts.write_dictionary_learning(tmp_path, "AutoEncoderTopK", **change)
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(folder)


def test_refused_dictionary_learning_files(tmp_path):
    folder = layouts.write_dictionary_learning(tmp_path, "AutoEncoderTopK")
    (folder / "config.json").write_text(json.dumps({"trainer": 3}))
    with pytest.raises(CheckpointError, match="trainer must be an object, as the library writes it; found 3"):
        load_dictionary(folder)
    (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": "AutoEncoderTopK"}, "novel": 1}))
    with pytest.raises(CheckpointError, match=r"unknown keys \['novel'\].*Known: \['buffer', 'trainer'\]"):
        load_dictionary(folder)
    (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": "AutoEncoderTopK"}}))
    tensors = layouts.dictionary_learning_tensors("AutoEncoderTopK")
    del tensors["k"]
    torch.save(tensors, folder / "ae.pt")
    with pytest.raises(CheckpointError, match=r"needs k, in the weights or in config.json"):
        load_dictionary(folder)
    groups = layouts.dictionary_learning_tensors("MatryoshkaBatchTopKSAE") | {"group_sizes": torch.tensor([1, 2])}
    folder = layouts.write_dictionary_learning(tmp_path / "m", "MatryoshkaBatchTopKSAE", groups)
    with pytest.raises(CheckpointError, match="group_sizes add up to 3; expected 512, the dict_size"):
        load_dictionary(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"novel": 1}, r"unknown keys \['novel'\].*Keys that are honoured: \['activation', 'd_in'"),
        ({"activation": "relu"}, r"activation 'relu' is not supported; known: \['groupmax', 'topk'\]"),
        ({"signed": True, "activation": "groupmax", "k": 8}, r"signed is true, which goes with the activation 'topk'"),
        ({"transcode": 1}, r"transcode must be true or false; found 1"),
        ({"d_in": None}, r"d_in must be one number; found None"),
        ({"d_in": 23}, r"has shape \[.*\]; expected \[.*23.*\] \(d_in 23, 512 features in cfg.json\)"),
        ({"k": 513}, r"k is 513, but there are only 512 features"),
        ({"activation": "groupmax"}, r"512 features are not a multiple of k 7"),
        ({"skip_connection": True}, r"a sparsify coder with skip connection has the tensors .* missing: \['W_skip'\]"),
    ],
)
def test_refused_sparsify_configurations(tmp_path, change, message):
    tensors = layouts.sparsify_tensors()
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(layouts.write_sparsify(tmp_path, tensors, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "Softplus"}, r"activation 'Softplus' is not supported; known: \['Identity', 'ReLU', 'TopK'\]"),
        ({"activation_state_dict": {"k": 3, "novel": 1}}, r"unknown settings \['novel'\] in activation_state_dict"),
        ({"activation_state_dict": {"k": 3, "postact_fn": "Tanh"}}, r"postact_fn 'Tanh' is not supported; known"),
        ({"activation.k": 4}, r"activation_state_dict has k 7, but activation.k is 4"),
        ({"activation_state_dict": {}}, r"activation_state_dict.k must be one number; found None"),
        ({"activation_state_dict": 3}, r"activation_state_dict must be a dictionary; found int"),
        ({"activation": "ReLU"}, r"unknown settings \['k', 'postact_fn'\] in activation_state_dict of ReLU"),
        ({"novel": torch.zeros(2)}, r"an OpenAI autoencoder has the tensors .* unexpected: \['novel'\]"),
        ({"pre_bias": torch.zeros(2)}, r"pre_bias has shape \[2\]; expected \[24\] \(encoder.weight is \[512, 24\]\)"),
        ({"pre_bias": "text"}, r"\['pre_bias'\] must be tensors; found str"),
    ],
)
def test_refused_openai_files(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(layouts.write_openai(tmp_path / "a.pt", layouts.openai_entries() | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": torch.zeros(3)}, r"threshold has shape \[3\]; expected \[512\] \(W_enc is \[24, 512\]\)"),
        ({"W_dec": torch.zeros(24, 512)}, r"W_dec has shape \[24, 512\]; expected \[512, 512\]|b_dec has shape"),
        ({"W_enc": torch.zeros(24)}, r"W_enc must be a matrix; found shape \[24\]"),
        ({"W_enc": torch.zeros(0, 4)}, r"W_enc must be a matrix; found shape \[0, 4\]"),
        ({"b_enc": torch.full((512,), torch.nan)}, r"b_enc holds 512 values that are NaN or infinite"),
        ({"b_enc": torch.zeros(512, dtype=torch.int32)}, r"b_enc is int32; expected one of float32, float16"),
        ({"novel": torch.zeros(3)}, r"a Gemma Scope checkpoint has the tensors .*unexpected: \['novel'\]"),
    ],
)
def test_refused_gemma_scope_files(tmp_path, change, message):
    folder = layouts.write_gemma_scope(tmp_path, layouts.gemma_scope_tensors() | change)
    with pytest.raises(CheckpointError, match=message):
        load_dictionary(folder)


def test_refused_plain_tensors():
    plain = layouts.gemma_scope_tensors()
    with pytest.raises(CheckpointError, match=r"b_dec is not zero, .*: give apply_b_dec_to_input=True or False"):
        from_tensors(plain)
    from_tensors(plain | {"b_dec": torch.zeros(24)})
    options = TensorOptions(apply_b_dec_to_input=True)
    with pytest.raises(CheckpointError, match=r"both k \(TopK\) and threshold \(JumpReLU\); give the one"):
        from_tensors(plain | {"k": 3})
    with pytest.raises(CheckpointError, match=r"missing: \['W_dec'\], unexpected: \['W'\]"):
        from_tensors({"W_enc": plain["W_enc"], "W": plain["W_dec"]})
    with pytest.raises(CheckpointError, match=r"W_dec has shape \[500, 24\]; expected \[512, 24\]"):
        from_tensors({"W_enc": plain["W_enc"], "W_dec": plain["W_dec"][:500]})
    wide = {"W_enc": plain["W_enc"], "W_dec": torch.ones(512, 30), "b_dec": torch.ones(30)}
    with pytest.raises(CheckpointError, match="b_dec has 30 numbers and the input 24"):
        from_tensors(wide, options)
    transcoder = from_tensors(wide, TensorOptions(apply_b_dec_to_input=False))
    assert transcoder.decoder.shape == (512, 30)
    assert transcoder.centre.shape == (24,)
    sparse = plain | {"W_enc": plain["W_enc"].to_sparse()}
    with pytest.raises(
        CheckpointError, match=r"W_enc is stored as torch.sparse_coo; expected an ordinary dense tensor"
    ):
        from_tensors(sparse, options)
    with pytest.raises(InputError, match="is not supported for an SAE; choose one of float32"):
        from_tensors(plain, TensorOptions(dtype=torch.float64))


def test_values_too_large_for_the_dtype_are_refused(tmp_path):
    plain = layouts.gemma_scope_tensors() | {"b_enc": torch.full((512,), 1e5)}
    folder = layouts.write_gemma_scope(tmp_path, plain)
    with pytest.raises(CheckpointError, match=r"b_enc has values up to 1e\+05, too large for float16: choose bfloat16"):
        load_dictionary(folder, dtype=torch.float16)
    load_dictionary(folder, dtype=torch.bfloat16)
    load_dictionary(folder)


def test_plain_tensors_are_shared_and_left_alone():
    plain = layouts.gemma_scope_tensors()
    before = {name: tensor.clone() for name, tensor in plain.items()}
    sae = from_tensors(plain, TensorOptions(apply_b_dec_to_input=True))
    sae.encode(layouts.inputs())
    assert sae.decoder.data_ptr() == plain["W_dec"].data_ptr()
    assert all(torch.equal(plain[name], before[name]) for name in plain)
    number = from_tensors(plain | {"threshold": 2.0}, TensorOptions(apply_b_dec_to_input=True))
    tensor = from_tensors(plain | {"threshold": torch.tensor(2.0)}, TensorOptions(apply_b_dec_to_input=True))
    assert number.fingerprint() == tensor.fingerprint()


def test_loading_leaves_the_random_state_alone(tmp_path):
    folder = layouts.write_dictionary_learning(tmp_path, "GatedAutoEncoder")
    state = torch.get_rng_state()
    load_dictionary(folder).encode(torch.ones(2, 24))
    assert torch.equal(torch.get_rng_state(), state)
    assert set(read_entries(folder / "ae.pt")) == set(layouts.dictionary_learning_tensors("GatedAutoEncoder"))


def test_a_release_without_sae_lens_names_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    said = r"gpt2-small-res-jb:blocks\.8\.hook_resid_pre is not a path .* pip install"
    with pytest.raises(CheckpointError, match=said):
        load_dictionary("gpt2-small-res-jb:blocks.8.hook_resid_pre")


def test_a_repository_and_a_folder_in_one_word(tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "hub" / "models--someone--some-saes" / "snapshots" / "abc"
    layouts.write_sparsify(snapshot / "layers.3")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = load_dictionary("someone/some-saes:layers.3")
    assert found.fingerprint() == load_dictionary("someone/some-saes", subfolder="layers.3").fingerprint()


def test_a_release_through_sae_lens(tmp_path, monkeypatch):
    """The files of a release in SAELens' directory, in a cache of our own; nothing is downloaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sae_lens = library("sae_lens")
        release, sae_id = "gpt2-small-res-jb", "blocks.8.hook_resid_pre"
        config = sae_lens.StandardSAEConfig(d_in=12, d_sae=30)
        config.metadata.hook_name = sae_id
        sae = sae_lens.StandardSAE(config)
        entry = sae_lens.loading.pretrained_saes_directory.get_pretrained_saes_directory()[release]
        snapshot = tmp_path / f"models--{entry.repo_id.replace('/', '--')}" / "snapshots" / "abc"
        sae.save_model(snapshot / entry.saes_map[sae_id])
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc")
        import huggingface_hub.constants
        import huggingface_hub.file_download

        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        state = torch.random.get_rng_state()
        found = load_dictionary(f"{release}:{sae_id}")
        assert torch.equal(state, torch.random.get_rng_state())
        assert found.hook_name == sae_id
        x = torch.randn(20, 12)
        assert torch.equal(found.encode_dense(x), sae.encode(x).detach())
        with pytest.raises(CheckpointError, match=r"SAELens can't load 'blocks\.99' of release 'gpt2-small-res-jb'"):
            load_dictionary(f"{release}:blocks.99")
