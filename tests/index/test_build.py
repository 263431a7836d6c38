"""An index equals its slow definition, whatever the split, the order and the batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.index.shards import plan_batches
from tests.index.checks import check_correlations, check_everything
from tests.kernels import rounding
from tests.whole_numbers import VOCAB, WholeModel, WholeSae, dense_of


@st.composite
def corpora(draw) -> Corpus:
    """Ragged or square corpora with any mask that leaves a token."""
    rows = draw(st.lists(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=9), min_size=1, max_size=9))
    masked = tuple(draw(st.sets(st.integers(0, VOCAB - 1), max_size=3)))
    positions = draw(st.sampled_from([(None, None), (1, None), (0, -1), (None, None, 2)]))
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    flat = np.concatenate([np.array(row, dtype=np.int32) for row in rows])
    mask = MaskConfig(ids=masked, seqpos_slice=positions)
    if not mask.counted(flat, offsets).any():
        mask = MaskConfig()
    return Corpus(tokens=flat, offsets=offsets, documents=offsets, mask=mask)


def source_of(corpus: Corpus, seed: int = 0, d_sae: int = 9) -> Source:
    model, sae = WholeModel(seed=seed), WholeSae(seed=seed, d_sae=d_sae)
    return Source(corpus=corpus, model=model, sae=sae, hook=model.hook_point("here"))


def some_corpus(n_seqs: int = 12, seq_len: int = 10, mask: MaskConfig | None = None) -> Corpus:
    tokens = torch.randint(0, VOCAB, (n_seqs, seq_len), generator=torch.Generator().manual_seed(5))
    return Corpus.from_tokens(tokens, mask or MaskConfig(bos_id=0, seqpos_slice=(1, None)))


def same(a: Index, b: Index) -> bool:
    """Whether two indices hold the same, to the last bit."""
    return a.features.equals(b.features) and all(
        np.array_equal(x, y) for f in range(a.n_features) for x, y in zip(a.firings(f), b.firings(f), strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(
    corpus=corpora(), seed=st.integers(0, 50), before=st.sampled_from([0, 2, None]), after=st.sampled_from([0, 1, None])
)
def test_every_statistic_equals_the_slow_reference(corpus, seed, before, after):
    source = source_of(corpus, seed)
    index = build_index(source, config=IndexConfig(correlated_features=4, correlated_neurons=3, batch_tokens=20))
    dense = dense_of(corpus, source.model, source.sae, source.hook)
    check_everything(index, dense, before=before, after=after, n_bins=1 + seed % 12)


@settings(max_examples=40, deadline=None)
@given(
    corpus=corpora(),
    batch=st.integers(1, 50),
    shard=st.integers(1, 60),
    part=st.integers(1, 80),
    block=st.sampled_from([1 << 16, 1 << 20]),
)
def test_any_split_and_batch_size_give_the_same_bits(corpus, batch, shard, part, block):
    one_go = build_index(source_of(corpus))
    config = IndexConfig(batch_tokens=batch, shard_tokens=shard, part_firings=part, block_bytes=block)
    assert same(one_go, build_index(source_of(corpus), config=config))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corpus=corpora(), order=st.randoms(use_true_random=False))
def test_order_of_sequences_changes_positions_only(corpus, order):
    rows = list(range(corpus.n_seqs))
    order.shuffle(rows)
    lengths = np.diff(corpus.offsets)
    pieces = [corpus.tokens[corpus.offsets[r] : corpus.offsets[r + 1]] for r in rows]
    offsets = np.concatenate([[0], np.cumsum(lengths[rows])]).astype(np.int64)
    shuffled = Corpus(tokens=np.concatenate(pieces), offsets=offsets, documents=offsets, mask=corpus.mask)
    a, b = build_index(source_of(corpus)), build_index(source_of(shuffled))
    assert a.features.drop_columns(["max_position"]).equals(b.features.drop_columns(["max_position"]))


def test_on_disk_equals_in_memory_and_opens_again(tmp_path: Path):
    source = source_of(some_corpus())
    in_memory = build_index(source)
    on_disk = build_index(source, tmp_path / "index", config=IndexConfig(shard_tokens=30, part_firings=40))
    assert same(in_memory, on_disk)
    assert same(in_memory, Index.open(tmp_path / "index"))
    names = {str(p.relative_to(tmp_path / "index")) for p in (tmp_path / "index").rglob("*") if p.is_file()}
    assert {"manifest.json", "tokens.safetensors", "features.parquet"} <= names
    folders = ("postings/part-", "codes/part-", "lists/part-")
    others = names - {"manifest.json", "tokens.safetensors", "features.parquet"}
    assert all(n.startswith(folders) for n in others)
    assert {n.split("part-")[0] + "part-" for n in others} == set(folders)


def test_a_finished_index_is_opened_not_built_again(tmp_path: Path):
    source = source_of(some_corpus())
    build_index(source, tmp_path)
    seen = source.model.tokens_seen
    assert same(build_index(source), build_index(source, tmp_path))
    assert source.model.tokens_seen == 2 * seen


def test_masked_tokens_never_count():
    corpus = some_corpus(mask=MaskConfig(ids=(3, 4)))
    index = build_index(source_of(corpus))
    for feature in range(index.n_features):
        positions = index.firings(feature).positions
        assert not np.isin(corpus.tokens[positions], [3, 4]).any()


def test_top_list_is_never_padded_and_counts_repeats():
    tokens = np.tile(np.array([[1, 2, 3, 4]], dtype=np.int32), (6, 1))
    index = build_index(source_of(Corpus.from_tokens(tokens)))
    feature = index.n_features - 1  # fires everywhere
    top = index.top_examples(feature, 20, before=None, after=None)
    assert len(top.positions) == 4
    assert top.repeats.tolist() == [5] * 4
    assert len(index.top_examples(0, 20).positions) == 0  # dead


def test_interval_sample_is_uniform_and_depends_on_the_seed_alone():
    index = build_index(source_of(some_corpus(n_seqs=200)))
    feature = index.n_features - 1
    drawn = np.concatenate([index.intervals(feature, 1, 20, seed=s)[0].examples.positions for s in range(400)])
    counts = np.bincount(np.searchsorted(index.firings(feature).positions, drawn))
    expected = len(drawn) / len(index.firings(feature).positions)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = len(counts) - 1
    assert abs(chi_square - freedom) < 6 * np.sqrt(2 * freedom)
    again = index.intervals(feature, 4, 3, seed=7)
    assert all(
        np.array_equal(a.examples.positions, b.examples.positions)
        for a, b in zip(again, index.intervals(feature, 4, 3, seed=7), strict=True)
    )


def test_random_state_and_inputs_are_left_alone():
    state = torch.random.get_rng_state()
    tokens = torch.randint(0, VOCAB, (4, 5), generator=torch.Generator().manual_seed(1))
    before = tokens.clone()
    build_index(source_of(Corpus.from_tokens(tokens)))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(tokens, before)


def test_one_sequence_shorter_than_the_buffer():
    index = build_index(source_of(Corpus.from_tokens(np.array([[5, 6]], dtype=np.int32))))
    top = index.top_examples(index.n_features - 1, 5, before=8, after=0)
    windows = index.windows(index.n_features - 1, top.positions, before=8, after=0)
    assert sorted(np.diff(windows.offsets).tolist()) == [1, 2]


@pytest.mark.parametrize("centred", [False, True])
def test_logit_lens_equals_its_definition(centred: bool):
    source = source_of(some_corpus())
    lens = LogitLens(source.model, source.sae, source.hook, n_tokens=5, n_bins=4)
    if centred:
        lens._unembedding = type(lens._unembedding)(
            gain=torch.arange(1.0, 7.0), centred=True, weight=source.model.unembed, bias=None, eps=1e-5
        )
    index = build_index(source, columns=[lens])
    unembedding = lens._unembedding
    for feature in range(index.n_features):
        direction = source.sae.decoder[feature].double()
        if centred:
            direction = direction - direction.mean()
        logits = unembedding.weight.double() @ (direction * unembedding.gain.double())
        bound = rounding(logits, 4)  # a product in float32 rounds by its size before it is centred
        logits = (logits - logits.mean()).numpy()
        order = np.argsort(-logits, kind="stable")
        np.testing.assert_allclose(index.lists("top_logits", feature), logits[order[:5]], atol=bound)
        np.testing.assert_allclose(index.lists("bottom_logits", feature), logits[order[::-1][:5]], atol=bound)
        np.testing.assert_allclose(logits[index.lists("top_tokens", feature)], logits[order[:5]], atol=bound)
        assert index.column("logits_std")[feature] == pytest.approx(logits.std(), rel=1e-5)
        assert index.column("logits_low")[feature] == pytest.approx(logits.min(), abs=bound)
        assert index.column("logits_high")[feature] == pytest.approx(logits.max(), abs=bound)
        unit = logits / logits.std()
        assert index.column("logits_skewness")[feature] == pytest.approx((unit**3).mean(), abs=1e-4)
        assert index.column("logits_kurtosis")[feature] == pytest.approx((unit**4).mean() - 3, abs=1e-4)
        assert index.lists("logits_histogram", feature).sum() == VOCAB
        low, high = logits.min(), logits.max()
        edges = low + (high - low) * np.arange(5) / 4
        # away from an inner edge rounding decides nothing
        sure = np.abs(logits[:, None] - edges[1:-1]).min(axis=1) > 10 * bound
        if sure.all():
            np.testing.assert_array_equal(
                index.lists("logits_histogram", feature), np.histogram(logits, [*edges[:-1], np.inf])[0]
            )
        np.testing.assert_allclose(lens.effects_on(feature, np.arange(VOCAB, dtype=np.int32)), logits, atol=bound)


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20), n_tokens=st.integers(1, 100))
def test_batches_bound_the_filled_rectangle(lengths, n_tokens):
    offsets = np.cumsum([0, *lengths])
    batches = plan_batches(offsets, 0, len(lengths), n_tokens)
    assert [start for start, _ in batches] == [0, *(stop for _, stop in batches[:-1])]
    assert batches[-1][1] == len(lengths)
    for start, stop in batches:
        assert stop == start + 1 or max(lengths[start:stop]) * (stop - start) <= n_tokens


def test_neurons_with_a_mean_far_above_their_spread():
    """Float32 sums of squares would lose the correlation; the centre here is no help on purpose."""
    source = source_of(some_corpus(n_seqs=40))
    source.model.table += 30_000.0
    source.sae.w[:, :] = 0.0
    source.sae.w[0, 3], source.sae.b[3] = 1.0, -30_000.0
    index = build_index(source)
    dense = dense_of(source.corpus, source.model, source.sae, source.hook)
    check_correlations(index, dense, 3)
    assert index.lists("correlated_neurons_index", 3)[0] == 0


def test_alignment_and_histogram_columns_equal_their_definitions():
    source = source_of(some_corpus())
    index = build_index(source, config=IndexConfig(aligned_neurons=4, acts_bins=7))
    for feature in range(index.n_features):
        direction = source.sae.decoder[feature].numpy().astype(np.float64)
        order = sorted(range(len(direction)), key=lambda j: (-abs(direction[j]), j))[:4]
        found = index.lists("aligned_neurons_index", feature).tolist()
        assert sorted(np.abs(direction[found]), reverse=True) == [abs(direction[j]) for j in order]
        assert index.lists("aligned_neurons_value", feature).tolist() == direction[found].tolist()
        share = np.abs(direction[found]) / np.abs(direction).sum()
        np.testing.assert_allclose(index.lists("aligned_neurons_share", feature), share, rtol=1e-6)
        if index.column("n_firings")[feature]:
            assert index.lists("acts_histogram", feature).tolist() == index.histogram([feature], 7)[0].tolist()
