"""The tokens as a corpus, with its mask."""

from __future__ import annotations

from sae_vis.compat.config import SaeVisConfig
from sae_vis.compat.parts import MISSING
from sae_vis.corpus.labels import LabelValues
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.rows import Rows, Tokens, attended, token_rows, without_left_padding
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError


def corpus_of(
    tokens: Tokens | None, cfg: SaeVisConfig, labels: LabelValues | None, *, bos: int | None, pad: int | None
) -> Corpus:
    """The tokens with their mask: BOS where every row begins with it, and what the settings leave out.

    Raises:
        InputError: no tokens, or such that begin with padding.
    """
    if tokens is None:
        raise InputError(MISSING)
    rows, attention = token_rows(tokens)
    rows = rows if attention is None else attended(attention).of(rows)
    if attention is None:
        _require_no_padding(rows, pad, bos)
    begins = bos is not None and len(rows.values) > 0 and bool((rows.values[rows.offsets[:-1]] == bos).all())
    ids = cfg.ignore_tokens
    assert isinstance(ids, tuple)
    mask = MaskConfig(bos_id=bos if begins else None, ids=ids, seqpos_slice=cfg.seqpos_slice)
    return Corpus.from_tokens(tokens, mask, labels=labels)


def _require_no_padding(rows: Rows, pad: int | None, bos: int | None) -> None:
    """Raise `InputError` where a row begins with padding, more of it than BOS and a separator may be."""
    if pad is None:
        return
    leading = without_left_padding(rows, MaskConfig(bos_id=pad, pad_id=pad)).starts
    own = 2 if pad == bos else 1
    if len(leading) and int(leading.max()) > own:
        row = int(leading.argmax())
        raise InputError(
            f"row {row} of tokens begins with padding (id {pad}), which the model would attend to: give what the "
            "tokenizer returned, with its attention_mask, as tokens="
        )
