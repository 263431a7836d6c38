"""Loss against a reference distribution over next tokens, in place of the one token that follows.

With ``p = softmax(target_logits)`` at a position and ``z`` the model's logits there, the loss is the cross entropy
``logsumexp(z) - Σ p z``. Of logits that are a sum of two known rows and a bias (`sae_vis.effects.rank_one`) without a
cap, ``Σ p z`` needs no pass over the vocabulary for a pair of position and feature: ``Σ p W y = (Wᵀ p) · y``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sae_vis.effects.rank_one import Head, Mixes
from sae_vis.errors import InputError
from sae_vis.neutral import all_neutrally

ROW_BYTES = 1 << 26  # probabilities or logits held at a time
HASHED_ROWS = 4096

Rows = Callable[[NDArray[np.int64]], Tensor]
"""Logits ``[n, d_vocab]`` for corpus positions ``[n]``."""


@all_neutrally
class Reference:
    """A reference distribution at every position of a corpus.

    Args:
        target_logits: logits or log-probabilities, ``[n_seqs, seq_len, d_vocab]`` or ``[n_tokens, d_vocab]``: at each
            position of what comes next. -inf stands for probability 0. Or a function from corpus positions ``[n]``
            (counted through all sequences) to logits ``[n, d_vocab]``.
        n_tokens: tokens of the corpus, masked ones included.
        d_vocab: tokens that the model has logits of.
        fingerprint: of a function: tells it from others, as effects are kept beside the index.

    Raises:
        InputError: another shape; a function without a fingerprint.
    """

    def __init__(
        self, target_logits: Tensor | Rows, *, n_tokens: int, d_vocab: int, fingerprint: str | None = None
    ) -> None:
        self._d_vocab = d_vocab
        if isinstance(target_logits, Tensor):
            flat = target_logits.detach()
            if flat.ndim < len(("tokens", "vocabulary")) or flat.shape[-1] != d_vocab or _n_rows(flat) != n_tokens:
                raise InputError(
                    f"target_logits= has the shape {tuple(flat.shape)}; expected [n_seqs, seq_len, d_vocab] as the "
                    f"tokens have, {n_tokens} positions in all with {d_vocab} logits each"
                )
            rows = flat.reshape(n_tokens, d_vocab)
            self._rows: Rows = lambda positions: rows[torch.from_numpy(positions).to(rows.device)]
            self.fingerprint = fingerprint or _hash(rows)
            return
        if not callable(target_logits):
            raise InputError(f"target_logits= is a {type(target_logits).__name__}; expected a tensor or a function")
        if fingerprint is None:
            raise InputError(
                "target_logits= is a function: give Reference(..., fingerprint=...) a text that tells it from others"
            )
        self._rows, self.fingerprint = target_logits, fingerprint

    def probabilities(self, positions: NDArray[Any]) -> Tensor:
        """``softmax(target_logits)`` at some corpus positions, float32 ``[n, d_vocab]``.

        Args:
            positions: ``[n]``.

        Returns:
            float32 ``[n, d_vocab]``.

        Raises:
            InputError: NaN, or no finite logit at a position.
        """
        positions = np.asarray(positions, dtype=np.int64)
        logits = self._rows(positions).double()
        if tuple(logits.shape) != (len(positions), self._d_vocab):
            raise InputError(
                f"target_logits= gave {tuple(logits.shape)} for {len(positions)} positions, expected "
                f"[{len(positions)}, {self._d_vocab}]"
            )
        found = logits.softmax(dim=1)
        wrong = torch.nonzero(~torch.isfinite(found).all(dim=1))[:, 0]
        if len(wrong):
            raise InputError(
                f"target_logits= holds NaN, +infinity or nothing but -infinity at position {positions[int(wrong[0])]} "
                "of the corpus; expected logits or log-probabilities, -inf for what can't come next"
            )
        return found.float()


def expected_logits(
    head: Head, us: Tensor, ls: Tensor, mixes: Mixes, reference: Reference, positions: NDArray[np.int64]
) -> Tensor:
    """``Σ p z`` of every pair, float64 ``[n]``; arguments as for `rank_one.mixed`.

    Args:
        head: the unembedding.
        us: float32 ``[n_rows, d_model]``, what the unembedding reads to give `u`.
        ls: float32 ``[n_directions, d_model]``, the same for `l`.
        mixes: the pairs.
        reference: the distributions.
        positions: ``[n_rows]`` corpus position of each row of `us`.
    """
    if head.softcap is not None:
        return _capped(head, us, ls, mixes, reference, positions)
    means, constants = [], []
    for part in _parts(len(us), len(head.weight)):
        probabilities = reference.probabilities(positions[part]).to(us.device)
        means.append(probabilities @ head.weight)
        zero = us.new_zeros(len(probabilities))
        constants.append(zero if head.bias is None else probabilities @ head.bias)
    mean, constant = torch.cat(means), torch.cat(constants).double()  # Wᵀ p of each row, and p · b
    own = torch.linalg.vecdot(mean.double(), us.double())[mixes.rows]
    changed = torch.cat(
        [
            torch.linalg.vecdot(mean[mixes.rows[part]].double(), ls[mixes.directions[part]].double())
            for part in _parts(len(mixes.rows), us.shape[1])
        ]
    )
    found: Tensor = mixes.scale * own + mixes.weight * changed + constant[mixes.rows]
    return found


def _capped(
    head: Head, us: Tensor, ls: Tensor, mixes: Mixes, reference: Reference, positions: NDArray[np.int64]
) -> Tensor:
    """With a cap the sum needs every logit: one product with the unembedding for each pair."""
    assert head.softcap is not None
    found = []
    for part in _parts(len(mixes.rows), len(head.weight)):
        rows, directions = mixes.rows[part], mixes.directions[part]
        read = us[rows] * mixes.scale[part, None].float() + ls[directions] * mixes.weight[part, None].float()
        logits = read @ head.weight.T
        logits = logits if head.bias is None else logits + head.bias
        capped = head.softcap * torch.tanh(logits / head.softcap)
        distinct, back = torch.unique(rows, return_inverse=True)
        probabilities = reference.probabilities(positions[distinct.cpu().numpy()]).to(us.device)[back]
        found.append(torch.linalg.vecdot(capped.double(), probabilities.double()))
    return torch.cat(found)


def _parts(n: int, width: int) -> list[slice]:
    height = max(1, ROW_BYTES // (4 * width))
    return [slice(first, first + height) for first in range(0, max(n, 1), height)]


def _n_rows(logits: Tensor) -> int:
    return int(np.prod(logits.shape[:-1]))


def _hash(rows: Tensor) -> str:
    digest = hashlib.sha256(str(tuple(rows.shape)).encode())
    for part in torch.split(rows, HASHED_ROWS):
        digest.update(part.float().cpu().contiguous().numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"
