"""Texts in the files of engines, as the engines read them: by systemd's own code, and by HCL's rules."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import strategies as st
from krunc_compiler.emit.engine import Engine
from krunc_compiler.emit.needs import Needs

# systemd's src/basic/extract-word.h of version 252
CUNESCAPE, UNQUOTE = 1 << 1, 1 << 5
_LIBRARIES = sorted(Path("/usr/lib").glob("*/systemd/libsystemd-shared-*.so"))
needs_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd is not installed"
)
needs_systemd = pytest.mark.skipif(not _LIBRARIES, reason="systemd is not installed")

# What means something to any of the formats, and room for any character.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("\"'\\%${}() \t\n\r\x85\u2028;#=[]*?&|`!<>@-:,~"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0/"),
    ),
    min_size=1,
    max_size=25,
)


def analyzed(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of the units in DIRECTORY."""
    return subprocess.run(
        ["systemd-analyze", "--man=no", *words],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"},
        capture_output=True,
        text=True,
    )


def written_units(chosen: Engine, parts: list[tuple[Needs, str]], directory: Path) -> list[str]:
    """The names of the units of PARTS, which are written into DIRECTORY."""
    for piece in chosen.whole(parts):
        path = directory / piece.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(piece.text)
    return [f"krunc@{needs.name}.service" for needs, _ in parts]


def misunderstood(directory: Path, units: list[str]) -> list[str]:
    """The lines of UNITS, which are in DIRECTORY, that systemd does not understand: it names each,
    and then leaves it out. krunc need not be on this host."""
    said = analyzed(directory, "verify", *units).stderr
    return [
        line
        for line in said.splitlines()
        if "krunc" in line and "is not executable" not in line and "Command" not in line
    ]


def words(line: str, flags: int) -> list[str]:
    """The words of LINE as systemd's own code splits it."""
    extract = ctypes.CDLL(str(_LIBRARIES[-1])).extract_first_word
    rest = ctypes.c_char_p(line.encode())
    found: list[str] = []
    while True:
        word = ctypes.c_char_p()
        left = extract(ctypes.byref(rest), ctypes.byref(word), None, flags)
        assert left >= 0, (line, left)
        if not left:
            return found
        found.append((word.value or b"").decode())


def expanded(text: str) -> str:
    """TEXT after systemd's specifiers, which must have none left in it."""
    assert not re.search("%", text.replace("%%", "")), text
    return text.replace("%%", "%")


def unescaped(literal: str) -> str:
    """What a quoted literal of HCL, which the parser leaves as it stands, means
    (hclsyntax's specification, template literals)."""
    signs = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}

    def one(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        return chr(int(code, 16)) if code else signs[found[3]]

    return re.sub(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", one, literal[1:-1])
