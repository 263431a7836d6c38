"""What follows from the contract's annotations: ``python frontend/generate_contract.py [--check]``.

Three files: TypeScript types, the table that the page's decoder reads by, and a page of the documentation. ``--check``
writes nothing and fails when one of them is not what the dataclasses of `sae_vis.contract` say.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TYPES = ROOT / "src" / "data" / "contract.d.ts"
TABLE = ROOT / "src" / "data" / "table.ts"
PAGE = ROOT.parent / "docs" / "contract.md"
sys.path.insert(0, str(ROOT.parent))

from sae_vis.contract import annotations  # noqa: E402
from sae_vis.contract.schema import ByName, Choice, Kind, Many, Maybe, One, Record, Values  # noqa: E402
from sae_vis.deliver.encoding import digest, records, table  # noqa: E402

ARRAYS = {"float32": "Float32Array", "int32": "Int32Array", "uint8": "Uint8Array"}
PLAIN = {
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "str": "string",
    "named": "Readonly<Record<string, unknown>>",
}
HOLDERS: dict[type, str] = {Maybe: "{} | null", Many: "readonly {}[]", ByName: "Readonly<Record<string, {}>>"}
HOLDERS_IN_WORDS: dict[type, str] = {Maybe: "{}, or none", Many: "any number of: {}", ByName: "by name: {}"}
OPTIONS = "Readonly<Record<string, boolean | number | string | readonly number[] | null>>"
WRITTEN = "Generated from sae_vis/contract by frontend/generate_contract.py. Do not edit."


def type_text(kind: Kind) -> str:
    """The TypeScript type of a kind of values."""
    match kind:
        case One(scalar):
            return PLAIN.get(scalar, OPTIONS)
        case Choice(words):
            return " | ".join(f'"{word}"' for word in words)
        case Maybe(of) | Many(of) | ByName(of):
            inner = type_text(of)
            several = isinstance(kind, Many) and " | " in inner  # which binds less than the list's []
            return HOLDERS[type(kind)].format(f"({inner})" if several else inner)
        case Values():
            return ARRAYS[kind.dtype]
        case Record():
            return kind.name


def meanings(kind: type) -> tuple[str, dict[str, str]]:
    """The first paragraph of a docstring and the lines of its ``Attributes:``."""
    text = inspect.getdoc(kind) or ""
    intro, _, attributes = text.partition("\nAttributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", attributes, flags=re.MULTILINE)
    return " ".join(intro.split()), {name: " ".join(words.split()) for name, words in found}


def interface(record: Record) -> str:
    """One record as a TypeScript interface."""
    intro, of_field = meanings(record.type)
    lines = [f"/** {intro} */", f"export interface {record.name} {{"]
    for name, kind in record.fields:
        if name in of_field:
            lines.append(f"  /** {of_field[name]} */")
        lines.append(f"  readonly {name}: {type_text(kind)};")
    return "\n".join([*lines, "}"])


def types_file() -> str:
    """The TypeScript types."""
    return f"// {WRITTEN}\n\n" + "\n\n".join(map(interface, records())) + "\n"


def table_file() -> str:
    """The decoder's table."""
    rows = ",\n".join(f"  {name}: {json.dumps(fields)}" for name, fields in table().items())
    return (
        f'// {WRITTEN}\nimport type {{ Table }} from "./kinds";\n\n'
        f"/** Differs where the table does: a page and its reader are always written together. */\n"
        f"export const DIGEST = {digest()};\n\n"
        f"/** The fields of every record, in the order in which they travel. */\n"
        f"export const TABLE: Table = {{\n{rows},\n}};\n"
    )


def page_file() -> str:
    """The page of the documentation."""
    intro = inspect.getdoc(annotations) or ""
    parts = [
        f"<!-- {WRITTEN} -->",
        "# What a page holds",
        "Every number of a page is a field of one of these records (`sae_vis.contract`). The TypeScript types and "
        "the table that its decoder reads by are made from the same annotations, as this page is.",
        intro.split("\n\n", 1)[1],
    ]
    parts += [_record_section(record) for record in reversed(records())]
    return "\n\n".join(parts) + "\n"


def _record_section(record: Record) -> str:
    text, of_field = meanings(record.type)
    rows = [
        f"| `{name}` | {_kind_words(kind)} | {of_field.get(name, '')} |".replace("``", "`")
        for name, kind in record.fields
    ]
    return "\n".join([f"## {record.name}", "", text, "", "| field | holds | meaning |", "|---|---|---|", *rows])


def _kind_words(kind: Kind) -> str:
    """A kind of values in words."""
    match kind:
        case One(scalar):
            return {"json": "options by name", "named": "values by name"}.get(scalar, scalar)
        case Choice(words):
            return "one of " + ", ".join(f"`{word}`" for word in words)
        case Maybe(of) | Many(of) | ByName(of):
            return HOLDERS_IN_WORDS[type(kind)].format(_kind_words(of))
        case Values(dtype, array):
            unit = f", in {array.unit}" if array.unit else ""
            packing = "" if array.packing == "plain" else f"; {array.packing}"
            digits = "" if array.digits is None else f"; {array.digits} digits"
            return f"{dtype} `[{array.shape}]`{unit}{packing}{digits}"
        case Record():
            return f"[{kind.name}](#{kind.name.lower()})"


def main(arguments: list[str]) -> int:
    """Write or check; 1 when a check fails."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = False
    for target, text in ((TYPES, types_file()), (TABLE, table_file()), (PAGE, page_file())):
        if not arguments:
            target.write_text(text, encoding="utf-8")
            continue
        fresh = target.exists() and target.read_text(encoding="utf-8") == text
        print(f"{target.name} is {'fresh' if fresh else 'stale: run python frontend/generate_contract.py'}")
        stale = stale or not fresh
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
