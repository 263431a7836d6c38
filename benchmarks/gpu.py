"""What a GPU makes of an index: a 2-B-parameter Gemma-2-shaped model to layer 12, SAEs of 16k, 131k and 1 M features.

No network, weights random. Of each SAE, in turn and in one process:

- the limit: forward to the hook and the encoder's product, plain PyTorch, one synchronisation at the end;
- codes on the host: the same with selection, packing and the copies to the host, as a build asks for them;
- shards on disk: the step "index" of a build, to its last shard;
- of the smallest SAE the whole build, with the share of each step.

Each is given as a ratio to the limit (before and after it, their mean). Synchronisations are those that PyTorch itself
reports (`torch.cuda.set_sync_debug_mode`), by the line that asks for them, and waits for copies. At the end the tests
of `tests/test_devices.py` are run.

Usage: python -m benchmarks.gpu [--tiny] [--tokens N] [--out FILE]

``--tiny`` runs the same code in small on any machine; where there is no GPU the CPU stands for one.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers

import sae_vis
from benchmarks.models import random_corpus
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.index import shards
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.index.shards import coded_batches, plan_batches
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.transfers import OnTheirWay
from sae_vis.saes.linear import DEVICE_ELEMENTS, DEVICE_ROWS, LinearDictionary
from sae_vis.saes.tensors import TensorOptions, from_tensors

ROOT = Path(__file__).parents[1]
CHECKED = 8


@dataclass(frozen=True, kw_only=True)
class Dictionaries:
    """An SAE of the benchmark: width, activation function, dtype of its encoder, firings a token."""

    name: str
    d_sae: int
    kind: str
    dtype: torch.dtype
    l0: int = 64


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Sizes of a run. ``n_tokens`` are timed up to the host, ``n_indexed`` of them to disk."""

    model: dict[str, Any]
    layer: int
    dtype: torch.dtype
    saes: tuple[Dictionaries, ...]
    n_tokens: int
    n_indexed: int
    seq_len: int
    batch_tokens: int


GEMMA_2_2B = {
    "vocab_size": 256_000,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
}
FULL = Setting(
    model=GEMMA_2_2B,
    layer=12,
    dtype=torch.bfloat16,
    saes=(
        Dictionaries(name="16k JumpReLU float32", d_sae=16_384, kind="jumprelu", dtype=torch.float32),
        Dictionaries(name="16k TopK bfloat16", d_sae=16_384, kind="topk", dtype=torch.bfloat16),
        Dictionaries(name="131k JumpReLU float32", d_sae=131_072, kind="jumprelu", dtype=torch.float32),
        Dictionaries(name="131k JumpReLU bfloat16", d_sae=131_072, kind="jumprelu", dtype=torch.bfloat16),
        Dictionaries(name="1M TopK bfloat16", d_sae=1_048_576, kind="topk", dtype=torch.bfloat16),
    ),
    n_tokens=1 << 19,
    n_indexed=1 << 18,
    seq_len=1024,
    batch_tokens=16_384,
)
TINY = Setting(
    model=GEMMA_2_2B
    | {"vocab_size": 503, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "head_dim": 16},
    layer=1,
    dtype=torch.float32,
    saes=(
        Dictionaries(name="1k JumpReLU float32", d_sae=1024, kind="jumprelu", dtype=torch.float32, l0=8),
        Dictionaries(name="4k TopK bfloat16", d_sae=4096, kind="topk", dtype=torch.bfloat16, l0=8),
    ),
    n_tokens=4096,
    n_indexed=2048,
    seq_len=64,
    batch_tokens=512,
)


@dataclass
class Measured:
    """One line of the table: seconds, bytes, and what was counted."""

    sae: str
    l0: float
    tokens: int
    indexed: int
    limit_s: float
    codes_s: float
    codes_to_limit: float
    tokens_a_second: float
    shards_s: float
    shards_to_limit: float
    disk_bytes: int
    disk_bytes_a_second: float
    peak_device_gb: float
    peak_host_gb: float
    syncs_a_batch: float
    waits_a_batch: float
    sync_sites: dict[str, float] = field(default_factory=dict)
    build_s: float | None = None
    build_to_limit: float | None = None
    steps_s: dict[str, float] = field(default_factory=dict)


def random_gemma(setting: Setting, device: torch.device) -> HuggingFaceModel:
    """A Gemma-2 of random weights, made on the device."""
    config = transformers.Gemma2Config(**setting.model)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(setting.dtype)
    try:
        with device:
            model = transformers.Gemma2ForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    return HuggingFaceModel(model)


def random_sae(kind: Dictionaries, x: torch.Tensor, hook_name: str) -> LinearDictionary:
    """An SAE of random directions; where it has a threshold, one by which ``l0`` features fire on rows as ``x``."""
    device, d_in = x.device, x.shape[1]
    dice = torch.Generator(device).manual_seed(1)
    W_enc = torch.randn(d_in, kind.d_sae, generator=dice, device=device, dtype=kind.dtype).mul_(d_in**-0.5)
    tensors: dict[str, Any] = {"W_enc": W_enc, "W_dec": W_enc.T.contiguous()}
    tensors["b_enc"] = torch.randn(kind.d_sae, generator=dice, device=device).mul_(0.3).to(kind.dtype)
    if kind.kind == "topk":
        tensors["k"] = kind.l0
    else:
        pre = x[:256].to(kind.dtype) @ W_enc + tensors["b_enc"]
        tensors["threshold"] = pre.flatten().float().topk(256 * kind.l0).values[-1].clamp(min=0).to(kind.dtype)
    made = from_tensors(tensors, TensorOptions(hook_name=hook_name, dtype=kind.dtype))
    assert isinstance(made, LinearDictionary)
    return made


def finish(device: torch.device) -> None:
    """Wait for all that the device was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call, to its end on the device."""
    finish(device)
    started = time.perf_counter()
    call()
    finish(device)
    return time.perf_counter() - started


def limit(source: Source, runs: list[tuple[int, int]]) -> None:
    """Forward to the hook and the encoder's product over all tokens, in plain PyTorch."""
    assert isinstance(source.model, HuggingFaceModel)
    assert isinstance(source.sae, LinearDictionary)
    module, weight = source.model.model, source.sae._weights()["W_enc"]
    target, held = module.get_submodule(source.hook.module), []
    height = min(DEVICE_ROWS, max(64, DEVICE_ELEMENTS // source.sae.d_sae))
    product: torch.Tensor | None = None

    class StopForward(Exception):  # noqa: N818  no error
        pass

    def keep(module: torch.nn.Module, inputs: object, output: object) -> None:
        held.append(output[0] if isinstance(output, tuple) else output)
        raise StopForward

    handle = target.register_forward_hook(keep)
    try:
        with torch.no_grad():
            for start, stop in runs:
                tokens = source.corpus.batch(start, stop).tokens.to(weight.device)
                try:
                    module.base_model(tokens, use_cache=False)
                except StopForward:
                    x = held.pop().flatten(0, 1).to(weight.dtype)
                for block in x.split(height):
                    if product is None:
                        product = block.new_empty(len(block), weight.shape[1])
                    torch.mm(block, weight, out=product[: len(block)])
    finally:
        handle.remove()


class Waited(OnTheirWay):
    """Counts how often the host waits for copies."""

    times = 0

    def arrived(self) -> list[torch.Tensor]:
        """One more."""
        Waited.times += 1
        return super().arrived()


def codes(source: Source, runs: list[tuple[int, int]]) -> int:
    """All codes on the host, as a build asks for them; how many fire."""
    batches = coded_batches(source.corpus, source.model, source.sae, source.hook, runs)
    return sum(len(batch.codes.features) for batch in batches)


def synchronisations(source: Source, runs: list[tuple[int, int]]) -> tuple[Counter[str], int]:
    """Those that PyTorch reports, by file and line, and waits for copies, over some batches after the first ones."""
    Waited.times = 0
    if not torch.cuda.is_available():
        codes(source, runs)
        return Counter(), Waited.times
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            codes(source, runs)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    sites = [one for one in told if "synchroniz" in str(one.message)]
    return Counter(f"{Path(one.filename).name}:{one.lineno}" for one in sites), Waited.times


class Enough(Exception):  # noqa: N818  no error
    """The last shard is on disk."""


def shards_only(source: Source, folder: Path, config: IndexConfig) -> None:
    """A build up to its last shard."""

    def note(step: str, done: int, total: int) -> None:
        if step != "index":
            raise Enough

    try:
        build_index(source, folder, config=config, progress=note)
    except Enough:
        return


def whole(source: Source, folder: Path, config: IndexConfig) -> tuple[Index, dict[str, float]]:
    """A whole build, and seconds of each of its steps."""
    steps: dict[str, float] = {}
    last = ["", time.perf_counter()]

    def note(step: str, done: int, total: int) -> None:
        now = time.perf_counter()
        steps[last[0]] = steps.get(last[0], 0.0) + now - last[1]
        last[:] = [step, now]

    index = build_index(source, folder, config=config, progress=note)
    note("", 0, 0)
    steps.pop("", None)
    return index, steps


def check(index: Index, source: Source, config: IndexConfig) -> None:
    """Before any time is quoted: some features of the first sequences against dense activations of the same batch."""
    batch = plan_batches(source.corpus.offsets, 0, source.corpus.n_seqs, config.batch_tokens)[0]
    tokens = source.corpus.batch(*batch).tokens
    dense = source.sae.encode_dense(source.model.activations(tokens, source.hook).flatten(0, 1)).float().cpu()
    for feature in dense.sum(0).topk(CHECKED).indices.tolist():
        firings = index.firings(feature)
        here = firings.positions < len(dense)
        found = torch.zeros(len(dense))
        found[torch.from_numpy(firings.positions[here].astype("int64"))] = torch.from_numpy(firings.acts[here].copy())
        off = ~torch.isclose(found, dense[:, feature], rtol=1e-2, atol=1e-2)
        assert int(off.sum()) <= max(2, len(dense) // 1000), f"feature {feature} differs from its dense activations"


def measure(source: Source, kind: Dictionaries, setting: Setting, folder: Path, *, to_the_end: bool) -> Measured:
    """One SAE."""
    device = source.sae.decoder.device
    config = IndexConfig(batch_tokens=setting.batch_tokens, shard_tokens=4 * setting.batch_tokens)
    every = plan_batches(source.corpus.offsets, 0, source.corpus.n_seqs, config.batch_tokens)
    rows = setting.n_indexed // setting.seq_len
    part = Source(
        corpus=Corpus.from_tokens(source.corpus.tokens.reshape(-1, setting.seq_len)[:rows]),
        model=source.model,
        sae=source.sae,
        hook=source.hook,
    )
    part.provenance(config)  # fingerprints of model and SAE are kept; they are no part of the work
    limit(source, every[:2])
    codes(source, every[:2])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = seconds(lambda: limit(source, every), device)
    fired: list[int] = []
    found = seconds(lambda: fired.append(codes(source, every)), device)
    floor = (before + seconds(lambda: limit(source, every), device)) / 2
    to_disk = seconds(lambda: shards_only(part, folder / "shards", config), device)
    share = part.corpus.n_tokens / source.corpus.n_tokens
    sites, waits = synchronisations(source, every[:4])
    bytes_written = sum(path.stat().st_size for path in (folder / "shards").rglob("*") if path.is_file())
    one = Measured(
        sae=kind.name,
        l0=fired[0] / source.corpus.n_tokens,
        tokens=source.corpus.n_tokens,
        indexed=part.corpus.n_tokens,
        limit_s=floor,
        codes_s=found,
        codes_to_limit=found / floor,
        tokens_a_second=source.corpus.n_tokens / found,
        shards_s=to_disk,
        shards_to_limit=to_disk / (share * floor),
        disk_bytes=bytes_written,
        disk_bytes_a_second=bytes_written / to_disk,
        peak_device_gb=torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0,
        peak_host_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        syncs_a_batch=sum(sites.values()) / len(every[:4]),
        waits_a_batch=waits / len(every[:4]),
        sync_sites={site: n / len(every[:4]) for site, n in sites.most_common(8)},
    )
    if to_the_end:
        started = time.perf_counter()
        index, one.steps_s = whole(part, folder / "index", config)
        one.build_s = time.perf_counter() - started
        one.build_to_limit = one.build_s / (share * floor)
        check(index, part, config)
    return one


def tell(one: Measured) -> None:
    """A line of the table."""
    print(
        f"{one.sae:24} {one.l0:6.1f} {one.limit_s:8.2f} {one.codes_to_limit:7.3f} {one.tokens_a_second:10,.0f} "
        f"{one.shards_to_limit:8.3f} {one.disk_bytes_a_second / 1e6:9.0f} {one.peak_device_gb:7.1f} "
        f"{one.peak_host_gb:7.1f} {one.syncs_a_batch:6.1f} {one.waits_a_batch:6.1f}",
        flush=True,
    )
    if one.build_s is not None:
        steps = ", ".join(f"{step} {took:.1f} s" for step, took in one.steps_s.items())
        print(f"{'':24} whole build {one.build_s:.1f} s, {one.build_to_limit:.2f} x the limit: {steps}", flush=True)
    for site, n in one.sync_sites.items():
        print(f"{'':24} synchronises {n:.2f} x a batch: {site}", flush=True)


@contextmanager
def pretended(device: torch.device) -> Iterator[None]:
    """Waits are counted; where there is no GPU the CPU's batches go a GPU's way."""
    kept = shards.OnTheirWay, shards.ASYNCHRONOUS
    shards.OnTheirWay, shards.ASYNCHRONOUS = Waited, {device.type}  # type: ignore[misc]
    try:
        yield
    finally:
        shards.OnTheirWay, shards.ASYNCHRONOUS = kept  # type: ignore[misc]


def run_tests(*, tiny: bool) -> int:
    """The tests of other devices; in small only those that need a GPU. Their exit status."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "tests/test_devices.py"]
    print(f"\n{' '.join(command[1:])}", flush=True)
    return subprocess.run([*command, *(["-k", "cuda or gpu"] if tiny else [])], cwd=ROOT, check=False).returncode


def main() -> int:
    """Command line; the status of the tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="the same in small, on any machine")
    parser.add_argument("--tokens", type=int, help="tokens that are timed; half as many are indexed")
    parser.add_argument("--out", type=Path, help="write all numbers there as JSON")
    options = parser.parse_args()
    setting = TINY if options.tiny else FULL
    if options.tokens:
        setting = replace(setting, n_tokens=options.tokens, n_indexed=options.tokens // 2)
    if not options.tiny and not torch.cuda.is_available():
        parser.error("no CUDA device here; --tiny runs the same code in small on any machine")
    started = time.perf_counter()
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {platform.machine()}"
    facts = {"device": name, "torch": torch.__version__, "transformers": transformers.__version__}
    facts |= {"sae_vis": sae_vis.__version__, "cuda": torch.version.cuda, "python": platform.python_version()}
    print(", ".join(f"{key} {value}" for key, value in facts.items()), flush=True)
    found = []
    with pretended(device), tempfile.TemporaryDirectory() as folder:
        model = random_gemma(setting, device)
        hook = model.hook_point(f"blocks.{setting.layer}.hook_resid_post")
        corpus = random_corpus(setting.n_tokens, setting.model["vocab_size"], setting.seq_len)
        n = sum(parameter.numel() for parameter in model.model.parameters())
        print(f"{n / 1e9:.2f} B parameters, {hook.name}, {corpus.n_tokens:,} tokens, of which", end=" ")
        print(f"{setting.n_indexed:,} indexed; ready after {time.perf_counter() - started:.0f} s", flush=True)
        print(
            f"{'SAE':24} {'L0':>6} {'limit s':>8} {'codes':>7} {'tokens/s':>10} {'shards':>8} {'disk MB/s':>9} "
            f"{'GPU GB':>7} {'RAM GB':>7} {'syncs':>6} {'waits':>6}"
        )
        x = model.activations(corpus.batch(0, 4).tokens, hook).flatten(0, 1)
        for number, kind in enumerate(setting.saes):
            source = Source(corpus=corpus, model=model, sae=random_sae(kind, x, hook.name), hook=hook)
            found.append(measure(source, kind, setting, Path(folder) / str(number), to_the_end=number == 0))
            tell(found[-1])
            del source
    status = run_tests(tiny=options.tiny)
    took = time.perf_counter() - started
    print(f"{took:.0f} s altogether")
    if options.out:
        told = {**facts, "seconds": took, "tests": status, "measured": [asdict(one) for one in found]}
        options.out.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
