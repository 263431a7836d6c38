import base64
import dataclasses
import hashlib
import html.parser
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sae_vis import contract as p
from sae_vis.deliver import page as page_module
from sae_vis.deliver.page import render_page, write_page
from sae_vis.errors import InputError
from sae_vis.layout import Column, FeatureTablesConfig, SaeVisLayoutConfig

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))

from page_decoder import as_read, read_page  # noqa: E402
from synthetic_page import page_of, same, single_context, synthetic_page, view_of  # noqa: E402


def equal(a, b):
    """Payload objects with the same values, field by field."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return same(a, b)


@pytest.mark.parametrize("loss", [False, True])
def test_a_page_reads_back_as_it_was_written(loss):
    page = synthetic_page(6, seed=3, loss=loss)
    head, views = read_page(render_page(page))
    assert list(views) == page.summary.feature.tolist()
    for view in page.features:
        assert equal(as_read(view), views[view.feature]), view.feature
    assert equal(page.summary, head["summary"])
    assert head["meta"] == dataclasses.asdict(page.meta)
    assert all(head["token_bytes"][i] == page.token_bytes[i] for i in head["token_bytes"])


def test_one_table_holds_only_the_tokens_that_occur():
    context = single_context([3, 1, 3], [0, 2, 0])
    head, _ = read_page(
        render_page(page_of([view_of(4, context)], {1: b"a", 2: b"unused", 3: b"\xff"}, special=(1, 2)))
    )
    assert head["token_bytes"] == {3: b"\xff", 1: b"a"}
    assert head["special"] == {1}


floats32 = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def contexts(draw):
    n_tokens = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    total = sum(n_tokens)
    n = len(n_tokens)
    tokens = draw(hnp.arrays(np.int32, total, elements=st.integers(0, 9)))
    effect = draw(hnp.arrays(np.float32, 10, elements=floats32))
    small = hnp.arrays(np.int32, n, elements=st.integers(0, 5))
    at = np.array(sorted(draw(st.sets(st.integers(0, total - 1)))), dtype=np.int32)
    k = 2
    listed = np.array([i for i in range(len(at)) if draw(st.booleans())], dtype=np.int32)
    some = lambda n, elements, kind: draw(hnp.arrays(kind, n, elements=elements))  # noqa: E731
    token = st.integers(0, 9)
    effects = p.TokenEffects(
        kind="full",
        at=at,
        n_changed=k,
        listed=listed,
        **{name: some(len(at), floats32, np.float32) for name in ("loss", "prob")},
        **{name: some(len(listed) * k, floats32, np.float32) for name in ("up_values", "down_values")},
        **{name: some(len(listed) * k, token, np.int32) for name in ("up_tokens", "down_tokens")},
        next_token=some(len(at), token, np.int32),
    )
    return p.Contexts(
        offsets=np.cumsum([0, *n_tokens]).astype(np.int32),
        tokens=tokens,
        acts=draw(hnp.arrays(np.float32, total, elements=st.one_of(st.just(0.0), floats32))),
        logits=effect[tokens],
        effects=draw(st.sampled_from([None, effects])),
        sequence=draw(hnp.arrays(np.int32, n, elements=st.integers(0, 2**31 - 1))),
        start=draw(small),
        focus=np.array([draw(st.integers(0, k - 1)) for k in n_tokens], dtype=np.int32),
        repeats=draw(small),
    )


@settings(max_examples=50, deadline=None)
@given(contexts(), st.floats(0, 1), st.integers(0, 2**40))
def test_any_contexts_round_trip(context, share, n_firings):
    group = p.SequenceGroup(kind="interval", low=share, high=1.0, n_firings=n_firings, share=share, contexts=context)
    view = dataclasses.replace(view_of(12, context, top=1.0), sequences=(group, dataclasses.replace(group, kind="top")))
    _, views = read_page(render_page(page_of([view], {i: bytes([i]) for i in range(10)})))
    assert equal(as_read(view), views[12])


values = st.one_of(
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)), max_size=3),
    *(
        hnp.arrays(kind, hnp.array_shapes(max_dims=3, min_side=0, max_side=4))
        for kind in (np.bool_, np.uint8, np.int32, np.uint32, np.float32, np.float64)
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), values, max_size=4), st.dictionaries(st.text(max_size=4), values))
def test_data_of_a_users_component_round_trips(data, shared):
    view = dataclasses.replace(view_of(3, single_context([1], [1.0])), custom={"Mine": data})
    module = p.ComponentModule(type="Mine", script="function mount() {}", style="", shared=shared)
    head, views = read_page(render_page(dataclasses.replace(page_of([view], {1: b"a"}), modules=(module,))))
    for found, expected in ((views[3].custom["Mine"], data), (head["shared"]["Mine"], shared)):
        assert list(found) == list(expected)
        for name, value in expected.items():
            if isinstance(value, np.ndarray):
                assert found[name].shape == value.shape
                np.testing.assert_array_equal(found[name], value)
            else:
                assert found[name] == value


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.array([2**40]), "fit 32 bits"),
        (np.array([1j]), "complex128"),
        (np.array(["a"]), "<U1"),
        (float("nan"), "Out of range float"),
        (object(), "not JSON serializable"),
    ],
)
def test_data_that_cannot_travel_is_named(value, word):
    view = dataclasses.replace(view_of(3, single_context([1], [1.0])), custom={"Mine": {"what": value}})
    with pytest.raises(InputError, match=r"feature 3: custom\.Mine: its value 'what'") as error:
        render_page(page_of([view], {1: b"a"}))
    assert word in str(error.value)


def test_scripts_and_styles_of_a_users_component_are_in_the_policy():
    module = p.ComponentModule(type="Mine", script="export function mount() {}", style="p { margin: 0 }", shared={})
    text = render_page(dataclasses.replace(synthetic_page(1, dead=()), modules=(module,)))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    for body in re.findall(r'<(?:script|script type="module"|style)>(.*?)</(?:script|style)>', text, flags=re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256") == 5
    assert "; img-src data:; " in policy
    assert "unsafe" not in policy


class Outline(html.parser.HTMLParser):
    """Tags and attributes of a page, as a browser's parser would find them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def harmless(text):
    outline = Outline(text)
    plain = {"html", "head", "meta", "title", "style", "body", "div", "noscript", "script"}
    assert set(outline.tags) == plain
    assert not [name for name in outline.attributes if name.startswith("on") or name in {"src", "href"}]
    assert text.count("<script>") == text.count("</script>") - text.count('<script type="text/plain"') == 2


def test_nasty_tokens_stay_data():
    harmless(render_page(synthetic_page(3)))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40), st.text(st.characters(exclude_categories=())))
def test_any_token_and_any_title_are_harmless(token, title):
    page = page_of([view_of(0, single_context([5], [1.0]))], {5: token})
    text = render_page(dataclasses.replace(page, meta=dataclasses.replace(page.meta, title=title, corpus=title)))
    text.encode("utf-8")
    harmless(text)
    head, _ = read_page(text)
    assert head["token_bytes"] == {5: token}
    assert head["meta"]["corpus"] == title


def test_policy_allows_the_pages_scripts_and_styles_and_nothing_else():
    text = render_page(synthetic_page(1, dead=()))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "; img-src data:; " in policy
    for tag, n in (("script", 2), ("style", 1)):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        assert len(bodies) == n
        digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
        allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
        assert f"{tag}-src {allowed};" in policy


def test_the_page_names_no_address_to_load_from():
    text = render_page(synthetic_page(1, dead=()))
    addresses = set(re.findall(r"https?://[\w./-]+", text))
    assert addresses <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/1998/Math/MathML",
    }


def test_a_page_of_256_features_takes_at_most_8_kilobytes_a_feature(tmp_path):
    report = write_page(synthetic_page(256, n_extra=8000, loss=True), tmp_path / "page.html")
    assert report.bytes == (tmp_path / "page.html").stat().st_size
    assert report.bytes / 256 <= 8 * 1024
    more = write_page(synthetic_page(512, n_extra=8000, loss=True), tmp_path / "more.html")
    for one, n in ((report, 256), (more, 512)):
        assert one.bytes_fixed + n * one.bytes_per_feature == pytest.approx(one.bytes)
    assert more.bytes_per_feature == pytest.approx(report.bytes_per_feature, rel=0.05)
    assert more.bytes_fixed < 1.2 * report.bytes_fixed  # the list of features grows, script and style do not


def test_the_sizes_of_a_page_of_few_features_tell_page_and_features_apart(tmp_path):
    report = write_page(synthetic_page(2, dead=()), tmp_path / "page.html")
    blocks = re.findall(r'<script type="text/plain" id="f\d+">[^<]*</script>', report.path.read_text(encoding="utf-8"))
    assert len(blocks) == 2
    assert report.bytes_per_feature == sum(map(len, blocks)) / 2
    assert report.bytes_fixed == report.bytes - sum(map(len, blocks))
    assert report.sizes == (
        f"{report.bytes / 1e6:.1f} MB: {report.bytes_fixed / 1e3:.0f} KB for the page and "
        f"{report.bytes_per_feature / 1e3:.1f} KB a feature"
    )


def test_the_same_page_is_the_same_file():
    assert render_page(synthetic_page(4, seed=1)) == render_page(synthetic_page(4, seed=1))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "page.html"
    target.write_text("old")

    def fail(self, other):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    words = r"can't write .*page\.html: disk full; what was there before is untouched: choose another place"
    with pytest.raises(InputError, match=words):
        write_page(synthetic_page(1, dead=()), target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_others_may_read_as_usual(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    report = write_page(synthetic_page(1, dead=()), str(tmp_path / "page.html"))
    assert report.path.stat().st_mode == usual.stat().st_mode


def one():
    return page_of([view_of(4, single_context([1, 2], [0, 2]))], {1: b"a", 2: b"b"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda page: dataclasses.replace(page, features=()), "no features"),
        (lambda page: dataclasses.replace(page, features=page.features * 2), "feature 4 more than once"),
        (lambda page: dataclasses.replace(page, token_bytes={1: b"a"}), "without bytes in token_bytes, such as 2"),
        (
            lambda page: dataclasses.replace(
                page, summary=dataclasses.replace(page.summary, feature=np.array([5], dtype=np.int32))
            ),
            "name different features",
        ),
        (
            lambda page: dataclasses.replace(
                page, summary=dataclasses.replace(page.summary, max=np.zeros(3, dtype=np.float32))
            ),
            "columns of",
        ),
        (
            lambda page: with_context(page, acts=np.zeros(3, dtype=np.float32)),
            "feature 4: sequences.contexts.acts has 3 values, expected n_tokens = 2",
        ),
        (
            lambda page: with_context(
                page, tokens=np.array([1, 1], dtype=np.int32), logits=np.array([1, 2], dtype=np.float32)
            ),
            "sequences.contexts.logits differ between occurrences of a token",
        ),
    ],
)
def test_contradictions_are_said(change, words):
    with pytest.raises(InputError, match=re.escape(words)):
        render_page(change(one()))


def with_context(page, **changes):
    (view,) = page.features
    (group,) = view.sequences
    group = dataclasses.replace(group, contexts=dataclasses.replace(group.contexts, **changes))
    return dataclasses.replace(page, features=(dataclasses.replace(view, sequences=(group,)),))


def test_a_page_without_any_token():
    layout = SaeVisLayoutConfig([Column(FeatureTablesConfig())])
    stats = p.FeatureStats(n_firings=0, density=0.0, max=0.0, mean=0.0, std=0.0)
    head, views = read_page(render_page(page_of([p.FeatureView(feature=0, stats=stats)], {}, layout=layout)))
    assert head["token_bytes"] == {}
    assert views[0].sequences == ()


def test_the_built_front_end_can_stand_inside_a_page():
    for kind in page_module.STYLES:
        for script in ("common.js", f"{kind}.js"):
            assert not re.search(r"</script|<!--|<script", page_module.static_file(script), flags=re.IGNORECASE)
        assert not any("</style" in page_module.static_file(style).lower() for style in page_module.STYLES[kind])


def test_licences_of_what_is_bundled_travel_with_it():
    licences = page_module.static_file("licences.md")
    packages = re.findall(r"^## ([\w-]+) - \S+ \((MIT|ISC)\)$", licences, flags=re.MULTILINE)
    assert {"preact", "fflate", "d3-array"} <= {name for name, _ in packages}
    assert "licences.md" in render_page(synthetic_page(1, dead=()))[:400]


@pytest.mark.skipif(not (ROOT / "frontend" / "generate_contract.py").exists(), reason="not a source checkout")
def test_what_is_made_from_the_contract_is_fresh():
    command = [sys.executable, str(ROOT / "frontend" / "generate_contract.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
