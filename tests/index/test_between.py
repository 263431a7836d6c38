"""Features of two dictionaries over the same tokens: every pair against loops over dense activations."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import DamagedIndexError, InputError
from sae_vis.index import between as module
from sae_vis.index.between import Partners, between, correlate
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.index.splits import merges, splits
from tests.index.test_build import corpora, some_corpus
from tests.reference import Dense
from tests.whole_numbers import WholeModel, WholeSae, dense_of


def two(corpus: Corpus, seed: int = 0, widths: tuple[int, int] = (9, 14)) -> tuple[list[Index], list[Dense]]:
    """Indices of two dictionaries at one place of one model, and their dense activations."""
    model = WholeModel(seed=seed)
    saes = [WholeSae(seed=seed + i, d_sae=width) for i, width in enumerate(widths)]
    sources = [Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here")) for sae in saes]
    dense = [dense_of(corpus, model, source.sae, source.hook) for source in sources]
    return [build_index(source) for source in sources], dense


def pairs_of(a: Dense, b: Dense) -> dict[tuple[int, int], tuple[float, float, int]]:
    """Pearson, cosine, tokens on which both fire, of every pair: the definition."""
    found = {}
    for i in range(a.acts.shape[1]):
        for j in range(b.acts.shape[1]):
            x, y = a.column(i), b.column(j)
            found[i, j] = a.pearson(x, y), a.cosine(x, y), int(((x != 0) & (y != 0)).sum())
    return found


def check_partners(found: Partners, pairs: dict[tuple[int, int], tuple[float, float, int]], k: int) -> None:
    """The tables of one side against all pairs."""
    for feature in range(len(found.other)):
        own = found.of(feature, k)
        own = Partners(*(column[own.pearson > 1e-6] for column in own))  # what is 0 but for rounding may be listed
        expected = sorted((p[0] for (i, _), p in pairs.items() if i == feature and p[0] > 1e-6), reverse=True)[:k]
        assert own.pearson == pytest.approx(np.array(expected), abs=1e-6)
        assert len(set(own.other.tolist())) == len(own.other)
        for other, *values in zip(*own, strict=True):
            assert values == pytest.approx(pairs[feature, int(other)], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(corpus=corpora(), seed=st.integers(0, 50), k=st.integers(1, 20), block=st.sampled_from([1, 400, 1 << 20]))
def test_every_pair_equals_the_slow_reference(corpus, seed, k, block):
    indices, dense = two(corpus, seed)
    found = correlate(*indices, partners=k, block_bytes=block)
    pairs = pairs_of(*dense)
    check_partners(found.of_a, pairs, k)
    check_partners(found.of_b, {(j, i): values for (i, j), values in pairs.items()}, k)


@pytest.mark.parametrize("run", [pytest.param(1, marks=pytest.mark.slow), 7, 64])
def test_runs_and_blocks_change_no_bit(run, monkeypatch):
    indices, _ = two(some_corpus(40))
    whole = correlate(*indices)
    monkeypatch.setattr(module, "RUN_TOKENS", run)
    monkeypatch.setattr(module, "PART_FIRINGS", 30)
    again = correlate(*indices, block_bytes=700)
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(array, again.to_arrays()[name], err_msg=name)


def test_an_index_with_itself():
    (index, _), (dense, _) = two(some_corpus(40))
    found = between(index, index)
    check_partners(found.of_a, pairs_of(dense, dense), 16)
    firing = np.flatnonzero(index.column("std") > 0)
    assert (found.of_a.best[firing] == 1).all()
    assert all(feature in found.of_a.of(feature, 16).other for feature in firing)
    for name in Partners._fields:
        np.testing.assert_array_equal(getattr(found.of_a, name), getattr(found.of_b, name))


def test_what_one_dictionary_tells_of_its_own_features_is_what_two_tell():
    """The same sums as the build's own table of correlated features."""
    (index, _), _ = two(some_corpus(40))
    found = between(index, index)
    for feature in range(index.n_features):
        own = found.of_a.of(feature, 16)
        others = own.other != feature
        assert index.lists("correlated_features_index", feature).tolist() == own.other[others].tolist()
        assert index.lists("correlated_features_pearson", feature).tolist() == own.pearson[others].tolist()
        assert index.lists("correlated_features_cosine", feature).tolist() == own.cosine[others].tolist()


def codes_index(acts: np.ndarray, tokens: np.ndarray) -> Index:
    """An index of given activations ``[n_seqs, seq_len, d_sae]``."""
    from sae_vis.api import index_activations

    return index_activations(torch.from_numpy(tokens), torch.from_numpy(acts.astype(np.float32)))


def slow_splits(a: np.ndarray, b: np.ndarray) -> dict[int, tuple[float, list[tuple[int, float, float]]]]:
    """The definition of docs/numerics.md, set by set."""
    found = {}
    fires_b = [set(np.flatnonzero(column)) for column in b.T]
    for i, column in enumerate(a.T):
        own = set(np.flatnonzero(column))
        parts = {
            j: own & other
            for j, other in enumerate(fires_b)
            if other and own and len(own & other) >= 0.5 * len(other) and len(own & other) >= 0.1 * len(own)
        }
        covered, chosen = set(), []
        while parts:
            j = min(parts, key=lambda part: (-len(parts[part] - covered), part))
            if len(parts[j] - covered) < 0.1 * len(own):
                break
            covered |= parts[j]
            chosen.append((j, len(parts[j]) / len(own), len(parts[j]) / len(fires_b[j])))
            del parts[j]
        if len(chosen) > 1 and len(covered) >= 0.5 * len(own):
            found[i] = len(covered) / len(own), chosen
    return found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.05, 0.2, 0.5]))
def test_splits_and_merges_are_their_definition(seed, share):
    dice = np.random.default_rng(seed)
    b = (dice.random((6, 20, 12)) < share) * dice.integers(1, 5, (6, 20, 12))
    groups = dice.integers(0, 5, 12)
    a = np.stack([b[..., groups == g].max(-1, initial=0) * (dice.random((6, 20)) < 0.9) for g in range(5)], axis=-1)
    tokens = dice.integers(0, 9, (6, 20))
    indices = codes_index(a, tokens), codes_index(b, tokens)
    found = between(*indices)
    flat = a.reshape(-1, 5), b.reshape(-1, 12)
    for got, expected in (
        (splits(*indices, found), slow_splits(*flat)),
        (merges(*indices, found), slow_splits(*flat[::-1])),
    ):
        assert {split.feature for split in got} == set(expected)
        for split in got:
            covered, parts = expected[split.feature]
            assert split.covered == pytest.approx(covered)
            assert [tuple(part) for part in split.parts] == [pytest.approx(part) for part in parts]


def test_a_feature_in_two_pieces_is_a_split_one_way_and_a_merge_the_other():
    tokens = np.arange(40).reshape(4, 10) % 7
    whole, pieces = np.zeros((4, 10, 2)), np.zeros((4, 10, 3))
    whole[:, 1:7, 0] = 2
    pieces[:, 1:4, 0], pieces[:, 4:7, 2], pieces[:, 8, 1] = 1, 3, 1
    a, b = codes_index(whole, tokens), codes_index(pieces, tokens)
    found = between(a, b)
    assert splits(a, b, found) == merges(b, a, between(b, a))
    (split,) = splits(a, b, found)
    assert (split.feature, split.covered, [part.feature for part in split.parts]) == (0, 1.0, [0, 2])
    assert split.parts[0][1:] == (0.5, 1.0)
    assert merges(a, b, found) == []


def test_kept_beside_the_index_and_never_taken_for_anothers(tmp_path: Path, monkeypatch):
    corpus = some_corpus(20)
    model = WholeModel()
    saes = [WholeSae(seed=seed) for seed in range(3)]
    a, b, other = (
        build_index(Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here")), tmp_path / str(i))
        for i, sae in enumerate(saes)
    )
    first = between(a, b)
    (file,) = (tmp_path / "0" / "between").iterdir()
    calls = []
    monkeypatch.setattr(module, "correlate", lambda *args, **options: calls.append(args) or correlate(*args, **options))
    again = between(Index.open(tmp_path / "0"), b)
    assert calls == []
    for name, array in first.to_arrays().items():
        np.testing.assert_array_equal(array, again.to_arrays()[name])
    between(a, other)
    assert len(calls) == 1
    shutil.copy(file, next(path for path in file.parent.iterdir() if path != file))  # another's numbers under its name
    between(a, other)
    assert len(calls) == 2
    assert Index.open(tmp_path / "0").n_features == a.n_features  # the manifest does not name what is kept
    file.write_bytes(b"cut off")
    with pytest.raises(DamagedIndexError, match=r"between/.*can't be read; delete it"):
        between(Index.open(tmp_path / "0"), b)


def test_an_index_that_can_not_be_written_beside_keeps_it_while_it_is_open(monkeypatch, tmp_path):
    from sae_vis.errors import IndexFileError

    indices, _ = two(some_corpus(20))

    def refuse(*_: object) -> None:
        raise IndexFileError("read-only")

    monkeypatch.setattr(indices[0]._store, "write_arrays", refuse)
    first = between(*indices)
    monkeypatch.setattr(module, "correlate", None)
    assert between(*indices).to_arrays().keys() == first.to_arrays().keys()


def test_more_partners_than_are_kept_are_computed():
    indices, _ = two(some_corpus(20), widths=(9, 40))
    assert between(*indices).of_a.other.shape == (9, 16)
    assert between(*indices, partners=30).of_a.other.shape == (9, 30)
    assert between(*indices, partners=100).of_a.other.shape == (9, 40)


def one_index(corpus: Corpus, text: TokenText | None = None) -> Index:
    model = WholeModel()
    return build_index(Source(corpus=corpus, model=model, sae=WholeSae(), hook=model.hook_point("here"), text=text))


def test_other_tokens_are_an_error_that_names_the_difference():
    corpus = some_corpus(6)
    a = one_index(corpus)
    rows = corpus.tokens.reshape(6, 10)
    changed = rows.copy()
    changed[2, 3] = (changed[2, 3] + 1) % 12
    cases = {
        r"A has 6 sequences, B has 5; index both dictionaries over the same corpus": Corpus.from_tokens(
            rows[:5], corpus.mask
        ),
        r"sequence 0 has 10 tokens in A and 12 in B": Corpus.from_tokens(np.pad(rows, ((0, 0), (0, 2))), corpus.mask),
        rf"the token at sequence 2, position 3 is {rows[2, 3]} in A and {changed[2, 3]} in B": Corpus.from_tokens(
            changed, corpus.mask
        ),
        r"the masks differ: \d+ tokens count in A \(left out: .*\), \d+ in B \(.*\), "
        r"the one at sequence 0, position \d in B but not in A": Corpus.from_tokens(rows, MaskConfig(bos_id=0)),
    }
    for message, other in cases.items():
        with pytest.raises(InputError, match=f"not over the same tokens: {message}"):
            between(a, one_index(other))
    ragged = replace(corpus, offsets=np.array([0, 11, 20, 30, 40, 50, 60]))
    with pytest.raises(InputError, match="sequence 0 has 10 tokens in A and 11 in B"):
        between(a, one_index(ragged))


def test_other_text_of_the_same_ids_is_an_error():
    corpus = some_corpus(6)
    names = {token: f"t{token}" for token in range(12)}
    token = int(corpus.tokens.min())
    a = one_index(corpus, TokenText.from_vocab(names))
    b = one_index(corpus, TokenText.from_vocab({**names, token: "ß"}))
    with pytest.raises(InputError, match=f"token {token} is 't{token}' in A and 'ß' in B"):
        between(a, b)
    between(a, one_index(corpus))  # no text is no other text
    between(a, one_index(corpus, TokenText.from_vocab({**names, 99: "never in the text"})))


def test_dead_features_have_no_partners():
    indices, _ = two(some_corpus(20))
    found = between(*indices)
    for feature in np.flatnonzero(indices[0].column("n_firings") == 0):
        assert len(found.of_a.of(int(feature), 16).other) == 0
        assert math.isclose(found.of_a.best[feature], 0)
