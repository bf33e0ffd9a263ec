"""Finds libkrun, loads it, and tells which API it has."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi
from krunc_launcher._rules import ENUMS, ERAS, FUNCTIONS, MARKERS, MEANT, PLAN
from krunc_launcher.errors import LaunchError, asked_by, plain
from krunc_launcher.paths import Directories
from krunc_launcher.text.reading import is_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

VARIABLE = "KRUNC_LIBKRUN"
# Where the PyPI package smolmachines keeps its libkrun; it is not imported.
_FIRMWARES = ("libkrunfw.so.5", "libkrunfw.so.4")
_PACKAGED = system.join("smol", "libkrun.so")


class Library:
    """A loaded libkrun; `firmware` keeps libkrunfw loaded as long as it lives."""

    __slots__ = ("era", "firmware", "lib", "path")

    def __init__(self, lib: Any, path: str, era: str, firmware: list[Any]) -> None:
        self.lib = lib
        self.path = path
        self.era = era
        self.firmware = firmware

    def function(self, name: str) -> Any:
        """Return the function NAME, or None when the library lacks it."""
        return _symbol(self.lib, name)


def locate(chosen: str | None, era: str | None, plan: str = "") -> Library:
    """Return the libkrun that was CHOSEN, or that KRUNC_LIBKRUN names, or the first that is
    installed.

    With ERA only libraries of that API are looked for, for the file PLAN. Raises LaunchError.
    """
    chosen = chosen or system.variable(VARIABLE)
    if chosen:
        return load(chosen)
    tried = []
    broken: list[str] = []
    for name in [era] if era else list(ERAS):
        candidates = list(ERAS[name]["sonames"])
        if ERAS[name]["family"] == 2:
            candidates += [system.join(directory, _PACKAGED) for directory in packaged()]
        for candidate in candidates:
            tried.append(candidate)
            if "/" in candidate:
                return load(candidate)
            try:
                return _known(_opened(candidate), candidate, [])
            except OSError as error:
                if f"{candidate}: cannot open shared object file" not in str(error):
                    broken.append(_broken(candidate, error))
    wanted = ERAS[era]["name"] if era else "libkrun"
    raise LaunchError(
        f"no {wanted} was found; tried {', '.join(tried)}",
        *broken,
        *(_another(plan) if era else ()),
        "install one with your system's packages (1.x: Fedora, Arch, Nix, Homebrew), or 2.0-dev "
        f"with pip install 'krunc[libkrun]', or name one: --libkrun FILE or {VARIABLE}",
    )


def _another(plan: str) -> Iterator[str]:
    """Tell which libkrun is here instead of the one that was looked for, and how PLAN is made for
    it."""
    try:
        there = locate(None, None)
    except LaunchError:
        return
    row = ERAS[there.era]
    yield (
        f"{plain(there.path)} is {row['name']}: for that one run {_compiling(plan, row['family'])}"
    )


def _compiling(plan: str, family: int) -> str:
    """Return the command by which the box of the file PLAN is compiled for a libkrun of FAMILY."""
    stem = plan.removesuffix(PLAN["ending"])
    found = [box for box in (f"{stem}.yaml", f"{stem}.yml") if stem != plan and system.isfile(box)]
    if is_stream(plan):
        return f"krunc launch BOX --target {family}"
    return f"krunc compile {plain(found[0]) if found else 'BOX'} --target {family}"


def packaged() -> list[str]:
    """Return the directories of Python's packages that have a libkrun of pip's."""
    # Not an empty entry, which is the working directory: it may hold a stranger's files.
    found = [directory for directory in sys.path if directory]
    return [directory for directory in found if system.exists(system.join(directory, _PACKAGED))]


def load(path: str) -> Library:
    """Load one library and detect its API by the symbols that mark it; raises LaunchError."""
    if "/" not in path and not path.startswith("libkrun.so."):
        path = system.join(".", path)  # a file's name, not one for the loader to look up
    if "/" in path and not system.isfile(path):
        raise LaunchError(f"{plain(path)}: there is no such file; --libkrun names a libkrun.so")
    firmware = _firmware(path) if "/" in path else []
    try:
        lib = _opened(path)
    except OSError as error:
        raise LaunchError(_broken(path, error), *_loading(str(error))) from None
    return _known(lib, path, firmware)


def _opened(path: str) -> Any:
    """Have the loader load a library; raises OSError."""
    # RTLD_LAZY: builds with GPU support leave virglrenderer's symbols unresolved.
    try:
        return ffi.dlopen(path, ffi.RTLD_LAZY)
    except UnicodeEncodeError:  # cffi takes no bytes
        raise OSError("the loader is given paths in UTF-8 alone; rename what is not") from None


def _broken(path: str, error: OSError) -> str:
    return f"{plain(path)} cannot be loaded: {plain(str(error))}"


def _known(lib: Any, path: str, firmware: list[Any]) -> Library:
    """Return what was loaded from PATH, of which FIRMWARE lies beside it; raises LaunchError where
    it is no libkrun that plans are made for."""
    for marker in MARKERS:
        if _symbol(lib, marker["symbol"]) is not None:
            if marker["era"] is None:
                raise LaunchError(
                    f"{plain(path)} is {marker['name']}, for which krunc makes no plans",
                    "use libkrun 1.x, or the 2.0-dev of pip install 'krunc[libkrun]'",
                )
            return Library(lib, path, marker["era"], firmware)
    raise LaunchError(f"{plain(path)} is not a libkrun: it does not have any of its functions")


def _loading(why: str) -> Iterator[str]:
    """Tell what to do about a library that cannot be loaded."""
    if "failed to map segment" in why:
        yield "is its file system mounted noexec? put it where programs may be run"
    if system.variable("LD_BIND_NOW") is not None:
        yield "unset LD_BIND_NOW, which can make libkrun fail"


def _symbol(lib: Any, name: str) -> Any:
    try:
        return getattr(lib, name)
    except (AttributeError, ffi.error):
        return None


def _firmware(path: str) -> list[Any]:
    """Load libkrunfw, which libkrun opens by its bare soname: it finds one that is loaded."""
    try:
        directory = system.dirname(Directories("/", "/").real(system.abspath(path), True))
        listed = system.listdir(directory)
    except OSError:
        return []  # a directory that may be searched, not read: the loader has to find it
    start = "libkrunfw.so."
    names = sorted(n for n in listed if n.startswith(start) and n[len(start) :].isdigit())
    loaded = []
    for name in names:
        try:
            loaded.append(_opened(system.join(directory, name)))
        except OSError as error:
            raise LaunchError(
                f"{name} beside {plain(path)} cannot be loaded: {plain(str(error))}"
            ) from None
    return loaded


def no_firmware(library: Library) -> list[str]:
    """Tell why libkrun will not find libkrunfw, the guest's kernel; it tells when the VM is
    entered."""
    if library.firmware:
        return []
    for name in _FIRMWARES:
        try:
            library.firmware.append(ffi.dlopen(name, ffi.RTLD_LAZY))
        except OSError:
            continue
        return []
    if "/" in library.path and not _wants_firmware(library.path):
        return []
    return [
        f"no libkrunfw, the guest's kernel, is beside {plain(library.path)} or known to the "
        "loader; install it, put libkrunfw.so.5 beside libkrun, or boot a kernel of your own: "
        "boot.kernel"
    ]


def _wants_firmware(path: str) -> bool:
    with open(path, "rb") as file:
        return b"libkrunfw" in file.read()


def fits(library: Library, plan: dict[str, Any], path: str = "") -> list[str]:
    """Tell what the library lacks for PLAN, from the file PATH, each a sentence with the way
    out."""
    if library.era != plan["api"]:
        family = ERAS[library.era]["family"]
        return [
            f"the plan is for {ERAS[plan['api']]['name']}, "
            f"but {plain(library.path)} is {ERAS[library.era]['name']}",
            f"run {_compiling(path, family)}, or name another library with --libkrun",
        ]
    lacking = []
    if library.function("krun_free_ctx") is None:
        lacking.append(f"{plain(library.path)} has no krun_free_ctx")
    ask = library.function("krun_has_feature")
    wanted, kernel, nested = 1, False, False
    for row in plan["operations"]:
        kernel = kernel or row.get("implicit") == "kernel"
        name = row.get("call")
        if name is None:
            continue
        if library.function(name) is None:
            since = FUNCTIONS[name]["since"]
            came = f"which came with libkrun {since}{asked_by(row['from'])}"
            lacking.append(f"{plain(library.path)} has no {name}, {came}")
        # Whether libkrun ignores the call without a word when it was built without its feature.
        if ask is None and "silent" in FUNCTIONS[name]:
            lacking.append(_untold(library, row))
        if name in MEANT["vcpus"]:
            wanted = row["args"][MEANT["vcpus"][name]]
        nested = nested or name in MEANT["nested"]
    if kernel:
        lacking += no_firmware(library)
    if ask is not None:
        for name in plan["requires"]["features"]:
            if ask(ENUMS["feature"][name][1]) == 0:
                lacking.append(f"{plain(library.path)} was built without {name}")
    limit = library.function("krun_get_max_vcpus")
    most = limit() if limit is not None and wanted > 1 else 0
    if 0 < most < wanted:
        lacking.append(f"the box wants {wanted} vCPUs; this host gives a VM {most} at most")
    check = library.function("krun_check_nested_virt") if nested else None
    if check is not None and check() == 0:
        lacking.append(f"{plain(library.path)} finds no nested virtualization on this host")
    return lacking


def _untold(library: Library, row: dict[str, Any]) -> str:
    feature = FUNCTIONS[row["call"]]["feature"]
    return (
        f"{plain(library.path)} does not report whether it was built with {feature}, and would "
        f"ignore {row['call']} if not{asked_by(row['from'])}; use libkrun 1.17.3 or newer"
    )
