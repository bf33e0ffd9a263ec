"""krunc doctor: what this host has and lacks to run VMs, and plans, as a checklist."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._rules import ENUMS, ERAS
from krunc_launcher.errors import LaunchError, PlanRefused, plain
from krunc_launcher.options import DOCTOR, Options, UsageError, listing, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.host.libkrun import Library

HELP = f"""\
usage: krunc doctor [option...] [PLAN...]

Check whether this host can run VMs: the hypervisor, libkrun and its kernel, confinement, memory,
limits, the runtime directory; and for each PLAN everything that krunc launch would check.
Nothing is started but, for a moment, a VM of two instructions.

arguments:
  PLAN               a plan to check; without one only the host is looked at

options:
{listing(DOCTOR)}
examples:
  krunc doctor
  krunc doctor boxes/web.plan.json
  krunc doctor --json | jq '.checks[] | select(.state == "failed")'

exit codes: 0 success, 1 a check failed, 2 usage error
"""
OK, WARNING, FAILED = "ok", "warning", "failed"
_WORDS = {OK: "ok", WARNING: "warning", FAILED: "FAILED"}
# virtiofs keeps a descriptor of each file that the guest knows.
_FEW_FILES = 65536


class Check:
    """One line of the checklist; `fix` is what to do."""

    __slots__ = ("fix", "name", "state", "text")

    def __init__(self, name: str, state: str, text: str, fix: str = "") -> None:
        self.name = name
        self.state = state
        self.text = text
        self.fix = fix


def main(argv: list[str]) -> tuple[str, int]:
    """Run with ARGV; returns what is printed, and the exit status."""
    try:
        plans, given = parse(argv, DOCTOR)
    except UsageError as error:
        sys.stderr.write(f"krunc doctor: {error}; see krunc doctor --help\n")
        return "", 2
    if "--help" in given:
        return HELP, 0
    library = given["--libkrun"][-1] if "--libkrun" in given else None
    checks = [*_host(), *_libraries(library), *(_plan(plan, library) for plan in plans)]
    status = 1 if any(check.state == FAILED for check in checks) else 0
    return _json(checks) if "--json" in given else _text(checks), status


def _host() -> Iterator[Check]:
    from krunc_launcher.host.kvm import full, runs_a_test

    problems = full(0)
    well = "runs a guest" if runs_a_test() else "answers as KVM; no guest was tried"
    yield Check(
        "hypervisor",
        FAILED if problems else OK,
        "; ".join(problems) or f"/dev/kvm is there, may be opened, and {well}",
        "the VM's host, its firmware or its groups decide this; see krunc's launch.md"
        if problems
        else "",
    )
    memory = system.sysconf("SC_PAGE_SIZE") * system.sysconf("SC_PHYS_PAGES") >> 20
    yield Check("machine", OK, f"{_cpus()}, {memory} MiB of memory")
    yield _files()
    yield _confinement()
    yield _runtime()
    yield _passt()


def _cpus() -> str:
    count = system.cpu_count()
    return f"{count} CPU{'' if count == 1 else 's'}"


def _files() -> Check:
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

    _, hard = getrlimit(RLIMIT_NOFILE)
    if hard != RLIM_INFINITY and hard < _FEW_FILES:
        return Check(
            "open files",
            WARNING,
            f"the hard limit is {hard}; each file that a guest knows takes one",
            f"raise it: ulimit -Hn {_FEW_FILES}, or LimitNOFILE= of the systemd unit",
        )
    return Check("open files", OK, f"the hard limit is {hard}")


def _confinement() -> Check:
    from krunc_launcher.host.landlock import abi, held, missing

    why = missing([])
    if why:
        fix = "boot a kernel of Linux 5.19 or newer with landlock among its lsm="
        return Check("confinement", WARNING, why, fix)
    text = f"Landlock ABI {abi()}: {held(abi())}; seccomp: system calls, sockets"
    return Check("confinement", OK, text)


def _passt() -> Check:
    from krunc_launcher.host.passt import PROGRAM, unfit_program
    from krunc_launcher.paths import Directories

    found = list(unfit_program(PROGRAM, Directories("/", "/")))
    if found:
        return Check("passt", WARNING, found[0], "only boxes with network: {mode: passt} need it")
    return Check("passt", OK, f"{PROGRAM} is there, for boxes with network: {{mode: passt}}")


def _runtime() -> Check:
    from krunc_launcher.accept import runtime_directory
    from krunc_launcher.host.runtime import runtime_directory as problems
    from krunc_launcher.paths import Directories

    directory = runtime_directory("BOX")
    found = list(problems(Directories("/", directory)))
    state, fix = (FAILED, "name another with --runtime-dir") if found else (OK, "")
    return Check("runtime directory", state, "; ".join(found) or directory, fix)


def _libraries(chosen: str | None) -> Iterator[Check]:
    from krunc_launcher.host.libkrun import load, locate

    if chosen:
        try:
            yield _library(load(chosen))
        except LaunchError as error:
            yield Check("libkrun", FAILED, *_split(error.lines))
        return
    failures = []
    for era in ERAS:
        try:
            yield _library(locate(None, era))
        except LaunchError as error:
            failures.append(error)
    if len(failures) == len(ERAS):
        yield Check("libkrun", FAILED, *_split(failures[-1].lines))


def _split(lines: tuple[str, ...]) -> tuple[str, str]:
    return lines[0], "; ".join(lines[1:])


def _library(library: Library) -> Check:
    from krunc_launcher.host.libkrun import no_firmware

    what = ERAS[library.era]["name"]
    ask = library.function("krun_has_feature")
    if ask is None:
        features = "it does not report its features"
    else:
        has = [name for name, (_, number) in ENUMS["feature"].items() if ask(number) == 1]
        features = f"features: {', '.join(has) or 'none'}"
    lacking = no_firmware(library)
    if lacking:
        return Check("libkrun", WARNING, f"{plain(library.path)} is {what}", lacking[0])
    return Check("libkrun", OK, f"{plain(library.path)} is {what}; {features}")


def _plan(path: str, library: str | None) -> Check:
    from krunc_launcher.accept import accept
    from krunc_launcher.launch import look, prepare

    found: list[str] = []
    try:
        options = Options({"--libkrun": [library]} if library else {})
        _, locks = prepare(look(accept(path, options), system.variable), options.libkrun)
    except PlanRefused as refused:
        found = [*refused.also, *(sentence for _, sentence in refused.findings)]
    except LaunchError as error:
        found = list(error.lines)
    else:
        for handle in locks:
            system.close(handle)
    state = FAILED if found else OK
    return Check(f"plan {plain(path)}", state, "; ".join(found) or "it can be launched")


def _text(checks: list[Check]) -> str:
    width = max(len(_WORDS[check.state]) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{_WORDS[check.state]:{width}}  {check.name}: {check.text}\n")
        if check.fix:
            lines.append(f"{'':{width}}    {check.fix}\n")
    return "".join(lines)


def _json(checks: list[Check]) -> str:
    rows = ",\n".join(
        f'  {{"name": {_quote(check.name)}, "state": "{check.state}", '
        f'"text": {_quote(check.text)}, "fix": {_quote(check.fix)}}}'
        for check in checks
    )
    good = "false" if any(check.state == FAILED for check in checks) else "true"
    return f'{{"krunc_doctor": 1, "ok": {good}, "checks": [\n{rows}\n]}}\n'


def _quote(text: str) -> str:
    from _json import encode_basestring_ascii

    return str(encode_basestring_ascii(text))
