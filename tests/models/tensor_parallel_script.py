"""Run by torchrun in test_tensor_parallel.py: a model cut over two processes; the first one indexes, the other follows.

Arguments: the folder of a checkpoint, and one to write to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from sae_vis.api import ModelAndSae, index_features
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.models.loading import load_model
from sae_vis.models.tensor_parallel import TensorParallelModel
from tests.test_devices import SITE, TOKENS, sae_on


def refusal(call: Callable[[], object]) -> str:
    """What is said about a call that is refused."""
    try:
        call()
    except InputError as error:
        return str(error)
    return "not refused"


def main() -> None:
    """What the test asks, as JSON."""
    model, out = load_model(sys.argv[1], tensor_parallel=True), Path(sys.argv[2])
    assert isinstance(model, TensorParallelModel)
    if not model.leads:
        model.follow()
        (out / "followed").touch()
        return
    parts = ModelAndSae(model=model, sae=sae_on("cpu"))
    index_features(Corpus.from_tokens(TOKENS), parts, out / "index")
    for name in ("blocks.1.hook_attn_out", "blocks.1.hook_mlp_out", "blocks.2.hook_resid_mid"):
        torch.save(model.activations(TOKENS, model.hook_point(name)), out / f"{name}.pt")
    refused = [
        refusal(lambda: model.hook_point("model.layers.1.mlp.up_proj")),
        refusal(lambda: model.logits(TOKENS)),
        refusal(lambda: model.activations(torch.full((1, 2), 99), model.hook_point(SITE))),
        refusal(model.follow),
    ]
    model.release()
    refused.append(refusal(lambda: model.activations(TOKENS, model.hook_point(SITE))))
    told = {"fingerprint": model.fingerprint(), "refused": refused}
    (out / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
