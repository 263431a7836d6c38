"""How an index is built. The same object serves the Python API, the command line and the manifest on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sae_vis.checks import shown, whole_number
from sae_vis.errors import InputError

MOST_CHANGED = 10
"""Tokens in a list of those whose probability a feature changes most."""

NeuronCorrelations = Literal["privileged", "always", "never"]
ActsDtype = Literal["float32", "bfloat16"]
STALL = 600.0
"""Seconds without progress after which somebody else does the work, or an error says what is waited for."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process is one of several that build the same index together, each started by itself (a Slurm array).

    They know of each other by the files that they write: ``out`` must be one place that all of them see. Every rank
    does its share of each step, then waits for the files of the others; what a rank that makes no progress owes is done
    by those that wait. Ranks may start at any time, end at any time, and be started again.

    Attributes:
        rank: number of this process, from 0.
        world: how many there are. It only shares out the work, and may be another number when ranks are started again.
        stall: seconds without progress after which others do the work of a rank.

    Raises:
        InputError: a rank that is not below ``world``, a stall time that is no positive number.
    """

    rank: int
    world: int
    stall: float = STALL

    def __post_init__(self) -> None:
        """A rank is below their number."""
        rank, world = whole_number(self.rank, "Ranks.rank"), whole_number(self.world, "Ranks.world")
        if not 0 <= rank < world:
            raise InputError(f"Ranks.rank is {rank} of {world}: ranks are numbered from 0 to world - 1")
        _check_stall(self.stall, "Ranks")


@dataclass(frozen=True, kw_only=True)
class RayWorkers:
    """An index is built by workers of a Ray cluster; needs the extra ``ray``.

    ``out`` must be a place that all machines of the cluster see. Model and dictionary are sent to the workers from
    this process, wherever they come from.

    Attributes:
        address: of a cluster that runs, as ``ray start`` or a cluster's operator tells it; ``auto`` is the one that
            this machine is part of (or ``RAY_ADDRESS``); where there is none, one is started here for this build.
        workers: how many at most; None: as many as the cluster has room for.
        cpus: cores of a worker.
        gpus: GPUs of a worker while the model runs; None: as many as the model is on here.
        threads: that a worker computes with.
        stall: seconds without progress after which the build ends with an error that says what it waits for.

    Raises:
        InputError: an empty address, or a number below its least.
    """

    address: str = "auto"
    workers: int | None = None
    cpus: int = 1
    gpus: int | None = None
    threads: int = 1
    stall: float = STALL

    def __post_init__(self) -> None:
        """Every number must make sense."""
        if not isinstance(self.address, str) or self.address in ("", "local"):
            raise InputError(f"RayWorkers.address is {shown(self.address)}, expected 'auto' or a cluster's address")
        for name, least in (("workers", 1), ("cpus", 1), ("gpus", 0), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and whole_number(value, f"RayWorkers.{name}") < least:
                raise InputError(f"RayWorkers.{name} is {value}; it must be at least {least}")
        _check_stall(self.stall, "RayWorkers")


def _check_stall(stall: object, where: str) -> None:
    if isinstance(stall, bool) or not isinstance(stall, (int, float)) or not 0 < stall < float("inf"):
        raise InputError(f"{where}.stall is {shown(stall)}, expected seconds above 0")


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Settings of a build. None of the first group changes a result; each of the second does.

    One exception: where the BLAS library rounds by the shape of a batch, ``batch_tokens`` can change last bits of
    activations ("When bits are equal" in ``docs/numerics.md``).

    Attributes:
        batch_tokens: tokens in one forward pass of the model (at least one sequence).
        shard_tokens: tokens after which the work is safe on disk: what a kill may cost, and a unit of RAM.
        part_firings: firings in one file of postings: a unit of RAM when partitions are sorted.
        block_bytes: RAM for the products of one block of features while co-firing sums are made.
        workers: who does the work: None, this process alone; `Ranks`, it and others like it; `RayWorkers`, a cluster.

        acts_dtype: what activations are rounded to before anything is computed from them. ``bfloat16`` keeps 8
            significant bits of each, which is then off by at most 2⁻⁸ of itself (0.4 %), and makes the firings about
            half as large on disk; pages say so.
        codes: whether the codes are kept by position, too: which features fire in a passage is then known without the
            model. They take as much room as the postings.
        correlated_features: rows kept of each feature's table of correlated features; 0: not computed.
        correlated_neurons: rows kept of each feature's table of correlated neurons.
        neuron_correlations: for which hook points neurons are correlated: those with a privileged basis (MLP
            neurons), all, or none. Their sums take ``16 d_sae d_in`` bytes of RAM, and of disk while building; above
            8 GiB they are made for "always" alone.
        aligned_neurons: rows kept of each feature's table of largest decoder weights.
        logit_tokens: rows kept of each feature's tables of top and bottom tokens.
        acts_bins: bins of the activation histogram in the feature table.
        logits_bins: bins of the logit histogram in the feature table.
        quantiles: points of the quantile table, evenly spaced from 0 to 1 among the firings.
        fired_tokens: rows kept of each feature's table of tokens that it fires on most; 0: not computed.

    Raises:
        InputError: a number below its least, a word that is none of those above.
    """

    batch_tokens: int = 4096
    shard_tokens: int = 65_536
    part_firings: int = 4_000_000
    block_bytes: int = 1 << 28
    workers: Ranks | RayWorkers | None = None

    acts_dtype: ActsDtype = "float32"
    codes: bool = True
    correlated_features: int = 16
    correlated_neurons: int = 16
    neuron_correlations: NeuronCorrelations = "privileged"
    aligned_neurons: int = 16
    logit_tokens: int = 20
    acts_bins: int = 50
    logits_bins: int = 50
    quantiles: int = 101
    fired_tokens: int = 10

    def __post_init__(self) -> None:
        """Every size must make sense."""
        for name, least in _LEAST.items():
            value = whole_number(getattr(self, name), f"IndexConfig.{name}")
            if value < least:
                raise InputError(f"IndexConfig.{name} is {value}; it must be at least {least}")
            object.__setattr__(self, name, value)
        if self.workers is not None and not isinstance(self.workers, (Ranks, RayWorkers)):
            raise InputError(f"IndexConfig.workers is {shown(self.workers)}, expected Ranks(…) or RayWorkers(…)")
        if not isinstance(self.codes, bool):
            raise InputError(f"IndexConfig.codes is {self.codes!r}; it must be True or False")
        if self.acts_dtype not in get_args(ActsDtype):
            raise InputError(f"IndexConfig.acts_dtype is {self.acts_dtype!r}; it must be 'float32' or 'bfloat16'")
        if self.neuron_correlations not in ("privileged", "always", "never"):
            raise InputError(
                f"IndexConfig.neuron_correlations is {self.neuron_correlations!r}; "
                "it must be 'privileged', 'always' or 'never'"
            )

    @property
    def content(self) -> dict[str, int | str]:
        """The settings that change a result: two builds are the same only if these agree.

        ``acts_dtype`` only where it is another than float32: indices of before there was a choice are the same.
        """
        rounded = {} if self.acts_dtype == "float32" else {"acts_dtype": self.acts_dtype}
        return {**rounded, **{name: getattr(self, name) for name in _CONTENT}}


_LEAST = {
    "batch_tokens": 1,
    "shard_tokens": 1,
    "part_firings": 1,
    "block_bytes": 1 << 16,
    "correlated_features": 0,
    "correlated_neurons": 0,
    "aligned_neurons": 0,
    "logit_tokens": 0,
    "acts_bins": 1,
    "logits_bins": 1,
    "quantiles": 2,
    "fired_tokens": 0,
}
_CONTENT = (
    "codes",
    "correlated_features",
    "correlated_neurons",
    "neuron_correlations",
    "aligned_neurons",
    "logit_tokens",
    "acts_bins",
    "logits_bins",
    "quantiles",
    "fired_tokens",
)
