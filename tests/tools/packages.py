"""npm packages that tests run or read: installed once into the cache, without their scripts."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krunc-tests"


def _installed(package: str) -> Path:
    """The directory node_modules with PACKAGE (NAME@VERSION) and what it needs."""
    directory = _CACHE / package.replace("/", "-")
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(_CACHE / "npm-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            part = directory.with_name("part-" + directory.name)
            part.mkdir(exist_ok=True)
            options = [
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--silent",
                "--prefix",
                str(part),
            ]
            subprocess.run(["npm", "install", *options, package], check=True)
            part.rename(directory)
    return directory / "node_modules"


@pytest.fixture(scope="session")
def sarif_schema() -> Path:
    """The JSON Schema of SARIF 2.1.0, as Microsoft's test matcher carries it."""
    package = _installed("@microsoft/jest-sarif@1.0.0-beta.0") / "@microsoft" / "jest-sarif"
    return package / "lib" / "schemas" / "sarif-2.1.0-rtm.5.json"


@pytest.fixture(scope="session")
def language_server() -> Path:
    """The YAML language server of VS Code and Neovim; node runs it."""
    package = _installed("yaml-language-server@1.25.0") / "yaml-language-server"
    return package / "bin" / "yaml-language-server"
