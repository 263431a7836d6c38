"""Rows of tokens as users have them: rectangles, unequal lengths, tokenizer outputs, padding anywhere."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BatchEncoding

from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.models.huggingface import HuggingFaceModel
from tests.tiny_models import build

PAD, BOS = 7, 1
TOKENS = torch.tensor([[1, 5, 9, 2, 8, 3], [1, 4, 6, 11, 0, 0], [1, 12, 0, 0, 0, 0]])
LENGTHS = (6, 4, 2)
BARE = [row[:length].tolist() for row, length in zip(TOKENS, LENGTHS, strict=True)]


def padded(side: str, pad: int = PAD, width: int = 6) -> torch.Tensor:
    rows = []
    for row in BARE:
        fill = [pad] * (width - len(row))
        rows.append(fill + row if side == "left" else row + fill)
    return torch.tensor(rows)


def rows_of(corpus: Corpus) -> list[list[int]]:
    return [corpus.tokens[a:b].tolist() for a, b in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3_text", "gpt_neo"])
def test_left_padding_changes_nothing(kind: str):
    """Activations, positions and the mask are those of the model on an attention mask, and those without padding."""
    module = build(kind)
    model = HuggingFaceModel(module)
    hook = model.hook_point("blocks.1.hook_resid_post")
    tokens = padded("left")
    corpus = Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD, bos_id=BOS))
    assert rows_of(corpus) == BARE
    batch = corpus.batch(0, corpus.n_seqs)
    acts = model.activations(batch.tokens, hook)[batch.counted]
    attention = (tokens != PAD).long()
    with torch.no_grad():
        found = module(
            tokens,
            attention_mask=attention,
            position_ids=(attention.cumsum(1) - 1).clamp(min=0),
            output_hidden_states=True,
        )
    expected = found.hidden_states[2][(tokens != PAD) & (tokens != BOS)]
    torch.testing.assert_close(acts, expected, rtol=1e-4, atol=1e-4)
    wrong = module(tokens, output_hidden_states=True).hidden_states[2][(tokens != PAD) & (tokens != BOS)]
    assert (wrong - expected).abs().max() > 1e-2  # what attending to padding gives


@pytest.mark.parametrize("form", ["dict", "BatchEncoding", "argument", "bool", "lists"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_an_attention_mask_says_what_is_padding(form: str, side: str):
    tokens = padded(side)
    attention = (tokens != PAD).long()
    given: dict[str, object] = {"tokens": tokens, "attention_mask": attention}
    if form in ("dict", "BatchEncoding"):
        kind = dict if form == "dict" else BatchEncoding
        given = {"tokens": kind({"input_ids": tokens, "attention_mask": attention})}
    elif form == "bool":
        given["attention_mask"] = tokens != PAD
    elif form == "lists":
        given = {"tokens": tokens.tolist(), "attention_mask": attention.tolist()}
    assert rows_of(Corpus.from_tokens(**given)) == BARE


def test_a_tokenizers_output_without_a_mask():
    assert rows_of(Corpus.from_tokens(BatchEncoding({"input_ids": BARE}))) == BARE


def test_padding_at_the_right_is_kept_as_before():
    """So an index that was made of such tokens is still the index of them."""
    tokens = padded("right").numpy()
    corpus = Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD))
    offsets = np.arange(4, dtype=np.int64) * 6
    before = Corpus(tokens=tokens.reshape(-1).astype(np.int32), offsets=offsets, documents=offsets, mask=corpus.mask)
    assert corpus.fingerprint() == before.fingerprint()
    assert corpus.n_counted == sum(LENGTHS)


def test_positions_that_count_begin_at_the_first_token():
    mask = MaskConfig(pad_id=PAD, bos_id=BOS, seqpos_slice=(2, None))
    corpus = Corpus.from_tokens(padded("left"), mask)
    assert corpus.tokens[corpus.counted].tolist() == [9, 2, 8, 3, 6, 11]


def test_padding_that_has_the_id_of_bos():
    """GPT-2 pads by the token that sequences begin with: one of them at the beginning of every row is BOS."""
    both = MaskConfig(bos_id=BOS, pad_id=BOS)
    with_bos = padded("left", pad=BOS)  # [[1, 5, ..], [1, 1, 1, 4, ..], ..]
    assert rows_of(Corpus.from_tokens(with_bos, both)) == BARE
    wider = padded("left", pad=BOS, width=9)
    assert rows_of(Corpus.from_tokens(wider, both)) == BARE
    without = [row[1:] for row in BARE]
    fill = torch.tensor([[BOS] * (5 - len(row)) + row for row in without])  # the longest row begins with no BOS
    assert rows_of(Corpus.from_tokens(fill, both)) == without
    separated = torch.tensor([[1, 5, 1, 9], [1, 4, 6, 1]])  # between documents it is no padding
    assert rows_of(Corpus.from_tokens(separated, both)) == separated.tolist()


def test_padding_that_may_be_bos_is_asked_about():
    words = (
        "every row begins with the padding id 1, which may be BOS or padding: if it is BOS, give "
        "MaskConfig(bos_id=1, pad_id=1), else attention_mask=, 0 where there is padding"
    )
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        Corpus.from_tokens(padded("left", pad=BOS), MaskConfig(pad_id=BOS))
    tokens = padded("left", pad=PAD, width=8)
    corpus = Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD), attention_mask=tokens != PAD)
    assert rows_of(corpus) == BARE


def test_padding_between_tokens_is_refused():
    tokens = [[1, 2, 3, 4], [PAD, 5, PAD, 6]]
    words = (
        "row 1 has padding at position 2, between tokens: it is the mask's pad_id, 7; where that is a token of the "
        "text, such as the separator of documents, give MaskConfig(ids=(7,)) in place of pad_id"
    )
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD))
    assert rows_of(Corpus.from_tokens(tokens, MaskConfig(ids=(PAD,)))) == tokens
    attention = [[1, 1, 1, 1], [0, 1, 0, 1]]
    words = "row 1 has padding at position 2, between tokens: attention_mask is 0 there, expected at the ends only"
    with pytest.raises(InputError, match=f"^{words}$"):
        Corpus.from_tokens(tokens, attention_mask=attention)


def test_rows_of_padding_alone():
    tokens = torch.tensor([[PAD, 3, 4], [PAD, PAD, PAD], [2, 3, 4]])
    corpus = Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD))
    assert rows_of(corpus) == [[3, 4], [PAD] * 3, [2, 3, 4]]
    assert corpus.tokens[corpus.counted].tolist() == [3, 4, 2, 3, 4]
    with pytest.raises(InputError, match=r"^row 1 has no token: attention_mask is 0 in all of it; leave it out$"):
        Corpus.from_tokens(tokens, attention_mask=tokens != PAD)


def test_rows_may_be_kept_as_they_are():
    tokens = padded("left")
    corpus = Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD), padding="keep")
    assert rows_of(corpus) == tokens.tolist()
    assert corpus.n_counted == sum(LENGTHS)
    with pytest.raises(InputError, match="padding='keep' keeps every token, but there is an attention_mask, too"):
        Corpus.from_tokens(tokens, padding="keep", attention_mask=tokens != PAD)
    with pytest.raises(InputError, match=r"^padding is 'left', expected 'cut' or 'keep'$"):
        Corpus.from_tokens(tokens, padding="left")


lists = st.lists(st.lists(st.integers(10, 30), min_size=1, max_size=7), min_size=1, max_size=6)


@given(rows=lists, before=st.data())
def test_padding_is_cut_off_and_nothing_else(rows, before):
    left = [before.draw(st.integers(0, 4)) for _ in rows]
    right = [before.draw(st.integers(0, 4)) for _ in rows]
    tokens = [[PAD] * a + row + [PAD] * b for a, row, b in zip(left, rows, right, strict=True)]
    attention = [[0] * a + [1] * len(row) + [0] * b for a, row, b in zip(left, rows, right, strict=True)]
    assert rows_of(Corpus.from_tokens(tokens, attention_mask=attention)) == rows
    corpus = Corpus.from_tokens(tokens, MaskConfig(pad_id=PAD, bos_id=BOS))
    assert rows_of(corpus) == [row + [PAD] * b for row, b in zip(rows, right, strict=True)]
    assert corpus.tokens[corpus.counted].tolist() == [token for row in rows for token in row]


@given(rows=lists, data=st.data())
def test_labels_stay_with_the_tokens_that_are_left(rows, data):
    left = [data.draw(st.integers(0, 3)) for _ in rows]
    tokens = [[PAD] * n + row for n, row in zip(left, rows, strict=True)]
    by_token = [[str(token) for token in row] for row in tokens]
    corpus = Corpus.from_tokens(
        tokens, MaskConfig(pad_id=PAD, bos_id=BOS), labels={"token": by_token, "row": list(range(len(rows)))}
    )
    every = np.arange(corpus.n_tokens)
    for labelling, expected in zip(
        corpus.labellings,
        ([str(token) for row in rows for token in row], [str(i) for i, row in enumerate(rows) for _ in row]),
        strict=True,
    ):
        assert [labelling.labels[code] for code in labelling.at(every)] == expected


@pytest.mark.parametrize(
    "given",
    [
        BARE,
        [torch.tensor(row) for row in BARE],
        [np.array(row, dtype=np.uint8) for row in BARE],
        (row for row in BARE),
        np.array(BARE, dtype=object),
    ],
    ids=["lists", "tensors", "arrays", "generator", "objects"],
)
def test_rows_of_unequal_lengths_are_sequences_of_their_own(given):
    corpus = Corpus.from_tokens(given)
    assert rows_of(corpus) == BARE
    assert corpus.documents.tolist() == corpus.offsets.tolist() == [0, 6, 10, 12]


def test_equal_rows_are_the_same_corpus_in_any_form():
    forms = [TOKENS, TOKENS.numpy(), TOKENS.to(torch.uint8), TOKENS.tolist(), list(TOKENS), {"input_ids": TOKENS}]
    assert len({Corpus.from_tokens(form).fingerprint() for form in forms}) == 1


RECTANGLE = "tokens must be an integer array [n_seqs, seq_len], found "


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (TOKENS.float(), RECTANGLE + "float32 with shape (3, 6)"),
        (TOKENS.bfloat16(), RECTANGLE + "bfloat16 with shape (3, 6)"),
        (TOKENS.bool(), RECTANGLE + "bool with shape (3, 6)"),
        (TOKENS[0], RECTANGLE + "int64 with shape (6,); give one row as tokens[None]"),
        ([1, 2, 3], RECTANGLE + "int64 with shape (3,); give one row as tokens[None]"),
        (TOKENS[None], RECTANGLE + "int64 with shape (1, 3, 6)"),
        (torch.tensor(3), RECTANGLE + "int64 with shape ()"),
        (TOKENS[:0], "the corpus is empty: it holds no token; give at least one non-empty text or sequence"),
        ([], "the corpus is empty: it holds no token; give at least one non-empty text or sequence"),
        (TOKENS - 9, "token ids must not be negative, found -9; mask padding by id instead"),
        ([[1 << 40]], "token id 1099511627776 does not fit 32 bits; no vocabulary is that large"),
        ([[1], [], [2]], "row 1 of tokens is empty, expected at least one token; leave it out"),
        ([[1], [2.0]], "row 1 of tokens is [2.0] (list), expected whole numbers [seq_len]"),
        ([[1], [None]], "row 1 of tokens is [None] (list), expected whole numbers [seq_len]"),
        ([[[1], [2, 3]]], "row 0 of tokens is [[1], [2, 3]] (list), expected whole numbers [seq_len]"),
        (["a b"], "row 0 of tokens is 'a b', expected token ids; for texts there is Corpus.from_texts"),
        ("a b", "tokens is 'a b', expected whole numbers [n_seqs, seq_len], or a list for each row"),
        (None, "tokens is None, expected whole numbers [n_seqs, seq_len], or a list for each row"),
        (
            {"ids": BARE},
            "tokens is a dict that holds 'ids', expected 'input_ids' as tokenizers return them: give the token ids",
        ),
    ],
)
def test_what_is_no_rows_of_tokens(tokens, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        Corpus.from_tokens(tokens)


@pytest.mark.parametrize(
    ("attention", "words"),
    [
        ([[1, 1]], "attention_mask has 1 rows of 2 entries, but the tokens have 3 rows of 6 entries: give a 0 or 1"),
        (TOKENS, "attention_mask holds 5, expected 1 for tokens and 0 for padding"),
        (TOKENS.float(), "attention_mask must be an integer array [n_seqs, seq_len], found float32 with shape (3, 6)"),
    ],
)
def test_what_is_no_attention_mask(attention, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        Corpus.from_tokens(TOKENS, attention_mask=attention)


def test_two_attention_masks():
    ones = torch.ones_like(TOKENS)
    with pytest.raises(InputError, match="the tokens come with an attention_mask and attention_mask= is given, too"):
        Corpus.from_tokens({"input_ids": TOKENS, "attention_mask": ones}, attention_mask=ones)
