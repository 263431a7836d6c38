"""Activations rounded to bfloat16: the rounding itself, and indices whose every number is of rounded activations."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis import Corpus, Index, ModelAndSae, TokenText, load_tokenizer
from sae_vis.api import (
    SecondIndex,
    index_activations,
    index_features,
    save_compare_page,
    save_feature_page,
    save_prompt_page,
)
from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.demo import run as demo
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index.build import Source, build_index
from sae_vis.index.rounding import to_bfloat16
from sae_vis.index.shards import CodedBatch
from tests.fixtures.page_decoder import read_page
from tests.index.checks import check_everything
from tests.index.test_build import same
from tests.reference import Dense

SMALLEST = 2.0**-133
"""Of the bfloat16 above zero."""
ROUNDED = IndexConfig(acts_dtype="bfloat16", neuron_correlations="always")
SAID = "rounded to bfloat16"


def value(bits: int) -> Fraction:
    """Of a float32 without its sign; what follows the largest one counts as 2^128."""
    return Fraction(2**128) if bits == 0x7F80_0000 else Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


def slowly(act: float) -> float:
    """The nearest bfloat16, by exact arithmetic; infinity for what is too large."""
    bits = struct.unpack("<I", struct.pack("<f", act))[0]
    sign, size = -1.0 if bits >> 31 else 1.0, bits & 0x7FFF_FFFF
    low = size >> 16
    below, above = (value(size) - value(low << 16), value((low + 1) << 16) - value(size))
    nearest = low if below < above or (below == above and low % 2 == 0) else low + 1
    if nearest == 0 and size:
        nearest = 1
    found: float = struct.unpack("<f", struct.pack("<I", nearest << 16))[0]
    return sign * found


def slowly_all(acts: np.ndarray) -> np.ndarray:
    """`slowly` of each of many: eight bits of the fraction are kept. Of no very small ones."""
    fraction, exponent = np.frexp(acts.astype(np.float64))
    return np.ldexp(np.rint(fraction * 256), exponent - 8).astype(np.float32)  # rint goes to the even one half way


@settings(max_examples=200, deadline=None)
@given(bits=st.lists(st.integers(0, 2**32 - 1).filter(lambda b: (b & 0x7FFF_FFFF) < 0x7F7F_8000), min_size=1))
def test_rounding_is_to_the_nearest_and_at_half_way_to_the_even_one(bits):
    acts = np.array(bits, dtype=np.uint32).view(np.float32)
    expected = np.array([slowly(act) for act in acts.tolist()], dtype=np.float32)
    assert to_bfloat16(acts).tobytes() == expected.tobytes()
    assert to_bfloat16(expected).tobytes() == expected.tobytes()
    usual = np.abs(acts) >= 2.0**-126
    assert (np.abs(expected - acts.astype(np.float64)) <= 2.0**-8 * np.abs(acts.astype(np.float64)))[usual].all()
    assert (np.abs(expected - acts.astype(np.float64)) < SMALLEST)[~usual].all()
    assert slowly_all(acts[usual]).tolist() == expected[usual].tolist()


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (1 + 2**-8, 1.0),  # half way, the last bit of 1 is even
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (0.0, 0.0),
        (SMALLEST, SMALLEST),
        (1.5 * SMALLEST, 2 * SMALLEST),
    ],
)
def test_rounding_of_a_few(act, expected):
    assert to_bfloat16(np.array([act, -act], dtype=np.float32)).tolist() == [expected, -expected]


@pytest.mark.parametrize("act", [2.0**-149, 2.0**-134, 0.75 * SMALLEST])
def test_what_is_not_zero_stays_so(act):
    assert to_bfloat16(np.array([act, -act], dtype=np.float32)).tolist() == [SMALLEST, -SMALLEST]


def test_what_would_become_infinite_is_refused():
    largest = np.array([0x7F7F_7FFF], dtype=np.uint32).view(np.float32)
    assert np.isfinite(to_bfloat16(largest)).all()
    over = np.array([0x3F80_0000, 0xFF7F_8000], dtype=np.uint32).view(np.float32)
    words = r"an activation of -3\.39618e\+38 is too large for bfloat16: .*IndexConfig\(acts_dtype='float32'\)"
    with pytest.raises(InputError, match=words):
        to_bfloat16(over)


def test_a_dtype_that_there_is_not():
    with pytest.raises(InputError, match=r"IndexConfig.acts_dtype is 'float16'; it must be 'float32' or 'bfloat16'"):
        IndexConfig(acts_dtype="float16")


def own_activations(*, signed: bool, seed: int = 0) -> tuple[Corpus, np.ndarray]:
    """A few sequences with a mask, and sparse activations of six features, some of equal bfloat16."""
    dice = np.random.default_rng(seed)
    corpus = Corpus.from_tokens(dice.integers(0, 9, (6, 12)).astype(np.int32), MaskConfig(seqpos_slice=(1, None)))
    acts = dice.lognormal(size=(72, 6)).astype(np.float32) * (dice.random((72, 6)) < 0.4)
    acts[:, 3] = 0
    acts[10:40, 1] = 1 + dice.random(30).astype(np.float32) / 64
    return corpus, np.where(dice.random((72, 6)) < 0.3, -acts, acts) if signed else acts


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_statistic_is_of_the_stored_activations(signed, dtype):
    corpus, acts = own_activations(signed=signed)
    index = index_activations(corpus, torch.from_numpy(acts), config=IndexConfig(acts_dtype=dtype))
    assert index.acts_dtype == dtype
    stored = slowly_all(acts) if dtype == "bfloat16" else acts
    assert (stored != acts).any() == (dtype == "bfloat16")
    dense = Dense(stored, np.zeros((72, 0), np.float32), corpus.tokens, corpus.offsets, corpus.counted)
    check_everything(index, dense, before=2, after=1, n_bins=4)
    codes = index.codes(np.arange(72))
    for position in range(72):
        own = slice(*codes.offsets[position : position + 2])
        expected = np.flatnonzero(stored[position]) if corpus.counted[position] else np.zeros(0)
        assert codes.features[own].tolist() == expected.tolist()
        assert codes.acts[own].tolist() == stored[position, codes.features[own]].tolist()


def test_a_feature_fires_on_the_same_tokens_however_small_it_is():
    corpus = Corpus.from_tokens(np.arange(4, dtype=np.int32)[None])
    acts = torch.tensor([2.0**-149, 0.0, 1.0, 2.0**-134])[:, None]
    index = index_activations(corpus, acts, config=IndexConfig(acts_dtype="bfloat16"))
    assert index.column("n_firings").tolist() == [3]
    assert index.firings(0).positions.tolist() == [0, 2, 3]
    assert index.firings(0).acts.tolist() == [SMALLEST, 1.0, SMALLEST]


@dataclass(frozen=True, kw_only=True)
class RoundedBefore(Source):
    """A source whose activations are rounded before a build gets them."""

    def batches(self, runs: list[tuple[int, int]]) -> Iterator[CodedBatch]:
        for batch in super().batches(runs):
            acts = torch.from_numpy(slowly_all(batch.codes.acts.numpy()))
            yield batch._replace(codes=batch.codes._replace(acts=acts))


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(demo.assets() / "model")


@pytest.fixture(scope="module")
def text(tokenizer) -> TokenText:
    return TokenText.from_tokenizer(tokenizer)


@pytest.fixture(scope="module")
def corpus(tokenizer) -> Corpus:
    texts = [text for number, text in enumerate(demo.demo_texts()) if number % 256 == 0]
    return Corpus.from_texts(texts, tokenizer, seq_len=64)


@pytest.fixture(scope="module", params=[demo.RESID, demo.MLP], ids=lambda sae: sae.name)
def parts(request) -> ModelAndSae:
    return demo.demo_parts(request.param)


def test_a_build_rounds_as_if_the_dictionary_did(corpus, parts):
    given = {"corpus": corpus, "model": parts.model, "sae": parts.sae, "hook": parts.read}
    index = build_index(Source(**given), config=ROUNDED)
    assert same(index, build_index(RoundedBefore(**given), config=IndexConfig(neuron_correlations="always")))
    exact = build_index(Source(**given), config=IndexConfig(neuron_correlations="always"))
    assert exact.column("n_firings").tolist() == index.column("n_firings").tolist()
    assert not same(index, exact)


@pytest.fixture(scope="module")
def both(corpus, text, tmp_path_factory) -> dict[str, Path]:
    """Indices of the demo in both dtypes."""
    folder, parts = tmp_path_factory.mktemp("both"), demo.demo_parts(demo.RESID)
    for dtype in ("float32", "bfloat16"):
        index_features(corpus, parts, folder / dtype, text=text, config=IndexConfig(acts_dtype=dtype))
    return {dtype: folder / dtype for dtype in ("float32", "bfloat16")}


def test_files_are_read_as_they_are_and_take_half_the_room(both):
    found = {}
    for kind in ("postings", "codes"):
        exact, rounded = (pq.read_table(both[dtype] / kind) for dtype in ("float32", "bfloat16"))
        assert rounded.select(["feature", "position"]).equals(exact.select(["feature", "position"]))
        assert rounded["act"].to_numpy().tobytes() == slowly_all(exact["act"].to_numpy()).tobytes()
        sizes = [sum(path.stat().st_size for path in (both[dtype] / kind).iterdir()) for dtype in both]
        assert sizes[1] < 0.7 * sizes[0]
        found[kind] = rounded.sort_by([("feature", "ascending"), ("position", "ascending")])
    assert found["codes"].select(found["postings"].column_names).equals(found["postings"])
    index = Index.open(both["bfloat16"], verify="contents")
    acts = np.concatenate([index.firings(feature).acts for feature in range(index.n_features)])
    assert acts.dtype == np.float32
    assert acts.tobytes() == found["postings"]["act"].to_numpy().tobytes()


def test_the_manifest_says_it_and_only_where_it_is_so(both, corpus, text):
    said = {dtype: json.loads((folder / "manifest.json").read_text("utf-8")) for dtype, folder in both.items()}
    settings_of = {dtype: one["provenance"]["settings"] for dtype, one in said.items()}
    assert settings_of["bfloat16"] == {"acts_dtype": "bfloat16", **settings_of["float32"]}
    assert "acts_dtype" not in settings_of["float32"]
    assert Index.open(both["float32"]).acts_dtype == "float32"
    with pytest.raises(ForeignIndexError, match=r"made from another setting acts_dtype; nothing was written"):
        index_features(
            corpus, demo.demo_parts(demo.RESID), both["float32"], text=text, config=IndexConfig(acts_dtype="bfloat16")
        )


def test_every_kind_of_page_says_it(both, tokenizer, tmp_path):
    exact, rounded = Index.open(both["float32"]), Index.open(both["bfloat16"])
    parts, out = demo.demo_parts(demo.RESID), tmp_path / "page.html"

    def said(report: object) -> str | None:
        head = read_page(out.read_text("utf-8"))[0]
        found: str | None = head["meta"]["acts"]
        return found

    for index, expected in ((exact, None), (rounded, SAID)):
        assert said(save_feature_page(index, out, features=3)) == expected
        assert said(save_prompt_page(index, out, "def main():", parts=parts, tokenizer=tokenizer)) == expected
    save_compare_page(exact, rounded, out, features=3)
    head = read_page(out.read_text("utf-8"))[0]
    assert (head["meta"]["acts"], head["compare"]["b"][0]["meta"]["acts"]) == (None, SAID)
    save_feature_page(exact, out, features=3, second=SecondIndex(index_b=rounded))
    assert read_page(out.read_text("utf-8"))[0]["meta"]["b"]["sae"].endswith(f"features, activations {SAID}")
