"""krunc launch BOX.yaml: compiled here, launched by a fresh process that holds none of this."""

from __future__ import annotations

import os
import sys

import _cffi_backend as ffi
import krunc_launcher
from krunc_compiler.files.boxfiles import is_box_name
from krunc_compiler.findings.finding import UsageError
from krunc_compiler.findings.report import printable
from krunc_compiler.values.kind import kind_of_file
from krunc_compiler.verbs.launching import compile_box_texts
from krunc_launcher.errors import NOT_STARTED, NOWHERE, LaunchError, leads_nowhere
from krunc_launcher.host.libkrun import locate, packaged
from krunc_launcher.options import LAUNCH, OF_A_BOX, Options, checked, parse
from krunc_launcher.options import UsageError as WrongOptions

_TARGETS = {"v1": "1", "v2_flat": "2"}
# As krunc-launch starts, without site. With -c alone, the working directory would come first on
# sys.path, and a stranger's krunc_launcher.py in it would run: so -I.
_LAUNCHER = (
    "import gc; gc.disable(); import sys; sys.path += {}; "
    "from krunc_launcher.start import run; run()"
)


def launch(argv: list[str]) -> int:
    """Compile the box of ARGV for --target, or for the libkrun that will be used, and become the
    launcher of the plan. Returns an exit status only when that fails."""
    try:
        paths, given = parse(argv, (*LAUNCH, *OF_A_BOX))
        of_box = {option.name: given.pop(option.name, []) for option in OF_A_BOX}
        options = checked(paths, given)
    except WrongOptions as error:
        return _misused(error)
    try:
        boxes = [path for path in paths if _is_box(path)]
        if options.help or options.version or not boxes:
            from krunc_launcher.start import main as launcher

            return launcher([*_words(given), "--", *paths])
        if len(paths) > 1:
            raise UsageError("several VMs are started from plans: krunc compile makes them")
        (box,) = boxes
        if leads_nowhere(box):
            sys.stderr.write(f"krunc launch: {NOWHERE}\n")
            return NOT_STARTED
        target = of_box["--target"][-1] if of_box["--target"] else None
        chosen = of_box["--box"][-1] if of_box["--box"] else None
        variables = of_box["--set"], of_box["--vars"]
        plans = compile_box_texts(box, target, lambda: _found(options), *variables, chosen)
        if plans is not None and len(plans) > 1:
            _several(box, plans, options)
    except UsageError as error:
        return _misused(error)
    if plans is None:
        return 1 if options.dry_run else NOT_STARTED
    plan = os.memfd_create(f"plan of {os.path.basename(box)}"[:80], 0)
    text = "".join(plans.values())
    if options.log_dir is not None:
        text = "".join(f"{name}\0{plan}\0" for name, plan in plans.items())
    with open(plan, "wb", closefd=False) as file:
        file.write(text.encode("utf-8"))
    os.lseek(plan, 0, os.SEEK_SET)
    given.setdefault("--base", [os.path.dirname(box) or "."])
    passed = [*_words(given), f"/dev/fd/{plan}"]
    start = _LAUNCHER.format(_directories())
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", start, *passed])
    return None


def _misused(error: Exception) -> int:
    sys.stderr.write(f"krunc launch: {printable(str(error))}; see krunc launch --help\n")
    return 2


def _several(box: str, plans: dict[str, str], options: Options) -> None:
    """Check that the PLANS of one file can be launched together. Raises UsageError."""
    few = ", ".join([*plans][:8])
    one = f"choose one with --box: {few}"
    if options.dry_run:
        raise UsageError(f"{box} makes {len(plans)} boxes; --dry-run takes one: {one}")
    if options.log_dir is None:
        more = f"name --log-dir DIR, for what each VM prints, or {one}"
        raise UsageError(f"{box} makes {len(plans)} boxes; {more}")


def _directories() -> list[str]:
    """Return the directories that the launcher is in, its one library, and libkrun where pip put
    it."""
    packages = [os.path.dirname(package.__file__ or "") for package in (krunc_launcher, ffi)]
    packages[0] = os.path.dirname(packages[0])
    return [*dict.fromkeys([*packages, *packaged()])]


def _is_box(path: str) -> bool:
    """Tell whether PATH is compiled: its name is a box's, and its text is not a plan's."""
    if not is_box_name(path):
        return False
    # What is no file, such as a pipe, can be read once.
    return not os.path.isfile(path) or kind_of_file(path).kind != "plan"


def _words(given: dict[str, list[str]]) -> list[str]:
    """Return the options that were GIVEN as words of a command line."""
    return [word for name, values in given.items() for word in _word(name, values)]


def _word(name: str, values: list[str]) -> list[str]:
    return [f"{name}={value}" for value in values] or [name]


def _found(options: Options) -> str:
    """Return the family of the libkrun that the launcher will use; 1 when there is none."""
    if options.dry_run and options.libkrun is None:
        return "1"
    try:
        return _TARGETS[locate(options.libkrun, None).era]
    except LaunchError:
        return "1"
