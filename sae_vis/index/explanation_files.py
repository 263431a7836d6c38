"""Explanations as other tools write them: tables, lines of JSON, exports of Neuronpedia, results of delphi."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sae_vis.checks import shown
from sae_vis.errors import InputError
from sae_vis.index.explanations import Explanation

NAMES = {
    "feature": ("feature", "index", "latent", "feature_index"),
    "text": ("text", "explanation", "description"),
    "score": ("score",),
    "measure": ("measure", "scorer"),
    "source": ("source", "explanationModelName", "typeName", "author"),
}
"""What the columns may be called; the first that is there counts."""
PLACE = ("modelId", "layer")
"""Columns that say of which dictionary a row of an export of several is."""
WAYS = (
    "a .csv, .parquet, .jsonl or .json file with the columns 'feature' and 'text', or a folder of Neuronpedia or delphi"
)
_DELPHI = re.compile(r"(.+)_latent(\d+)\.txt")


def read_explanations(path: str | Path, *, source: str = "", only: str | None = None) -> list[Explanation]:
    """Explanations from a file or a folder.

    It reads

    - tables (``.csv``, ``.parquet``) and JSON (a list, or a line each, gzipped or not), with the columns ``feature``,
      ``text`` and optionally ``score``, ``measure`` and ``source``;
    - exports of Neuronpedia: ``explanations/batch-N.jsonl.gz`` with ``index``, ``description`` and
      ``explanationModelName``;
    - results of delphi: ``explanations/MODULE_latentN.txt``. The score is the share of right answers in
      ``scores/SCORER``.

    Args:
        path: the file or folder.
        source: who says so, where the file does not.
        only: of files that hold several dictionaries, which: Neuronpedia's ``layer``, delphi's module.

    Returns:
        The explanations, in the order of the file.

    Raises:
        InputError: nothing there, no such file, a row without a feature or text, several dictionaries.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} is not there; expected {WAYS}")
    try:
        found = list(_delphi(path, only) if _is_delphi(path) else _rows(path, only))
    except (OSError, ValueError, EOFError, zlib.error, pa.ArrowException) as error:
        raise InputError(f"{path} can't be read as explanations: {error}; expected {WAYS}") from error
    if not found:
        raise InputError(f"{path} holds no explanations; expected {WAYS}")
    return [Explanation(**{**one, "source": one.get("source") or source}) for one in found]


def _rows(path: Path, only: str | None) -> Iterator[dict[str, Any]]:
    """Of all files."""
    files = sorted(_files(path)) if path.is_dir() else [path]
    rows = [(file, number, row) for file in files for number, row in enumerate(_read(file), start=1)]
    places = sorted({_place(row) for _, _, row in rows} - {()})
    wanted = [place for place in places if only is None or only in place]
    if len(wanted) > 1 or (places and not wanted):
        names = ", ".join(" ".join(place) for place in places[:8])
        raise InputError(f"{path} holds explanations of several dictionaries ({names}): name the layer of yours")
    for file, number, row in rows:
        if not places or _place(row) in (wanted[0], ()):
            yield _fields(row, f"row {number} of {file}")


def _files(folder: Path) -> list[Path]:
    below = folder / "explanations"
    found = (below if below.is_dir() else folder).iterdir()
    return [path for path in found if path.name.endswith((".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet"))]


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in PLACE if row.get(name) is not None)


def _read(file: Path) -> Sequence[Mapping[str, Any]]:
    name = file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return list(pyarrow.parquet.read_table(file).to_pylist())
    if name.endswith(".csv"):
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        return list(pyarrow.csv.read_csv(file, parse_options=options).to_pylist())
    data = gzip.decompress(file.read_bytes()) if file.name.endswith(".gz") else file.read_bytes()
    text = data.decode("utf-8-sig")
    if text.lstrip().startswith("["):
        rows: list[Any] = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"row {number} of {file} is {shown(row)}, expected an object with 'feature' and 'text'")
    return rows


def _fields(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A row in our names."""
    found: dict[str, Any] = {}
    for field, names in NAMES.items():
        value = next((row[name] for name in names if row.get(name) not in (None, "")), None)
        if value is not None:
            found[field] = value
        elif field in ("feature", "text"):
            raise InputError(f"{where} has no '{field}' (it has {', '.join(map(str, row))}); expected {WAYS}")
    return {**found, "feature": _number(found["feature"], where), "text": str(found["text"])}


def _number(value: object, where: str) -> int:
    """Of a feature; exports write it as text."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InputError(f"the feature in {where} is {shown(value)}, expected its number")


def _is_delphi(path: Path) -> bool:
    folder = path / "explanations"
    return folder.is_dir() and any(_DELPHI.fullmatch(file.name) for file in folder.iterdir())


def _delphi(path: Path, only: str | None) -> Iterator[dict[str, Any]]:
    files = [
        (found, file) for file in sorted((path / "explanations").iterdir()) if (found := _DELPHI.fullmatch(file.name))
    ]
    modules = sorted({found[1] for found, _ in files})
    wanted = [module for module in modules if only in (None, module)]
    if len(wanted) != 1:
        raise InputError(f"{path} holds explanations of the modules {', '.join(modules)}: name the one of your index")
    for found, file in files:
        if found[1] == wanted[0]:
            text = json.loads(file.read_text(encoding="utf-8"))
            score, measure = _delphi_score(path / "scores", file.name)
            yield {"feature": int(found[2]), "text": str(text), "score": score, "measure": measure, "source": "delphi"}


def _delphi_score(folder: Path, name: str) -> tuple[float, str]:
    """The share of answers that were right, by the first scorer that has any, and what it is."""
    for scorer in sorted(folder.iterdir()) if folder.is_dir() else []:
        file = scorer / name
        if not file.is_file():
            continue
        samples = json.loads(file.read_text(encoding="utf-8"))
        right = [bool(one["correct"]) for one in samples if one.get("prediction") is not None]
        if right:
            return sum(right) / len(right), f"{scorer.name} accuracy"
    return math.nan, ""
