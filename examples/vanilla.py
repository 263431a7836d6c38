"""The first script of sae_vis 0.3: an SAE, a model, tokens; a page of the first features.

    python examples/vanilla.py page.html [--transformer-lens]

Both the model and the SAE are those embedded in the package; with your own, give a SAELens SAE and a TransformerLens or
Hugging Face model in their place. With ``--transformer-lens`` the model goes through TransformerLens' bridge.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from sae_vis.data_config_classes import SaeVisConfig
from sae_vis.data_storing_fns import SaeVisData
from sae_vis.demo.run import RESID, assets, demo_corpus

MODEL = assets() / "model"


def demo_tokens(n_seqs: int = 64) -> torch.Tensor:
    """Token ids ``[n_seqs, 128]`` of the embedded text."""
    corpus, _ = demo_corpus()
    return torch.from_numpy(corpus.tokens[: 128 * n_seqs].reshape(n_seqs, 128)).long()


def lens_model() -> Any:  # noqa: ANN401  TransformerLens is optional
    """The embedded model, by TransformerLens."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    return TransformerBridge.boot_transformers(str(MODEL), hf_model=model, tokenizer=tokenizer, device="cpu")


def main(path: Path, model: object = MODEL) -> None:
    """Write the page."""
    data = SaeVisData.create(
        sae=assets() / RESID.folder, model=model, tokens=demo_tokens(), cfg=SaeVisConfig(features=range(64))
    )
    data.save_feature_centric_vis(filename=path, feature=8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), lens_model() if "--transformer-lens" in sys.argv else MODEL)
