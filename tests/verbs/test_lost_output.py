"""A result that cannot be written is an error, whichever command prints it and however it is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from boxlite_specs import BASE
from krunc_compiler.__main__ import OF_OTHERS
from krunc_compiler.usage import VERBS
from reviews import BOX

KRUNC = [sys.executable, "-m", "krunc"]
# What prints a result, with the status that it has when that is read, and when it is lost.
RESULTS = {
    "compile -o - web.yaml": (0, 1),
    "compile - -o -": (0, 1),
    "compile --format json web.yaml": (0, 1),
    "compile --format sarif web.yaml": (0, 1),
    "show web.plan.json": (0, 1),
    "show web.yaml --format markdown": (0, 1),
    "show web.yaml --format html": (0, 1),
    "show web.yaml --format json": (0, 1),
    "show --effective web.yaml": (0, 1),
    "diff web.plan.json other.plan.json": (1, 2),
    "diff web.plan.json other.plan.json --format markdown": (1, 2),
    "diff web.plan.json other.plan.json --format html": (1, 2),
    "diff web.plan.json web.plan.json --format json": (0, 2),
    "check": (1, 1),
    "check web.yaml": (0, 1),
    "check --format json web.yaml": (0, 1),
    "check --format junit web.yaml": (0, 1),
    "digest web.plan.json": (0, 1),
    "explain": (0, 1),
    "explain KR201": (0, 1),
    "schema box": (0, 1),
    "init --kind hello -": (0, 1),
    "import boxlite spec.json -o -": (0, 1),
    "import docker-run -- docker run a": (0, 1),
    "completion bash": (0, 1),
    "launch --dry-run web.plan.json": (0, 1),
    "launch --dry-run web.yaml": (0, 1),
    "launch --version": (0, 1),
    "doctor --help": (0, 1),
    "--help": (0, 1),
    "-h": (0, 1),
    "--version": (0, 1),
    **{f"{verb} --help": (0, 1 if verb != "diff" else 2) for verb in VERBS},
}
LOST = {"closed": ">&-", "full": ">/dev/full", "for reading": "1</dev/null"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lost")
    (made / "web.yaml").write_text(json.dumps({**BOX, "name": "web"}))
    (made / "other.yaml").write_text(json.dumps({**BOX, "name": "web", "network": {"mode": "tsi"}}))
    subprocess.run([*KRUNC, "compile", "web.yaml", "other.yaml"], cwd=made, check=True)
    (made / "old.yaml").write_text(json.dumps({**BOX, "name": "old"}))
    (made / "spec.json").write_text(json.dumps(BASE))
    return made


def status(words: str, streams: str, directory: Path) -> tuple[int, str]:
    script = f'"$@" {streams}'
    with (directory / "web.yaml").open("rb") as box:
        done = subprocess.run(
            ["sh", "-c", script, "sh", *KRUNC, *words.split()],
            cwd=directory, stdin=box, capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", RESULTS)
def test_a_lost_result_is_an_error(words: str, directory: Path) -> None:
    read, lost = RESULTS[words]
    assert status(words, "", directory)[0] == read
    for streams in LOST.values():
        code, said = status(words, streams, directory)
        assert code == lost, streams
        assert "the output cannot be written" in said, streams
        assert "Traceback" not in said


def test_every_verb_is_tried() -> None:
    assert {words.split()[0] for words in RESULTS} >= {*VERBS, *OF_OTHERS}


@pytest.mark.parametrize("words", ["compile web.yaml", "diff web.plan.json web.plan.json"])
def test_where_nothing_is_printed_nothing_is_lost(words: str, directory: Path) -> None:
    for streams in LOST.values():
        assert status(words, streams, directory)[0] == 0, streams
