"""Makes the stage: orders.h of the table of orders, and the program of the C files here.

python launcher/stage/build.py writes both; without ziglang only orders.h.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TABLE = HERE.parents[1] / "schema" / "krunc_schema" / "orders.json"
PROGRAMS = HERE.parent / "krunc_launcher" / "stage"
MACHINES = ("x86_64", "aarch64")

_KINDS = {
    "int": "INT",
    "text": "TEXT",
    "ipv4": "TEXT",
    "enum": "ENUM",
    "texts": "LIST",
    "env": "VARIABLES",
}
# Nothing of what makes builds differ: no debugging, no build ID, names of sources relative.
_OPTIONS = [
    *("-static", "-Os", "-s", "-flto", "-std=gnu11", "-Wl,--build-id=none", "-Wl,--gc-sections"),
    *("-ffunction-sections", "-fdata-sections", "-fno-stack-protector", "-fno-unwind-tables"),
    "-fno-asynchronous-unwind-tables",
]


def header(table: dict[str, Any]) -> str:
    """Return the text of orders.h: names, steps, and what each order's values may be."""
    orders = table["orders"]
    words = {name: [f"{_c(word)}" for word in row] for name, row in table["enums"].items()}
    required = [f"1u << {_c(name)}" for name, row in orders.items() if row.get("required")]
    roots = [f"1u << {_c(name)}" for name in orders if name.startswith("root_")]
    lines = [
        "/* Made by build.py of schema/krunc_schema/orders.json. */",
        "#ifndef ORDERS_H",
        "#define ORDERS_H",
        f"enum {{ NEVER_ENDED = {table['never_ended']}, MOST_VALUES = "
        f"{max(len(row['params']) for row in orders.values())} }};",
        f"enum name {{ {', '.join(map(_c, orders))}, NAMES }};",
        *(f"enum {name} {{ {', '.join(row)} }};" for name, row in words.items()),
        f"enum step {{ {', '.join(f'{_c(s)}_STEP' for s in ('no', *table['steps']))} }};",
        f'#define SEARCH "{table["search"]}"',
        f"enum {{ REQUIRED = {' | '.join(required)}, A_ROOT = {' | '.join(roots)} }};",
        "#endif",
        "#ifdef STEP_WORDS",
        f"static const char *const step_words[] = {{ {_texts(['', *table['steps']])} }};",
        "#endif",
        "#ifdef ORDERS_TABLE",
        f"enum kind {{ {', '.join(dict.fromkeys(_KINDS.values()))} }};",
        "struct param { enum kind kind; int nullable; unsigned least, most; const char *prefix;"
        " const char *const *words; };",
        "struct shape { const char *name; int rank, many, params;"
        " struct param param[MOST_VALUES]; };",
        *(
            f"static const char *const {name}_words[] = {{ {_texts(row)} }};"
            for name, row in table["enums"].items()
        ),
        "static const struct shape shapes[] = {",
        *(_shape(name, row, table["enums"]) for name, row in orders.items()),
        "};",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _shape(name: str, row: dict[str, Any], enums: dict[str, Any]) -> str:
    params = ", ".join(_param(param, enums) for param in row["params"])
    many = int(row["repeat"] == "many")
    return f'    {{"{name}", {row["rank"]}, {many}, {len(row["params"])}, {{{params}}}}},'


def _param(param: dict[str, Any], enums: dict[str, Any]) -> str:
    kind = param["kind"]
    least = param.get("min", param.get("min_bytes", 0))
    most = param.get("max_items", param.get("max", param.get("max_bytes")))
    words = "NULL"
    if kind == "enum":
        words, most = f"{param['enum']}_words", len(enums[param["enum"]]) - 1
    nullable, prefix = int(param.get("nullable", False)), param.get("prefix", "")
    return f'{{{_KINDS[kind]}, {nullable}, {least}, {most}u, "{prefix}", {words}}}'


def _texts(words: Any) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _c(word: str) -> str:
    return word.upper().replace("-", "_")


def sources() -> list[str]:
    """Return the names of the C files."""
    return sorted(path.name for path in HERE.glob("*.c"))


def build(machine: str, out: Path) -> None:
    """Compile the stage for MACHINE into the file OUT."""
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl"]
    command = [*compiler, *_OPTIONS, *sources(), "-o", str(out)]
    subprocess.run(command, cwd=HERE, check=True)


def main() -> None:
    """Write orders.h and, where ziglang is installed, the programs."""
    (HERE / "orders.h").write_text(header(json.loads(TABLE.read_text("utf-8"))), "utf-8")
    if find_spec("ziglang") is None:
        sys.exit("build: orders.h is written; the programs need ziglang, pinned in pyproject.toml")
    PROGRAMS.mkdir(exist_ok=True)
    for machine in MACHINES:
        build(machine, PROGRAMS / machine)


if __name__ == "__main__":
    main()
