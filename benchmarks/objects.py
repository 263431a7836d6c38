"""Indexing through SAELens and TransformerLens objects, against the same forward and `sae.encode` by themselves.

In turn, on the same tokens and threads, so that a machine that changes speed changes both. Checked before it is timed.
Needs sae-lens and transformer-lens.

Usage: python -m benchmarks.objects [--tokens N] [--rounds N] [--threads N] [--kind jumprelu|topk]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sae_vis.api import ModelAndSae
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.models.any_model import as_model
from sae_vis.saes.formats import as_dictionary

D_MODEL, D_SAE, N_LAYERS, LAYER, SEQ_LEN, BATCH = 512, 16_384, 6, 4, 128, 4096
HOOK = f"blocks.{LAYER}.hook_resid_pre"


def model_of() -> Any:  # noqa: ANN401  TransformerLens is optional
    """A random HookedTransformer."""
    import transformer_lens as tl

    sizes = {"d_model": D_MODEL, "n_layers": N_LAYERS, "n_heads": 8, "d_head": 64, "d_mlp": 4 * D_MODEL}
    more = {"n_ctx": SEQ_LEN, "d_vocab": 5000, "act_fn": "gelu_new", "device": "cpu", "seed": 0}
    return tl.HookedTransformer(tl.HookedTransformerConfig(**sizes, **more)).eval()


def sae_of(kind: str, x: torch.Tensor) -> Any:  # noqa: ANN401  SAELens is optional
    """A random SAE of some 40 firings a token."""
    import sae_lens

    torch.manual_seed(0)
    if kind == "topk":
        sae = sae_lens.TopKSAE(sae_lens.TopKSAEConfig(d_in=D_MODEL, d_sae=D_SAE, k=40))
        torch.nn.init.normal_(sae.W_enc)
    else:
        sae = sae_lens.JumpReLUSAE(sae_lens.JumpReLUSAEConfig(d_in=D_MODEL, d_sae=D_SAE))
        torch.nn.init.normal_(sae.W_enc)
        sae.threshold.data[:] = float((x @ sae.W_enc.detach()).flatten()[: 1 << 20].quantile(1 - 40 / D_SAE))
    return sae


@torch.no_grad()
def by_themselves(model: Any, sae: Any, rows: torch.Tensor) -> float:  # noqa: ANN401
    """Seconds of forward and `encode`, nothing kept."""
    started = time.perf_counter()
    for part in rows.split(BATCH // SEQ_LEN):
        sae.encode(model(part, stop_at_layer=LAYER).flatten(0, 1))
    return time.perf_counter() - started


def indexed(model: Any, sae: Any, corpus: Corpus, out: Path) -> tuple[float, Index]:  # noqa: ANN401
    """Seconds of the whole index, feature table and correlations included, to disk."""
    parts = ModelAndSae(model=as_model(model), sae=as_dictionary(sae), hook=HOOK)
    source = Source(corpus=corpus, model=parts.model, sae=parts.sae, hook=parts.model.hook_point(HOOK))
    started = time.perf_counter()
    index = build_index(source, out, config=IndexConfig(batch_tokens=BATCH))
    return time.perf_counter() - started, index


@torch.no_grad()
def check(model: Any, sae: Any, rows: torch.Tensor, index: Index) -> None:  # noqa: ANN401
    """The first tokens of the index against `encode`."""
    acts = sae.encode(model(rows[:8], stop_at_layer=LAYER).flatten(0, 1))
    for feature in acts.sum(0).topk(20).indices.tolist():
        firings = index.firings(feature)
        found = torch.zeros(len(acts))
        here = firings.positions < len(acts)
        found[torch.from_numpy(firings.positions[here].astype("int64"))] = torch.from_numpy(firings.acts[here].copy())
        wrong = ~torch.isclose(found, acts[:, feature], rtol=1e-4, atol=1e-4)
        assert int(wrong.sum()) <= 1, f"feature {feature} differs from what encode gives"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kind", choices=("jumprelu", "topk"), default=None)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = model_of()
    rows = torch.randint(0, 5000, (chosen.tokens // SEQ_LEN, SEQ_LEN), generator=torch.Generator().manual_seed(0))
    corpus = Corpus.from_tokens(rows)
    with torch.no_grad():
        x = model(rows[:1], stop_at_layer=LAYER)[0]
    print(
        f"torch {torch.__version__}, {chosen.threads} threads; {corpus.n_tokens:,} tokens, {HOOK}, {D_SAE:,} features"
    )
    for kind in ("jumprelu", "topk") if chosen.kind is None else (chosen.kind,):
        sae, ratios = sae_of(kind, x), []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(chosen.rounds):
                before = by_themselves(model, sae, rows)
                seconds, index = indexed(model, sae, corpus, Path(folder) / str(number))
                after = by_themselves(model, sae, rows)
                if number == 0:
                    check(model, sae, rows, index)
                ratios.append(2 * seconds / (before + after))
                print(f"  {kind}: by themselves {before:.1f} s, {after:.1f} s; index {seconds:.1f} s", flush=True)
        print(f"  {kind}: index / forward and encode: median {median(ratios):.2f}, most {max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
