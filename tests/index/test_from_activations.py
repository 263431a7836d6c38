"""An index of somebody else's activations equals the one built the ordinary way; what no index can hold is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sae_vis.api import ActivationFacts, ModelAndSae, index_activations, index_features, save_feature_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import ForeignIndexError, InputError
from sae_vis.index.build import build_index
from sae_vis.index.index import Index
from sae_vis.index.source import Source
from sae_vis.saes.base import Dictionary, SparseCodes, dense_to_codes
from tests.fixtures.page_decoder import read_page
from tests.index.test_build import same, some_corpus
from tests.whole_numbers import VOCAB, WholeModel, WholeSae

CONFIG = IndexConfig(logits_bins=5, logit_tokens=4)
WHOLE = ActivationFacts(decoder=WholeSae().decoder, unembedding=WholeModel().unembed)


def ordinary(corpus: Corpus, config: IndexConfig = CONFIG) -> Index:
    model, sae = WholeModel(site="resid"), WholeSae()
    return index_features(corpus, ModelAndSae(model=model, sae=sae), config=config)


def dense_of(corpus: Corpus) -> Tensor:
    """Activations ``[n_seqs, seq_len, d_sae]``, masked tokens included; the mask must not need them."""
    model, sae = WholeModel(site="resid"), WholeSae()
    tokens = torch.from_numpy(corpus.tokens.astype(np.int64)).view(corpus.n_seqs, -1)
    acts = sae.encode_dense(model.activations(tokens, model.hook_point("here")).flatten(0, 1))
    return acts.view(*tokens.shape, -1)


def blocks_of(acts: Tensor, sizes: list[int], kind: str):
    """A stream of blocks of some numbers of tokens."""
    flat, start, turn = acts.flatten(0, 1), 0, 0
    while start < len(flat):
        block = flat[start : start + sizes[turn % len(sizes)]]
        yield dense_to_codes(block) if kind == "codes" else block.to_sparse_coo() if kind == "sparse" else block
        start, turn = start + len(block), turn + 1


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("kind", ["dense", "flat", "codes", "sparse tensor", "csr"])
def test_equals_the_ordinary_index_to_the_last_bit(kind):
    corpus = some_corpus()
    acts = dense_of(corpus)
    given = {
        "dense": acts,
        "flat": acts.flatten(0, 1),
        "codes": dense_to_codes(acts.flatten(0, 1)),
        "sparse tensor": acts.flatten(0, 1).to_sparse_coo(),
        "csr": acts.flatten(0, 1).to_sparse_csr(),
    }[kind]
    index = index_activations(
        corpus,
        given,
        facts=WHOLE,
        config=CONFIG,
    )
    expected = ordinary(corpus)
    assert same(index, expected)
    assert index.column_names == expected.features.column_names
    assert index.manifest.provenance.model is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    kind=st.sampled_from(["dense", "codes", "sparse"]),
    shard=st.integers(1, 60),
    batch=st.integers(1, 60),
)
def test_streams_of_any_blocks(sizes, kind, shard, batch):
    corpus = some_corpus()
    acts = dense_of(corpus)
    config = IndexConfig(logits_bins=5, logit_tokens=4, shard_tokens=shard, batch_tokens=batch)
    calls = []

    def stream():
        calls.append(1)
        return blocks_of(acts, sizes, kind)

    index = index_activations(corpus, stream, facts=ActivationFacts(d_sae=9), config=config)
    expected = ordinary(corpus)
    names = [name for name in index.column_names if name in expected.features.column_names]
    assert index.features.select(names).equals(expected.features.select(names))
    assert len(names) == len(index.column_names)
    assert len(calls) == 1


def test_a_rectangle_of_tokens_and_a_mask():
    corpus = some_corpus()
    tokens = torch.from_numpy(corpus.tokens.astype(np.int64)).view(corpus.n_seqs, -1)
    index = index_activations(tokens, dense_of(corpus), mask=corpus.mask, config=CONFIG)
    assert index.n_counted == corpus.n_counted
    assert [index.firings(f).acts.tolist() for f in range(9)] == [
        ordinary(corpus).firings(f).acts.tolist() for f in range(9)
    ]
    with pytest.raises(InputError, match="the corpus has its mask already"):
        index_activations(corpus, dense_of(corpus), mask=MaskConfig())


def test_half_precision_is_widened_exactly():
    corpus = some_corpus()
    index = index_activations(corpus, dense_of(corpus).bfloat16(), config=CONFIG)
    assert all(np.array_equal(index.firings(f).acts, ordinary(corpus).firings(f).acts) for f in range(9))


def test_pages_say_what_was_not_computed(tmp_path):
    corpus = some_corpus()
    vocab = {token: f" w{token}" for token in range(VOCAB)}
    bare = index_activations(
        corpus, dense_of(corpus), text=TokenText.from_vocab(vocab), facts=ActivationFacts(name="my dictionary")
    )
    save_feature_page(bare, tmp_path / "bare.html", features=[8])
    head, views = read_page((tmp_path / "bare.html").read_text())
    assert head["meta"]["model"] is None
    assert head["meta"]["sae"] == "my dictionary, 9 features"
    assert (views[8].logits_table, views[8].neuron_alignment, views[8].decoder_neighbours) == (None, None, None)
    assert views[8].sequences[0].contexts.effects is None
    full = index_activations(
        corpus,
        dense_of(corpus),
        facts=WHOLE,
        config=IndexConfig(),
    )
    save_feature_page(full, tmp_path / "full.html", features=[8])
    _, views = read_page((tmp_path / "full.html").read_text())
    assert len(views[8].logits_table.top_tokens) == 10
    assert views[8].sequences[0].contexts.logits is None


def test_a_build_on_disk_goes_on_and_is_found_finished(tmp_path):
    corpus = some_corpus()
    acts = dense_of(corpus)
    config = IndexConfig(shard_tokens=30)
    killed = []

    def dies_once():
        for number, block in enumerate(blocks_of(acts, [25], "dense")):
            if number == 3 and not killed:
                killed.append(1)
                raise KeyboardInterrupt
            yield block

    def index(fingerprint: str | None) -> Index:
        return index_activations(
            corpus,
            dies_once,
            tmp_path / "index",
            facts=ActivationFacts(d_sae=9, fingerprint=fingerprint),
            config=config,
        )

    with pytest.raises(KeyboardInterrupt):
        index("mine")
    built = index("mine")
    assert all(np.array_equal(built.firings(f).acts, ordinary(corpus).firings(f).acts) for f in range(9))
    assert index("mine").features.equals(built.features)
    with pytest.raises(ForeignIndexError, match="made from another SAE"):
        index("another")
    with pytest.raises(ForeignIndexError, match="made from another SAE"):
        index(None)
    memory = index_activations(corpus, acts, tmp_path / "memory", config=config)
    assert index_activations(corpus, acts.clone(), tmp_path / "memory", config=config).features.equals(memory.features)
    with pytest.raises(ForeignIndexError, match="made from another SAE"):
        index_activations(corpus, 2 * acts, tmp_path / "memory", config=config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda acts: acts[:-1], "activations of 110 tokens, but the corpus has 120"),
        (lambda acts: lambda: blocks_of(acts[:-1], [7], "dense"), "end after 110 tokens, but the corpus has 120"),
        (lambda acts: lambda: blocks_of(torch.cat([acts, acts[:1]]), [7], "codes"), "10 more tokens than the 120"),
        (lambda acts: lambda: iter([acts[..., :-1]]), r"of 9 features; found a block of shape \[120, 8\]"),
        (lambda acts: acts.masked_fill(acts > 100, float("nan")), "feature 8 hold NaN or infinity"),
        (lambda acts: SparseCodes(torch.arange(122), torch.zeros(121).long(), torch.ones(121)), "of 121 tokens"),
        (lambda acts: SparseCodes(torch.arange(121), torch.full((120,), 9), torch.ones(120)), "ids from 0 to 8"),
        (lambda acts: SparseCodes(2 * torch.arange(121), torch.zeros(240).long(), torch.ones(240)), "ascending order"),
        (lambda acts: SparseCodes(torch.arange(121).flip(0), torch.zeros(0).long(), torch.ones(0)), "go up from 0"),
    ],
)
def test_activations_that_do_not_fit(change, message):
    corpus = some_corpus()
    with pytest.raises(InputError, match=message):
        index_activations(corpus, change(dense_of(corpus)), facts=ActivationFacts(d_sae=9))


def test_parts_that_do_not_fit():
    corpus = some_corpus()
    acts, unembedding = dense_of(corpus), WholeModel().unembed
    with pytest.raises(InputError, match="the number of features is not known"):
        index_activations(corpus, lambda: iter([acts]))
    with pytest.raises(InputError, match="the decoder has 8 directions, but the activations are of 9"):
        index_activations(corpus, acts, facts=ActivationFacts(decoder=WholeSae().decoder[:8]))
    with pytest.raises(InputError, match=r"need decoder directions \[d_sae, 6\]; found none"):
        index_activations(corpus, acts, facts=ActivationFacts(unembedding=unembedding))
    with pytest.raises(InputError, match=r"found a tensor of shape \[9, 5\]"):
        index_activations(
            corpus, acts, facts=ActivationFacts(decoder=WholeSae().decoder[:, :5], unembedding=unembedding)
        )
    with pytest.raises(InputError, match="outside the model's vocabulary of 3"):
        index_activations(corpus, acts, facts=ActivationFacts(decoder=WholeSae().decoder, unembedding=unembedding[:3]))
    with pytest.raises(InputError, match="activations alone have no neurons"):
        index_activations(corpus, acts, config=IndexConfig(neuron_correlations="always"))


# Dictionaries that look at the tokens before


class RunningSum(Dictionary):
    """Activations are sums over the sequence so far: of masked tokens, too."""

    contextual, hook_name = True, "here"
    d_in = d_sae = 6

    def encode_dense(self, x: Tensor) -> Tensor:
        return x.cumsum(0).relu()

    def encode(self, x: Tensor) -> SparseCodes:
        return dense_to_codes(self.encode_dense(x))

    @property
    def decoder(self) -> Tensor:
        return torch.eye(6)

    @property
    def centre(self) -> Tensor:
        return torch.zeros(6)

    def fingerprint(self) -> str:
        return "sha256:sum"

    def describe(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize("batch", [1, 25, 1000])
def test_a_dictionary_that_reads_whole_sequences(batch):
    offsets = np.array([0, 4, 14, 15, 22])
    tokens = torch.randint(0, VOCAB, (22,), generator=torch.Generator().manual_seed(0)).numpy().astype(np.int32)
    corpus = Corpus(tokens=tokens, offsets=offsets, documents=offsets, mask=MaskConfig(seqpos_slice=(1, None)))
    model, sae = WholeModel(site="resid"), RunningSum()
    hook = model.hook_point("here")
    index = build_index(Source(corpus=corpus, model=model, sae=sae, hook=hook), config=IndexConfig(batch_tokens=batch))
    parts = [torch.from_numpy(part.astype(np.int64))[None] for part in np.split(tokens, offsets[1:-1])]
    dense = torch.cat([sae.encode_dense(model.activations(part, hook)[0]) for part in parts])
    dense[~torch.from_numpy(corpus.counted)] = 0
    for feature in range(6):
        found = index.firings(feature)
        assert found.positions.tolist() == dense[:, feature].nonzero()[:, 0].tolist()
        assert found.acts.tolist() == dense[found.positions.astype(np.int64), feature].tolist()
