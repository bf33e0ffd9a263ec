"""krunc launch BOX.yaml: compiled here, launched by a fresh process that holds none of this."""

from __future__ import annotations

import os
import sys

from krunc_compiler.files.boxfiles import is_box_name
from krunc_compiler.findings.finding import UsageError
from krunc_compiler.values.kind import kind_of_file
from krunc_compiler.verbs.launching import compile_box_text
from krunc_launcher import __main__ as launcher
from krunc_launcher.errors import LaunchError
from krunc_launcher.host.libkrun import locate

_TARGETS = {"v1": "1", "v2_flat": "2"}
# As the console script starts it. With -m, or -c alone, the working directory would come first
# on sys.path, and a stranger's krunc_launcher.py in it would run.
_LAUNCHER = (
    "import sys; sys.path = [folder for folder in sys.path if folder]; "
    "from krunc_launcher.start import main; sys.exit(main())"
)


def launch(argv: list[str]) -> int:
    """Compile the box of ARGV for --target, or for the libkrun that will be used, and become the
    launcher of the plan. Returns an exit status only when that fails."""
    given: dict[str, list[str]] = {"--target": [], "--set": [], "--vars": [], "--box": []}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in given:
            given[name].append(value if equals else next(words, ""))
        else:
            rest.append(word)
    try:
        paths, options = launcher.options(rest)
        boxes = [path for path in paths if _is_box(path)]
        if not boxes:
            return launcher.main(rest)
        if len(paths) > 1:
            raise UsageError("several VMs are started from plans: krunc compile makes them")
        (box,) = boxes
        target = given["--target"][-1] if given["--target"] else _found(options)
        chosen = given["--box"][-1] if given["--box"] else None
        text = compile_box_text(box, target, given["--set"], given["--vars"], chosen)
    except (launcher.UsageError, UsageError) as error:
        sys.stderr.write(f"krunc launch: {error}; see krunc launch --help\n")
        return 2
    if text is None:
        return 1 if "--dry-run" in options else launcher.NOT_STARTED
    plan = os.memfd_create(f"plan of {os.path.basename(box)}"[:80], 0)
    os.write(plan, text.encode("utf-8"))
    os.lseek(plan, 0, os.SEEK_SET)
    base = options.pop("--base", os.path.dirname(box) or ".")
    flags = [word if value == "yes" else f"{word}={value}" for word, value in options.items()]
    passed = [*flags, f"--base={base}", f"/dev/fd/{plan}"]
    os.execv(sys.executable, [sys.executable, "-c", _LAUNCHER, *passed])
    return None


def _is_box(path: str) -> bool:
    """Whether PATH is compiled: its name is a box's, and its text is not a plan's."""
    if not is_box_name(path):
        return False
    # What is no file, such as a pipe, can be read once.
    return not os.path.isfile(path) or kind_of_file(path).kind != "plan"


def _found(options: dict[str, str]) -> str:
    """The family of the libkrun that the launcher will use; 1 when there is none."""
    if "--dry-run" in options and "--libkrun" not in options:
        return "1"
    try:
        return _TARGETS[locate(options.get("--libkrun"), None).era]
    except LaunchError:
        return "1"
