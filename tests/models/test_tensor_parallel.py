"""A model cut over two processes (gloo, on the CPU): indexed as the whole one is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers as hf

from sae_vis.api import ModelAndSae, index_features
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index.index import Index
from sae_vis.models.loading import load_model
from tests.kernels import rounding
from tests.libraries import library
from tests.test_devices import TOKENS, nearly_the_same, sae_on
from tests.tiny_models import GEMMA, LLAMA

ROOT = Path(__file__).parents[2]


def made(kind: str) -> hf.PreTrainedModel:
    """A model whose heads and tokens are even in number; every weight random."""
    size = LLAMA | {"vocab_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    torch.manual_seed(0)
    if kind == "llama":
        model = hf.LlamaForCausalLM(hf.LlamaConfig(**size, mlp_bias=True, attention_bias=True))
    else:
        model = hf.Gemma2ForCausalLM(hf.Gemma2Config(**{**GEMMA, **size}, final_logit_softcapping=2.0))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.4)
    return model.eval()


PRODUCTS = 12
"""In turn, up to what is compared."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def cut_over_two(checkpoint: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(free_port()),
    ]
    command += ["-m", "tests.models.tensor_parallel_script", str(checkpoint), str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_the_first_process_indexes_and_the_other_follows(kind: str, tmp_path: Path):
    library("transformers.distributed")
    made(kind).save_pretrained(tmp_path / "model")
    done = cut_over_two(tmp_path / "model", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "followed").exists()
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    here = ModelAndSae(model=load_model(tmp_path / "model"), sae=sae_on("cpu"))
    assert told["fingerprint"] == here.model.fingerprint()
    nearly_the_same(Index.open(tmp_path / "index"), index_features(Corpus.from_tokens(TOKENS), here), 1e-4)
    for name in ("blocks.1.hook_attn_out", "blocks.1.hook_mlp_out", "blocks.2.hook_resid_mid"):
        expected = here.model.activations(TOKENS, here.model.hook_point(name))
        found = torch.load(tmp_path / f"{name}.pt")
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=rounding(expected, PRODUCTS))
    place, logits, ids, follow, released = told["refused"]
    assert "each process has a piece of the activation: a model that is cut over processes is read" in place
    assert "the logits of a model that is cut over processes can't be had" in logits
    assert "token ids from 99 to 99" in ids
    assert "the first process leads" in follow
    assert "the other processes don't follow" in released


def test_one_process_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(
        InputError, match="over several processes, and there is one here: start the script with torchrun"
    ):
        load_model(tmp_path, tensor_parallel=True)
    with pytest.raises(InputError, match="device is cpu, device_map None, tensor_parallel True: give one of them"):
        load_model(tmp_path, tensor_parallel=True, device="cpu")
