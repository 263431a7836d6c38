"""How good a saved SAE is, on held-out rows of all sources."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import GPTNeoXForCausalLM

from training.activations import HookPoint, loss_with_replacement, read_activations
from training.sae import Sae
from training.tokens import Stream, cut_rows


def held_out_rows(streams: list[Stream], context: int, bos: int, stride: int) -> Tensor:
    """Every `stride`-th held-out row. [n_rows, context]."""
    cut = [cut_rows(stream.tokens, context, bos) for stream in streams if stream.held_out]
    return torch.cat([torch.from_numpy(rows.astype("int64")) for rows in cut])[::stride]


def evaluate_sae(
    model: GPTNeoXForCausalLM, sae: Sae, hook: HookPoint, streams: list[Stream], stride: int = 3
) -> dict[str, float]:
    """FVU, L0, dead features and losses; BOS left out everywhere.

    Dead: never fires on these tokens. Loss recovered: the share of the loss between zero ablation of the hook
    and the untouched model that comes back with the reconstruction in its place.
    """
    context = model.config.max_position_embeddings
    rows = held_out_rows(streams, context, model.config.bos_token_id, stride)
    residual, n_tokens, n_firings = 0.0, 0, 0
    fired = torch.zeros(len(sae.b_enc), dtype=torch.int64)
    sums = [read_activations(model, hook, batch)[:, 1:].double().sum((0, 1)) for batch in rows.split(16)]
    mean = (torch.stack(sums).sum(0) / (len(rows) * (context - 1))).float()
    variance = 0.0
    for batch in rows.split(16):
        x = read_activations(model, hook, batch)[:, 1:].flatten(0, 1)
        acts = sae.encode(x)
        residual += float((x - sae.decode(acts)).square().sum())
        variance += float((x - mean).square().sum())
        fired += (acts > 0).sum(0)
        n_tokens += len(x)
        n_firings += int((acts > 0).sum())
    clean = loss_with_replacement(model, hook, rows, lambda x: x)
    patched = loss_with_replacement(model, hook, rows, lambda x: sae.decode(sae.encode(x)))
    ablated = loss_with_replacement(model, hook, rows, torch.zeros_like)
    return {
        "held_out_tokens": n_tokens,
        "fvu": residual / variance,
        "l0": n_firings / n_tokens,
        "dead": int((fired == 0).sum()),
        "dense_over_10_percent": int((fired > 0.1 * n_tokens).sum()),
        "loss_clean": clean,
        "loss_patched": patched,
        "loss_zero_ablated": ablated,
        "loss_recovered": (ablated - patched) / (ablated - clean),
    }
