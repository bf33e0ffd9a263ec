"""A plan's file to a plan that may be believed, and the directories that its paths start from."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import FUNCTIONS, OPENING
from krunc_launcher.errors import NOWHERE, LaunchError, PlanRefused
from krunc_launcher.paths import Directories, absolute
from krunc_launcher.plan.sequence import opening
from krunc_launcher.plan.verify import verify
from krunc_launcher.text.reading import directory, parse, read, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.options import Options


class Accepted:
    """A verified plan, with its text and file for what is found later. `of_root` is what is wrong
    with the guest's root, where that was looked at ahead of all else; None where it was not."""

    __slots__ = ("directories", "of_root", "path", "plan", "text")

    def __init__(
        self, plan: dict[str, Any], directories: Directories, text: str, path: str
    ) -> None:
        self.plan = plan
        self.directories = directories
        self.text = text
        self.path = path
        self.of_root: list[str] | None = None


def accept(path: str, options: Options, data: bytes | None = None) -> Accepted:
    """Read the plan in the file PATH, or of which DATA was read from there, and check it as far as
    it can be alone, also against the digests that were approved. Raises PlanRefused and
    LaunchError."""
    text = read(path) if data is None else text_of(data)
    try:
        value = parse(text, may_be_deep=True)
        try:
            plan = verify(value)
        except PlanRefused:
            parse(text)  # tells of what is nested too deep, instead of all that comes of it
            raise
    except PlanRefused as refused:
        refused.text = text
        raise
    if options.digests is not None:
        from krunc_launcher.approval.fleet import require_listed

        require_listed(plan, path, options.require_digest or "", options.digests)
    elif options.require_digest is not None:
        from krunc_launcher.approval.digest import require

        require(plan, options.require_digest)
    return placed(plan, text, path, options)


def placed(plan: dict[str, Any], text: str, path: str, options: Options) -> Accepted:
    """Return the verified PLAN in TEXT, from the file PATH, with its directories. Raises
    LaunchError."""
    base = options.base or directory(path)
    runtime = options.runtime_dir or runtime_directory(plan["box"])
    try:
        store = system.abspath(options.store or _store())
        secrets = system.abspath(options.secrets) if options.secrets is not None else ""
        directories = Directories(system.abspath(base), system.abspath(runtime), (), store, secrets)
    except FileNotFoundError:
        raise LaunchError(NOWHERE) from None
    for shared, how in _directories(plan["operations"]):
        directories.shared.append(absolute(shared, directories))
        if how != "read":
            directories.written.append(directories.shared[-1])
    return Accepted(plan, directories, text, path)


def _directories(operations: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the directories that a guest gets, and how."""
    for row in operations:
        for param in FUNCTIONS[row["call"]]["params"] if row.get("call") in OPENING else ():
            if param.get("target") == "directory":
                yield row["args"][param["name"]], opening(param, row["args"])


def runtime_directory(box: str) -> str:
    """Return the runtime directory of BOX when none is named."""
    user = system.variable("XDG_RUNTIME_DIR") or f"/run/user/{system.geteuid()}"
    if system.isdir(user):
        return f"{user}/krunc/{box}"
    return f"/tmp/krunc-{system.geteuid()}/{box}"


def _store() -> str:
    """Return the directory of images when none is named: where krunc pull keeps them."""
    named = system.variable("KRUNC_STORE")
    if named:
        return named
    data = system.variable("XDG_DATA_HOME") or ""
    if not data.startswith("/"):  # a relative one is to be ignored: XDG base directories, 0.8
        data = f"{system.variable('HOME') or _home()}/.local/share"
    return f"{data}/krunc/store"


def _home() -> str:
    from pwd import getpwuid  # a service without HOME

    try:
        return getpwuid(system.geteuid()).pw_dir
    except KeyError:
        return "/"
