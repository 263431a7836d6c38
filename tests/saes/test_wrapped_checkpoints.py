"""Checkpoints as training scripts save them: within dictionaries, beside the training's state, behind prefixes."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sae_vis.errors import CheckpointError
from sae_vis.saes.crosscoder_formats import load_crosscoder
from sae_vis.saes.formats import as_dictionary, load_dictionary
from tests.saes import layouts

PLAIN = {"W_enc": layouts.drawn(12, 64), "W_dec": layouts.drawn(64, 12, seed=1), "b_enc": layouts.drawn(64, seed=2)}
FILES = {
    "plain": (PLAIN, "tensors"),
    "topk": (PLAIN | {"k": 5}, "tensors"),
    "openai": (layouts.openai_entries(), "openai"),
    "Gated": (layouts.dictionary_learning_tensors("GatedAutoEncoder"), "dictionary_learning"),
    "AutoEncoder": (layouts.dictionary_learning_tensors("AutoEncoder"), "dictionary_learning"),
    "Matryoshka": (layouts.dictionary_learning_tensors("MatryoshkaBatchTopKSAE"), "dictionary_learning"),
}


def training() -> dict[str, object]:
    """What stands beside: an optimizer's state has tensors, and whole numbers for names."""
    layer = nn.Linear(3, 3)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "optimizer": optimizer.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "lr_schedulers": [],
        "rng_state": torch.random.get_rng_state(),
        "step": 900,
        "global_step": torch.tensor(900),
        "epoch": 3,
        "loss": 0.5,
        "pytorch-lightning_version": "2.4",
    }


def prefixed(entries: dict[str, object], prefix: str) -> dict[str, object]:
    return {prefix + name: value for name, value in entries.items()}


WRAPPINGS = {
    "state_dict": lambda e: {"state_dict": e},
    "model": lambda e: {"model": OrderedDict(e)},
    "sae": lambda e: {"sae": e, **training()},
    "model_state_dict": lambda e: {"model_state_dict": e, **training()},
    "any name alone": lambda e: {"my_dictionary": e},
    "nested": lambda e: {"model": {"state_dict": e, "step": 3}, **training()},
    "three deep": lambda e: {"state_dict": {"model": {"sae": prefixed(e, "module.")}}},
    "module": lambda e: prefixed(e, "module."),
    "_orig_mod": lambda e: prefixed(e, "_orig_mod."),
    "both": lambda e: prefixed(e, "module._orig_mod."),
    "the other way round": lambda e: prefixed(e, "_orig_mod.module."),
    "a lightning module": lambda e: {"state_dict": prefixed(e, "model.sae._orig_mod."), **training(), "callbacks": {}},
    "autoencoder": lambda e: {"model": prefixed(e, "autoencoder.")},
    "harmless settings": lambda e: {"state_dict": e, "cfg": {"d_sae": 64, "lr": 1e-3, "seed": 0}, "config": None},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("kind", FILES)
def test_a_wrapped_checkpoint_is_that_inside(kind: str, wrap, tmp_path: Path):
    entries, format_name = FILES[kind]
    torch.save(entries, tmp_path / "bare.pt")
    torch.save(wrap(entries), tmp_path / "wrapped.pth")
    found, expected = load_dictionary(tmp_path / "wrapped.pth"), load_dictionary(tmp_path / "bare.pt")
    assert found.describe()["format"] == format_name
    assert found.fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.sae.", "state_dict._orig_mod."])
@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_prefixes_in_files_that_hold_tensors_alone(prefix: str, suffix: str, tmp_path: Path):
    for folder, entries in (("bare", PLAIN), ("wrapped", prefixed(PLAIN, prefix))):
        file = tmp_path / f"{folder}.{suffix}"
        if suffix == "npz":
            np.savez(file, **{name: value.numpy() for name, value in entries.items()})
        else:
            save_file(entries, file)
    found, expected = (load_dictionary(tmp_path / f"{name}.{suffix}") for name in ("wrapped", "bare"))
    assert found.fingerprint() == expected.fingerprint()


def test_wrappings_in_folders_that_say_their_format(tmp_path: Path):
    tensors = layouts.sparsify_tensors()
    bare = layouts.write_sparsify(tmp_path / "bare")
    found = layouts.write_sparsify(tmp_path / "wrapped", prefixed(tensors, "_orig_mod."))
    assert load_dictionary(found).fingerprint() == load_dictionary(bare).fingerprint()
    bare = layouts.write_gemma_scope(tmp_path / "bare")
    found = layouts.write_gemma_scope(tmp_path / "wrapped", prefixed(layouts.gemma_scope_tensors(), "module."))
    assert load_dictionary(found / "params.npz").fingerprint() == load_dictionary(bare / "params.npz").fingerprint()
    made = layouts.dictionary_learning_tensors("AutoEncoderTopK")
    bare = layouts.write_dictionary_learning(tmp_path / "bare", "AutoEncoderTopK")
    found = layouts.write_dictionary_learning(
        tmp_path / "wrapped", "AutoEncoderTopK", {"state_dict": prefixed(made, "ae."), **training()}
    )
    assert load_dictionary(found).fingerprint() == load_dictionary(bare).fingerprint()


def test_a_part_that_was_compiled_by_itself(tmp_path: Path):
    entries = layouts.dictionary_learning_tensors("AutoEncoder")
    torch.save(
        {name.replace("encoder.", "encoder._orig_mod."): value for name, value in entries.items()}, tmp_path / "a.pt"
    )
    torch.save(entries, tmp_path / "b.pt")
    assert load_dictionary(tmp_path / "a.pt").fingerprint() == load_dictionary(tmp_path / "b.pt").fingerprint()


def test_a_crosscoder(tmp_path: Path):
    entries = {
        "W_enc": layouts.drawn(2, 12, 64),
        "W_dec": layouts.drawn(64, 2, 12, seed=1),
        "b_enc": layouts.drawn(64, seed=2),
        "b_dec": layouts.drawn(2, 12, seed=3),
    }
    torch.save(entries, tmp_path / "bare.pt")
    torch.save({"model": prefixed(entries, "_orig_mod."), **training()}, tmp_path / "wrapped.pt")
    found, expected = (load_crosscoder(tmp_path / f"{name}.pt") for name in ("wrapped", "bare"))
    assert found.fingerprint() == expected.fingerprint()


def test_a_mapping_in_memory():
    found = as_dictionary(
        {"state_dict": prefixed(PLAIN, "module."), **training()}, hook_name="blocks.0.hook_resid_post"
    )
    assert found.fingerprint() == as_dictionary(PLAIN).fingerprint()


def test_numbers_beside_count(tmp_path: Path):
    """A ``k`` outside of the dictionary of tensors makes a TopK, as one inside does."""
    torch.save({"state_dict": PLAIN, "k": 5, **training()}, tmp_path / "beside.pt")
    torch.save(PLAIN | {"k": 5}, tmp_path / "inside.pt")
    found, expected = (load_dictionary(tmp_path / f"{name}.pt") for name in ("beside", "inside"))
    assert found.fingerprint() == expected.fingerprint()
    assert found.describe()["activation"] == "topk"


UNCLEAR: dict[str, tuple[dict[str, object], str]] = {
    "two": (
        {"model": PLAIN, "ema": PLAIN, "step": 3},
        r"has tensors in 'ema' and in 'model', and only one can be the dictionary of features: save that one alone",
    ),
    "two known": ({"model": PLAIN, "sae": PLAIN}, "has tensors in 'model' and in 'sae', and only one"),
    "two within": ({"state_dict": {"model": PLAIN, "sae": PLAIN}}, "has tensors in 'model' and in 'sae', and only one"),
    "a name that says nothing": (
        {"encoder_weights": PLAIN, "step": 3},
        r"has tensors in 'encoder_weights', beside \['step'\]: if these are the dictionary of features, save",
    ),
    "two prefixes": (
        {"state_dict": prefixed(PLAIN, "sae.") | {"model.embed.weight": layouts.drawn(3, 3)}},
        r"has tensors of model\.\* and sae\.\*: save those of the dictionary of features alone",
    ),
    "settings": (
        {"state_dict": PLAIN, "cfg": {"k": 32, "lr": 1e-3, "activation": "topk"}},
        r"'cfg' beside 'state_dict' holds activation, k: an unknown setting could change the activations. Save the",
    ),
    "settings as text": (
        {"state_dict": PLAIN, "args": "--k 32"},
        r"'args' beside 'state_dict' holds '--k 32': an unknown setting could change",
    ),
    "twice": ({"state_dict": PLAIN | {"k": 5}, "k": 7}, r"\['k'\] are there twice, within the dictionary of tensors"),
    "one name twice": (
        {"W_enc": PLAIN["W_enc"], **prefixed(PLAIN, "_orig_mod.")},
        r"has \['W_enc', '_orig_mod\.W_enc'\]: one tensor twice",
    ),
    "unknown beside": ({"state_dict": PLAIN, "scale": 3.0}, r"unexpected: \['scale'\]"),
    "a tensor beside": ({"state_dict": PLAIN, "input_mean": torch.ones(12)}, r"unexpected: \['input_mean'\]"),
    "training beside tensors": (PLAIN | {"optimizer": {}, "step": 3}, r"unexpected: \['optimizer', 'step'\]"),
    "no tensors": ({"state_dict": {}, "step": 3}, r"is of no known format; it has \['state_dict', 'step'\]"),
    "an optimizer alone": ({"optimizer": {"exp_avg": torch.ones(3, 3)}}, "is of no known format"),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "message"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_not_clear_is_an_error_that_names_it(entries, message: str, tmp_path: Path):
    torch.save(entries, tmp_path / "unclear.pt")
    with pytest.raises(CheckpointError, match=message) as raised:
        load_dictionary(tmp_path / "unclear.pt")
    assert "unclear.pt" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_code_in_a_wrapped_checkpoint_is_refused(tmp_path: Path):
    torch.save({"state_dict": PLAIN, "args": Namespace(k=3)}, tmp_path / "args.pt")
    with pytest.raises(CheckpointError, match="holds Python objects, which could run code when they are read: refused"):
        load_dictionary(tmp_path / "args.pt")


def test_a_mapping_that_is_none_of_tensors():
    with pytest.raises(CheckpointError, match=r"memory has tensors in 'a' and in 'b'"):
        as_dictionary({"a": PLAIN, "b": PLAIN})


def test_nothing_is_taken_off_what_is_bare(tmp_path: Path):
    """Names of formats themselves are no prefixes."""
    tensors: dict[str, Tensor] = layouts.dictionary_learning_tensors("AutoEncoderNew")
    torch.save({name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}, tmp_path / "half.pt")
    with pytest.raises(CheckpointError, match=r"it has \['encoder.bias', 'encoder.weight'\]"):
        load_dictionary(tmp_path / "half.pt")
