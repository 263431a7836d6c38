"""An index of a small corpus through a dictionary, against another library's ``encode`` on the same activations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.saes.base import Dictionary
from tests.saes.compare import assert_equal, clear
from tests.whole_numbers import VOCAB, WholeModel

N_SEQS, SEQ_LEN, FIRST_COUNTED = 7, 11, 2


def assert_indexed(sae: Dictionary, encode: Callable[[Tensor], Tensor], *, exact: bool = True) -> Index:
    """Postings of every feature hold what ``encode`` gives: position, activation, nothing else.

    Args:
        sae: the dictionary that is indexed.
        encode: activations ``[n, d_sae]`` of rows ``[n, d_in]``; of a contextual dictionary, of one whole sequence.
        exact: whether its arithmetic is exact, so that every bit must agree; else within a bound (`compare`).
    """
    model = WholeModel(d_model=sae.d_in, site="resid")
    hook = model.hook_point("here")
    tokens = torch.randint(0, VOCAB, (N_SEQS, SEQ_LEN), generator=torch.Generator().manual_seed(3))
    corpus = Corpus.from_tokens(tokens, MaskConfig(seqpos_slice=(FIRST_COUNTED, None)))
    x = model.activations(tokens, hook)
    with torch.no_grad():
        if sae.contextual:
            acts = torch.stack([encode(sequence) for sequence in x])[:, FIRST_COUNTED:].flatten(0, 1)
        else:
            acts = encode(x[:, FIRST_COUNTED:].flatten(0, 1))
    positions = np.flatnonzero(corpus.counted)
    config = IndexConfig(correlated_features=0, aligned_neurons=0)  # nothing but what is compared
    index = build_index(Source(corpus=corpus, model=model, sae=sae, hook=hook), config=config)
    assert index.n_features == acts.shape[1]
    dense = np.zeros((corpus.n_tokens, index.n_features), dtype=np.float32)
    for feature in range(index.n_features):
        found = index.firings(feature)
        assert (np.diff(found.positions) > 0).all()
        assert found.acts.all()
        dense[found.positions, feature] = found.acts
    assert not dense[~corpus.counted].any()
    where = None if exact else clear(encode, x[:, FIRST_COUNTED:].flatten(0, 1))
    assert_equal(torch.from_numpy(dense[positions]), acts.float(), where)
    assert index.column("n_firings").sum() > 0
    assert index.signed == bool((acts < 0).any())
    return index
