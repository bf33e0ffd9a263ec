"""The variables of a box: its own vars, then --vars files, then --set."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from krunc_compiler.findings import Finding
from krunc_compiler.parsing import scalar


def merge(
    declared: Any, files: Iterable[dict[str, Any]], settings: Iterable[tuple[str, str]]
) -> tuple[dict[str, Any], list[Finding]]:
    """The variables DECLARED in a box, changed by FILES and then by SETTINGS (as typed).

    A setting is read as YAML would read it, unless the declared default is a text.
    """
    variables = dict(declared) if isinstance(declared, dict) else {}
    findings: list[Finding] = []
    for values in files:
        for name, value in values.items():
            _change(variables, name, value, findings)
    for name, text in settings:
        keep = isinstance(variables.get(name), str)
        _change(variables, name, text if keep else scalar(text), findings)
    return variables, findings


def _change(variables: dict[str, Any], name: str, value: Any, findings: list[Finding]) -> None:
    if name not in variables:
        close = get_close_matches(name, variables, 1)
        known = ", ".join(variables) or "none"
        hint = f"did you mean {close[0]}?" if close else f"declared: {known}"
        findings.append(
            Finding("KR021", f"the box declares no variable {name!r}", ("vars",), hint=hint)
        )
    elif _family(variables[name]) != _family(value):
        findings.append(
            Finding(
                "KR021",
                f"{value!r} is {_family(value)}, the default is {_family(variables[name])}",
                ("vars", name),
                hint="give a value of the default's type",
            )
        )
    else:
        variables[name] = value


def _family(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "neither text nor number"
