"""Counts by label equal a loop over tokens, measures their definitions; labels survive disk and kills."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.corpus.labels import labelling_of
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index import by_label
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from tests.index.test_build import same, source_of
from tests.index.test_faults import SMALL, snapshot
from tests.whole_numbers import VOCAB, SignedSae, WholeModel, dense_of

WORDS = [None, "de", "fr", "", "日本語 🚀", "</script><b>", "zz"]


@st.composite
def labelled(draw) -> tuple[Corpus, list[object]]:
    """Documents packed into rows at will, a label for each; and the label of every token."""
    documents = draw(st.lists(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=7), min_size=1, max_size=9))
    words = draw(st.lists(st.sampled_from(WORDS), min_size=len(documents), max_size=len(documents)))
    flat = np.array([token for document in documents for token in document], dtype=np.int32)
    cuts = draw(st.sets(st.integers(1, max(len(flat) - 1, 1)), max_size=6)) if len(flat) > 1 else set()
    starts = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    mask = MaskConfig(ids=tuple(draw(st.sets(st.integers(0, VOCAB - 1), max_size=4))))
    offsets = np.array([0, *sorted(cuts), len(flat)], dtype=np.int64)
    if not mask.counted(flat, offsets).any():
        mask = MaskConfig()
    labelling = labelling_of("language", words, starts[:-1])
    other = labelling_of("odd", [i % 2 for i in range(len(flat))], np.arange(len(flat), dtype=np.int64))
    corpus = Corpus(tokens=flat, offsets=offsets, documents=starts, mask=mask, labellings=(labelling, other))
    return corpus, [word or None for word, document in zip(words, documents, strict=True) for _ in document]


def document_of(corpus: Corpus, position: int) -> int:
    return max(i for i, start in enumerate(corpus.documents[:-1]) if start <= position)


@settings(max_examples=60, deadline=None)
@given(case=labelled(), seed=st.integers(0, 50), part=st.integers(1, 60))
def test_statistics_equal_the_slow_reference(case, seed, part):
    corpus, words = case
    source = source_of(corpus, seed)
    index = build_index(source, config=IndexConfig(part_firings=part))
    dense = dense_of(corpus, source.model, source.sae, source.hook)
    for name, given_words in (("language", words), ("odd", [str(i % 2) for i in range(corpus.n_tokens)])):
        table = index.labels(name)
        assert table.labels == tuple(sorted({word for word in given_words if word}))
        for code, word in enumerate([*table.labels, None]):
            inside = [t for t in range(corpus.n_tokens) if corpus.counted[t] and given_words[t] == word]
            assert table.tokens.n_tokens[code] == len(inside)
            assert table.tokens.n_documents[code] == len({document_of(corpus, t) for t in inside})
            for feature in range(index.n_features):
                fires = [t for t in inside if dense.acts[t, feature] != 0]
                acts = [float(dense.acts[t, feature]) for t in fires]
                found = [column[feature, code] for column in table.counts]
                documents = {document_of(corpus, t) for t in fires}
                mean, top = (np.mean(acts), max(acts)) if acts else (0, 0)
                assert found == [len(fires), len(documents), pytest.approx(mean, rel=1e-12), top]
                if word is not None:
                    share = len(fires) / len(inside) if inside else math.nan
                    assert table.density[feature, code] == pytest.approx(share, nan_ok=True)
        check_measures(table)


def check_measures(table) -> None:
    """Both measures and the log-odds from their definitions, cell by cell."""
    n_tokens, total = table.tokens.n_tokens[:-1], int(table.tokens.n_tokens[:-1].sum())
    k = sum(n > 0 for n in n_tokens)
    for feature, own in enumerate(table.counts.n_firings[:, :-1]):
        n, m = int(own.sum()), int(table.counts.n_documents[feature, :-1].sum())
        mutual, divergence = 0.0, 0.0
        for on, tokens in zip(own, n_tokens, strict=True):
            for joint, margin in ((int(on), n), (int(tokens - on), total - n)):
                if joint:
                    mutual += joint / total * math.log2(joint * total / (margin * int(tokens)))
            if on:
                divergence += on / n * math.log2((on / n) / (tokens / total))
        expected = max(0.0, divergence - (k - 1) / (2 * max(m, 1) * math.log(2)))
        assert table.information[feature] == pytest.approx(mutual, abs=1e-12)
        assert table.unevenness[feature] == pytest.approx(expected, abs=1e-12)
        for code, (on, tokens) in enumerate(zip(own, n_tokens, strict=True)):
            odds = (on + 0.5) / (tokens - on + 0.5)
            others = (n - on + 0.5) / ((total - tokens) - (n - on) + 0.5)
            assert table.log_odds[feature, code] == pytest.approx(math.log2(odds / others), abs=1e-12)


def corpus_of(words: list[object], *, length: int = 6, mask: MaskConfig | None = None) -> Corpus:
    rng = np.random.default_rng(3)
    return Corpus.from_tokens(rng.integers(1, VOCAB, (len(words), length)), mask, labels={"source": words})


def test_ranks_are_by_the_measure_and_by_label():
    index = build_index(source_of(corpus_of(["a", "b", None, "a", "c", "b"] * 4)))
    table = index.labels("source")
    order = index.rank_by_label("source")
    assert order.tolist() == sorted(order.tolist(), key=lambda f: (-table.unevenness[f], f))
    assert set(order.tolist()) == set(np.flatnonzero(table.counts.n_firings[:, :-1].sum(axis=1)).tolist())
    informed = index.rank_by_label("source", by="information", k=3)
    assert informed.tolist() == sorted(order.tolist(), key=lambda f: (-table.information[f], f))[:3]
    on_b = index.rank_by_label("source", label="b")
    assert on_b.tolist() == sorted(on_b.tolist(), key=lambda f: (-table.log_odds[f, 1], f))
    assert all(table.counts.n_firings[feature, 1] > 0 for feature in on_b)


def test_a_feature_of_one_label_alone_comes_first():
    """Token 1 stands in rows of label a alone; the feature that reads it says all about the label."""
    n_tokens, n_documents = np.array([600, 200, 200]), np.array([60, 20, 20])
    n_firings = np.array([[60, 20, 20], [0, 40, 0], [0, 2, 0], [0, 0, 0]])
    inside = np.minimum(n_firings, n_documents)
    measure = by_label.unevenness(n_firings, n_tokens, inside)
    assert measure[0] == 0
    assert measure[1] == pytest.approx(math.log2(5) - 2 / (2 * 20 * math.log(2)))
    assert measure[1] > measure[2] > 0
    assert measure[3] == 0
    assert by_label.information(n_firings, n_tokens)[0] == pytest.approx(0, abs=1e-12)


def test_without_any_relation_the_measure_is_near_zero_on_average():
    """Draws from the corpus' own shares: the correction takes the bias away, to first order."""
    rng = np.random.default_rng(0)
    n_tokens = np.array([5_000, 3_000, 1_500, 500])
    draws = rng.multinomial(80, n_tokens / n_tokens.sum(), size=20_000)
    raw = by_label._divergence(draws, n_tokens)
    bias = 3 / (2 * 80 * math.log(2))
    assert raw.mean() == pytest.approx(bias, rel=0.05)
    assert by_label.unevenness(draws, n_tokens, draws).mean() < 0.6 * bias


def test_examples_of_a_label_are_its_own_largest_firings():
    corpus = corpus_of(["a", "b", None, "a"] * 6)
    index = build_index(source_of(corpus))
    feature = index.n_features - 1  # fires everywhere
    codes = corpus.labellings[0].at(np.arange(corpus.n_tokens))
    for code, found in enumerate(index.top_examples_by_label(feature, "source", [0, 1], 4)):
        assert (codes[found.positions] == code).all()
        every = [t for t in range(corpus.n_tokens) if codes[t] == code]
        acts = dict(zip(index.firings(feature).positions.tolist(), index.firings(feature).acts.tolist(), strict=True))
        assert found.acts.max() == max(acts[t] for t in every)
        assert len(set(found.positions.tolist())) == 4


def test_a_signed_dictionary_shows_its_side_of_largest_size():
    corpus = corpus_of(["a", "b"] * 6)
    model, sae = WholeModel(seed=1), SignedSae(seed=1)
    source = Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here"))
    index = build_index(source)
    table, codes = index.labels("source"), corpus.labellings[0].at(np.arange(corpus.n_tokens))
    assert (table.counts.peak < 0).any()
    assert (table.counts.peak > 0).any()
    for feature in range(index.n_features):
        positions, acts = index.firings(feature)
        for code in range(2):
            own = acts[codes[positions] == code]
            expected = 0 if len(own) == 0 else max(own.tolist(), key=lambda a: (abs(a), a))
            assert table.counts.peak[feature, code] == expected
            assert table.counts.n_firings[feature, code] == len(own)
        found = index.top_examples_by_label(feature, "source", [0], 3)[0]
        sizes = np.sort(np.abs(acts[codes[positions] == 0]))[::-1]
        assert np.abs(found.acts).tolist() == sizes[: len(found.acts)].tolist()


def test_one_label_and_a_label_whose_tokens_are_masked():
    one = build_index(source_of(corpus_of(["only"] * 5))).labels("source")
    assert one.unevenness.max() == one.information.max() == 0
    tokens = np.array([[5, 6, 7], [1, 1, 1]])
    masked = Corpus.from_tokens(tokens, MaskConfig(ids=(1,)), labels={"source": ["seen", "unseen"]})
    table = build_index(source_of(masked)).labels("source")
    assert table.tokens.n_tokens.tolist() == [3, 0, 0]
    assert np.isnan(table.density[:, 1]).all()
    assert np.isfinite(table.unevenness).all()


def test_on_disk_equals_in_memory_and_the_rows_can_be_read_by_others(tmp_path: Path):
    source = source_of(corpus_of(["日本語 🚀", "</script>", None, "a"] * 5))
    in_memory, on_disk = build_index(source), build_index(source, tmp_path / "index", config=SMALL)
    assert same(in_memory, on_disk)
    opened = Index.open(tmp_path / "index")
    for index in (on_disk, opened):
        a, b = in_memory.labels("source"), index.labels("source")
        assert a.labels == b.labels == ("</script>", "a", "日本語 🚀")
        for x, y in zip(
            (*a.counts, *a.tokens, a.unevenness, a.information),
            (*b.counts, *b.tokens, b.unevenness, b.information),
            strict=True,
        ):
            np.testing.assert_array_equal(x, y)
    rows = pq.read_table(tmp_path / "index" / "labels.parquet").to_pylist()
    assert sum(row["n_firings"] for row in rows) == int(opened.column("n_firings").sum())
    assert {row["label"] for row in rows} == {None, "</script>", "a", "日本語 🚀"}
    assert all(row["density"] == row["n_firings"] / (5 * 6) for row in rows)


def test_labels_are_part_of_the_identity(tmp_path: Path):
    words = ["a", "b", None, "a"]
    build_index(source_of(corpus_of(words)), tmp_path / "index")
    before = snapshot(tmp_path / "index")
    for other in (["a", "b", "b", "a"], [None] * 4):
        with pytest.raises(ForeignIndexError, match="made from another labelling; nothing was written"):
            build_index(source_of(corpus_of(other)), tmp_path / "index")
    plain = Corpus(**{name: getattr(corpus_of(words), name) for name in ("tokens", "offsets", "documents", "mask")})
    with pytest.raises(ForeignIndexError, match="made from another labelling; nothing was written"):
        build_index(source_of(plain), tmp_path / "index")
    build_index(source_of(plain), tmp_path / "plain")
    with pytest.raises(ForeignIndexError, match="made from another labelling; nothing was written"):
        build_index(source_of(corpus_of(words)), tmp_path / "plain")
    assert snapshot(tmp_path / "index") == before


@pytest.mark.slow
def test_interrupted_at_every_write_then_resumed_equals_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from sae_vis.index import storage

    write, writes = storage.DirectoryStore._write, [0]
    source = source_of(corpus_of(["a", "b", None] * 6))

    def counting(self, *args):
        writes[0] += 1
        return write(self, *args)

    monkeypatch.setattr(storage.DirectoryStore, "_write", counting)
    build_index(source, tmp_path / "whole", config=SMALL)
    for stop in range(writes[0]):
        left = [stop]

        def failing(self, *args, left=left):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return write(self, *args)

        monkeypatch.setattr(storage.DirectoryStore, "_write", failing)
        with pytest.raises(KeyboardInterrupt):
            build_index(source, tmp_path / f"{stop}", config=SMALL)
        monkeypatch.setattr(storage.DirectoryStore, "_write", write)
        build_index(source, tmp_path / f"{stop}", config=SMALL)
        assert snapshot(tmp_path / f"{stop}") == snapshot(tmp_path / "whole")


def test_questions_about_labels_that_are_not_there():
    plain = build_index(source_of(Corpus.from_tokens(np.array([[1, 2]]))))
    with pytest.raises(InputError, match=r"no labelling 'source'; its corpus has no labels: build it with labels="):
        plain.labels("source")
    index = build_index(source_of(corpus_of(["a", "b"])))
    with pytest.raises(InputError, match=r"no labelling 'language'; there are 'source'"):
        index.rank_by_label("language")
    with pytest.raises(InputError, match=r"labelling 'source' has no label 'c'; there are 'a', 'b'"):
        index.rank_by_label("source", label="c")


def test_more_cells_than_any_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(by_label, "MOST_CELLS", 17)
    with pytest.raises(InputError, match="9 features by 2 labels are more than 17 counts: join rare labels"):
        build_index(source_of(corpus_of(["a", "b"])))
