"""The indices of both SAEs, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sae_vis.api import Index, index_several
from sae_vis.compat.config import SaeVisConfig
from sae_vis.compat.told import told
from sae_vis.config import IndexConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.parts import ModelAndSae


def indices_of(
    every: Sequence[ModelAndSae], corpus: Corpus, text: TokenText, cfg: SaeVisConfig, *, verbose: bool
) -> list[Index]:
    """In memory, in the order of the SAEs."""
    config = IndexConfig(batch_tokens=cfg.minibatch_size_tokens * int(np.diff(corpus.offsets).max()))
    with told(verbose or cfg.verbose) as note:
        return index_several(corpus, [(parts, None) for parts in every], text=text, config=config, progress=note)
