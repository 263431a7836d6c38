import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from sae_vis.errors import InputError
from sae_vis.layout import (
    ActsByPositionConfig,
    ActsHistogramConfig,
    Column,
    CustomComponent,
    FeatureTablesConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    ProbeLogitsTablesConfig,
    PromptConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
    option,
)

ALL = [
    PromptConfig,
    SeqMultiGroupConfig,
    ActsHistogramConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    ProbeLogitsTablesConfig,
    FeatureTablesConfig,
    ActsByPositionConfig,
]


def text_of(layout, **kwargs):
    out = io.StringIO()
    Console(file=out, width=200).print(layout.help_tree(**kwargs))
    return out.getvalue()


def test_default_layout_becomes_a_spec_with_explicit_names():
    spec = SaeVisLayoutConfig.default_feature_centric_layout().to_spec()
    assert [[c.type for c in column.components] for column in spec.columns] == [
        ["FeatureTables", "ActsByPosition"],
        ["ActsHistogram", "LogitsTable", "LogitsHistogram"],
        ["SeqMultiGroup"],
    ]
    assert spec.columns[2].components[0].options["buffer"] == [10, 10]
    assert spec.columns[1].components[0].options == {"n_bins": 50}


@pytest.mark.parametrize("kind", ALL)
def test_every_option_has_a_meaning_and_components_are_frozen(kind):
    for field in dataclasses.fields(kind):
        assert field.metadata["meaning"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().type_name = "x"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ActsHistogramConfig(n_bins=0), ("ActsHistogramConfig", "n_bins=0", "at least 1")),
        (lambda: ActsHistogramConfig(n_bins=True), ("n_bins=True",)),
        (lambda: LogitsTableConfig(n_rows=2.5), ("LogitsTableConfig", "n_rows=2.5")),
        (lambda: FeatureTablesConfig(correlated_neurons_table=1), ("correlated_neurons_table=1", "True or False")),
        (lambda: SeqMultiGroupConfig(buffer=(1,)), ("SeqMultiGroupConfig", "buffer=(1,)", "whole sequence")),
        (lambda: SeqMultiGroupConfig(buffer=(-1, 2)), ("buffer=(-1, 2)",)),
        (lambda: SeqMultiGroupConfig(n_quantiles=-1), ("n_quantiles=-1",)),
        (lambda: SeqMultiGroupConfig(n_quantiles=0, top_acts_group_size=0), ("n_quantiles=0", "top_acts_group_size=0")),
        (lambda: SeqMultiGroupConfig(top_logits_hoverdata=11), ("top_logits_hoverdata=11", "at most 10")),
        (lambda: SeqMultiGroupConfig(expand=-1), ("expand=-1", "'sequence'")),
        (lambda: SeqMultiGroupConfig(expand="all"), ("expand='all'", "'sequence'")),
        (Column, ("Column", "no components")),
        (lambda: Column("x"), ("'x'", "ActsHistogramConfig")),
        (lambda: Column(ActsHistogramConfig(), width=0), ("width=0",)),
        (lambda: SaeVisLayoutConfig([]), ("columns",)),
        (lambda: SaeVisLayoutConfig([ActsHistogramConfig()]), ("ActsHistogramConfig", "Column")),
        (lambda: SaeVisLayoutConfig([Column(ActsHistogramConfig())], height=-5), ("height=-5",)),
        (
            lambda: SaeVisLayoutConfig([Column(ActsHistogramConfig()), Column(ActsHistogramConfig(3))]),
            ("ActsHistogram", "2 times"),
        ),
    ],
)
def test_wrong_options_name_the_component_and_the_option(make, words):
    with pytest.raises(InputError) as error:
        make()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("buffer", [(0, 0), (7, 0), None, [2, 3]])
def test_buffers(buffer):
    config = SeqMultiGroupConfig(buffer=buffer)
    assert config.buffer == (None if buffer is None else tuple(buffer))
    assert config.to_spec().options["buffer"] == (None if buffer is None else list(buffer))


def test_what_a_page_cannot_show_is_said_and_never_ignored():
    layout = SaeVisLayoutConfig([Column(PromptConfig())])
    with pytest.raises(InputError, match="a feature-centric page can't show PromptConfig; leave it out"):
        layout.to_spec()
    assert layout.to_spec("prompt").columns[0].components[0].type == "Prompt"


def test_every_default_layout_can_be_made():
    assert SaeVisLayoutConfig.default_prompt_centric_layout().find(PromptConfig) == PromptConfig()
    assert SaeVisLayoutConfig.default_othello_layout().find(SeqMultiGroupConfig).buffer is None
    assert SaeVisLayoutConfig.default_othello_layout(boards=False).find(SeqMultiGroupConfig).compute_buffer


def test_find():
    layout = SaeVisLayoutConfig.default_feature_centric_layout()
    assert layout.find(LogitsTableConfig) == LogitsTableConfig(n_rows=10)
    assert layout.find(PromptConfig) is None


def test_help_marks_what_was_changed(capsys):
    layout = SaeVisLayoutConfig([Column(ActsHistogramConfig(n_bins=7), width=300), Column(SeqMultiGroupConfig())])
    text = text_of(layout)
    assert "n_bins: 7 (default 50)" in text
    assert "buffer: (10, 10)" in text
    assert "tokens of context before and after" in text
    assert "300 pixels" in text
    assert "The tree shows" not in text_of(layout, key=False)
    assert layout.help(title="Mine") is None
    assert "Mine" in capsys.readouterr().out


@dataclasses.dataclass(frozen=True)
class Notes(CustomComponent):
    type_name = "Notes"
    script = "export function mount(element, data, context) { element.textContent = data.text; }"
    size: int = option(12, "of the letters")
    names: tuple[int, ...] = option((1, 2), "some numbers")


def test_a_component_of_the_users_own():
    layout = SaeVisLayoutConfig([Column(Notes(size=3))])
    spec = layout.to_spec().columns[0].components[0]
    assert (spec.type, spec.options) == ("Notes", {"size": 3, "names": [1, 2]})
    assert "size: 3 (default 12)" in text_of(layout)
    assert "of the letters" in text_of(layout)
    module = Notes().module(None)
    assert (module.type, module.style, module.shared) == ("Notes", "", {})
    assert module.script == Notes.script


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("script", "const mount = 1; </SCRIPT>", "would end it early"),
        ("script", "function mount() {} <!-- x", "would end it early"),
        ("script", "import x from './x.js';\nexport function mount() {}", "bundle it"),
        ("script", "export { mount } from './x.js';", "bundle it"),
        ("script", "export async function mount() { await import('./x.js'); }", "bundle it"),
        ("script", "export function draw() {}", "no function mount"),
        ("script", Path("/nowhere/x.js"), "can't read /nowhere/x.js"),
        ("script", None, "expected the text of a file"),
        ("style", "p { background: url(x.png) }", "loads nothing"),
        ("style", "</style>", "must not end early"),
        ("type_name", "a b", "letters and digits"),
        ("type_name", "x</script>", "letters and digits"),
    ],
)
def test_a_component_of_the_users_own_that_cannot_stand_in_a_page(name, value, word):
    kind = type("Mine", (Notes,), {name: value})
    with pytest.raises(InputError, match="Mine") as error:
        kind().module(None)
    assert word in str(error.value)


@pytest.mark.parametrize(
    "layout",
    [
        SaeVisLayoutConfig.default_feature_centric_layout(),
        SaeVisLayoutConfig.default_prompt_centric_layout(),
        SaeVisLayoutConfig.default_othello_layout(),
        SaeVisLayoutConfig(
            [
                Column(SeqMultiGroupConfig(buffer=None, expand="sequence"), width=300),
                Column(ActsByPositionConfig(n_bins=7), Notes(names=(4,))),
            ],
            height=500,
        ),
    ],
)
def test_a_layout_goes_through_json(layout):
    assert SaeVisLayoutConfig.from_json(layout.to_json(), own=[Notes]) == layout


def test_json_may_leave_out_what_is_as_usual():
    text = (
        '{"columns": [{"components": [{"type": "ActsHistogram", "options": {"n_bins": 9}}, {"type": "LogitsTable"}]}]}'
    )
    expected = SaeVisLayoutConfig([Column(ActsHistogramConfig(n_bins=9), LogitsTableConfig())])
    assert SaeVisLayoutConfig.from_json(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ("can't be read",)),
        ("[]", ("a layout is []", "columns")),
        ('{"columns": 3}', ("columns of a layout is 3", "a list")),
        ('{"columns": [], "hight": 3}', ("no 'hight'", "height")),
        ('{"columns": [{"components": [{"type": "Sparkles"}]}]}', ("column 0", "'Sparkles'", "ActsHistogram")),
        (
            '{"columns": [{"components": [{"type": "ActsHistogram", "options": {"bins": 3}}]}]}',
            ("ActsHistogram in column 0", "no 'bins'", "n_bins"),
        ),
        (
            '{"columns": [{"components": [{"type": "ActsHistogram", "options": {"n_bins": 0}}]}]}',
            ("ActsHistogramConfig", "n_bins=0"),
        ),
        ('{"columns": [{"components": []}]}', ("Column", "no components")),
        ('{"columns": [{"components": [{"type": "ActsHistogram"}], "width": "a"}]}', ("Column", "width='a'")),
    ],
)
def test_wrong_json_names_what_is_wrong(text, words):
    with pytest.raises(InputError) as error:
        SaeVisLayoutConfig.from_json(text)
    for word in words:
        assert word in str(error.value)
