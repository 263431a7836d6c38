"""Texts as users have them, and what is none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sae_vis.corpus.labels import LabelledText
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from tests.corpus.test_tokens import Letters, spelled


class Table:
    """What a table of pandas or polars looks like: gone through, it gives the names of its columns."""

    columns = ("text", "label")

    def __iter__(self):
        return iter(self.columns)


class Column:
    """What a column of a table looks like."""

    def __iter__(self):
        return iter(["abc", "de"])


class Bytes(Letters):
    """A token for each byte of UTF-8, which half a character has none of."""

    def __call__(self, batch, **options):
        return {"input_ids": [[10 + byte for byte in text.encode("utf-8")] for text in batch]}


@pytest.mark.parametrize(
    "texts",
    [["abc", "de"], ("abc", "de"), np.array(["abc", "de"]), Column(), (text for text in ["abc", "de"])],
    ids=["list", "tuple", "array", "column", "generator"],
)
def test_any_series_of_texts(texts):
    corpus = Corpus.from_texts(texts, Letters(), seq_len=8)
    assert corpus.fingerprint() == Corpus.from_texts(["abc", "de"], Letters(), seq_len=8).fingerprint()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("abcde", "texts is one text, 'abcde', expected several documents: give a list, such as [text]"),
        (b"abcde", "texts is one text, b'abcde', expected several documents: give a list, such as [text]"),
        (LabelledText("abc", {}), "texts is one text, LabelledText(text='abc', labels={}) (LabelledText), expected"),
        (Path("a.txt"), "texts is the path 'a.txt', expected texts: give [path.read_text('utf-8')]"),
        ({"a": "abc"}, "texts is a mapping, expected a list of documents: give list(texts.values())"),
        ({"abc"}, "texts is a set, whose order is another in every run: give a list, such as sorted(texts)"),
        (Table(), "texts is a Table, expected texts: give one column of it"),
        (None, "texts is None, expected a list of documents"),
        (["a", None], "document 1 is None, expected text: leave it out"),
        (["a", float("nan")], "document 1 is nan (float), expected text: leave it out"),
        (["a", b"b"], "document 1 is b'b', expected text: decode it first, such as by .decode('utf-8')"),
        ([{"text": "a"}], "document 0 is {'text': 'a'} (dict), expected text: give the column that holds the text"),
        ([[1, 2]], "document 0 is [1, 2] (list), expected text: for token ids there is Corpus.from_tokens"),
        ((text for text in ["a", 5]), "document 1 is 5 (int), expected text"),
        ([LabelledText("a", {}), LabelledText(None, {})], "document 1 is None, expected text: leave it out"),
    ],
)
def test_what_is_no_texts(texts, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        Corpus.from_texts(texts, Letters(), seq_len=8)


def test_half_characters_are_replaced_and_told():
    texts = ["ab", "c\ud83dd", "\ud83d\ude80", LabelledText("\udcff", {})]
    words = (
        "3 documents hold surrogates (halves of characters), which are not text; the first is document 1: they are "
        "read as U+FFFD, pairs as the characters that they stand for"
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(words)}$") as told:
        corpus = Corpus.from_texts(texts, Bytes(), seq_len=40)
    assert told[0].filename == __file__
    whole = Corpus.from_texts(["ab", "c\ufffdd", "\U0001f680", "\ufffd"], Bytes(), seq_len=40)
    assert corpus.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"seq_len": 0}, "seq_len is 0; it must leave room for at least one token beside BOS"),
        ({"seq_len": -3}, "seq_len is -3; it must leave room for at least one token beside BOS"),
        ({"seq_len": 8.0}, "seq_len is 8.0 (float), expected a whole number"),
        ({"seq_len": "8"}, "seq_len is '8', expected a whole number"),
        ({"seq_len": True}, "seq_len is True (bool), expected a whole number"),
        ({"seq_len": None}, "seq_len is None, expected a whole number"),
        ({"rows": "pack"}, "rows is 'pack', expected 'packed' or 'document'"),
        ({"tokenizer": None}, "tokenizer is None, expected a transformers tokenizer, as load_tokenizer gives"),
        ({"tokenizer": "gpt2"}, "tokenizer is 'gpt2', expected a transformers tokenizer, as load_tokenizer gives"),
        ({"source": 5}, "source is 5 (int), expected text"),
        ({"labels": ["de"]}, "labels is ['de'] (list), expected the labels by the labelling's name, such as {'lang"),
        ({"labels": {"x": "de"}}, "labels['x'] is 'de', expected a list: one label for each sequence or document"),
        ({"labels": {"x": 5}}, "labels['x'] is 5 (int), expected a list: one label for each sequence or document"),
    ],
)
def test_options_of_a_wrong_kind(option, words):
    options = {"tokenizer": Letters(), "seq_len": 8} | option
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        Corpus.from_texts(["ab", "cd"], **options)
    if "labels" in option:
        with pytest.raises(InputError, match=f"^{re.escape(words)}"):
            Corpus.from_tokens([[1, 2]], labels=option["labels"])


def test_whole_numbers_of_numpy_are_whole_numbers():
    corpus = Corpus.from_texts(["abcdef"], Letters(), seq_len=np.int64(4))
    assert np.diff(corpus.offsets).max() == 4
    assert spelled(corpus.tokens) == "abcdef"
    mask = MaskConfig(pad_id=np.int64(3), ids=np.array([9, 4]), seqpos_slice=slice(np.int32(1), None))
    assert mask == MaskConfig(pad_id=3, ids=(9, 4), seqpos_slice=(1, None, None))
    assert MaskConfig(ids={9, 4}).ids == (4, 9)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"bos_id": "0"}, "MaskConfig.bos_id is '0', expected a whole number"),
        ({"pad_id": 1.0}, "MaskConfig.pad_id is 1.0 (float), expected a whole number"),
        ({"bos_id": True}, "MaskConfig.bos_id is True (bool), expected a whole number"),
        ({"ids": 5}, "MaskConfig.ids is 5 (int), expected token ids, such as (3, 7)"),
        ({"ids": "12"}, "MaskConfig.ids is '12', expected token ids, such as (3, 7)"),
        ({"ids": (1.5,)}, "a value in MaskConfig.ids is 1.5 (float), expected a whole number"),
        ({"seqpos_slice": 5}, "seqpos_slice is 5 (int), expected (start, stop) or (start, stop, step)"),
        ({"seqpos_slice": "12"}, "seqpos_slice is '12', expected (start, stop) or (start, stop, step)"),
        ({"seqpos_slice": (1.0, None)}, "a value in seqpos_slice is 1.0 (float), expected a whole number"),
    ],
)
def test_masks_of_a_wrong_kind(option, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        MaskConfig(**option)


def test_names_of_files_that_are_no_text():
    assert Corpus.from_tokens([[1]], source="a\udcff.txt").source == "a?.txt"


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (["a", "b"], "the vocabulary is ['a', 'b'] (list), expected the text of each token id, {id: text}"),
        (
            {"a": 0},
            "the vocabulary holds 'a': 0 (int), expected {id: text}; of a tokenizer's get_vocab() it is",
        ),
        ({0: None}, "the vocabulary holds 0 (int): None, expected {id: text}"),
    ],
)
def test_what_is_no_vocabulary(vocabulary, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        TokenText.from_vocab(vocabulary)
    assert TokenText.from_vocab({0: "a\ud800"}).bytes_of(0) == b"a?"
    with pytest.raises(InputError, match=r"^tokenizer is 'gpt2', expected a tokenizer, as load_tokenizer gives$"):
        TokenText.from_tokenizer("gpt2")
