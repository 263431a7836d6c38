"""An index of activations that were computed elsewhere."""

from __future__ import annotations

from pathlib import Path

import torch

from sae_vis.api.index import Index
from sae_vis.api.options import ActivationFacts
from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.rows import Tokens
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.errors import InputError
from sae_vis.index.build import Progress, build_index
from sae_vis.index.from_activations import Activations, ActivationsSource
from sae_vis.models.unembedding_only import UnembeddingOnly
from sae_vis.moved import Moved, moved
from sae_vis.neutral import neutrally
from sae_vis.saes.directions import DirectionsOnly


@moved(
    Moved("facts", ActivationFacts, ("d_sae", "decoder", "unembedding", "name", "hook", "fingerprint")),
)
@neutrally
def index_activations(
    tokens: Corpus | Tokens,
    activations: Activations,
    out: str | Path | None = None,
    *,
    facts: ActivationFacts | None = None,
    text: TokenText | None = None,
    mask: MaskConfig | None = None,
    config: IndexConfig | None = None,
    progress: Progress | None = None,
) -> Index:
    """Index activations that were computed elsewhere, by any dictionary: no model and no SAE is needed.

    Args:
        tokens: ``[n_seqs, seq_len]`` ids, rows of unequal lengths, or a corpus. Rows stay as they are, padding at the
            left included (`Corpus.from_tokens`, ``padding="keep"``), since every token has its activations.
        activations: of every token, masked ones included: ``[n_seqs, seq_len, d_sae]``, ``[n_tokens, d_sae]`` (sparse
            tensors, too), `SparseCodes`, or a function that gives an iterator over blocks of these.
        out: directory of the index, or the address of one in an object store (``s3://…``); None: in memory.
        facts: what is known of the activations: the decoder, the unembedding, names.
        text: what token ids spell.
        mask: what is left out of the statistics, where `tokens` is no corpus.
        config: settings.
        progress: called with stage, done, total.

    Returns:
        The index, open.

    Raises:
        InputError: parts that don't fit, activations that aren't finite.
        ForeignIndexError: ``out`` holds something else.
        IndexFileError: the disk, or the object store, refused.
    """
    if isinstance(tokens, Corpus) and mask is not None:
        raise InputError("both a corpus and mask= are given; the corpus has its mask already")
    config, corpus, facts = config or IndexConfig(), tokens, facts or ActivationFacts()
    if not isinstance(corpus, Corpus):
        corpus = Corpus.from_tokens(corpus, mask, padding="keep")
    end = None if facts.unembedding is None else UnembeddingOnly(facts.unembedding)
    source = ActivationsSource(
        corpus=corpus,
        activations=activations,
        n_features=_n_features(activations, facts),
        directions=facts.decoder,
        text=text,
        name=facts.name,
        hook_name=facts.hook,
        fingerprint=facts.fingerprint,
        extra=() if end is None else (end.unembedding().gain, end.unembedding().weight),
    )
    source.check()
    columns = [] if end is None or not config.logit_tokens else [_decoder_lens(source, end, config)]
    return Index.of(build_index(source, out, config=config, columns=columns, progress=progress))


def _decoder_lens(source: ActivationsSource, end: UnembeddingOnly, config: IndexConfig) -> LogitLens:
    source.corpus.check_vocabulary(end.n_vocab)
    hook = end.hook_point(source.hook_name)
    sae = DirectionsOnly(source.directions, hook)
    return LogitLens(end, sae, hook, n_tokens=config.logit_tokens, n_bins=config.logits_bins)


def _n_features(activations: Activations, facts: ActivationFacts) -> int:
    dense = int(activations.shape[-1]) if isinstance(activations, torch.Tensor) else None
    found = [facts.d_sae, dense, None if facts.decoder is None else len(facts.decoder)]
    known = next((n for n in found if n is not None), None)
    if known is None:
        raise InputError(
            "the number of features is not known: give facts=ActivationFacts(d_sae=…), or the decoder in it"
        )
    return known
