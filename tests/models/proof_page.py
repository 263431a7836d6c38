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
HEAD = """# Which models work

The tables say, for each model class of transformers {version}, which hook points and effects you get. Of {n} types of
causal language models, {pages} can have a prompt page and {full} have full effects. {streams} have a residual stream
in every block, and {direct} have direct effects.

How a model is put together is not looked up by its name. It is found by running the model on a few tokens, and
every finding is tested in the same way ([how](models.md#how-a-model-is-taken-apart)). What fails its test is not
offered, and pages say why.

A test (`tests/models/test_any_model.py`) writes this page. It makes a tiny random model of every class, and checks each
claim with plain hooks:

- A vector that is written at a place arrives at the end of the residual stream as predicted, if all else stays as it
  was.
- The logits are those of the model.
- A direct effect is what editing the model's last residual does, to 1e-4.
- A full effect is what editing the place and running the rest of the model does.
- A prompt page holds every metric that is known.

In the tables, "2 of 3" means that so many blocks of the tiny model have it; its layers are of several kinds. A "mixer"
mixes tokens without attention, such as a state space, linear attention or a convolution. Experts have outputs, but no
neurons, because their weights are not modules.
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
