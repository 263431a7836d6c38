"""Texts and tensors to sequences: nothing lost, documents found again, one mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus, read_document
from sae_vis.errors import InputError

BOS, EOS = 1, 2


class Letters:
    """One token a character, from id 10 upwards."""

    def __init__(self, bos: int | None = BOS, eos: int | None = EOS, pad: int | None = EOS) -> None:
        self.bos_token_id, self.eos_token_id, self.pad_token_id = bos, eos, pad

    def __call__(self, batch, **options):
        assert options["add_special_tokens"] is False
        return {"input_ids": [[10 + ord(letter) - ord("a") for letter in text] for text in batch]}


def spelled(ids: np.ndarray) -> str:
    return "".join(chr(int(i) - 10 + ord("a")) for i in ids if i >= 10)


texts = st.lists(st.text(alphabet="abcdef", max_size=12), min_size=1, max_size=6).filter(any)


@given(texts=texts, seq_len=st.integers(2, 9), rows=st.sampled_from(["packed", "document"]), bos=st.booleans())
def test_no_token_is_lost_and_documents_are_found_again(texts, seq_len, rows, bos):
    corpus = Corpus.from_texts(texts, Letters(), seq_len=seq_len, rows=rows, prepend_bos=bos)
    kept = [text for text in texts if text]
    assert spelled(corpus.tokens) == "".join(kept)
    assert int(np.diff(corpus.offsets).max()) <= seq_len
    starts, ends = corpus.documents[:-1], corpus.documents[1:]
    assert [spelled(corpus.tokens[a:b]) for a, b in zip(starts, ends, strict=True)] == kept
    if bos:
        assert (corpus.tokens[corpus.offsets[:-1]] == BOS).all()
    assert spelled(corpus.tokens[corpus.counted]) == "".join(kept)
    assert (corpus.tokens[corpus.counted] >= 10).all()


@given(texts=texts, seq_len=st.integers(2, 9))
def test_rows_hold_one_document_each(texts, seq_len):
    corpus = Corpus.from_texts(texts, Letters(), seq_len=seq_len, rows="document")
    for start, stop in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        inside = corpus.documents[(corpus.documents > start) & (corpus.documents < stop)]
        assert len(inside) == 0


def test_batches_are_rectangles_that_remember_their_positions():
    corpus = Corpus.from_texts(["abc", "defgh"], Letters(), seq_len=4, rows="document")
    batch = corpus.batch(0, corpus.n_seqs)
    assert batch.tokens.dtype == torch.int64
    assert batch.tokens.shape == batch.counted.shape == (3, 4)
    np.testing.assert_array_equal(batch.tokens[batch.counted].numpy(), corpus.tokens[batch.positions])
    np.testing.assert_array_equal(batch.positions, np.flatnonzero(corpus.counted))


@pytest.mark.parametrize(
    ("positions", "kept"),
    [((None, None), [0, 1, 2, 3]), ((1, None), [1, 2, 3]), ((-2, None), [2, 3]), ((0, 3, 2), [0, 2]), ((5, None), [])],
)
def test_slices_of_positions(positions, kept):
    tokens = np.tile(np.arange(4, dtype=np.int32), 3)
    counted = MaskConfig(seqpos_slice=positions).counted(tokens, np.array([0, 4, 8, 12]))
    assert np.flatnonzero(counted).tolist() == [4 * row + place for row in range(3) for place in kept]


def test_the_mask_in_words():
    mask = MaskConfig(bos_id=1, pad_id=2, ids=(7, 9), seqpos_slice=(1, -1))
    assert mask.describe() == "left out: BOS (id 1); padding (id 2); ids 7, 9; positions outside [1:-1]"
    assert MaskConfig().describe() == "nothing left out"


def test_fingerprints_tell_tokens_and_masks_apart():
    tokens = np.arange(6, dtype=np.int32).reshape(2, 3)
    one = Corpus.from_tokens(tokens)
    assert one.fingerprint() == Corpus.from_tokens(tokens.copy()).fingerprint()
    others = [
        Corpus.from_tokens(tokens.reshape(3, 2)),
        Corpus.from_tokens(tokens + 1),
        Corpus.from_tokens(tokens, MaskConfig(ids=(3,))),
    ]
    assert one.fingerprint() not in {other.fingerprint() for other in others}


def test_wrong_input_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="corpus is empty"):
        Corpus.from_texts([], Letters(), seq_len=8)
    with pytest.raises(InputError, match="seq_len is 1; it must leave room"):
        Corpus.from_texts(["a"], Letters(), seq_len=1)
    with pytest.raises(InputError, match="seqpos_slice has step 0"):
        Corpus.from_texts(["a"], Letters(), seq_len=4, mask=(0, 1, 0))
    with pytest.raises(InputError, match="step 0"):
        MaskConfig(seqpos_slice=(0, 1, 0))
    (tmp_path / "latin.txt").write_bytes(b"f\xfcr")
    with pytest.raises(InputError, match=r"latin\.txt is not UTF-8 text \(invalid start byte at byte 1\)"):
        read_document(tmp_path / "latin.txt")
