"""What a sparse autoencoder is to us: an encoder to sparse codes, decoder directions, a fingerprint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from sae_vis.errors import InputError


class SparseCodes(NamedTuple):
    """Activations of n vectors in compressed sparse rows; only firing features (activation != 0) are stored.

    Attributes:
        offsets: int64 ``[n + 1]``; row ``i`` owns entries ``offsets[i]:offsets[i + 1]``.
        features: int64 ``[n_firings]``, strictly ascending within a row.
        acts: float32 ``[n_firings]``, exactly what the dense encoder gives at these places (upcast if half).
    """

    offsets: Tensor
    features: Tensor
    acts: Tensor


class PackedCodes(NamedTuple):
    """Codes of n vectors in memory that was made before it was known how many fire, on the dictionary's device.

    Attributes:
        counts: int32 ``[n]``, firings of each row.
        features: int32 ``[m + 1]``: those of all rows, one after the other, ascending within a row; then whatever.
        acts: ``[m + 1]``, likewise, in the dictionary's dtype.
        short: bool ``[]``: whether there was not enough memory, so that firings may be missing.
    """

    counts: Tensor
    features: Tensor
    acts: Tensor
    short: Tensor


class Endpoint(NamedTuple):
    """One place where a dictionary reads or writes.

    Attributes:
        hook_name: TransformerLens name or module path, or None where the checkpoint doesn't say.
        d: width.
        model: of which model, counted from 0: a crosscoder may read several.
    """

    hook_name: str | None
    d: int
    model: int = 0


class Dictionary(ABC):
    """A dictionary of features that read a model's activation at a hook point.

    Attributes:
        d_in: width of the activation vector that is read.
        d_sae: number of features.
        hook_name: where the checkpoint says it reads (TransformerLens name or module path), or None.
        writes_elsewhere: whether it writes at another place than it reads (a transcoder).
        hook_name_out: where that is, or None: not elsewhere, or not said.
        contextual: whether the activations of a vector depend on those before it: then the rows given to `encode` are
            consecutive tokens of one sequence, from its beginning.
    """

    d_in: int
    d_sae: int
    hook_name: str | None
    writes_elsewhere: bool = False
    hook_name_out: str | None = None
    contextual: bool = False

    @property
    def reads(self) -> tuple[Endpoint, ...]:
        """Where it reads: ``x [n, d_in]`` of `encode` has the activations of these places side by side."""
        return (Endpoint(self.hook_name, self.d_in),)

    @property
    def writes(self) -> tuple[Endpoint, ...]:
        """Where it writes: `decoder` ``[d_sae, d_out]`` has the directions for these places side by side."""
        name = self.hook_name_out if self.writes_elsewhere else self.hook_name
        return (Endpoint(name, int(self.decoder.shape[1])),)

    @abstractmethod
    def encode(self, x: Tensor) -> SparseCodes:
        """Encode activation vectors sparsely, without ever making a dense matrix of them.

        Args:
            x: ``[n, d_in]``; not modified.

        Returns:
            The codes of each row.
        """

    @abstractmethod
    def encode_dense(self, x: Tensor) -> Tensor:
        """The plain definition, which `encode` must equal.

        Args:
            x: ``[n, d_in]``.

        Returns:
            Activations ``[n, d_sae]``.
        """

    @property
    @abstractmethod
    def decoder(self) -> Tensor:
        """Decoder directions ``[d_sae, d_out]``: what one unit of each activation adds to the reconstruction.

        Float32 on the dictionary's device, not copied. As stored, except where the checkpoint rescales activations on
        the way back (decoder norms that are not folded, fine-tuning factors): that is in the directions here.
        """

    def output_scale(self, x: Tensor) -> Tensor | None:
        """The factor on the decoder's output, where a dictionary normalises its input.

        A dictionary that normalises its input undoes that on its output: there, the contribution of feature ``f`` to
        row ``i`` is ``output_scale[i] * act * decoder[f]``.

        Args:
            x: inputs ``[n, d_in]``.

        Returns:
            ``[n]``; None where it is 1 (nearly always).
        """
        return None

    def encoder_directions(self, features: Tensor) -> Tensor:
        """The direction along which each feature's activation grows.

        Where feature ``f`` fires on an input ``x``, its activation is ``s * (x @ encoder_directions[f]) + c``, with
        ``s`` the input's `input_scale` and ``c`` a constant of the feature (its biases). All else that is linear on the
        way is in the directions: the mean that layer_norm subtracts, factors on pre-activations. Of a gated SAE they
        are those of the magnitude, which the activation is; the gate decides only whether it fires.

        Args:
            features: int64 ``[n]``.

        Returns:
            float32 ``[n, d_in]``.

        Raises:
            InputError: no linear encoder is known.
        """
        raise InputError(
            f"no linear encoder is known of this {self.describe().get('architecture', type(self).__name__)} dictionary "
            "(its activations are what its own encode returns), so they can't be split into parts of the input"
        )

    def input_scale(self, x: Tensor) -> Tensor | None:
        """The factor that a normalisation puts on inputs.

        It depends on ``x``: an activation is linear in the parts of an input as long as this is held where it is.

        Args:
            x: ``[n, d_in]``.

        Returns:
            ``[n]``; None where it is 1 (nearly always).
        """
        return None

    @property
    @abstractmethod
    def centre(self) -> Tensor:
        """A constant ``[d_in]`` near the mean of the inputs (the decoder bias): sums are centred on it."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of weights and configuration: equal for equal dictionaries, whatever file they came from.

        Returns:
            ``sha256:…``.
        """

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Facts for the manifest: architecture, sizes, hook, source.

        Returns:
            Values that JSON has.
        """


def dense_to_codes(acts: Tensor) -> SparseCodes:
    """The firing entries (activation != 0) of a dense ``[n, d_sae]`` matrix as `SparseCodes`."""
    rows, features = torch.nonzero(acts, as_tuple=True)
    counts = torch.bincount(rows, minlength=acts.shape[0])
    offsets = torch.zeros(acts.shape[0] + 1, dtype=torch.int64, device=acts.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    return SparseCodes(offsets, features, acts[rows, features].float())
