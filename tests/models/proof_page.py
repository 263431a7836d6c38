"""docs/any-model.md: what is proved of each model of the zoo. ``python -m tests.models.proof_page`` writes it again."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path

from sae_vis.errors import InputError
from sae_vis.models.loading import load_model
from tests.models import zoo
from tests.models.proof import CLAIMS, N_TOKENS, Proved, Trial

PAGE = Path(__file__).resolve().parents[2] / "docs" / "any-model.md"
NOTHING = "–"
GROUPS = {
    "": "Causal language models",
    "variant": "The same types, wired in another way",
    "multimodal": "Multi-modal models, on text alone",
    "base": "Models without a head",
    "masked": "Encoders",
}
HEAD = """# What is proved of which model

How a model is put together is not looked up by its name: it is found out by running the model on a few tokens, and
every claim is proved in the same way ([models.md](models.md#how-a-model-is-taken-apart) says how). What is not proved
is not offered, and pages say why.

This page is written by a test (`tests/models/test_any_model.py`), which makes a tiny random model of every causal
language model class of transformers {version} and tries each claim against plain hooks: a vector written at a place
arrives at the end of the stream as predicted, with all else held as it was; the logits are those of the model; a direct
effect is what editing the model's last residual does, to 1e-4; a full effect what editing the place and running the
rest does; a prompt page holds every metric that is known.

Of {n} types of causal language models, {streams} have a residual stream that is proved in every block, {direct} have
direct effects, {full} full effects, and for {pages} a prompt page is written. "2 of 3": in so many of the blocks of the
tiny model, whose layers are of several kinds. "mixer" is what mixes tokens without attention: state spaces, linear
attention, convolutions. Experts have outputs, but no neurons: their weights are no modules.
"""


def proved(kind: str, folder: Path) -> Proved:
    """What holds of a kind; raises `AssertionError` where a claim does not."""
    model = zoo.tiny_model(kind)
    try:
        adapter = load_model(model)
    except InputError as error:
        return Proved(unknown=[str(error)])
    return Trial(adapter, zoo.random_tokens(N_TOKENS)).prove(folder)


def row(kind: str, found: Proved) -> str:
    """The row of a kind in the page's table."""
    name = zoo.model_class(kind).__name__
    cells = [found.claims.get(claim, NOTHING) for claim in CLAIMS]
    return f"| `{kind.rpartition(':')[2]}` | {name} | {' | '.join(cells)} | {'; '.join(map(shown, found.unknown))} |"


def shown(reason: str) -> str:
    """A reason, within a cell of a table."""
    return reason.replace("|", "/")


def rows_of_page() -> dict[str, str]:
    """The rows as they stand in the page, by kind."""
    found, head = {}, ""
    titles = {title: key for key, title in GROUPS.items()}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            head = titles.get(line.removeprefix("## "), head)
        cell = re.match(r"[|] `([^`]+)` [|]", line)
        if cell:
            found[f"{head}:{cell[1]}".removeprefix(":")] = line
    return found


def page(every: dict[str, Proved]) -> str:
    """The whole page."""
    import transformers

    causal = [found for kind, found in every.items() if ":" not in kind]
    counts = {
        "n": len(causal),
        "streams": sum(found.claims.get("residual stream") == "all" for found in causal),
        "direct": sum("direct effect" in found.claims for found in causal),
        "full": sum("full effect" in found.claims for found in causal),
        "pages": sum("prompt page" in found.claims for found in causal),
    }
    lines = [HEAD.format(version=transformers.__version__, **counts)]
    for head, title in GROUPS.items():
        lines += [
            f"## {title}",
            "",
            f"| type | class | {' | '.join(CLAIMS)} | not known |",
            "|---" * (len(CLAIMS) + 3) + "|",
        ]
        kinds = sorted(kind for kind in every if kind.rpartition(":")[0] == head)
        lines += [row(kind, every[kind]) for kind in kinds] + [""]
    missing = sorted(zoo.NOTES)
    lines += ["## Not tried", "", "Models that can't be made or run on text alone here:", ""]
    lines += [f"- `{kind}`: {zoo.NOTES[kind].reason}" for kind in missing]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Try every kind and write the page."""
    every = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in zoo.made_types():
            every[kind] = proved(kind, Path(folder))
    PAGE.write_text(page(every), encoding="utf-8")


if __name__ == "__main__":
    main()
