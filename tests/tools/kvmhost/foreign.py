"""The root of an emulated machine of another architecture: Debian's packages and Python's wheels,
downloaded and unpacked, never installed; made once and kept.

apt runs with lists and a status of its own, so this machine's dpkg learns of no other architecture,
and no program of the other one runs here. What is the system (_SYSTEM) is the root's own inside;
every other directory of this machine is seen there by its name.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from kvmhost import kernel
from kvmhost.architecture import Architecture
from kvmhost.errors import HostError
from kvmhost.lock import locked

# Kept by init.sh, too: not this machine's in the other one.
_SYSTEM = "bin boot dev etc lib lib64 proc run sbin sys usr var"

# What krunc's launcher and its tests run or need.
_PACKAGES = (
    *("base-files", "bash", "bubblewrap", "busybox-static", "ca-certificates", "coreutils", "curl"),
    *("dash", "diffutils", "e2fsprogs", "erofs-utils", "findutils", "gcc", "grep", "gzip"),
    *(
        "iproute2",
        "libc6-dev",
        "libseccomp2",
        "linux-libc-dev",
        "mount",
        "passt",
        "procps",
        "python3",
        "qemu-utils",
    ),
    *("sed", "tar", "util-linux"),
)
# pyproject.toml's dependencies, and of its extras what the launcher's tests import.
_WHEELS = (
    *("backports.zstd>=1.0", "cffi>=1.17", "jinja2>=3.1", "jsonschema>=4.21", "pyyaml>=6.0.1"),
    *("smolmachines>=1.32", "hypothesis>=6.100", "pytest>=8", "pytest-xdist>=3.6"),
)
# The GNU C libraries that wheels may be for: Debian 12 has 2.36.
_GLIBC = (36, 35, 34, 31, 28, 17)

_APT = """\
APT::Architecture "{debian}"; APT::Architectures {{"{debian}";}};
Dir::Etc::sourcelist "{at}/sources.list"; Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-"; Dir::Etc::preferencesparts "-";
Dir::State::lists "{at}/lists"; Dir::State::status "{at}/status"; Dir::Cache "{at}/cache";
APT::Sandbox::User "root"; Acquire::Languages "none"; APT::Install-Recommends "0";
"""
_USERS = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
_GROUPS = "root:x:0:\nkvm:x:106:\nnogroup:x:65534:\n"


def root(kind: Architecture) -> Path:
    """The directory of its root, made (400 MB, of 120 MB downloaded) when the cache has none."""
    return _home(kind) / "root"


def tree(kind: Architecture) -> Path:
    """The directory of its kernel's unpacked package."""
    return _home(kind) / "tree"


def sees(path: Path) -> bool:
    """Whether the other machine sees this path of this one."""
    return path.resolve().parts[1:2] not in [(name,) for name in _SYSTEM.split()]


def _home(kind: Architecture) -> Path:
    made_of = repr((_PACKAGES, _WHEELS, _GLIBC, _APT, _USERS, _GROUPS))
    name = f"{kind.name}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    with locked(kernel.cache()):
        home = kernel.cache() / name
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=kernel.cache(), prefix="unpack-") as scratch:
                _make(kind, Path(scratch))
                (Path(scratch) / "made").rename(home)
    return home


def _make(kind: Architecture, scratch: Path) -> None:
    made = scratch / "made"
    for name in ("root", "tree"):
        (made / name).mkdir(parents=True)
    made.chmod(0o755)
    base, boot = _packages(kind, scratch)
    for deb in boot:
        kernel.run(["dpkg-deb", "--extract", str(deb), str(made / "tree")])
    for deb in base:
        kernel.run(["dpkg-deb", "--extract", str(deb), str(made / "root")])
    _finish(made / "root")
    _wheels(kind, made / "root", scratch)
    # What this Python compiles, one of the same version reads; another one compiles it itself.
    kernel.run([sys.executable, "-m", "compileall", "-q", str(made / "root/usr/lib")], fails=True)


def _packages(kind: Architecture, scratch: Path) -> tuple[list[Path], list[Path]]:
    """Download the packages of the root and of the kernel with all that they depend on."""
    at = scratch / "apt"
    for directory in ("lists/partial", "cache/archives/partial"):
        (at / directory).mkdir(parents=True)
    (at / "status").touch()
    (at / "sources.list").write_text(_sources())
    (at / "apt.conf").write_text(_APT.format(at=at, debian=kind.debian))
    env = {**os.environ, "APT_CONFIG": str(at / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    kernel.run(["apt-get", "update", "-qq"], env=env)
    shown = kernel.run(["apt-cache", "show", kind.kernel], env=env)
    # The newest: Debian's backports have a Landlock that holds back more.
    lines = [line for line in shown.splitlines() if line.startswith("Depends: linux-image-")]
    if not lines:
        raise HostError(f"apt knows no {kind.kernel}")
    wanted = max((line.split()[1].strip(",") for line in lines), key=_version)
    (scratch / "boot").mkdir()
    kernel.run(["apt-get", "download", "-qq", wanted], directory=scratch / "boot", env=env)
    options = ["-y", "-qq", "--download-only", "--no-install-recommends"]
    kernel.run(["apt-get", "install", *options, *_PACKAGES], env=env)
    debs = sorted((at / "cache/archives").glob("*.deb"))
    return debs, list((scratch / "boot").glob("*.deb"))


def _version(package: str) -> list[int]:
    digits = "".join(c if c.isdigit() else " " for c in package.partition("-cloud-")[0])
    return [int(number) for number in digits.split()]


def _sources() -> str:
    """This machine's own source of Debian, with the release's backports."""
    deb822 = Path("/etc/apt/sources.list.d/debian.sources")
    if deb822.exists():
        fields = [line.partition(":") for line in deb822.read_text().splitlines()]
        uri, suite = (
            next(value.split()[0] for name, _, value in fields if name == wanted)
            for wanted in ("URIs", "Suites")
        )
    else:
        lines = [line.split() for line in Path("/etc/apt/sources.list").read_text().splitlines()]
        words = next(words for words in lines if words[:1] == ["deb"])
        uri, suite = [word for word in words[1:] if not word.startswith(("[", "signed"))][:2]
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    return "".join(f"deb {key} {uri} {name} main\n" for name in (suite, f"{suite}-backports"))


def _finish(at: Path) -> None:
    """Do what the packages do when they are installed, as far as it is needed here."""
    for name, to in (("bin/sh", "dash"), ("usr/bin/cc", "gcc")):
        (at / name).unlink(missing_ok=True)
        (at / name).symlink_to(to)
    (at / "etc/passwd").write_text(_USERS)
    (at / "etc/group").write_text(_GROUPS)
    for directory in ("dev", "proc", "sys", "run", "usr/local/bin"):
        (at / directory).mkdir(parents=True, exist_ok=True)


def _wheels(kind: Architecture, at: Path, scratch: Path) -> None:
    """Unpack wheels for the root's Python; pip runs here, and unpacks them."""
    version = os.readlink(at / "usr/bin/python3").removeprefix("python")
    target = at / f"usr/local/lib/python{version}/dist-packages"
    platforms = [f"--platform=manylinux_2_{minor}_{kind.machine}" for minor in _GLIBC]
    platforms.append(f"--platform=manylinux2014_{kind.machine}")
    chosen = ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    options = ["-q", "--disable-pip-version-check", f"--target={target}"]
    if not shutil.which(sys.executable):
        raise HostError("no Python whose pip could download wheels")
    kernel.run(
        [sys.executable, "-m", "pip", "install", *options, *chosen, *platforms, *_WHEELS],
        directory=scratch,
    )
