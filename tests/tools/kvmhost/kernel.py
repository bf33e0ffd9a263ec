"""The kernel of the emulated machine: Debian's cloud kernel, fetched with apt, never installed."""

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kvmhost.architecture import Architecture
from kvmhost.errors import HostError
from kvmhost.lock import locked

_SIGNATURE_END = b"~Module signature appended~\n"  # include/linux/module_signature.h


def cache() -> Path:
    """The directory for what is costly to make anew; everything in it may be deleted."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "krunc-kvmhost")


def cached(kind: Architecture) -> Path | None:
    """The unpacked kernel package that is in the cache, if one is."""
    return max(cache().glob(f"linux-image-*-{kind.debian}"), default=None)


def current_package(kind: Architecture) -> str | None:
    """The name of today's kernel package; None when apt or its package lists are not there."""
    if not shutil.which("apt-cache"):
        return None
    depends = subprocess.run(
        ["apt-cache", "depends", kind.kernel], capture_output=True, text=True, check=False
    )
    found = re.search(r"Depends: (linux-image-\S+)", depends.stdout)
    return found[1] if found else None


def fetch(kind: Architecture) -> Path:
    """The unpacked kernel package, downloaded (27 MB) when the cache has none."""
    with locked(cache()):
        return cached(kind) or _download(kind)


def _download(kind: Architecture) -> Path:
    package = current_package(kind)
    if not package:
        raise HostError(f"apt knows no {kind.kernel}: run apt-get update")
    with tempfile.TemporaryDirectory(dir=cache(), prefix="unpack-") as name:
        scratch = Path(name)
        run(["apt-get", "download", "--quiet", package], directory=scratch)
        (deb,) = scratch.glob("*.deb")
        run(["dpkg-deb", "--extract", deb.name, "tree"], directory=scratch)
        return (scratch / "tree").rename(cache() / package)


def run(
    argv: list[str],
    directory: Path | None = None,
    env: Mapping[str, str] | None = None,
    fails: bool = False,
) -> str:
    """Run a program that must succeed, unless it may fail; what it printed."""
    done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, check=False)
    if done.returncode and not fails:
        raise HostError(f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def image(tree: Path) -> Path:
    """The bootable kernel in an unpacked package."""
    (found,) = (tree / "boot").glob("vmlinuz-*")
    return found


def modules(tree: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The modules of these names and those that they need, in the order to load them.

    Debian 13's kernel has some built in. The package has no modules.dep (depmod makes it at installation), so dependencies are read from
    the modules themselves. Signatures are cut off: checking them costs 0.3 s of each boot.
    """
    files = {
        _plain(path.name.partition(".")[0]): path
        for path in sorted(tree.glob("**/kernel/**/*.ko*"))
    }
    built_in = {
        _plain(Path(line).stem)
        for path in tree.glob("**/modules.builtin")
        for line in path.read_text().splitlines()
    }
    loading: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in loading or name in built_in:
            return
        if name not in files:
            raise HostError(f"{tree} has no kernel module {name}")
        data = _read(files[name])
        depends = re.search(rb"\0depends=([^\0]*)", data)
        for needed in depends[1].decode().split(",") if depends and depends[1] else ():
            add(_plain(needed))
        loading[name] = data

    for name in names:
        add(name)
    return loading


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":  # Debian 13 and later
        data = lzma.decompress(data)
    if data.endswith(_SIGNATURE_END):
        # struct module_signature: 12 bytes, the last 4 of them the signature's length.
        end = len(data) - len(_SIGNATURE_END)
        data = data[: end - 12 - int.from_bytes(data[end - 4 : end], "big")]
    return data
