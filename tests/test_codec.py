"""The codec against a plain reader: every kind and packing comes back as it was, and contradictions are said."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sae_vis import contract
from sae_vis.contract import F32, I32, U8, Array, ComponentData, Json
from sae_vis.contract.schema import below, record_of, told
from sae_vis.contract.tokens import token_arrays
from sae_vis.deliver.blocks import BlockWriter
from sae_vis.deliver.codec import encode
from sae_vis.errors import InputError

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

import page_decoder
from page_decoder import as_read, as_shown

pytestmark = pytest.mark.usefixtures("own_table")


@dataclass(frozen=True, kw_only=True)
class Inner:
    heads: int
    parts: Annotated[F32, Array("n * heads")]
    own: Annotated[I32, Array("n_own", "gaps")]


@dataclass(frozen=True, kw_only=True)
class Outer:
    whole: int
    number: float
    flag: bool
    word: Literal["a", "b", "c"]
    text: str
    perhaps: str | None
    options: Annotated[dict[str, object], Json()]
    offsets: Annotated[I32, Array("n + 1", "offsets", ends_at="n_tokens")]
    tokens: Annotated[I32, Array("n_tokens", "token")]
    acts: Annotated[F32, Array("n_tokens", "sparse")]
    logits: Annotated[F32, Array("n_tokens", "per token")] | None
    shown: Annotated[F32, Array("n_tokens", "per token", digits=3)] | None
    rough: Annotated[F32, Array("n_tokens", "sparse", digits=3)]
    two: int
    steps: Annotated[I32, Array("n_steps", "delta")]
    table: Annotated[F32, Array("n_steps * two")]
    raw: Annotated[U8, Array("n_raw")]
    lists: tuple[Annotated[I32, Array("n_tokens", "delta")], ...]
    inner: tuple[Inner, ...]
    custom: Mapping[str, ComponentData]


@dataclass(frozen=True, kw_only=True)
class Several:
    one: Outer
    more: tuple[Outer, ...]
    perhaps: Outer | None


@pytest.fixture(scope="module")
def own_table():
    """The plain reader reads these records instead of the contract's."""
    records = {record.name: record for record in below(record_of(Several))}
    found = {name: [[field, told(kind)] for field, kind in record.fields] for name, record in records.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_decoder, "table", lambda: found)
        for kind in (Inner, Outer, Several):
            patch.setattr(contract, kind.__name__, kind, raising=False)
        yield


numbers = st.floats(-1100, 1100, width=32) | st.floats(width=32)
halves = st.builds(lambda n, s: float(np.float32((n + 0.5) / 10**s)), st.integers(100, 999), st.integers(0, 21))
floats32 = st.floats(width=32, allow_nan=True, allow_infinity=True)
whole32 = st.integers(-(2**31), 2**31 - 1)
whole64 = st.integers(-(2**62), 2**62 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
IDS = np.array([5, 3, 2_000_000_000, 0], dtype=np.int32)
EFFECTS = np.array([0.5, np.nan, -0.0, np.inf, -3], dtype=np.float32)
"""Of each of them, and of none: equal wherever the token is."""


def arrays(elements, size, dtype=np.int32):
    return hnp.arrays(dtype, size, elements=elements)


@st.composite
def inners(draw, n):
    heads = draw(st.integers(0, 3))
    own = draw(st.sets(st.integers(0, 2**31 - 1), max_size=4))
    return Inner(
        heads=heads,
        parts=draw(arrays(floats32, n * heads, np.float32)),
        own=np.array(sorted(own), dtype=np.int32),
    )


@st.composite
def outers(draw):
    lengths = draw(st.lists(st.integers(0, 3), max_size=3))
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    n_tokens, n_steps = int(offsets[-1]), draw(st.integers(0, 3))
    which = draw(arrays(st.integers(-1, 3), n_tokens))
    return Outer(
        whole=draw(whole64),
        number=draw(st.floats()),
        flag=draw(st.booleans()),
        word=draw(st.sampled_from("abc")),
        text=draw(texts),
        perhaps=draw(st.none() | texts),
        options=draw(st.dictionaries(texts, st.none() | st.booleans() | st.integers(-9, 9) | texts, max_size=2)),
        offsets=offsets,
        tokens=np.where(which < 0, -1, IDS[which]).astype(np.int32),
        acts=draw(arrays(st.just(0.0) | floats32, n_tokens, np.float32)),
        logits=draw(st.sampled_from([None, EFFECTS[which]])),
        shown=draw(st.sampled_from([None, EFFECTS[which] / np.float32(3)])),
        rough=draw(arrays(st.just(0.0) | numbers, n_tokens, np.float32)),
        two=2,
        steps=draw(arrays(whole32, n_steps)),
        table=draw(arrays(floats32, 2 * n_steps, np.float32)),
        raw=draw(arrays(st.integers(0, 255), st.integers(0, 4), np.uint8)),
        lists=tuple(draw(arrays(whole32, n_tokens)) for _ in range(draw(st.integers(0, 2)))),
        inner=tuple(draw(inners(len(lengths))) for _ in range(draw(st.integers(0, 2)))),
        custom={name: {"x": draw(arrays(floats32, 2, np.float32)), "y": name} for name in draw(st.sets(texts))},
    )


def place_of(tokens):
    return np.array([-1 if token < 0 else IDS.tolist().index(token) for token in tokens], dtype=np.int64)


def there_and_back(value):
    out = BlockWriter()
    encode(out, type(value), value, place_of)
    decoder = page_decoder.Decoder(out.finish(), IDS)
    found = decoder.record(type(value).__name__)
    decoder.r.end()
    return found


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    return a == b or (a != a and b != b)


def rounded_and_back(values):
    out = BlockWriter()
    out.digits(values)
    r = page_decoder.Reader(out.finish())
    found = r.digits(len(values))
    r.end()
    return found


@settings(deadline=None, max_examples=60)
@given(outers())
def test_a_record_comes_back_as_it_was(value):
    assert same(as_read(value), there_and_back(value))


@settings(deadline=None, max_examples=300)
@given(st.lists(numbers | halves | halves.map(lambda x: -x)).map(lambda values: np.array(values, dtype=np.float32)))
def test_three_digits_are_those_shown(values):
    found = rounded_and_back(values)
    expected = np.array([as_shown(value) for value in values], dtype=np.float32)
    assert same(found, expected)
    assert same(rounded_and_back(found), found)


@settings(deadline=None)
@given(hnp.arrays(np.float32, st.integers(0, 99), elements=numbers))
def test_three_digits_are_off_by_half_a_unit_at_most(values):
    found = rounded_and_back(values)
    kept = np.isnan(values) | (values == 0) | (np.abs(values) >= 999.5)
    assert same(found[kept], values[kept])
    exact, read = values[~kept].astype(np.float64), found[~kept].astype(np.float64)
    unit = 10 ** (np.floor(np.log10(np.abs(exact))) - 2)
    nearest = np.spacing(np.abs(found[~kept])).astype(np.float64)  # what is read is a float32
    assert (np.abs(read - exact) <= unit / 2 + nearest).all()
    assert (np.abs(read - exact) <= 0.005 * np.abs(exact) + nearest).all()


def test_every_float_that_ends_in_a_half_and_every_power_of_ten():
    ends = [(n + half) / 10**s for s in range(22) for n in range(99, 1000) for half in (0, 0.5)]
    values = np.array(ends, dtype=np.float32)
    values = np.concatenate([values, np.nextafter(values, np.float32(0)), np.nextafter(values, np.float32(1e4))])
    assert same(rounded_and_back(values), np.array([as_shown(value) for value in values], dtype=np.float32))


@settings(deadline=None, max_examples=25)
@given(outers(), st.lists(outers(), max_size=2), st.none() | outers())
def test_columns_of_records_come_back_as_they_were(one, more, perhaps):
    value = Several(one=one, more=tuple(more), perhaps=perhaps)
    assert same(as_read(value), there_and_back(value))
    found = [token for array in token_arrays(Several, value) for token in array.tolist()]
    expected = [value.one, *value.more, *([] if perhaps is None else [perhaps])]
    assert found == [token for outer in expected for token in outer.tokens.tolist()]


@given(st.lists(whole64), st.lists(st.floats()), hnp.arrays(np.float32, st.integers(0, 9), elements=floats32))
def test_plain_values_come_back_bit_for_bit(whole, doubles, floats):
    out = BlockWriter()
    out.ints(whole)
    out.doubles(doubles)
    out.floats(floats)
    out.raw(b"end")
    r = page_decoder.Reader(out.finish())
    assert r.ints(len(whole)) == whole
    np.testing.assert_array_equal(np.array(r.doubles(len(doubles))).view(np.uint64), np.array(doubles).view(np.uint64))
    np.testing.assert_array_equal(r.floats(len(floats)).view(np.uint32), floats.view(np.uint32))
    assert r.take(3) == b"end"
    r.end()


def outer(**changes):
    plain = {
        "whole": 1,
        "number": 1.0,
        "flag": True,
        "word": "a",
        "text": "",
        "perhaps": None,
        "options": {},
        "offsets": np.array([0, 2], dtype=np.int32),
        "tokens": np.array([5, 5], dtype=np.int32),
        "acts": np.zeros(2, dtype=np.float32),
        "logits": None,
        "shown": None,
        "rough": np.zeros(2, dtype=np.float32),
        "two": 2,
        "steps": np.zeros(1, dtype=np.int32),
        "table": np.zeros(2, dtype=np.float32),
        "raw": np.zeros(0, dtype=np.uint8),
        "lists": (),
        "inner": (),
        "custom": {},
    }
    return Outer(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokens": np.zeros(3, dtype=np.int32)}, "tokens has 3 values, expected n_tokens = 2"),
        ({"table": np.zeros(3, dtype=np.float32)}, "table has 3 values, expected n_steps * two = 2"),
        (
            {"inner": (Inner(heads=2, parts=np.zeros(1, dtype=np.float32), own=np.zeros(0, dtype=np.int32)),)},
            "inner.parts has 1 values, expected n * heads = 2",
        ),
        ({"steps": np.zeros(1)}, "steps is an array of float64, expected int32"),
        ({"acts": np.zeros(2, dtype=np.int32)}, "acts is an array of int32, expected float32"),
        (
            {"logits": np.array([1, 2], dtype=np.float32)},
            "logits differ between occurrences of a token, expected one value for each token",
        ),
        ({"custom": {"Mine": {"x": 1j}}}, "custom.Mine: its value 'x' can't be put into a page: "),
    ],
)
def test_contradictions_are_said_with_their_names(changes, words):
    with pytest.raises(InputError) as error:
        there_and_back(outer(**changes))
    assert str(error.value).startswith(words)


def test_half_a_surrogate_pair_comes_back():
    assert there_and_back(outer(text="a\ud800b")).text == "a\ud800b"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (set[int], "Odd.field is annotated with set\\[int\\]"),
        (Annotated[I32, Array("n + 2")], "Odd.field has the shape 'n \\+ 2'"),
        (Annotated[int, Array("n")], "Odd.field is <class 'int'> annotated with Array"),
        (int | str, "Odd.field is annotated with int \\| str"),
    ],
)
def test_an_annotation_that_cannot_travel_is_named(annotation, words):
    odd = dataclass(type("Odd", (), {"__annotations__": {"field": annotation}}))
    with pytest.raises(TypeError, match=words):
        record_of(odd)
