"""What people write who come from other tools, and what it is called in a box.

The table is krunc_schema/habits.json. It words findings alone: what they refuse stays refused.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

from krunc_schema import load

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.shape.refs import resolved

# No longer value is looked at, which bounds the time of the patterns.
_LONGEST = 200
_MOST_PLACES = 4


def meant(path: Path, key: str) -> str | None:
    """Return the key of the map at PATH that is meant by KEY of another tool, if there is one."""
    row = _row(path, key)
    targets = row.get("to", ()) if row else ()
    here = set(_wildcards(path))
    own = [name for name in targets if name.rpartition(".")[0] in here]
    return own[0].rpartition(".")[2] if len(own) == 1 else None


def advised(findings: list[Finding], value: Any, written: Any = None) -> list[Finding]:
    """Return FINDINGS about the box VALUE, those of a known habit with what to write instead.
    WRITTEN is the box with its expressions."""
    hints = (
        (finding, _as_string(finding, written) or _hint(finding, value)) for finding in findings
    )
    return [finding._replace(hint=hint) if hint else finding for finding, hint in hints]


def of_command(name: str) -> str:
    """Tell which command of krunc does what the command NAME does in other tools, if one does."""
    if name.lower().endswith((".yaml", ".yml", ".json")):
        return "did you mean krunc launch FILE?"
    rows = (row for row in load("habits")["commands"] if name.lower() in row["names"])
    row = next(rows, None)
    if row is None:
        return ""
    said: str = row["say"] + ";" if "say" in row else f"did you mean {row['to']}?"
    return said


def _as_string(finding: Finding, written: Any) -> str:
    """Tell how an expression makes a string, where one is wanted: it is in quotes already."""
    if finding.code != "KR103" or finding.hint != wording.QUOTES:
        return ""
    text = written
    for part in finding.path:
        if isinstance(text, str):  # an expression that gives a list or a map
            return ""
        text = text[part]
    if not isinstance(text, str) or not (text.startswith("{{") and text.endswith("}}")):
        return ""
    inner = text[2:-2].strip()
    # A filter binds more tightly than what is in an expression.
    return f"write {{{{ {inner if inner.isidentifier() else f'({inner})'} | string }}}}"


def _hint(finding: Finding, value: Any) -> str:
    if finding.code == "KR101":
        *above, key = finding.path
        return _of_key(tuple(above), str(key), finding.hint, value)
    if finding.code not in ("KR103", "KR105", "KR106") or finding.at_key:
        return ""
    found = _at(value, finding.path)
    said = "" if found is None else _of_value(finding.path, found, value)
    if said and finding.code == "KR105":  # of a few values, all are said
        known = finding.hint.rpartition("one of: ")[2]
        return f"{said} write one of: {known}" if said[-1] == "?" else f"{said}; allowed: {known}"
    return said


def _of_key(path: Path, key: str, known: str, box: Any) -> str:
    """Tell what KEY of the map at PATH of BOX is here; KNOWN is the hint of a key that is near."""
    row = _row(path, key)
    if row is None:
        if path and key.startswith("x-"):
            return "move it to the top of the box, where alone keys that start with x- are allowed"
        return "" if path and known.startswith("did you mean") else _elsewhere(path, key)
    if row.get("opposite"):
        return _turned(row["to"][0].rpartition(".")[2], _at(box, (*path, key)))
    guess = f"did you mean {_listed(row['to'], path)}?" if "to" in row else ""
    if {place.rpartition(".")[2] for place in row.get("to", ())} == {key}:
        guess = _belongs(key, [place.rpartition(".")[0] for place in row["to"]])
    rest = [*([f"write {row['write']}"] if "write" in row else ()), row.get("say", "")]
    said = "; ".join(filter(None, rest))
    return f"{guess}{'; ' if said and guess[-1:] not in ('?', '') else ' '}{said}".strip()


def _turned(key: str, value: Any) -> str:
    """Tell how to write by KEY what another key, which says the opposite, has as VALUE."""
    if isinstance(value, bool):
        return f"write {key}: {wording.shown(not value)}"
    return f"write {key}, which says the opposite: true or false"


def _elsewhere(path: Path, key: str) -> str:
    """Tell under which keys of a box KEY belongs, when it may not stand at PATH. Those beside the
    place, and those near the top, come first."""
    here = _place(path)
    found = sorted(
        (place for place in _places().get(key, ()) if place != here),
        key=lambda place: (not place.startswith(here), place.count(".")),
    )
    return _belongs(key, found) if found else ""


def _belongs(key: str, found: list[str]) -> str:
    """Tell that KEY belongs at the places that were FOUND."""
    under = [place for place in found if place]
    said = ["at the top of the box"] if "" in found else []
    if under:
        more = [f"{len(under) - _MOST_PLACES} more"] if len(under) > _MOST_PLACES else []
        said.append(f"under {_or([*under[:_MOST_PLACES], *more])}")
    return f"{key} belongs {_or(said)}"


def _or(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _of_value(path: Path, value: Any, box: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > _LONGEST:
        return ""
    wanted = set(_wildcards(path))
    for places, rows in load("habits")["values"].items():
        if wanted.isdisjoint(places.split()):
            continue
        for row in rows:
            found = re.search(row["like"], text)
            if found and ("mode" not in row or row["mode"] == _mode(path, box)):
                return _filled(row["say"], found)
    return ""


def _mode(path: Path, box: Any) -> Any:
    """Return the mode beside the value at PATH of BOX: the same text is another mistake in each."""
    keys = [number for number, part in enumerate(path) if isinstance(part, str)]
    return _at(box, path[: keys[-1]]).get("mode")


def _filled(said: str, found: re.Match[str]) -> str:
    """Return what is SAID of a value with the groups that were FOUND in it; it itself is quoted."""
    parts = {f"\\{i}": group or "" for i, group in enumerate(found.groups(), 1)}
    parts |= {"{words}": _words(found.string), "{value}": wording.shown(found.string)}
    return re.sub(r"\\\d|\{words\}|\{value\}", lambda mark: parts[mark[0]], said)


def _words(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:  # quotes that are not closed
        words = text.split()
    return json.dumps(words, ensure_ascii=False)


def _row(path: Path, key: str) -> dict[str, Any] | None:
    rows = (_rows().get((place, _bare(key[:_LONGEST]))) for place in _wildcards(path))
    return next(filter(None, rows), None)


def _bare(name: str) -> str:
    """Return NAME without what tools write differently: nameServers, name_servers, NAMESERVERS."""
    return name.lower().replace("-", "").replace("_", "")


@cache
def _rows() -> dict[tuple[str, str], dict[str, Any]]:
    rows = ((place, row) for place, some in load("habits")["keys"].items() for row in some)
    return {(place, _bare(name)): row for place, row in rows for name in row["names"]}


def _wildcards(path: Path) -> Iterator[str]:
    """Yield the names of the place PATH in the table."""
    yield _place(path)
    if path and isinstance(path[-1], str):
        yield _place((*path[:-1], "*"))


def _place(path: Path) -> str:
    """Return PATH as the table has it: shares[].path."""
    return "".join("[]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _listed(places: list[str], path: Path) -> str:
    here = set(_wildcards(path)) - {""}
    parts = (place.rpartition(".") for place in places)
    short = [key if above in here else f"{above}{dot}{key}" for above, dot, key in parts]
    return " or ".join(short)


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


@cache
def _places() -> dict[str, list[str]]:
    """Return under which keys of a box each key stands, at any depth; "" is the top."""
    schema = load("box.schema")
    found: dict[str, list[str]] = {}
    for place, name in _keys(schema, schema["$defs"], ""):
        if place not in found.setdefault(name, []):
            found[name].append(place)
    return found


def _keys(rule: dict[str, Any], defs: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Yield the keys that RULE, of the value at PLACE, allows, each with its place."""
    whole = resolved(rule, defs)
    for name, inner in whole.get("properties", {}).items():
        yield place, name
        yield from _keys(inner, defs, f"{place}.{name}".lstrip("."))
    for branch in (*whole.get("oneOf", ()), *whole.get("anyOf", ())):
        yield from _keys(branch, defs, place)
    if isinstance(whole.get("items"), dict):
        yield from _keys(whole["items"], defs, f"{place}[]")
