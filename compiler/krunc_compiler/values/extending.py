"""A box and the boxes that it extends, merged into one value with the places of all texts."""

import posixpath
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from krunc_compiler.files.source import read_file
from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import (
    Finding,
    Located,
    Path,
    Place,
    Rejected,
    Source,
    placed,
    reject,
)
from krunc_compiler.text.parsing import parse_on
from krunc_compiler.values.boxlike import IGNORED, is_like_box, looks_like_box
from krunc_compiler.values.fitting import fits

# Far above any real use; they bound time for hostile boxes.
MAX_FILES, MAX_TEXT, MAX_VALUES = 64, 1 << 20, 20_000
# The keys by which two lists are merged, the first that all items have.
_IDENTITIES = ("tag", "id", "port", "code", "rule", "path")
# Keys of which one takes the place of another.
_INSTEAD = (("executable", "script"), ("text", "base64", "file", "directory"), ("socket", "fd"))
_ROOTS = ("path", "disk", "image")
_FEWER = "extend fewer, or merge some of them"


class _NoBox(Exception):
    """A file that is extended is no box, as the words say; nothing of it is to be shown."""


class _Side(NamedTuple):
    """A value within one of two trees that are merged."""

    value: Any
    places: dict[Path, Place]
    path: Path
    faults: tuple[Located, ...] = ()

    def child(self, part: str | int) -> "_Side":
        return _Side(self.value[part], self.places, (*self.path, part))


class _Files(NamedTuple):
    """How a base's name is found, how it is read, and what all have: files, characters, values."""

    name_of: Callable[[str, str], str]
    read: Callable[[str], str]
    met: list[int]

    def too_many(self, files: int = 0, characters: int = 0, values: int = 0) -> str:
        """Add what a base has; say what the bases now have too many of, if anything."""
        most = {"files": MAX_FILES, "characters": MAX_TEXT, "values": MAX_VALUES}
        for i, more in enumerate((files, characters, values)):
            self.met[i] += more
        over = (what for what, met in zip(most, self.met, strict=True) if met > most[what])
        return next((f"more than {most[what]:,} {what} are extended" for what in over), "")


def load(name: str, text: str, within: Within = ANYWHERE) -> tuple[dict[str, Any], Source]:
    """Return the box in TEXT, from the file NAME, merged over what it extends.

    Raises Rejected when a text is no map, cannot be read, is not WITHIN, or extends itself.
    """
    files = _Files(_beside, partial(read_file, within=within), [0, 0, 0])
    if ":" in name and within is ANYWHERE:
        from krunc_compiler.files import git as revision  # it starts git, which few boxes need

        # What a box at a revision extends is taken from there too.
        if revision.is_one(name):
            files = _Files(revision.beside, revision.read, [0, 0, 0])
    return _load(Source(name, text, {}), (posixpath.normpath(name),), files)


def load_by(name: str, text: str, read: Callable[[str], str]) -> tuple[dict[str, Any], Source]:
    """Do the same where READ tells the text of a base by its path, or raises Rejected."""
    files = _Files(_beside, read, [0, 0, 0])
    return _load(Source(name, text, {}), (posixpath.normpath(name),), files)


def _load(source: Source, above: tuple[str, ...], files: _Files) -> tuple[dict[str, Any], Source]:
    is_base = len(above) > 1
    try:
        value, parsed = parse_on(source.name, source.text)
    except Rejected as rejected:
        if is_base and not looks_like_box(source.text):
            span = placed(rejected.findings[0])[1]
            where = f" in line {span.line + 1}, column {span.column + 1}" if span else ""
            raise _NoBox(f"the file is wrong{where}, and not a box") from None
        raise
    if is_base and not is_like_box(value):
        raise _NoBox("the file is not a box")
    source = source._replace(text=parsed.text, places=parsed.places, faults=parsed.faults)
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "one value"
        finding = Finding(
            "KR004",
            f"the file holds {kind}; a box is a mapping",
            hint="start the box with `krunc: 1`; `krunc schema box` shows its keys",
        )
        raise reject(source, [finding])
    # They are a place for anchors, which are followed by now.
    value = {key: item for key, item in value.items() if not key.startswith(IGNORED)}
    if is_base and (too_many := files.too_many(values=len(source.places))):
        raise reject(source, [Finding("KR023", too_many, hint=_FEWER)])
    if "extends" not in value or not fits(value["extends"], "extends"):
        return value, source
    named = value.pop("extends")
    bases = [named] if isinstance(named, str) else named
    merged: _Side | None = None
    for i, base in enumerate(bases):
        at: Path = ("extends",) if isinstance(named, str) else ("extends", i)
        below = _base(source, base, at, above, files)
        source = source._replace(faults=(*source.faults, *below.faults))
        merged = below if merged is None else _merged(merged, below)
    if merged is None:
        return value, source
    own = {
        path: place._replace(source=place.source or source) for path, place in source.places.items()
    }
    whole = _merged(merged, _Side(value, own, ()))
    for path, place in own.items():
        if path[:1] == ("extends",):
            whole.places[path] = place
    return whole.value, source._replace(places=whole.places, extends=True)


def _beside(name: str, base: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), base))


def _base(source: Source, base: str, at: Path, above: tuple[str, ...], files: _Files) -> _Side:
    name = files.name_of(source.name, base)
    problem = hint = ""
    too_many = files.too_many(files=1)
    if name in above:
        problem = f"{base} extends this box again: {' -> '.join((*above, name))}"
        hint = "remove one of them: a box cannot extend itself, nor one that extends it"
    elif too_many:
        problem, hint = too_many, _FEWER
    elif "{{" in base:
        problem = "extends takes no expressions"
        hint = "write the file's name"
    if problem:
        raise reject(source, [Finding("KR023", problem, at, hint=hint)])
    try:
        text = files.read(name)
    except Rejected as rejected:
        (found,) = rejected.findings
        message = f"{name}: {found.finding.message}"
        if found.finding.code == "KR011":
            finding = Finding("KR011", message, at, hint=found.finding.hint)
        else:
            hint = "check the name, which starts at the directory of the box that says extends"
            finding = Finding("KR023", message, at, hint=hint)
        raise reject(source, [finding]) from None
    if too_many := files.too_many(characters=len(text)):
        raise reject(source, [Finding("KR023", too_many, at, hint=_FEWER)])
    directory = posixpath.join(source.directory, posixpath.dirname(base))
    try:
        value, loaded = _load(Source(name, text, {}, directory), (*above, name), files)
    except _NoBox as none:
        message = f"{name}: {none}; nothing of it is shown"
        hint = "write `krunc: 1` as its first line, or leave keys of a box alone in it"
        raise reject(source, [Finding("KR023", message, at, hint=hint)]) from None
    places = {
        path: place._replace(source=place.source or loaded)
        for path, place in loaded.places.items()
        if path[:1] != ("extends",)
    }
    return _Side(value, places, (), loaded.faults)


def _merged(base: _Side, over: _Side) -> _Side:
    places: dict[Path, Place] = {}
    return _Side(_combine(base, over, (), places), places, ())


def _combine(base: _Side, over: _Side, at: Path, places: dict[Path, Place]) -> Any:
    """Return BASE changed by OVER, which will stand at AT."""
    if isinstance(base.value, list) and isinstance(over.value, list):
        identity = _identity(base.value, over.value)
        if identity is not None:
            places[at] = over.places[over.path]
            return _lists(base, over, identity, at, places)
    if at[:1] == ("vars",) and len(at) == 2 and _is_new_default(base.value, over.value):
        result = _copied(base, at, places)
        default = (*at, "default")
        places[default] = over.places[over.path]
        return {**result, "default": over.value}
    both = isinstance(base.value, dict) and isinstance(over.value, dict)
    if not both or _other_form(base.value, over.value):
        return _copied(over, at, places)
    places[at] = over.places[over.path]
    result = {}
    gone = {
        key
        for keys in _INSTEAD
        if any(key in over.value for key in keys)
        for key in keys
        if key in base.value and key not in over.value
    }
    for key in [*base.value, *(key for key in over.value if key not in base.value)]:
        where = (*at, key)
        if key in gone:
            continue
        if key not in over.value:
            result[key] = _copied(base.child(key), where, places)
        elif key not in base.value:
            result[key] = _copied(over.child(key), where, places)
        elif over.value[key] is not None:
            result[key] = _combine(base.child(key), over.child(key), where, places)
    return result


def _is_new_default(base: Any, over: Any) -> bool:
    """Tell whether OVER is a plain value over the typed variable BASE."""
    return isinstance(base, dict) and isinstance(over, str | int | float)


def _other_form(base: dict[str, Any], over: dict[str, Any]) -> bool:
    """Tell whether OVER is another kind of thing than BASE: of another mode or type, or another
    kind of root."""
    if any(key in base and key in over and base[key] != over[key] for key in ("mode", "type")):
        return True
    return any(one in base and other in over for one in _ROOTS for other in _ROOTS if one != other)


def _identity(base: list[Any], over: list[Any]) -> str | None:
    items = [*base, *over]
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    return next(
        (key for key in _IDENTITIES if all(isinstance(item.get(key), str | int) for item in items)),
        None,
    )


def _lists(
    base: _Side, over: _Side, identity: str, at: Path, places: dict[Path, Place]
) -> list[Any]:
    """Items of one identity merge in BASE's order; then OVER's other items.

    A second item of the same identity stays an item: that is a mistake that a rule reports.
    """
    changes: dict[Any, int] = {}
    for i, item in enumerate(over.value):
        changes.setdefault(item[identity], i)
    used: set[int] = set()
    result: list[Any] = []
    for i, item in enumerate(base.value):
        change = changes.get(item[identity])
        where = (*at, len(result))
        if change is None or change in used:
            result.append(_copied(base.child(i), where, places))
        else:
            used.add(change)
            result.append(_combine(base.child(i), over.child(change), where, places))
    for i in range(len(over.value)):
        if i not in used:
            result.append(_copied(over.child(i), (*at, len(result)), places))
    return result


def _copied(side: _Side, at: Path, places: dict[Path, Place]) -> Any:
    if side.path in side.places:
        places[at] = side.places[side.path]
    if isinstance(side.value, dict):
        return {key: _copied(side.child(key), (*at, key), places) for key in side.value}
    if isinstance(side.value, list):
        return [_copied(side.child(i), (*at, i), places) for i in range(len(side.value))]
    return side.value
