"""The whole-SAE index against its limit: model forward to the hook + the encoder's matrix product, plain PyTorch.

Both run in one process, on the same tokens and threads, in turn, chunk by chunk: the limit on a chunk of the tokens,
then the limit on the next, … interleaved with whole builds, so that a machine that changes speed changes both. On a
machine with other work the ratio of CPU times, of all threads, says more than that by the clock.

Usage: python -m benchmarks.index_build [--size 512|2048|real|all] [--tokens N] [--rounds N] [--threads N]
           [--neurons privileged|always]
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from benchmarks.models import SIZES, made
from sae_vis.api import ModelAndSae
from sae_vis.config import IndexConfig, NeuronCorrelations
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index

BATCH_TOKENS = 4096


class Spent(NamedTuple):
    """Seconds of the clock, and of CPU in all threads."""

    clock: float
    cpu: float

    @classmethod
    def so_far(cls) -> Spent:
        """By this process."""
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> Spent:
        """From then until now."""
        now = Spent.so_far()
        return Spent(now.clock - self.clock, now.cpu - self.cpu)


def limit(corpus: Corpus, parts: ModelAndSae) -> Spent:
    """Seconds of the plain forward to the hook and the plain encoder product over all tokens."""
    module = parts.model.model
    hook = parts.model.hook_point(parts.hook_name)
    weight = parts.sae._weights()["W_enc"]
    target = module.get_submodule(hook.module)
    rows = torch.from_numpy(corpus.tokens.astype("int64")).view(corpus.n_seqs, -1)
    held: list[torch.Tensor] = []

    class StopForward(Exception):  # noqa: N818  no error
        pass

    def keep(module: torch.nn.Module, inputs: object, output: object) -> None:
        held.append(output[0] if isinstance(output, tuple) else output)
        raise StopForward

    handle = target.register_forward_hook(keep)
    started = Spent.so_far()
    try:
        for part in rows.split(BATCH_TOKENS // rows.shape[1]):
            with torch.no_grad():
                try:
                    module.base_model(part, use_cache=False)
                except StopForward:
                    torch.matmul(held.pop().reshape(-1, weight.shape[0]), weight)
    finally:
        handle.remove()
    return started.since()


def index_pass(
    corpus: Corpus, parts: ModelAndSae, out: Path, neurons: NeuronCorrelations
) -> tuple[Spent, dict[str, float], Index]:
    """Seconds of the whole pass, with feature table and all correlations, to disk; and of each stage."""
    stages: dict[str, float] = {}
    last = ["", time.perf_counter()]

    def note(stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        stages[last[0]] = stages.get(last[0], 0.0) + now - last[1]
        last[:] = [stage, now]

    source = Source(corpus=corpus, model=parts.model, sae=parts.sae, hook=parts.model.hook_point(parts.hook_name))
    config = IndexConfig(batch_tokens=BATCH_TOKENS, neuron_correlations=neurons)
    started = Spent.so_far()
    index = build_index(source, out, config=config, progress=note)
    spent = started.since()
    stages.pop("", None)
    return spent, stages, index


def lens_times(parts: ModelAndSae, rounds: int) -> tuple[float, float]:
    """Median seconds of the logit lens of all features, and of its matrix product alone."""
    hook = parts.model.hook_point(parts.hook_name)
    lens = LogitLens(parts.model, parts.sae, hook, n_tokens=20, n_bins=50)
    weight, decoder = parts.model.unembedding().weight, parts.sae.decoder
    step = max(1, (1 << 25) // (4 * weight.shape[0]))

    def product() -> None:
        for block in decoder.split(step):
            torch.matmul(block, weight.T)

    pairs = [(timed(lambda: lens.columns(0, parts.sae.d_sae)), timed(product)) for _ in range(rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def check(index: Index, corpus: Corpus, parts: ModelAndSae) -> None:
    """Before any time is quoted: a few sequences of the index against dense activations."""
    tokens = torch.from_numpy(corpus.tokens[: 4 * 128].astype("int64")).view(4, -1)
    x = parts.model.activations(tokens, parts.model.hook_point(parts.hook_name)).reshape(4 * tokens.shape[1], -1)
    dense = parts.sae.encode_dense(x)
    for feature in dense.sum(0).topk(20).indices.tolist():
        firings = index.firings(feature)
        here = firings.positions < len(x)
        expected = dense[:, feature]
        found = torch.zeros_like(expected)
        found[torch.from_numpy(firings.positions[here].astype("int64"))] = torch.from_numpy(firings.acts[here].copy())
        close = torch.isclose(found, expected, rtol=1e-4, atol=1e-4)
        assert int((~close).sum()) <= 2, f"feature {feature} differs from its dense activations"


def compare(
    name: str, corpus: Corpus, parts: ModelAndSae, folder: Path, rounds: int, neurons: NeuronCorrelations
) -> None:
    """Limit and index in turn; the table."""
    print(f"\n{name}; {corpus.n_tokens:,} tokens, {parts.hook_name}, neurons correlated: {neurons}", flush=True)
    first = corpus.batch(0, 2).tokens
    parts.model.activations(first, parts.model.hook_point(parts.hook_name))  # warm up
    ratios, of_cpu = [], []
    for number in range(rounds):
        before = limit(corpus, parts)
        spent, stages, index = index_pass(corpus, parts, folder / f"index-{number}", neurons)
        after = limit(corpus, parts)
        if number == 0:
            check(index, corpus, parts)
        floor = (before.clock + after.clock) / 2
        ratios.append(spent.clock / floor)
        of_cpu.append(2 * spent.cpu / (before.cpu + after.cpu))
        detail = ", ".join(f"{stage} {seconds / floor:.3f}" for stage, seconds in stages.items())
        print(
            f"  round {number}: limit {before.clock:.1f} s, {after.clock:.1f} s; index {spent.clock:.1f} s; ratio "
            f"{ratios[-1]:.3f} ({detail}); of CPU times {before.cpu:.1f} s, {after.cpu:.1f} s, {spent.cpu:.1f} s: "
            f"{of_cpu[-1]:.3f}",
            flush=True,
        )
    disk = sum(record.bytes for record in index.manifest.files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  index {disk / 1e6:.0f} MB on disk; peak memory of this process so far {peak / 1024:.0f} MB")
    print(f"  index / limit: median {median(ratios):.3f}, least {min(ratios):.3f}, most {max(ratios):.3f}")
    print(f"  the same of CPU times: median {median(of_cpu):.3f}, least {min(of_cpu):.3f}, most {max(of_cpu):.3f}")
    lens, product = lens_times(parts, max(3, rounds))
    print(f"  logit lens {lens:.2f} s, its matrix product {product:.2f} s: ratio {lens / product:.2f}", flush=True)


@contextmanager
def settings(threads: int) -> Iterator[Path]:
    """Threads, and a folder that goes away."""
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def real(n_tokens: int) -> tuple[Corpus, ModelAndSae] | None:
    """The real test model and SAE, on the texts of the tests; None where they are not at hand."""
    import gzip
    import os

    from sae_vis.models.loading import load_model, load_tokenizer
    from sae_vis.saes.saelens_format import load_sae

    folder = Path(os.environ.get("SAE_VIS_TESTBED", Path.home() / ".cache" / "sae_vis" / "testbed"))
    shared = Path(__file__).parents[2] / "shared" / "testbed"
    sae = Path(os.environ.get("SAE_VIS_TESTBED_SAE", shared / "smollm2-l8-topk"))
    corpora = Path(os.environ.get("SAE_VIS_TESTBED_CORPORA", shared / "corpora"))
    for needed in (folder / "model.safetensors", sae / "cfg.json", corpora):
        if not needed.exists():
            return None
    with gzip.open(corpora / "python_docs.txt.gz", "rt", encoding="utf-8") as file:
        texts = file.read().split("\n<|doc|>\n")
    tokens = Corpus.from_texts(texts, load_tokenizer(folder), seq_len=128, prepend_bos=False).tokens
    rows = tokens[: n_tokens // 128 * 128].reshape(-1, 128)
    parts = ModelAndSae(model=load_model(folder, dtype=torch.float32), sae=load_sae(sae))
    return Corpus.from_tokens(rows), parts


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=[*SIZES, "real", "all"], default="all")
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--neurons", choices=["privileged", "always"], default="privileged")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    with settings(options.threads) as folder:
        for key, size in SIZES.items():
            if options.size in (key, "all"):
                chosen = replace(size, n_tokens=options.tokens or size.n_tokens)
                corpus, parts = made(chosen, folder / key)
                compare(
                    f"{size.name}, k {size.k}, {size.n_layers} layers",
                    corpus,
                    parts,
                    folder / key,
                    options.rounds,
                    options.neurons,
                )
                del corpus, parts
        if options.size in ("real", "all"):
            found = real(options.tokens or 65_536)
            if found is None:
                print("\nthe real model's SAE or texts are not at hand: skipped")
                return
            name = "SmolLM2-135M, d_in 576, d_sae 8,192, k 32, 9 layers"
            compare(name, *found, folder / "real", options.rounds, options.neurons)


if __name__ == "__main__":
    main()
