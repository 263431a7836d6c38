"""The user's own texts: which features fire on them, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sae_vis.contract import Hits, TriedText
from sae_vis.corpus.mask import MaskConfig
from sae_vis.errors import InputError
from sae_vis.explore.search import hits
from sae_vis.index.index import Index
from sae_vis.models.base import HookPoint, LanguageModel, RunnableModel
from sae_vis.neutral import neutrally
from sae_vis.saes.base import Dictionary


@neutrally
def tried_text(
    model: LanguageModel, hook: HookPoint, sae: Dictionary, mask: MaskConfig, tokens: Sequence[int]
) -> TriedText:
    """All features that fire on a text, token by token: what an index of this text would hold, masked tokens too.

    Args:
        model: what gives the activations that are encoded.
        hook: where.
        sae: the dictionary.
        mask: of the index: it says which of these tokens an index would leave out.
        tokens: ids.

    Raises:
        InputError: no tokens, more than the model takes, ids that it does not have.
    """
    text = torch.as_tensor(list(tokens), dtype=torch.int64)
    if len(text) == 0:
        raise InputError("the text is empty: type something")
    longest = model.n_context if isinstance(model, RunnableModel) else None
    if longest is not None and len(text) > longest:
        raise InputError(f"the text has {len(text)} tokens, but the model takes {longest} at most: give a shorter one")
    codes = sae.encode(model.activations(text[None], hook)[0])
    kept = mask.counted(text.numpy().astype(np.int32), np.array([0, len(text)], dtype=np.int64))
    return TriedText(
        tokens=text.numpy().astype(np.int32),
        masked=(~kept).astype(np.int32),
        offsets=codes.offsets.cpu().numpy().astype(np.int32),
        features=codes.features.cpu().numpy().astype(np.int32),
        acts=codes.acts.cpu().numpy(),
    )


def woken(index: Index, tried: TriedText) -> Hits:
    """The features that fire on a text's unmasked tokens, by their largest activation there over their maximum.

    A feature that never fires in the index has no maximum; it comes first, with infinity.
    """
    counted = np.repeat(tried.masked == 0, np.diff(tried.offsets))
    largest = np.zeros(index.n_features)
    np.maximum.at(largest, tried.features[counted], np.abs(tried.acts[counted]))
    reach = np.maximum(index.column("max"), -index.minima()).astype(np.float64)
    fires = largest > 0
    scores = np.zeros(index.n_features)
    scores[fires] = np.divide(largest[fires], reach[fires], out=np.full(fires.sum(), np.inf), where=reach[fires] > 0)
    return hits("text", int((tried.masked == 0).sum()), scores)
