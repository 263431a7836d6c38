"""What sparse encoding costs beyond the encoder's matrix product.

Alternates, in one process and on the same rows, ``x @ W_enc`` into a reused buffer (the limit), the whole of `encode`,
and the plain way (dense activations, then their non-zeros), after checking that `encode` equals the plain way.

    python benchmarks/encode.py [--rounds 7] [--rows 4096] [--threads N] [--cpu-time]

On a machine that does other work at the same time, ``--threads 1 --cpu-time`` is what still means something.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sae_vis.saes.activations import Activation, JumpReLU, TopK
from sae_vis.saes.base import dense_to_codes
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder


def dictionary(d_in: int, d_sae: int, make: Callable[[Tensor], Activation]) -> tuple[SparseAutoencoder, Tensor]:
    """A random dictionary, its encoder's weights."""
    W_enc = torch.randn(d_in, d_sae) / d_in**0.5
    b_enc, b_dec = 0.1 * torch.randn(d_sae), 0.1 * torch.randn(d_in)
    activation = make(b_enc)
    sae = SparseAutoencoder(
        W_enc, b_enc, activation, InputMap(shift=b_dec), Decoder(directions=torch.zeros(d_sae, d_in), bias=b_dec)
    )
    return sae, W_enc


def jumprelu_with(l0: int, d_sae: int) -> Callable[[Tensor], Activation]:
    """A JumpReLU that lets about ``l0`` features of unit-variance pre-activations through."""
    threshold = torch.distributions.Normal(0.0, 1.01).icdf(torch.tensor(1 - l0 / d_sae))
    return lambda b_enc: JumpReLU(threshold + 0.05 * torch.randn_like(b_enc))


def seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    function()
    return clock() - start


def measure(
    sizes: tuple[int, int], make: Callable[[Tensor], Activation], rows: int, rounds: int, clock: Callable[[], float]
) -> str:
    d_in, d_sae = sizes
    sae, W_enc = dictionary(d_in, d_sae, make)
    x = torch.randn(rows, d_in)
    codes, plain = sae.encode(x), dense_to_codes(sae.encode_dense(x))
    if not all(torch.equal(a, b) for a, b in zip(codes, plain, strict=True)):
        raise SystemExit("encode differs from its definition")
    out = torch.empty(rows, d_sae)
    variants: dict[str, Callable[[], object]] = {
        "product": lambda: torch.mm(x, W_enc, out=out),
        "encode": lambda: sae.encode(x),
        "plain": lambda: dense_to_codes(sae.encode_dense(x)),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, function in variants.items():
            times[name].append(seconds(function, clock))
    product, encode, dense = (statistics.median(times[name]) for name in variants)
    best = min(times["encode"]) / min(times["product"])
    return (
        f"{product * 1e3:10.1f} {encode * 1e3:10.1f} {encode / product:7.3f} {best:8.3f} {dense / product:7.3f} "
        f"{codes.features.shape[0] / rows:6.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="CPU time of the process instead of elapsed time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rows} rows, {options.rounds} rounds"
        f", {'CPU' if options.cpu_time else 'elapsed'} time"
    )
    print("activation   d_in  d_sae    k product ms  encode ms   ratio best/best   plain     L0")
    for d_in, d_sae, k in ((2048, 16384, 40), (512, 4096, 40)):
        kinds: dict[str, Callable[[Tensor], Activation]] = {
            "topk": lambda _, k=k: TopK(k),
            "jumprelu": jumprelu_with(k, d_sae),
        }
        for name, make in kinds.items():
            line = measure((d_in, d_sae), make, options.rows, options.rounds, clock)
            print(f"{name:10} {d_in:6} {d_sae:6} {k:4} {line}", flush=True)


if __name__ == "__main__":
    main()
