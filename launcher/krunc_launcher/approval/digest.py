"""The digest of what a plan means, and whether it is one that was approved.

docs/review.md has the algorithm; the compiler's krunc digest prints the same.
"""

from __future__ import annotations

from _json import encode_basestring_ascii

from krunc_launcher._rules import KINDS
from krunc_launcher.errors import LaunchError, plain, quoted, why
from krunc_launcher.plan.text import fits
from krunc_launcher.text.reading import start

try:
    # Python 3.12 and newer
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

own_sha256 = sha256
_START = "sha256:"
_MOST_BYTES = 1 << 20


def digest(plan: dict[str, Any]) -> str:
    """Return sha256: and 64 hexadecimal digits for the JSON value of a verified plan."""
    return _START + str(sha256(_written(_meaning(plan)).encode("ascii")).hexdigest())


def require(plan: dict[str, Any], approved: str) -> None:
    """Raise LaunchError unless the plan's digest is APPROVED, or stands in the file of that name:
    one digest a line, what follows it is a name; # starts a comment."""
    found = digest(plan)
    known = [approved] if approved.startswith(_START) else _listed(approved)
    for one in known:
        if not fits(one, KINDS["digest"]):
            what = f"{quoted(one[:80])} is not a digest; krunc digest PLAN prints one"
            raise LaunchError(f"--require-digest: {what}")
    if found not in known:
        raise LaunchError(
            f"the plan's digest is {found}, which is not approved: it is not the plan that was "
            "reviewed",
            "review it (krunc show, krunc diff) and approve this digest, or launch the plan that "
            "was approved",
        )


def _listed(path: str) -> list[str]:
    try:
        data = start(path, _MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise OSError(f"it has more than {_MOST_BYTES} bytes")
    except OSError as error:
        raise LaunchError(f"--require-digest: {plain(path)} cannot be read: {why(error)}") from None
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    # What an editor may show as the end of a line, or not at all, is in no line: a reviewer would
    # see another list than this one.
    if not text.replace("\n", " ").replace("\t", " ").isprintable():
        for number, line in enumerate(text.split("\n"), 1):
            for column, one in enumerate(line.replace("\t", " "), 1):
                if not one.isprintable():
                    raise LaunchError(
                        f"--require-digest: {plain(path)}:{number}:{column}: {plain(one)} cannot "
                        "be in a list of digests, whose lines end with a newline alone; remove it"
                    )
    lines = (line.split("#")[0].split() for line in text.split("\n"))
    return [words[0] for words in lines if words]


def _meaning(plan: dict[str, Any]) -> dict[str, Any]:
    requires = _without(plan["requires"], "because")
    operations = [_without(row, "from") for row in plan["operations"]]
    return {**_without(plan, "box_digest"), "requires": requires, "operations": operations}


def _without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name}


def _written(value: Any) -> str:
    """Return VALUE as JSON in ASCII without blanks, the keys sorted."""
    if isinstance(value, dict):
        pairs = (f"{encode_basestring_ascii(key)}:{_written(value[key])}" for key in sorted(value))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return str(encode_basestring_ascii(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
