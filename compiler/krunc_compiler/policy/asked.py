"""What a question to a JSON Schema takes, counted: in steps, of which a hostile schema gets no more
than others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.findings.finding import Path

# Far above what any policy asks of a plan; they bound time for hostile ones: to a second or so.
MOST_STEPS = 4_000_000
MOST_REFS = 40
MOST_SCHEMAS = 4_000
# In steps of a pattern: what a keyword takes, and a schema within one, each thing that one of them
# goes through, and a finding that somebody has to read.
KEYWORD = 20
ENTRY = 5
FINDING = 1_000
REFS = ("$ref", "$dynamicRef")


class Unusable(ValueError):
    """The schema cannot be followed: why, where in it, and what to do."""

    def __init__(self, message: str, path: Path = (), way_out: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.way_out = way_out


class Asked:
    """One question to a schema: what it took, and how many $ref it is in."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self.steps = self.refs = 0
        self._sizes: dict[int, int] = {}

    def size(self, value: Any) -> int:
        """Tell how much there is to look through in VALUE, of the schema or the plan."""
        if isinstance(value, str):
            return 1 + len(value) // 8
        if not isinstance(value, dict | list):
            return 1
        if id(value) not in self._sizes:
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            self._sizes[id(value)] = 1 + sum(map(self.size, inner))
        return self._sizes[id(value)]

    def cost(self, keyword: str, rule: Any, value: Any) -> int:
        """Tell what it takes to go through RULE and VALUE for KEYWORD."""
        cost = ENTRY * sum(len(one) for one in (rule, value) if isinstance(one, dict | list))
        if keyword in ("const", "enum"):
            cost += self.size(rule)
        elif keyword == "uniqueItems":
            cost += ENTRY * self.size(value)
        elif isinstance(rule, str) and keyword in REFS and rule[:2] != "#/":
            cost += KEYWORD * self.size(self.schema)  # it is looked for everywhere
        elif isinstance(rule, list):  # a schema that is false is told at once, with the value
            cost += rule.count(False) * (KEYWORD + self.size(value))
        return cost

    def spend(self, at: Any, keyword: str, steps: int) -> None:
        """Count STEPS for KEYWORD of the schema AT, or for AT itself."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            message = "the schema asks too much of a plan: some millions of questions"
            way_out = "ask less often; a $ref or pattern that leads to many others is one too many"
            raise Unusable(message, self.path(at, keyword), way_out)

    def path(self, at: Any, keyword: str) -> Path:
        """Tell where KEYWORD of the schema AT stands."""
        return (*next(_places(self.schema, at, ()), ()), *([keyword] if keyword else ()))


def _places(schema: Any, wanted: Any, path: Path) -> Iterator[Path]:
    if not isinstance(schema, dict | list):
        return
    if schema is wanted or (
        isinstance(schema, dict) and "$schema" in schema and bare_schema(schema) == wanted
    ):
        yield path
    elif isinstance(schema, dict):
        for key, item in schema.items():
            yield from _places(item, wanted, (*path, key))
    else:
        for i, item in enumerate(schema):
            yield from _places(item, wanted, (*path, i))


def bare_schema(schema: Any) -> Any:
    return {key: item for key, item in schema.items() if key != "$schema"}
