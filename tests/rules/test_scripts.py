"""Scripts: the line that names their interpreter, and lines that YAML joins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from boxes_of import said
from krunc_compiler.__main__ import main

OTHERS = [
    ("#!/usr/bin/env python3", "executable: /usr/bin/python3, args: [-c, TEXT]"),
    ("#!/usr/bin/env -S python3 -u", "executable: /usr/bin/python3, args: [-c, TEXT]"),
    ("#!/usr/bin/python3", "executable: /usr/bin/python3, args: [-c, TEXT]"),
    ("#! /usr/local/bin/python3 -u", "executable: /usr/local/bin/python3, args: [-c, TEXT]"),
    ("#!/bin/bash", "executable: /bin/bash, args: [-c, TEXT]"),
    ("#!/usr/bin/env node", "executable: /usr/bin/node, args: [-e, TEXT]"),
    ("#!/usr/bin/perl -w", "executable: /usr/bin/perl, args: [-e, TEXT]"),
    ("#!/bin/sh -e", "set -e"),
    ("#!/bin/sh -e -u", "set -e -u"),
    ("#!/usr/bin/env -S A=1 sh -e", "set -e"),
    ("#!/bin/busybox sh -x", "set -x"),
]


@pytest.mark.parametrize(("line", "way"), OTHERS)
def test_a_script_of_another_interpreter(line: str, way: str) -> None:
    text = json.dumps(f"{line}\necho\n")
    ((code, path, message, hint),) = said(entrypoint=f"{{script: {text}}}")
    assert (code, path) == ("KR851", "entrypoint.script")
    assert line in message
    assert way in hint
    ((code, path, _, _),) = said(entrypoint=f"{{executable: /bin/a, before: {text}}}")
    assert (code, path) == ("KR851", "entrypoint.before")


@pytest.mark.parametrize(
    "line",
    [
        "#!/bin/sh",
        "#! /bin/sh ",
        "#!/usr/bin/env sh",
        "#!/bin/dash",
        "#!/bin/busybox sh",
        "#!",
        "#",
    ],
)
def test_a_script_of_the_shell(line: str) -> None:
    text = json.dumps(f"{line}\necho\n")
    assert said(entrypoint=f"{{script: {text}, before: {text}}}") == []


# A string in YAML, and two lines that it joins; none where all are kept or one goes on.
STRINGS: list[tuple[str, tuple[str, str] | None]] = [
    (">\n    set -eu\n    cd /src\n    make", ("set -eu", "cd /src")),
    (">-\n    set -eu\n    cd /src", ("set -eu", "cd /src")),
    (">+\n    set -eu\n    cd /src\n\n", ("set -eu", "cd /src")),
    (">2\n    set -eu\n    cd /src", ("set -eu", "cd /src")),
    ("> # a comment\n    set -eu\n    cd /src", ("set -eu", "cd /src")),
    ("&a >\n    set -eu\n    cd /src", ("set -eu", "cd /src")),
    ("!!str >\n    set -eu\n    cd /src", None),
    (">\n    a\n\n    b\n    c", ("b", "c")),
    (">\n    make \\\n    all", ("make \\", "all")),
    (">\n    make # all\n    && a", ("make # all", "&& a")),
    ("set -eu\n    cd /src", ("set -eu", "cd /src")),
    ("\n    set -eu\n    cd /src", ("set -eu", "cd /src")),
    ('"set -eu\n    cd /src"', ("set -eu", "cd /src")),
    ("'set -eu\n    cd /src'", ("set -eu", "cd /src")),
    ("|\n    set -eu\n    cd /src", None),
    ("|-\n    set -eu\n    cd /src", None),
    ("&a |\n    set -eu\n    cd /src", None),
    ("make", None),
    (">\n    make", None),
    (">-\n    make\n\n", None),
    (">\n    make\n  # not of the script\n", None),
    (">\n    set -eu\n\n    cd /src", None),
    (">\n    case a in\n      a) b;;\n      c) d;;\n    esac", None),
    (">\n    make\n    --jobs 2\n    && make install\n    | tee log", None),
    (">\n    a &&\n    b;\n    c |\n    d", None),
    ('"set -eu\\n\n    cd /src"', None),
    ('"set -eu\\\n    cd /src"', None),
    ('"set -eu\n\n    cd /src"', None),
]


@pytest.mark.parametrize(("text", "joined"), STRINGS)
@pytest.mark.parametrize("key", ["script", "before"])
def test_lines_that_become_one(text: str, joined: tuple[str, str] | None, key: str) -> None:
    program = "" if key == "script" else "\n  executable: /bin/a"
    found = [one for one in said(entrypoint=f"{program}\n  {key}: {text}") if one[0] != "KR007"]
    if joined is None:
        assert found == []
        return
    ((code, path, message, hint),) = found
    assert (code, path) == ("KR852", f"entrypoint.{key}")
    assert message == f"YAML makes one line of {joined[0]!r} and {joined[1]!r}"
    assert f"{key}: |" in hint


def test_in_a_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place is that of the file that has the script."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(
        "krunc: 1\nname: base\nnetwork: {mode: none}\nrootfs: {path: ./r}\n"
        "entrypoint:\n  script: >\n    cd /src\n    make\n"
    )
    Path("box.yaml").write_text("name: box\nkrunc: 1\nextends: base.yaml\n")
    assert main(["compile", "box.yaml", "--target", "2"]) == 0
    assert "base.yaml:6:3: warning[KR852]" in capsys.readouterr().err
