"""The two real libkruns that package indexes carry."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

import guests
import pytest

# BoxLite's build of 1.16.0 with libkrunfw; npm only unpacks it, nothing in it is run to install it.
_NPM = "@boxlite-ai/boxlite-linux-x64-gnu@0.2.11"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krunc-tests"


@pytest.fixture(scope="session")
def boxlite() -> Path:
    """The runtime directory of BoxLite 0.2.11: libkrun.so.1.16.0, libkrunfw.so.5, boxlite-shim."""
    if guests.kind().machine != "x86_64":
        pytest.skip("no package index has a libkrun of family 1 for it")
    return fetched()


def fetched() -> Path:
    """The same, out of a cache that is filled once."""
    directory = _CACHE / "boxlite-0.2.11"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(_CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            subprocess.run(["npm", "pack", "--silent", _NPM], cwd=_CACHE, check=True)
            (archive,) = _CACHE.glob("boxlite*0.2.11.tgz")
            with tarfile.open(archive) as tar:
                tar.extractall(_CACHE / "part", filter="data")
            archive.unlink()
            (_CACHE / "part" / "package").rename(directory)
    return directory / "runtime"


@pytest.fixture(scope="session")
def libkrun_1(boxlite: Path) -> Path:
    """libkrun 1.16.0, family 1."""
    return boxlite / "libkrun.so.1.16.0"


@pytest.fixture(scope="session")
def libkrun_2() -> Path:
    """libkrun 2.0-dev, family 2, of the extra krunc[libkrun]."""
    if not guests.kind().is_own:
        return guests.libkrun_2()
    found = find_spec("smol")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "libkrun.so"


@pytest.fixture(params=["1.16.0", "2.0-dev"])
def libkrun(request: pytest.FixtureRequest) -> tuple[Path, str]:
    """Each real library in turn, with the target to compile for."""
    name = "libkrun_1" if request.param == "1.16.0" else "libkrun_2"
    return request.getfixturevalue(name), "1" if request.param == "1.16.0" else "2"
