"""The variables of a box: its own vars, then --vars files, then --set."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Located, Path, Place, Source
from krunc_compiler.text.scalars import NoNumber, scalar
from krunc_compiler.values.fitting import fits
from krunc_compiler.values.inputs import Values

_RULES = ("type", "enum", "minimum", "maximum")


class Known(NamedTuple):
    """The variables of a box and, for each that was changed, what changed it."""

    values: dict[str, Any]
    changed: dict[str, str]
    # Declared without a default, and given no fitting value, or not declared as the schema wants
    # it: there is a finding about each.
    absent: frozenset[str]
    findings: list[Located]


def merge(
    declared: Any, source: Source, files: Iterable[Values], settings: Iterable[tuple[str, str]]
) -> Known:
    """Return the variables DECLARED in the box SOURCE, changed by FILES and then by SETTINGS.

    A setting is read as YAML would read it, unless the variable is a text.
    """
    all_of_them = declared if isinstance(declared, dict) else {}
    fitting = {name: item for name, item in all_of_them.items() if fits({name: item}, "vars")}
    rules = {name: _rule(item) for name, item in fitting.items()}
    known = Known({}, {}, frozenset(all_of_them.keys() - fitting.keys()), [])
    broken = set()
    for name, item in fitting.items():
        if not isinstance(item, dict):
            known.values[name] = item
        elif "default" in item:
            wrong = _default(name, item, rules[name])
            known.findings.extend(Located(source, finding) for finding in wrong)
            known.values[name] = item["default"]
    for values, file in files:
        for name, value in values.items():
            places: dict[Path, Place] = {}
            if (name,) in file.places:
                places[()] = file.places[name,]
            text = file._replace(places=places)
            line = f":{places[()].value.line + 1}" if places else ""
            if not _change(known, rules, name, value, file.name + line, text):
                broken.add(name)
    for name, word in settings:
        option = f"--set {name}={word}"
        text = Source(option, "", {})
        if rules.get(name, {}).get("type") == "string":
            typed: Any = word
        else:
            try:
                typed = scalar(word)
            except NoNumber as error:
                broken.add(name)
                fault = Finding("KR021", str(error), hint=error.hint)
                known.findings.append(Located(text, fault))
                continue
        if not _change(known, rules, name, typed, "--set", text):
            broken.add(name)
    absent = [name for name in rules if name not in known.values]
    for name in absent:
        if name not in broken:
            known.findings.append(Located(source, _without(name, rules[name])))
    return known._replace(absent=known.absent.union(absent))


def _rule(item: Any) -> dict[str, Any]:
    """Return the JSON Schema of a variable."""
    if isinstance(item, dict):
        return {name: rule for name, rule in item.items() if name in _RULES}
    if isinstance(item, bool):
        return {"type": "boolean"}
    return {"type": "number" if isinstance(item, int | float) else "string"}


def _default(name: str, item: dict[str, Any], rule: dict[str, Any]) -> list[Finding]:
    from krunc_compiler.shape.checking import check  # few boxes have such a variable

    return [
        found._replace(code="KR022", path=("vars", name, "default"))
        for found in check(item["default"], rule)
    ]


def _without(name: str, rule: dict[str, Any]) -> Finding:
    allowed = rule.get("enum")
    kinds = f" ({', '.join(map(str, allowed))})" if allowed is not None else ""
    return Finding(
        "KR022",
        f"the variable {name!r} has no default and was given no value",
        ("vars", name),
        hint=f"give it with --set {name}=VALUE{kinds} or in a --vars file, or write a default",
        at_key=True,
    )


def _change(
    known: Known, rules: dict[str, dict[str, Any]], name: str, value: Any, by: str, text: Source
) -> bool:
    """Give the variable NAME a VALUE; say whether it took it."""
    if name in known.absent:
        return False
    if name not in rules:
        close = wording.nearest(name, rules)
        declared = ", ".join(rules) or "none"
        hint = f"did you mean {close}?" if close else f"use a declared variable: {declared}"
        finding = Finding("KR021", f"the box declares no variable {name!r}", hint=hint, at_key=True)
        known.findings.append(Located(text, finding))
        return False
    from krunc_compiler.shape.checking import check

    wrong = check(value, rules[name])
    for found in wrong:
        finding = found._replace(
            code="KR021", message=f"the variable {name!r}: {found.message}", path=()
        )
        known.findings.append(Located(text, finding))
    if not wrong:
        known.values[name] = value
        known.changed[name] = by
    return not wrong
