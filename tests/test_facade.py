"""Scripts in the manner of sae_vis 0.3, on the embedded demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sae_vis.compat import CreateOptions
from sae_vis.data_config_classes import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsTableConfig,
    ProbeLogitsTablesConfig,
    SaeVisConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
)
from sae_vis.data_storing_fns import SaeVisData
from sae_vis.demo import run as demo
from sae_vis.errors import InputError
from sae_vis.index.between import correlate
from sae_vis.views.compare import CompareSettings
from tests.fixtures.page_decoder import read_page

SAE = demo.assets() / demo.RESID.folder
MODEL = demo.assets() / "model"


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    corpus, _ = demo.demo_corpus()
    return torch.from_numpy(corpus.tokens[: 128 * 48].reshape(48, 128)).long()


@pytest.fixture(scope="module")
def data(tokens) -> SaeVisData:
    return SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens, cfg=SaeVisConfig(features=range(20)))


def pages(path: Path):
    return read_page(path.read_text(encoding="utf-8"))


def test_vanilla(data, tokens, tmp_path):
    path = tmp_path / "feature_vis.html"
    firing = [f for f in range(20) if data.index.column("n_firings")[f] > 0]
    data.save_feature_centric_vis(filename=path, feature=firing[3])
    head, views = pages(path)
    assert sorted(views) == list(range(20))
    assert head["meta"]["first"] == firing[3]
    assert head["meta"]["mask"] == "left out: BOS (id 0)"
    assert head["meta"]["n_tokens"] == int((tokens != 0).sum())  # it stands between documents, too
    assert b" the" in head["token_bytes"].values()
    assert views[firing[0]].sequences[0].contexts.effects.kind == "direct"


def test_custom_layout_with_whole_sequences(tokens, tmp_path):
    layout = SaeVisLayoutConfig(
        columns=[
            Column(SeqMultiGroupConfig(buffer=None, n_quantiles=0, top_acts_group_size=6), width=900),
            Column(ActsHistogramConfig(), LogitsTableConfig(n_rows=3), width=400),
        ],
        height=1000,
    )
    cfg = SaeVisConfig(features=5, feature_centric_layout=layout, seqpos_slice=(2, -1), minibatch_size_tokens=7)
    data = SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens, cfg=cfg, vocab_dict={5: "five"})
    data.save_feature_centric_vis(tmp_path / "custom.html")
    head, views = pages(tmp_path / "custom.html")
    assert list(views) == [5]
    assert head["layout"]["height"] == 1000
    assert head["meta"]["n_tokens"] == int((tokens[:, 2:-1] != 0).sum())
    assert set(views[5].sequences[0].contexts.offsets % 128) == {0}
    assert len(views[5].logits_table.top_tokens) == 3


def test_prompt_centric(data, tmp_path):
    path = tmp_path / "prompt_vis.html"
    data.save_prompt_centric_vis(path, " self.tk = the", metric="act_quantile", seq_pos=2, num_top_features=4)
    head, _ = pages(path)
    part = head["prompt"]
    assert (part.metric, part.position, part.n_features) == ("act_quantile", 2, 4)
    with pytest.raises(InputError, match="metric is 'size', expected one of act_size, act_quantile"):
        data.save_prompt_centric_vis(path, "x", metric="size")


def test_every_feature_that_fires_is_the_default(data, tmp_path):
    whole = SaeVisData(index=data.index, parts=data.parts, cfg=SaeVisConfig(features=None, feature_centric_layout=(
        SaeVisLayoutConfig([Column(ActsHistogramConfig())]))))  # fmt: skip
    whole.save_feature_centric_vis(tmp_path / "all.html")
    assert sorted(pages(tmp_path / "all.html")[1]) == data.index.select(None).tolist()


def test_verbose_tells_what_took_how_long(tokens, tmp_path, capsys):
    data = SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens[:4], cfg=SaeVisConfig(features=[1]), verbose=True)
    data.save_feature_centric_vis(tmp_path / "a.html", verbose=True)
    said = capsys.readouterr().out
    assert "seconds" in said
    assert "index" in said
    assert "feature-centric page" in said


def test_what_was_given_is_left_as_it_was(tokens):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).train()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    data = SaeVisData.create(sae=SAE, model=model, tokens=tokens[:4], cfg=SaeVisConfig(features=[1]))
    assert model.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert data.tokenizer is not None


@pytest.fixture(scope="module")
def two(tokens) -> SaeVisData:
    return SaeVisData.create(
        sae=SAE,
        model=MODEL,
        tokens=tokens[:24],
        sae_B=demo.assets() / demo.MLP.folder,
        cfg=SaeVisConfig(features=[8, 18]),
    )


def test_a_second_sae_of_another_place(two, tmp_path):
    """Its features stand in the tables of the default layout, with links where there are pages of them."""
    two.save_feature_centric_vis(tmp_path / "a.html", b_page="b.html", compare_page="sub/compare.html")
    head, views = pages(tmp_path / "a.html")
    assert head["meta"]["b"] == {
        "sae": "jumprelu, 1,024 features",
        "hook": "blocks.2.mlp.hook_post",
        "page": "b.html",
        "compare": "sub/compare.html",
    }
    between = correlate(two.index, two.index_b)
    for feature, view in views.items():
        table, expected = view.correlated_b_features, between.of_a.of(feature, 3)
        assert len(table.index) == 3
        for column, values in zip((table.index, table.pearson, table.cosine), expected[:3], strict=True):
            assert column.tolist() == values.tolist()
        x, y = (np.zeros(len(two.index.tokens)) for _ in range(2))
        for index, number, out in ((two.index, feature, x), (two.index_b, int(table.index[0]), y)):
            out[index.firings(number).positions] = index.firings(number).acts
        counted = two.index.counted
        assert table.pearson[0] == pytest.approx(np.corrcoef(x[counted], y[counted])[0, 1], abs=1e-6)


def test_a_page_that_compares_both(two, tmp_path):
    two.save_compare_vis(tmp_path / "both.html", feature=18, settings=CompareSettings(partners=2))
    head, views = pages(tmp_path / "both.html")
    assert sorted(views) == [8, 18]
    assert head["meta"]["first"] == 18
    table = head["compare"]["compared"][18].table
    assert table.index.tolist() == two.between.of_a.of(18, 2).other.tolist()
    assert table.decoder is None  # neurons and the residual stream are not of one width
    turned = two.turned(features=[int(table.index[0])])
    turned.save_feature_centric_vis(tmp_path / "b.html")
    head, views = pages(tmp_path / "b.html")
    assert head["meta"]["hook"] == "blocks.2.mlp.hook_post"
    assert head["meta"]["b"]["hook"] == "blocks.2.hook_resid_post"


def test_without_a_second_sae_there_is_nothing_to_compare(data, tmp_path):
    for ask in (lambda: data.save_compare_vis(tmp_path / "no.html"), lambda: data.between, data.turned):
        with pytest.raises(InputError, match=r"there is no second SAE: give sae_B= to SaeVisData.create"):
            ask()


def test_layouts_of_ones_own_have_the_table_of_b_features_where_they_say_so(two, tmp_path):
    for shown in (False, True):
        layout = SaeVisLayoutConfig([Column(FeatureTablesConfig(n_rows=2, correlated_b_features_table=shown))])
        cfg = SaeVisConfig(features=[8], feature_centric_layout=layout)
        SaeVisData(index=two.index, parts=two.parts, cfg=cfg, index_b=two.index_b).save_feature_centric_vis(
            tmp_path / "own.html"
        )
        assert (pages(tmp_path / "own.html")[1][8].correlated_b_features is not None) == shown


def test_without_a_second_sae_there_is_no_table_of_its_features(data, tmp_path):
    data.save_feature_centric_vis(tmp_path / "one.html")
    head, views = pages(tmp_path / "one.html")
    assert head["meta"]["b"] is None
    assert all(view.correlated_b_features is None for view in views.values())


@pytest.mark.parametrize("address", ["javascript:alert(1)", " data:text/html,x", "b.html#f=1", ""])
def test_links_lead_to_pages_only(address, two, tmp_path):
    with pytest.raises(InputError, match=r"b_page is .*, expected the address of a page"):
        two.save_feature_centric_vis(tmp_path / "a.html", b_page=address)


def test_links_to_b_need_a_b(data, tmp_path):
    with pytest.raises(InputError, match=r"compare_page is 'c.html', but there is no second SAE: give sae_B="):
        data.save_feature_centric_vis(tmp_path / "a.html", compare_page="c.html")


def test_linear_probes_and_target_logits(tokens, tmp_path):
    layout = SaeVisLayoutConfig([Column(ProbeLogitsTablesConfig(n_rows=2), SeqMultiGroupConfig(n_quantiles=0))])
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(192, 5, generator=generator)
    d_vocab = 4096
    few = tokens[:6]
    targets = torch.randn(*few.shape, d_vocab, generator=generator)
    data = SaeVisData.create(
        sae=SAE,
        model=MODEL,
        tokens=few,
        cfg=SaeVisConfig(features=None, feature_centric_layout=layout),
        linear_probes=[("input", "a", probe), ("output", "b", probe)],
        target_logits=targets,
    )
    firing = data.index.select(3).tolist()
    chosen = replace(data, cfg=replace(data.cfg, features=tuple(firing)))
    chosen.save_feature_centric_vis(tmp_path / "a.html")
    head, views = pages(tmp_path / "a.html")
    assert [(p["side"], p["name"]) for p in head["probes"]] == [("input", "a"), ("output", "b")]
    feature = firing[0]
    reads, writes = views[feature].probes
    encoder = data.parts.sae.encoder_directions(torch.tensor([feature])).double()
    for readout, direction in ((reads, encoder), (writes, data.parts.sae.decoder[[feature]].double())):
        values = (direction @ probe.double())[0]
        order = values.argsort(descending=True)
        assert readout.classes.tolist() == [*order[:2].tolist(), *order.flip(0)[:2].tolist()]
        assert readout.values == pytest.approx(values[readout.classes.tolist()], rel=1e-5)
        assert readout.n_top == 2
    effects = views[feature].sequences[0].contexts.effects
    assert effects.against == "reference"
    assert set(effects.next_token) == {-1}
    with_targets = effects.loss
    replace(chosen, reference=None).save_feature_centric_vis(tmp_path / "b.html")
    plain = pages(tmp_path / "b.html")[1][feature].sequences[0].contexts.effects
    assert plain.against == "next"
    assert len(plain.at) <= len(with_targets)
    assert not set(plain.loss.tolist()) & set(with_targets.tolist())  # neither is taken for the other


def test_vocabularies_of_sae_vis_0_3(tokens):
    words = {5: "five"}
    both = {"embed": words, "unembed": words, "probes": {0: "no", 1: "yes"}}
    probe = ("output", "p", torch.ones(192, 2))
    data = SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens[:2], vocab_dict=both, linear_probes=[probe])
    assert data.index.text.bytes_of(5) == b"five"
    assert data.probes.probes[0].class_names == ("no", "yes")
    for wrong in ({"embed": words, "unembed": {5: "six"}}, {"probes": words}, {"embed": words, "nonsense": words}):
        with pytest.raises(InputError, match="vocab_dict= holds the vocabularies 'embed' and 'probes'"):
            SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens[:2], vocab_dict=wrong)


def test_probes_and_target_logits_that_do_not_fit(tokens):
    with pytest.raises(InputError, match=r"expected a tensor \[192, \*class_shape\], got \(5, 2\)"):
        SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens[:2], linear_probes=[("input", "p", torch.ones(5, 2))])
    with pytest.raises(InputError, match="expected \\[n_seqs, seq_len, d_vocab\\] as the tokens have, 256 positions"):
        SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens[:2], target_logits=torch.zeros(2, 127, 4096))


def test_bad_input(data, tmp_path):
    with pytest.raises(InputError, match="minibatch_size_tokens is 0"):
        SaeVisConfig(minibatch_size_tokens=0)
    with pytest.raises(InputError, match="feature=21 is not among the page's features"):
        data.save_feature_centric_vis(tmp_path / "no.html", feature=21)
    bare = SaeVisData(index=data.index, parts=data.parts, cfg=data.cfg)
    with pytest.raises(InputError, match="tokenizer is needed"):
        bare.save_prompt_centric_vis(tmp_path / "no.html", "text")
    assert list(tmp_path.iterdir()) == []


def test_help(capsys):
    SaeVisConfig().help()
    said = capsys.readouterr().out
    assert "feature-centric" in said
    assert "prompt-centric" in said


def test_labels_of_rows_reach_the_index_and_the_page(tokens, tmp_path):
    labels = {"half": ["first"] * 8 + [None] * 8}
    cfg = SaeVisConfig(features=range(3))
    data = SaeVisData.create(sae=SAE, model=MODEL, tokens=tokens[:16], cfg=cfg, options=CreateOptions(labels=labels))
    assert data.index.labels("half").tokens.n_documents.tolist() == [8, 8]
    data.save_feature_centric_vis(tmp_path / "page.html")
    head, _ = pages(tmp_path / "page.html")
    assert head["labellings"][0]["labels"] == ["first"]
