"""Direct effects of features against the plain ways of computing them, side by side in one run.

Three comparisons, each after a check that both sides give the same numbers, each the median of rounds taken in turn:

- *pairs*: the rank-one form against editing the final residual and multiplying by the unembedding again, for every pair
  of a feature and a position of a prompt; both know the residuals.
- *examples*: the examples of 256 features, 70 each, against vocabulary products and softmaxes with and without the
  feature, and the most changed tokens, at every position of each 11-token context, active or not.
- the same, with nothing but losses on both sides.

The plain sides are batched, so that their matrix products run at full speed. They are timed on a part of the work (a
part of the features) and scaled up.

    python -m benchmarks.effects [--vocab 49152] [--width 576] [--rounds 5] [--tokens 30000] [--threads N] [--cpu-time]

On a machine that does other work at the same time, ``--threads 1 --cpu-time`` is what still means something.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.direct import Prepared
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.saes.activations import TopK
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder

D_SAE, K = 8192, 32
N_FEATURES, N_EXAMPLES, CONTEXT = 256, 70, 11
PROMPT = 32
PLAIN_FEATURES = 3  # features timed on the plain side of the examples


@dataclass(frozen=True)
class Work:
    """A model's end, an SAE there, and text: residuals, next tokens, and the firings of the features on it."""

    module: nn.Module
    effects: DirectEffects
    sae: SparseAutoencoder
    residual: Tensor
    prepared: Prepared


def made(vocab: int, width: int, n_tokens: int) -> Work:
    """A Llama-shaped model of random weights with SmolLM2-135M's end; residuals are drawn, not run."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=width // 64,
        intermediate_size=2 * width,
    )
    model = HuggingFaceModel(LlamaForCausalLM(config).eval())
    with torch.no_grad():
        model.model.lm_head.weight.mul_(10)  # logits that differ as a trained model's do
    directions = nn.functional.normalize(torch.randn(D_SAE, width), dim=1)
    bias = torch.zeros(D_SAE)
    sae = SparseAutoencoder(
        directions.T.contiguous(), bias, TopK(K), InputMap(), Decoder(directions=directions, bias=torch.zeros(width))
    )
    residual = torch.randn(n_tokens, width)
    prepared = Prepared(
        positions=np.arange(n_tokens),
        hooked=residual,
        residual=residual,
        next_tokens=torch.randint(0, vocab, (n_tokens,)),
        factor=torch.ones(n_tokens, dtype=torch.float64),
    )
    hook = model.hook_point("blocks.0.hook_resid_post")
    return Work(model.model, DirectEffects(model, sae, hook), sae, residual, prepared)


@torch.no_grad()
def log_probs(module: nn.Module, residual: Tensor) -> Tensor:
    """By the model's own norm and unembedding."""
    logits: Tensor = module.lm_head(module.model.norm(residual))
    return logits.log_softmax(dim=-1)


def firings(work: Work, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, features, activations of what fires at some rows."""
    codes = work.sae.encode(work.residual[rows])
    return rows[torch.repeat_interleave(codes.offsets.diff())], codes.features, codes.acts


def plain_pairs(work: Work, positions: Tensor, features: Tensor, acts: Tensor) -> Tensor:
    """Loss effects by editing the residual, in batches of 256 pairs; the clean side once for each position."""
    used, row = positions.unique(return_inverse=True)
    clean = -log_probs(work.module, work.residual[used]).gather(1, work.prepared.next_tokens[used, None])[:, 0]
    losses = []
    for at in torch.split(torch.arange(len(positions)), 256):
        edited = work.residual[positions[at]] - acts[at, None] * work.sae.decoder[features[at]]
        log_prob = log_probs(work.module, edited)
        losses.append(-log_prob.gather(1, work.prepared.next_tokens[positions[at], None])[:, 0])
    return clean[row] - torch.cat(losses)


def plain_examples(work: Work, chosen: list[tuple[int, Tensor]], *, changed: bool) -> list[Tensor]:
    """Loss effects ``[n_examples, CONTEXT]`` of each feature, at every position of each example's context."""
    found = []
    for feature, positions in chosen:
        every = (positions[:, None] + torch.arange(CONTEXT) - CONTEXT // 2).view(-1)
        x = work.residual[every]
        acts = work.sae.encode_dense(x)[:, feature]
        with_ = log_probs(work.module, x)
        without = log_probs(work.module, x - acts[:, None] * work.sae.decoder[feature])
        change = with_ - without
        if changed:
            change.topk(5, dim=1)
            change.topk(5, dim=1, largest=False)
        found.append(-change.gather(1, work.prepared.next_tokens[every, None]).view(-1, CONTEXT))
    return found


def examples(work: Work) -> list[tuple[int, Tensor]]:
    """For evenly spaced features, up to `N_EXAMPLES` positions where they fire, drawn at random."""
    inside = torch.arange(CONTEXT, len(work.residual) - CONTEXT)
    positions, features, _ = firings(work, inside)
    chosen = []
    for feature in range(0, D_SAE, D_SAE // N_FEATURES):
        at = positions[features == feature]
        chosen.append((feature, at[torch.randperm(len(at))[:N_EXAMPLES]]))
    return chosen


def active_pairs(work: Work, chosen: list[tuple[int, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs of the examples themselves: each feature at the positions chosen for it."""
    positions = torch.cat([at for _, at in chosen])
    features = torch.cat([torch.full((len(at),), feature) for feature, at in chosen])
    x, encoder = work.residual[positions], work.sae.decoder
    return positions, features, (x * encoder[features]).sum(1)


@dataclass(frozen=True)
class Timing:
    """How often to measure, and by which clock (seconds)."""

    rounds: int
    clock: Callable[[], float]

    def seconds(self, *ways: Callable[[], object]) -> list[float]:
        """Median of each way, taken in turn."""
        times: list[list[float]] = [[] for _ in ways]
        for _ in range(self.rounds):
            for way, taken in zip(ways, times, strict=True):
                started = self.clock()
                way()
                taken.append(self.clock() - started)
        return [median(taken) for taken in times]


def compare_pairs(work: Work, timing: Timing) -> None:
    pairs = firings(work, torch.arange(100, 100 + PROMPT))

    def plain() -> Tensor:
        return plain_pairs(work, *pairs)

    def one_by_one() -> list[Tensor]:
        return [plain_pairs(work, *(column[i : i + 1] for column in pairs)) for i in range(8)]

    def rank_one() -> np.ndarray:
        return work.effects.losses_only(work.prepared, *pairs)

    difference = np.abs(rank_one() - plain().numpy()).max()
    assert difference < 1e-4, difference
    n, shared = len(pairs[0]), PROMPT + len(pairs[1].unique())
    weight = work.module.lm_head.weight.detach().T
    slow, fast, alone, product = timing.seconds(plain, rank_one, one_by_one, lambda: work.residual[:256] @ weight)
    product *= shared / 256
    print(f"\nPairs of a prompt: {PROMPT} positions, {n} pairs; largest difference {difference:.1e}")
    print(f"  of the rank-one form's {fast:.3f} s, {product:.3f} s are the products: {shared} positions and features")
    report("beyond these: edit and multiply again, 256 pairs at a time", slow, fast - product)
    report("beyond these: edit and multiply again, pair by pair", alone * n / 8, fast - product)
    report("with these: edit and multiply again, 256 pairs at a time", slow, fast)
    report("with these: edit and multiply again, pair by pair", alone * n / 8, fast)


def compare_examples(work: Work, timing: Timing, *, changed: bool) -> None:
    chosen = examples(work)
    pairs = active_pairs(work, chosen)
    part = chosen[:PLAIN_FEATURES]

    def rank_one() -> np.ndarray:
        return work.effects.at(work.prepared, *pairs, n_changed=5 if changed else 0).loss

    n_part = sum(len(at) for _, at in part)
    middles = torch.cat([found[:, CONTEXT // 2] for found in plain_examples(work, part, changed=changed)])
    difference = np.abs(rank_one()[:n_part] - middles.detach().numpy()).max()
    assert difference < 1e-4, difference
    slow, fast = timing.seconds(lambda: plain_examples(work, part, changed=changed), rank_one)
    n, distinct = len(pairs[0]), len(pairs[0].unique())
    what = "losses and changed tokens" if changed else "losses"
    print(f"\nExamples of {len(chosen)} features, {what}: {n}, at {distinct} distinct positions; {difference:.1e}")
    report(f"every position of each {CONTEXT}-token context", slow * n / n_part, fast)


def report(name: str, slow: float, fast: float) -> None:
    print(f"  {name}: {slow:.3f} s against {fast:.3f} s, ratio {slow / fast:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocab", type=int, default=49_152)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=30_000, help="tokens that examples are drawn from")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    kind = "seconds of CPU" if options.cpu_time else "seconds"
    print(f"{platform.machine()}, torch {torch.__version__}, {options.threads} threads, {kind}")
    print(f"vocabulary {options.vocab}, width {options.width}, {D_SAE} features, {K} firing on a token")
    work = made(options.vocab, options.width, options.tokens)
    compare_pairs(work, Timing(options.rounds, clock))
    for changed in (True, False):
        compare_examples(work, Timing(max(1, options.rounds // 3), clock), changed=changed)


if __name__ == "__main__":
    main()
