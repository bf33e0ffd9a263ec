"""skopeo, which knows registries, their credentials and archives of images.

It is started with a list of arguments, never by a shell. A name of an image begins with its
transport, so none can be taken for an option. Credentials are skopeo's own: nothing of them passes
through here, and what skopeo says is cut of what could be one.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from shutil import which
from typing import NamedTuple

from krunc_compiler.image.manifest import MAX_MANIFEST, refused
from krunc_compiler.image.unusable import Unusable

_INSTALL = (
    "install it: apt install skopeo (Debian, Ubuntu), dnf install skopeo (Fedora), "
    "pacman -S skopeo (Arch), zypper install skopeo (openSUSE), "
    "nix profile install nixpkgs#skopeo (Nix), brew install skopeo (Homebrew)"
)
# Seconds without a byte after which a registry is given up; a large archive of this host takes its
# time until there is one.
PATIENCE, LOCAL_PATIENCE = 60.0, 3_600.0
_STEP = 0.1
_MOST_WORDS = 1 << 16
_LONGEST = 600
_MOST_LOOKED_AT = 2_000
_ERROR = re.compile(r'level=\w+ msg=("(?:[^"\\]|\\.)*"?|\S+)')
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


# Tells how many bytes a running skopeo has written; raises Unusable when they are too many.
Measure = Callable[[], int]


class Source(NamedTuple):
    """What skopeo takes for an image: its NAME, whose relative paths start in HOME."""

    name: str
    home: str


class Scratch(NamedTuple):
    """A directory for what skopeo unpacks, and what tells how much there is."""

    directory: str
    measure: Measure


def manifest(source: Source, scratch: Scratch | None) -> bytes:
    """Return the manifest or index of the image SOURCE, as it lies there: one byte more than is
    allowed, where it is longer. Raises Unusable."""
    return _run(source, ["inspect", "--raw", source.name], scratch, MAX_MANIFEST + 1)


def copy(source: Source, platform: str, directory: str, scratch: Scratch) -> None:
    """Copy the image SOURCE for PLATFORM into DIRECTORY, where each blob is a file with the name of
    its digest; manifest and blobs keep their bytes. Raises Unusable."""
    words = ["copy", "--quiet", source.name, f"dir:{directory}"]
    _run(source, [*_chosen(platform), *words], scratch, 0)


def _run(source: Source, words: list[str], scratch: Scratch | None, most: int) -> bytes:
    program = which("skopeo")
    if program is None:
        raise Unusable("KR711", "skopeo, which fetches images, is not installed", _INSTALL)
    patience = PATIENCE if source.name.startswith("docker://") else LOCAL_PATIENCE
    options = ["--tmpdir", scratch.directory] if scratch is not None else []
    process = subprocess.Popen(
        [os.path.abspath(program), *options, *words],
        cwd=source.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_ended_with(os.getpid()),
    )
    try:
        said, words_of_it = _heard(process, most, scratch, patience)
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
    if status:
        raise _failure(source.name, words_of_it, status)
    return said


def _chosen(platform: str) -> list[str]:
    system, architecture = platform.split("/")
    return [f"--override-os={system}", f"--override-arch={architecture}"]


def _ended_with(parent: int) -> Callable[[], None]:
    """Return what makes a new process end with the process PARENT, however that ends."""
    from ctypes import CDLL

    prctl = CDLL(None).prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind


def _heard(
    process: subprocess.Popen[bytes], most: int, scratch: Scratch | None, patience: float
) -> tuple[bytes, bytes]:
    """Return the first MOST bytes of what PROCESS writes, and the last of its words.

    Raises Unusable when nothing happens for longer than PATIENCE."""
    said, words = bytearray(), bytearray()
    there, last = -1, time.monotonic()
    with selectors.DefaultSelector() as selector:
        assert process.stdout is not None
        assert process.stderr is not None
        selector.register(process.stdout, selectors.EVENT_READ, said)
        selector.register(process.stderr, selectors.EVENT_READ, words)
        while selector.get_map():
            for key, _ in selector.select(_STEP):
                data = os.read(key.fd, 1 << 16)
                last = time.monotonic()
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data is said:
                    said += data[: most - len(said)]
                else:
                    words += data
                    del words[:-_MOST_WORDS]
            if scratch is not None and (now := scratch.measure()) != there:
                there, last = now, time.monotonic()
            if time.monotonic() - last > patience:
                raise Unusable(
                    "KR710",
                    f"nothing came for {patience:.0f} seconds",
                    "the registry does not answer; look at the network, and try again",
                )
    return bytes(said), bytes(words)


def bounded(scratch: str, most: int) -> int:
    """Return the bytes in the directory SCRATCH. Raises Unusable when they are more than MOST."""
    unpacked = size_below(scratch)
    if unpacked > most:
        raise refused(f"the archive unpacks to more than {most:,} bytes")
    return unpacked


def size_below(directory: str) -> int:
    """Return the bytes of the files below DIRECTORY, some of which may be gone meanwhile."""
    size = 0
    for home, _, names in os.walk(directory):
        for name in names:
            try:
                size += os.lstat(os.path.join(home, name)).st_size
            except FileNotFoundError:
                continue
    return size


# In the order in which they are looked for.
_ADVICE = (
    ("no space left", "make room in the store, or set KRUNC_STORE to another file system"),
    ("http response to https", "the registry has no TLS; registries.conf can allow it: insecure"),
    ("x509|certificate", "skopeo does not trust its certificate; see containers-certs.d(5)"),
    ("unauthorized|authentication|denied|forbidden|credential", "{login}"),
    ("toomanyrequests|too many requests|rate limit", "wait, or log in: {login}"),
    ("manifest unknown|not found|no such file|more than one image", "look at the reference"),
    ("rejected by policy|signature", "containers-policy.json(5) decides which images are accepted"),
    ("no such host|connection refused|unreachable|timeout|network", "look at the network"),
    ("invalid reference", "write it as in docker://registry/name:tag"),
)


def _failure(name: str, words: bytes, status: int) -> Unusable:
    said = told(words.decode("utf-8", "replace"))
    if not said:
        ended = f"signal {-status}" if status < 0 else f"exit code {status}"
        said = f"it ended with {ended}, and said nothing"
    hints = (hint for found, hint in _ADVICE if re.search(found, said, re.IGNORECASE))
    hint = next(hints, "").format(login=f"skopeo login {_host(name)}")
    return Unusable("KR710", f"skopeo: {said}", hint)


def _host(name: str) -> str:
    """Return the registry of NAME, by the rule of Docker's references: the first part is a host
    when it has a dot or a port, or is localhost."""
    first, slash, _ = name.removeprefix("docker://").partition("/")
    is_host = slash and (re.search("[.:]", first) or first == "localhost")
    return first if is_host and re.fullmatch(r"[\w.:\[\]-]+", first) else "docker.io"


def told(text: str) -> str:
    """Return the last error of skopeo's output TEXT, on one line, without what can be a
    credential."""
    # What a registry says can be long, and some patterns try each place in it: the start of the
    # error counts.
    at = max(text.rfind(f"level={level} msg=") for level in ("fatal", "error"))
    found = _ERROR.match(text[at : at + _MOST_LOOKED_AT]) if at >= 0 else None
    lines = [line for line in text.splitlines() if line.strip()]
    said = found[1] if found else lines[-1][:_MOST_LOOKED_AT] if lines else ""
    if said.startswith('"'):
        said = re.sub(
            r"\\(.)", lambda one: " " if one[1] in "nrt" else one[1], said[1:].removesuffix('"')
        )
    said = re.sub(r"(\w+://)[^/\s\"@]*@", r"\1...@", said)
    said = re.sub(r"\?[\w.%~-]+=[^\s\"']*", "?...", said)
    said = re.sub(r"(?i)\b(bearer|basic)\s+[\w.+/=~-]{8,}", r"\1 ...", said)
    said = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
