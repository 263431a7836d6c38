"""A prompt view over a whole SAE, and the effects on feature pages, against their limits, side by side in one run.

- *prompt*: `PROMPT` tokens, every firing feature, all metrics but full effects; beyond the model's own forward and
  backward pass, taken in the same run. Rankings are compared with a loop over all features first.
- *pages*: direct effects of the examples of feature pages in the default layout, against vocabulary products and
  softmaxes, with and without the feature, and the most changed tokens, at every position of every example, active or
  not: all positions of a feature at once, as sae_vis does, and 256 at a time, which caches like better. These sides are
  timed on a few features and scaled up. The model's forward passes are left out on all sides.

    python -m benchmarks.prompt [--source testbed|demo] [--index DIR] [--rounds 5] [--features 256] [--threads N]
"""

from __future__ import annotations

import argparse
import platform
import time
from functools import reduce
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.page_sources import Made, demo_index, testbed
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss
from sae_vis.index.effects_cache import merged
from sae_vis.index.many import blocks
from sae_vis.layout import SaeVisLayoutConfig, SeqMultiGroupConfig
from sae_vis.models.base import RunnableModel
from sae_vis.views.effects import computed_effects
from sae_vis.views.prompt import PromptSettings, PromptSources, PromptView, prompt_page, prompt_view
from sae_vis.views.sequences import Group, asked_of, example_groups
from sae_vis.views.sources import ViewSources

PROMPT = 32
CONTEXT = 11
PLAIN_FEATURES = 3


def sources_of(made: Made) -> PromptSources:
    model = made.parts.model
    assert isinstance(model, RunnableModel)
    views = ViewSources(index=made.index, text=made.index.text)
    return PromptSources(views, model, made.parts.sae, model.hook_point(made.parts.hook_name))


def check(view: PromptView, sources: PromptSources, tokens: torch.Tensor) -> None:
    """The rankings of a few positions against every feature of the SAE, one by one."""
    dense = sources.sae.encode_dense(sources.model.activations(tokens[None], sources.hook)[0]).float().numpy()
    effects = DirectEffects(sources.model, sources.sae, sources.hook)
    prepared = effects.prepare(tokens)
    losses = next(metric.values for metric in view.metrics if metric.name == "loss_effect")
    for at in range(1, PROMPT - 1, 10):
        own = slice(view.offsets[at], view.offsets[at + 1])
        every = {f: effects.losses_only(prepared, [at], [f], [dense[at, f]])[0] for f in np.flatnonzero(dense[at])}
        assert set(view.features[own].tolist()) == set(every)
        np.testing.assert_allclose(np.sort(losses[own])[:10], sorted(every.values())[:10], atol=1e-5)


def compare_prompt(made: Made, rounds: int) -> None:
    sources = sources_of(made)
    tokens = torch.from_numpy(made.index.tokens[1000 : 1000 + PROMPT].astype(np.int64))
    target = NextTokenLoss()
    check(prompt_view(sources, "it", tokens.tolist(), PromptSettings()), sources, tokens)

    def limit() -> None:
        sources.model.gradient(tokens[None], sources.hook, lambda logits: target(logits[0], tokens))

    def whole() -> PromptView:
        return prompt_view(sources, "it", tokens.tolist(), PromptSettings())

    def page() -> None:
        prompt_page(sources, [("it", tokens.tolist())], PromptSettings())

    times: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for way, taken in zip((limit, whole, page), times, strict=True):
            started = time.perf_counter()
            way()
            taken.append(time.perf_counter() - started)
    forward, all_metrics, cards = map(median, times)
    view = whole()
    print(f"\nPrompt: {PROMPT} tokens, {len(view.features)} pairs, {len(np.unique(view.features))} features")
    print(
        f"  forward and backward {forward:.2f} s; all metrics {all_metrics:.2f} s: {all_metrics - forward:.2f} s beyond"
    )
    print(f"  page with the cards of all features: {cards - all_metrics:.2f} s more")


def plain_effects(
    sources: PromptSources, residual: torch.Tensor, following: torch.Tensor, feature: int, acts: torch.Tensor
) -> torch.Tensor:
    """Loss effects at every position, by the model's own norm and unembedding, the changed tokens found too."""
    end = sources.model.unembedding()
    direction = sources.model.to_residual(sources.sae.decoder[[feature]].detach().float(), sources.hook)[0]

    def log_probs(x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(1, keepdim=True) if end.centred else x
        logits = (x * (x.pow(2).mean(1, keepdim=True) + end.eps).rsqrt() * end.gain) @ end.weight.T
        logits = logits if end.bias is None else logits + end.bias
        cap = sources.model.logit_softcap
        return (logits if cap is None else cap * torch.tanh(logits / cap)).log_softmax(1)

    change = log_probs(residual) - log_probs(residual - acts[:, None] * direction)
    change.topk(5, dim=1)
    change.topk(5, dim=1, largest=False)
    return -change.gather(1, following[:, None])[:, 0]


def compare_pages(made: Made, n_features: int, rounds: int) -> None:
    sources, index = sources_of(made), made.index
    features = index.select(n_features).tolist()
    config = SaeVisLayoutConfig.default_feature_centric_layout().find(SeqMultiGroupConfig)
    assert config is not None
    exampled = [one for block in blocks(index, features) for one in example_groups(sources.views, block, config)]
    groups = {one.feature: one.groups for one in exampled}
    asked = [asked_of(feature, groups[feature], config.top_logits_hoverdata, whole=True) for feature in features]
    effects = DirectEffects(sources.model, sources.sae, sources.hook)
    every = np.concatenate([one.positions for one in asked])
    prepared = effects.prepare_corpus(index.tokens, index.offsets, every)
    effects.prepare_corpus = lambda *_: prepared  # type: ignore[method-assign]
    times: list[list[float]] = [[], [], []]
    part = features[:PLAIN_FEATURES]
    plain = [_plain_parts(sources, groups[feature], feature) for feature in part]
    fast = reduce(merged, computed_effects(effects, index, asked))
    for feature, (positions, _, _, found) in zip(part, plain, strict=True):
        own = fast.rows(fast.feature == feature)
        at = own.find(positions)
        known = (at >= 0) & ~np.isnan(own.loss[at])
        np.testing.assert_allclose(own.loss[at[known]], found[known], atol=2e-4)
    for _ in range(rounds):
        started = time.perf_counter()
        reduce(merged, computed_effects(effects, index, asked))
        times[0].append(time.perf_counter() - started)
        for taken, n_rows in zip(times[1:], (1 << 30, 256), strict=True):
            started = time.perf_counter()
            for feature, (positions, residual, following, _) in zip(part, plain, strict=True):
                acts = torch.from_numpy(np.nan_to_num(index.acts_at(feature, positions)))
                for rows in torch.split(torch.arange(len(positions)), n_rows):
                    plain_effects(sources, residual[rows], following[rows], feature, acts[rows])
            taken.append((time.perf_counter() - started) * len(features) / len(part))
    ours, theirs, batched = map(median, times)
    n_positions = sum(len(positions) for positions, *_ in plain) // len(part)
    n_tokens, n_distinct = len(every), len(np.unique(every))
    print(f"\nEffects on {len(features)} feature pages: {n_tokens:,} firing tokens at {n_distinct:,} positions")
    print(f"  ours: {ours:.2f} s ({ours / len(features):.4f} s a feature)")
    print(f"  plain, {n_positions} positions a feature:")
    for way, seconds in (("all at once", theirs), ("256 at a time", batched)):
        each = seconds / len(features)
        print(f"    {way}: {seconds:.1f} s ({each:.2f} s a feature); ours is {seconds / ours:.1f} x faster")


def _plain_parts(
    sources: PromptSources, groups: list[Group], feature: int
) -> tuple[np.ndarray, torch.Tensor, torch.Tensor, np.ndarray]:
    """Every position of every example, its residual and next token, and the plain effects there."""
    made = sources.views.index
    positions = np.unique(np.concatenate([group.windows.positions for group in groups]))
    effects = DirectEffects(sources.model, sources.sae, sources.hook)
    whole = np.concatenate([group.windows.positions for group in groups])
    prepared = effects.prepare_corpus(made.tokens, made.offsets, positions)
    rows = torch.from_numpy(np.searchsorted(positions, whole))
    residual, following = prepared.residual[rows], prepared.next_tokens[rows].clamp(min=0)
    acts = torch.from_numpy(np.nan_to_num(made.acts_at(feature, whole)))
    return whole, residual, following, plain_effects(sources, residual, following, feature, acts).numpy()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", choices=("testbed", "demo"), default="testbed")
    parser.add_argument("--index", type=Path, default=Path.home() / ".cache" / "sae_vis" / "page-bench")
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    made = (testbed if given.source == "testbed" else demo_index)(given.index, given.tokens)
    print(f"{made.name}; {platform.machine()}, {given.threads} threads, PyTorch {torch.__version__}")
    compare_prompt(made, given.rounds)
    compare_pages(made, given.features, given.rounds)


if __name__ == "__main__":
    main()
