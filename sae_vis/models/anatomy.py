"""What was found out about a model, and proved by running it: the parts of its stream, the way to its logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["attn", "mlp", "mixer", "other"]


@dataclass(frozen=True, kw_only=True)
class Norm:
    """How a norm normalises.

    Attributes:
        centred: whether the mean is subtracted (LayerNorm), as opposed to RMSNorm.
        gain_offset: what is added to the stored weight to give the gain (1 for Gemma, which stores gain - 1).
        eps: what is added to the variance.
    """

    centred: bool
    gain_offset: float
    eps: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """A module whose output is added to the residual stream: attention, an MLP, a state space.

    Paths are full.

    Attributes:
        kind: ``attn`` mixes tokens by attention, ``mixer`` mixes them otherwise (state spaces, convolutions, linear
            attention), ``mlp`` takes each token by itself; ``other`` is what is neither the first mixing module nor the
            first other one of its block.
        module: what gives the output, before a post-norm.
        post_norm: the norm between it and the stream, or None.
        factor: what its output is multiplied by when it is added to the stream.
        reads: the module whose input is the stream that it reads (its norm, or itself), or None where it was not found.
        after: how many of the block's parts the stream that it reads has in it already, or None likewise.
        inner: what `reads` hands its norm's output to: the module itself, or the block's child that it is in.
        projection: the linear module within it whose output is its output: reads neurons or heads. None: there is none.
        act: a module whose output is what the projection reads, or None.
        before: modules between `reads` and `inner`, where there are some (attention whose output a LayerScale scales).
    """

    kind: Kind
    module: str
    post_norm: str | None = None
    factor: float = 1.0
    reads: str | None = None
    after: int | None = None
    inner: str
    projection: str | None = None
    act: str | None = None
    before: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block: ``output = carry * (input + Σ factor * part)``.

    Attributes:
        path: of its module.
        layer: its number.
        parts: in the order of their calls; () where its output is not its input and what some modules add.
        carry: 1 but where a block rescales the stream.
        onward: what the output is multiplied by on its way to the input of the final norm; None where it doesn't get
            there as it is.
        carries: whether input and parts add up to the output.
    """

    path: str
    layer: int
    parts: tuple[Part, ...] = ()
    carry: float = 1.0
    onward: float | None = 1.0
    carries: bool = True

    def part(self, kind: Kind) -> Part | None:
        """The first part of a kind."""
        return next((part for part in self.parts if part.kind == kind), None)

    @property
    def parallel(self) -> bool:
        """Whether attention and MLP read the same residual stream."""
        mlp = self.part("mlp")
        return mlp is not None and mlp.after == 0 and len(self.parts) > 1


@dataclass(frozen=True, kw_only=True)
class Ending:
    """From the last block to the logits: ``logits = cap(factor * (head(between(norm_factor * norm(x)))))``.

    Attributes:
        final_norm: path of the norm.
        head: path of the unembedding.
        projection: path of a linear module between norm and unembedding, or None.
        norm_factor: what the norm's output is multiplied by.
        factor: what the unembedding's output is multiplied by.
        softcap: c of ``c * tanh(x / c)``, or None.
        n_logits: how many logits there are: the unembedding may have more rows.
    """

    final_norm: str
    head: str
    projection: str | None
    norm_factor: float
    factor: float
    softcap: float | None
    n_logits: int


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """All that is known of a model.

    Attributes:
        stack: path of the list of blocks, or None: no stack of blocks was found.
        width: of the residual stream; 0 where there is none.
        blocks: its blocks.
        embed: the module whose output is the token embedding, where that is more than the first block's input less
            scaling: positions are added to it. None: the first block's input is the embedding.
        positions: number of positions of a learned position embedding, or None: no such limit.
        norms: the norms in it, by path.
        ending: from the stream to the logits, or None.
        unknown: what is not known, and why: by ``stream``, ``logits``, or the path of a block.
    """

    stack: str | None = None
    width: int = 0
    blocks: tuple[Block, ...] = ()
    embed: str | None = None
    positions: int | None = None
    norms: Mapping[str, Norm] = field(default_factory=dict)
    ending: Ending | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_layers(self) -> int | None:
        """Number of blocks, those that text does not use included; None where no blocks were found."""
        return 1 + max(block.layer for block in self.blocks) if self.blocks else None
