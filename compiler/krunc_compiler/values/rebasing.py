"""The paths of boxes that are extended: each starts at the directory of the box that says it."""

from __future__ import annotations

from typing import Any

from krunc_compiler.files.hostpath import seen_from
from krunc_compiler.findings.finding import Path, Source
from krunc_compiler.shape.refs import resolved

_PATHS = ("host_path", "socket_path")
_IMAGE = "image"


def rebased(value: Any, source: Source, schema: dict[str, Any]) -> Any:
    """Return VALUE with the relative host paths of extended boxes seen from the box that is
    compiled."""
    if not source.extends:
        return value
    return _rebased(value, schema, (), source, schema["$defs"])


def _rebased(
    value: Any, rule: dict[str, Any], path: Path, source: Source, defs: dict[str, Any]
) -> Any:
    name = rule.get("$ref", "").rsplit("/", 1)[-1]
    if name in _PATHS or name == _IMAGE:
        return _moved(value, path, source, name == _IMAGE)
    rule = resolved(rule, defs)
    for branch in rule.get("oneOf", ()):
        if _fits(value, resolved(branch, defs)):
            return _rebased(value, branch, path, source, defs)
    if isinstance(value, list) and isinstance(rule.get("items"), dict):
        return [
            _rebased(item, rule["items"], (*path, i), source, defs) for i, item in enumerate(value)
        ]
    if isinstance(value, dict):
        rules, others = rule.get("properties", {}), rule.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        return {
            key: _rebased(item, rules.get(key, others), (*path, key), source, defs)
            for key, item in value.items()
        }
    return value


def _fits(value: Any, branch: dict[str, Any]) -> bool:
    """Tell whether VALUE may be meant as BRANCH of the schema."""
    if not isinstance(value, dict):
        return branch.get("type") != "object" and value in branch.get("enum", [value])
    forms = branch.get("properties", {}).items()
    return (
        "properties" in branch
        and all(key in value for key in branch.get("required", ()))
        and all(
            value[key] == form["const"] for key, form in forms if "const" in form and key in value
        )
    )


def _moved(value: Any, path: Path, source: Source, is_image: bool) -> Any:
    place = source.places.get(path)
    directory = place.source.directory if place is not None and place.source is not None else ""
    if not isinstance(value, str) or not value or not directory:
        return value
    return _moved_image(directory, value) if is_image else seen_from(directory, value)


def _moved_image(directory: str, value: str) -> str:
    from krunc_compiler.image.reference import NotAReference, parse  # few boxes extend one with it

    try:
        reference = parse(value)
    except NotAReference:
        return value  # it is told of the box
    return reference.moved(directory) if reference.relative else value
