"""krunc_compiler.tuples.NamedTuple does what that of typing does, and the compiler uses no other."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

import pytest
from krunc_compiler import tuples
from places import ROOT


class Empty(tuples.NamedTuple):
    """No fields."""


class Point(tuples.NamedTuple):
    """A point."""

    x: int
    y: int = 2
    name: str = "p"

    @property
    def total(self) -> int:
        return self.x + self.y

    def __str__(self) -> str:
        return f"<{self.x}>"


class TypingEmpty(typing.NamedTuple):
    """No fields."""


class TypingPoint(typing.NamedTuple):
    """A point."""

    x: int
    y: int = 2
    name: str = "p"

    @property
    def total(self) -> int:
        return self.x + self.y

    def __str__(self) -> str:
        return f"<{self.x}>"


def _wide(kind: Any) -> Any:
    space = {"__annotations__": {f"f{n}": int for n in range(40)}, "__module__": __name__}
    return types.new_class("Wide", (kind,), {}, lambda made: made.update(space))


def _matched(kind: Any) -> object:
    match kind(5, 6, "q"):
        case kind(x, y, name=name):
            return x, y, name
    return None


def _assigned(kind: Any) -> object:
    kind(1).x = 3
    return None


def _added(kind: Any) -> object:
    kind(1).other = 3
    return None


DONE: dict[str, Callable[[Any], object]] = {
    "by position": lambda kind: tuple(kind(1, 3, "n")),
    "by name": lambda kind: tuple(kind(name="n", x=1)),
    "defaults": lambda kind: tuple(kind(1)),
    "one too few": lambda kind: kind(),
    "one too many": lambda kind: kind(1, 2, "n", 4),
    "an unknown name": lambda kind: kind(1, z=2),
    "a name twice": lambda kind: kind(1, x=2),
    "fields": lambda kind: (kind(1).x, kind(1).y, kind(1).name),
    "a property": lambda kind: kind(1).total,
    "text": lambda kind: str(kind(1)),
    "for people": lambda kind: repr(kind(1, name="n")).removeprefix("Typing"),
    "unpacked": lambda kind: [*kind(1)],
    "equal to a tuple": lambda kind: kind(1) == (1, 2, "p"),
    "hash": lambda kind: hash(kind(1)) == hash((1, 2, "p")),
    "in order": lambda kind: kind(1) < kind(2),
    "is a tuple": lambda kind: (isinstance(kind(1), tuple), kind.__mro__[-2:], type(kind)),
    "replaced": lambda kind: tuple(kind(1)._replace(y=7, name="m")),
    "the kind of what is replaced": lambda kind: type(kind(1)._replace(y=7)) is kind,
    "an unknown name replaced": lambda kind: kind(1)._replace(y=7, z=8),
    "as a dictionary": lambda kind: [*kind(1)._asdict().items()],
    "made": lambda kind: tuple(kind._make([4, 5, "s"])),
    "made of too few": lambda kind: kind._make([]),
    "names": lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__),
    "annotations": lambda kind: typing.get_type_hints(kind),
    "signature": lambda kind: [*inspect.signature(kind).parameters],
    "matched": _matched,
    "a field is not assigned": _assigned,
    "nothing is added": _added,
    "nothing of its own": lambda kind: (hasattr(kind(1), "__dict__"), sys.getsizeof(kind(1))),
    "pickled": lambda kind: (pickle.loads(pickle.dumps(kind(1))), type(copy.copy(kind(1))) is kind),
    "the kind of what is pickled": lambda kind: type(pickle.loads(pickle.dumps(kind(1)))) is kind,
    "described": lambda kind: (kind.__doc__, kind.__module__, kind.__qualname__[-5:]),
}  # fmt: skip


def _outcome(act: Callable[[Any], object], kind: Any) -> object:
    try:
        return act(kind)
    except (AttributeError, TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("act", DONE.values(), ids=DONE)
def test_is_as_in_typing(act: Callable[[Any], object]) -> None:
    assert _outcome(act, Point) == _outcome(act, TypingPoint)


@pytest.mark.parametrize(
    ("kind", "other"), [(Empty, TypingEmpty), (_wide(tuples.NamedTuple), _wide(typing.NamedTuple))]
)
def test_of_any_number_of_fields(kind: Any, other: Any) -> None:
    values = range(len(other._fields))
    assert kind._fields == other._fields
    assert kind(*values) == other(*values) == tuple(values)
    assert kind(**kind(*values)._asdict()) == other(*values)
    assert repr(kind(*values)) == repr(other(*values)).removeprefix("Typing")
    for wrong in (range(len(values) + 1), values[1:] if values else [1]):
        with pytest.raises(TypeError):
            kind(*wrong)


def test_a_wrong_call_is_told_by_its_names() -> None:
    with pytest.raises(
        TypeError, match=r"Point\.__new__\(\) missing 1 required positional argument: 'x'"
    ):
        Point()  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="unexpected field names: \\['z'\\]"):
        Point(1)._replace(z=8)  # type: ignore[call-arg]


def test_the_compiler_uses_no_other() -> None:
    taken = re.compile(
        r"^from typing import [^\n]*\bNamedTuple\b|\btyping\.NamedTuple\b", re.MULTILINE
    )
    for path in (ROOT / "compiler").rglob("*.py"):
        assert path.name == "tuples.py" or not taken.search(path.read_text("utf-8")), path
