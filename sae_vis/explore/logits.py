"""A feature's logit effect on any token, beyond those of largest effect that the index lists."""

from __future__ import annotations

import numpy as np

from sae_vis.contract import TokenLogits
from sae_vis.corpus.text import TokenText
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.neutral import neutrally

LISTED = 40


@neutrally
def token_logits(lens: LogitLens, text: TokenText, feature: int, words: str, n: int = LISTED) -> TokenLogits:
    """Effects on the tokens whose text holds ``words``, letters of either case and spaces as they are.

    Tokens whose text is the words, but for spaces around them, come first; both by descending effect, equal ones by id.

    Args:
        lens: of the dictionary.
        text: what token ids spell.
        feature: which.
        words: what the tokens hold.
        n: how many tokens are listed at most.
    """
    wanted = words.lower()
    spelled = [(i, text.bytes_of(i).decode("utf-8", "replace").lower()) for i in range(lens.n_vocab)]
    found = [(i, own.strip() == wanted.strip()) for i, own in spelled if wanted in own]
    effects = lens.effects([feature])[0].cpu().numpy()
    ids = np.array([i for i, _ in found], dtype=np.int64)
    exact = np.array([same for _, same in found], dtype=bool)
    order = np.lexsort((ids, -effects[ids], ~exact))[:n]
    listed = ids[order]
    ranks = (effects[None, :] > effects[listed][:, None]).sum(axis=1)
    return TokenLogits(
        n_found=len(ids),
        n_vocab=lens.n_vocab,
        tokens=listed.astype(np.int32),
        effects=effects[listed].astype(np.float32),
        ranks=ranks.astype(np.int32),
    )
