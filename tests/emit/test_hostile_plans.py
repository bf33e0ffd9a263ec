"""Every string of a plan that the launcher lets be anything, in the files of each engine, as the
engine reads them: each stands there as itself, and nothing else is there because of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hcl2
import pytest
import yaml
from engine_texts import (
    CUNESCAPE,
    TEXTS,
    UNQUOTE,
    expanded,
    misunderstood,
    needs_analyze,
    needs_systemd,
    unescaped,
    words,
    written_units,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from krunc.verifying import refusals
from krunc_compiler import libkrun as api
from krunc_compiler.emit.engine import Engine, Piece, engine
from krunc_compiler.emit.kubernetes import made
from krunc_compiler.emit.losses import LOSSES, lost
from krunc_compiler.emit.needs import Needs, needs_of
from krunc_compiler.emit.pods import Settings
from krunc_compiler.emit.texts import Unspeakable
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.plan.operation import KINDS
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from whole_boxes import ONLY, WHOLE, compiled

Json = Any
SECRETS = """\
krunc: 1
name: web
rootfs: {path: /srv/rootfs}
network: {mode: none}
entrypoint: {executable: /bin/a, env: {A: {from_env: TOKEN}, C: {from_file: /srv/key}}}
"""
BOXES = [
    (box, target)
    for box in (*WHOLE.values(), SECRETS)
    for target in ("1", "2")
    if ONLY.get(box, target) == target
]
BASE = "/b"
# The quick reader, where there is one; test_yaml_text.py puts all kinds of texts to both.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# With each of these a place is tried: anything of some length, then printable characters alone,
# then few.
LIKE = ("q'\"\n[$(a)]\\%# : xxxxxxxxxxx", "q'\"[$(a)]\\%# : xxxxxxxxxxx", "'\"\n%")
# What stands for a string of the plan where nothing is hostile.
PLAIN = "zqz"


class Place(NamedTuple):
    """The strings of a plan that are TEXT, which may be `form` with anything like `like` in it."""

    text: str
    form: str
    like: str


class Taken(NamedTuple):
    """A plan as a value, its places, and the kinds of these: operation and argument."""

    value: Json
    places: tuple[Place, ...]
    kinds: frozenset[tuple[str, ...]]


def strings(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string of VALUE with where it is: an operation's by its name."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, path)
    elif isinstance(value, dict):
        name = next((value[kind] for kind in KINDS if kind in value), None)
        for key, item in value.items():
            yield from strings(item, (name, key) if name else (*path, key))


def replaced(value: Json, new: dict[str, str]) -> Json:
    """VALUE with NEW strings in the place of those that are their keys."""
    if isinstance(value, str):
        return new.get(value, value)
    if isinstance(value, list):
        return [replaced(item, new) for item in value]
    if isinstance(value, dict):
        return {key: replaced(item, new) for key, item in value.items()}
    return value


def admitted(value: Json) -> bool:
    """Whether krunc emit takes the plan that VALUE is: its reader and the launcher's verifier."""
    text = json.dumps(value)
    try:
        read_plan("x", text)
    except Rejected:
        return False
    return not refusals(text.encode())


def filled(number: int, place: Place, text: str, is_first: bool) -> str:
    """What stands in a place: its number keeps it apart from the others."""
    text = text[: len(place.like)]
    if "\n" not in place.like:
        text = "".join(character for character in text if character.isprintable())
    return place.form.format(f"{text}{number:02}" if is_first else f"{number:02}{text}")


def put(value: Json, places: Sequence[Place], text: str, is_first: bool = True) -> Json:
    """The plan VALUE with TEXT in its PLACES."""
    return replaced(
        value, {one.text: filled(number, one, text, is_first) for number, one in enumerate(places)}
    )


@cache
def taken() -> tuple[Taken, ...]:
    """Each kind of plan with the strings of it that may be anything. Equal strings are one place:
    what a call opens is what a step demanded."""
    fixed: set[tuple[str, ...]] = set()  # kinds of places that took nothing
    found = []
    for box, target in BOXES:
        value = json.loads(to_text(compiled(box.replace("path: ./a,", "path: ./in,"), target)))
        kinds: dict[str, set[tuple[str, ...]]] = {}
        for path, text in strings(value):
            kinds.setdefault(text, set()).add(path)
        places: list[Place] = []
        known: set[tuple[str, ...]] = set()
        for text, where in kinds.items():
            if where <= fixed:
                continue
            for one in (Place(text, form, like) for like in LIKE for form in ("{}", "/srv/{}")):
                if admitted(put(value, [one], one.like)):
                    places.append(one)
                    known |= where
                    break
            else:
                fixed |= where
        found.append(Taken(value, tuple(places), frozenset(known)))
    return tuple(found)


Read = list[tuple[str, str]]


def of_systemd(pieces: list[Piece], needs: Needs) -> Read:
    """Each word of each setting of the drop-in, with its section and key."""
    (text,) = [piece.text for piece in pieces if piece.name.endswith("10-plan.conf")]
    found, section = [], ""
    for line in re.split("[\n\r]", text):
        assert not line.endswith("\\")
        if line.startswith("["):
            section = line
        elif line and line[0] not in "#;":
            key, mark, value = line.partition("=")
            assert mark, line
            flags = UNQUOTE | (CUNESCAPE if key == "Environment" else 0)
            # A share of processors is a number with a %, and the one that is read as it stands.
            read = str if key == "CPUQuota" else expanded
            found += [(f"{section}{key}", read(word)) for word in words(value, flags)]
    return sorted(found)


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Each string of VALUE, with the names and the kinds of all that it lies in."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield f"{path} {type(value).__name__}", str(value)


def of_kubernetes(pieces: list[Piece], needs: Needs) -> Read:
    """Each value of the objects; arguments as a container gets them."""
    (piece,) = pieces
    found = []
    for one in yaml.load_all(piece.text, _YAML):
        for path, value in leaves(one):
            if ".args[]" in path:
                left = value.replace("$$", "").replace("$(JOB_COMPLETION_INDEX)", "")
                assert "$(" not in left, value
                given = value.replace("$$", "$")
            else:
                given = value
            found.append((path, "the plan" if given == needs.text else given))
    return sorted(found)


def of_nomad(pieces: list[Piece], needs: Needs) -> Read:
    """Each value of the job."""
    (piece,) = pieces
    return sorted(
        (path, unescaped(value) if value.startswith('"') else value)
        for path, value in leaves(hcl2.loads(piece.text))
        if "comment" not in path
    )


def of_slurm(pieces: list[Piece], needs: Needs) -> Read:
    """The options that sbatch reads, and the words that the launcher gets from either shell."""
    (piece,) = pieces
    head = piece.text.split("\nset -eu")[0].splitlines()
    found = [("option", line) for line in head if line.startswith("#SBATCH")]
    script = piece.text.replace("exec /usr/bin/python3 -IS /usr/bin/krunc-launch", "printf '%s\\0'")
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shutil.which(shell) or shell, "-s", "/p", "/s"],
            input=script.encode(),
            env={"PATH": "/nonexistent/", "SLURM_ARRAY_TASK_ID": "0"}
            | {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10"},
            capture_output=True,
        )
        assert done.stderr == b"", done.stderr
        found += [(shell, word) for word in done.stdout.decode().split("\0")]
    return found


CASES: dict[str, tuple[Engine, Callable[[list[Piece], Needs], Read]]] = {
    "systemd": (engine("systemd"), of_systemd),
    "slurm": (engine("slurm"), of_slurm),
    "nomad": (engine("nomad"), of_nomad),
    "kubernetes": (engine("kubernetes"), of_kubernetes),
    "pods": (made(Settings(pods=True)), of_kubernetes),
    "volume": (made(Settings(plans_volume="plans")), of_kubernetes),
}


def read_back(name: str, value: Json) -> Read:
    """What the engine reads of the plan that VALUE is, its digest apart. All losses are allowed, so
    that they are told in comments."""
    chosen, reader = CASES[name]
    text = json.dumps(value)
    needs = needs_of(read_plan("x", text), BASE)._replace(text=text)
    found, needs = lost(needs, chosen.name, chosen.lacks, False, dict.fromkeys(LOSSES, "so"))
    assert found == []
    pieces = list(chosen.whole([(needs, chosen.part(needs))]))
    return [(key, word.replace(needs.digest, "the digest")) for key, word in reader(pieces, needs)]


@cache
def plain_of(name: str, number: int) -> Read:
    """What the engine reads of a plan with plain words in its places."""
    one = taken()[number]
    return read_back(name, put(one.value, one.places, PLAIN))


@cache
def is_admitted(number: int, text: str, is_first: bool) -> bool:
    """Whether the plan is taken with TEXT in its places, which is the same for each engine."""
    one = taken()[number]
    return admitted(put(one.value, one.places, text, is_first))


def holds(name: str, number: int, text: str, is_first: bool) -> bool:
    """Check that the engine reads of a plan with TEXT in its places what it reads of one with plain
    words there, but for TEXT; tell whether it reads any of it."""
    one = taken()[number]
    hostile = put(one.value, one.places, text, is_first)
    plain = plain_of(name, number)
    try:
        bad = read_back(name, hostile)
    except Unspeakable:
        unsaid = "[\x00-\x1f\x7f\x85]" if name == "systemd" else ":"
        assert re.search(unsaid, text)
        assert name in ("systemd", "kubernetes", "pods", "volume")
        return True

    def meant(word: str) -> str:
        return re.sub(
            f"{PLAIN}([0-9]{{2}})",
            lambda found: filled(
                int(found[1]), one.places[int(found[1])]._replace(form="{}"), text, is_first
            ),
            word,
        )

    expected = [(key, meant(word)) for key, word in plain]
    assert sorted(bad) == sorted(expected)
    return expected != plain


HOSTILE = [
    "a\n[Service]\nExecStart=x",
    '" %n $$ \\',
    "$(JOB_COMPLETION_INDEX) $$(a)",
    "'$(id) `id` \"",
    "') ;;\n*) id ;;\n(",
    "${attr.kernel} %{ if a }",
    '"}\njob "b" {',
    "--- # x",
    "\u2028- a: b",
    " - a \\",
]


@needs_systemd
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("text", HOSTILE)
def test_every_string_of_every_kind_of_plan_is_read_as_itself(name: str, text: str) -> None:
    for number in range(len(taken())):
        for is_first in (True, False):
            assert is_admitted(number, text, is_first)
            reaches = holds(name, number, text, is_first)
            # Nomad's file has of a plan its name, its digest and secrets; Slurm's too.
            assert reaches or name in ("slurm", "nomad")


@needs_systemd
@pytest.mark.parametrize("name", CASES)
@given(number=st.integers(0, len(BOXES) - 1), text=TEXTS, is_first=st.booleans())
@settings(max_examples=15, deadline=None)
def test_any_text_is_read_as_itself(name: str, number: int, text: str, is_first: bool) -> None:
    assume(is_admitted(number, text, is_first))
    holds(name, number, text, is_first)


# A path with a newline is in no unit.
@needs_analyze
@pytest.mark.parametrize("text", [text.replace("\n", " ") for text in HOSTILE])
def test_systemd_understands_every_line_of_a_hostile_plan(text: str, tmp_path: Path) -> None:
    """All kinds of plans in one run of systemd's own check."""
    chosen = engine("systemd")
    parts = []
    for number, one in enumerate(taken()):
        for is_first in (True, False):
            value = put(one.value, one.places, text, is_first)
            needs = needs_of(read_plan("x", json.dumps(value)), f"/b {text}")
            _, needs = lost(needs, "systemd", chosen.lacks, False, dict.fromkeys(LOSSES, text))
            needs = needs._replace(name=f"box-{number}-{is_first:d}")
            parts.append((needs, chosen.part(needs)))
    names = written_units(chosen, parts, tmp_path)
    assert misunderstood(tmp_path, names) == []
    # It does name what it does not understand.
    (tmp_path / f"{names[-1]}.d/20-wrong.conf").write_text('[Service]\nReadWritePaths=-"a\nX=y\n')
    assert len(misunderstood(tmp_path, names[-1:])) == 2


def test_every_host_path_of_the_api_may_be_anything() -> None:
    """The places are found by trying, so this tells that they are."""
    known = frozenset().union(*(one.kinds for one in taken()))
    paths = {
        (row["call"], param.name)
        for one in taken()
        for row in one.value["operations"]
        if "call" in row
        for param in api.params("call", row["call"])
        if param.kind in ("host_path", "socket_path")
        and isinstance(row["args"].get(param.name), str)
    }
    assert len(paths) > 10
    assert paths <= {(kind[0], kind[-1]) for kind in known}
