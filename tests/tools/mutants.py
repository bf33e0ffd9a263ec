"""Mutants of plans against a recording libkrun:
python tests/tools/mutants.py LIBRARY_V1 LIBRARY_V2 DIRECTORY MUTANTS REPLAYS PRELOAD PLAN...

For each plan MUTANTS are made and verified, which is Python alone, and up to REPLAYS of those that the
verifier takes are replayed: in another process, with PRELOAD (AddressSanitizer) and the libraries. Prints
the figures as JSON; what goes wrong ends it with a traceback.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from krunc_launcher import __main__ as launcher
from krunc_launcher.errors import LaunchError, PlanRefused
from krunc_launcher.host import preflight
from krunc_launcher.host import workdir as mark
from krunc_launcher.plan.verify import verify
from krunc_launcher.text.reading import parse
from recorder.expected import LAUNCH, VARIABLES, expected

_ENDED = 7  # what the recorder ends a VM with
_REFUSED = 125
_POOL: list[Any] = [
    None, True, False, 0, 1, 2, -1, 3, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64,
    "", "x", "a\0b", "é", '"', "\n", "x" * 200, "x" * 5000, "../x", "./x", "runtime:x", "runtime:../x",
    [], {}, ["x"], ["x"] * 40, [0], [{}], {"a": "b"}, {"from_env": "AGENT_TOKEN"}, {"from_env": "A B"},
    {"file": "x"}, {"text": "x"}, {"base64": "eA=="}, {"base64": "?"}, {"opened": "x"},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in VALUE."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(item, (*path, i))


def changed(value: Any, seen: dict[Any, list[Any]], dice: random.Random) -> Any:
    """A copy of the plan VALUE with one to three changes; SEEN are values in plans, by their keys."""
    value = json.loads(json.dumps(value))
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        if not value:
            break
        *above, last = dice.choice([path for path in places(value) if path])
        parent = value
        for part in above:
            parent = parent[part]
        match dice.randrange(10):
            case 0:
                del parent[last]
            case 1 if isinstance(parent, list):
                parent.insert(dice.randrange(len(parent) + 1), parent[last])
            case 2 if isinstance(parent, list):
                other = dice.randrange(len(parent))
                parent[last], parent[other] = parent[other], parent[last]
            case 3 if isinstance(parent, dict):
                parent[dice.choice(("x", "args", "call", "step", "from", "mode"))] = parent.pop(
                    last
                )
            case 4:
                parent[last] = dice.choice(_POOL)
            case 5:
                parent[last] = dice.choice(seen[dice.choice(list(seen))])
            case _:
                same = [item for item in _POOL if type(item) is type(parent[last])]
                parent[last] = dice.choice([*seen.get(last, []), *same, None])
        value = json.loads(json.dumps(value))  # no part of it is in it twice
    return value


def taken(text: str) -> bool:
    """Whether the launcher verifies TEXT."""
    try:
        verify(parse(text))
    except PlanRefused:
        return False
    return True


def of_the_launch(value: Any) -> Any:
    """VALUE of a call with the name of the launch's own directory as `expected` has it."""
    return re.sub(r"/launch-[0-9a-f]{12}/", f"/{LAUNCH}/", value) if type(value) is str else value


def replayed(plan: Path, value: dict[str, Any], library: str, directory: Path) -> int:
    """Launch the plan; what was called is in it, in its order, and nothing else."""
    record = directory / "calls.jsonl"
    record.unlink(missing_ok=True)
    # The library reads its variables when it is loaded: in the child.
    if (pid := os.fork()) == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        words = ["--libkrun", library, "--runtime-dir", str(directory / "run")]
        words += ["--store", str(directory / "store"), str(plan)]
        os._exit(launcher.main(words))
    _, code = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(code)
    lines = record.read_text("utf-8", "surrogateescape").splitlines() if record.exists() else []
    calls = [json.loads(line, strict=False) for line in lines]
    for call in calls:
        del call["nofile"]
        call["args"] = [of_the_launch(value) for value in call["args"]]
    if not calls:
        assert status == _REFUSED, (status, value)
        return status
    if status == _REFUSED and calls[-1]["call"] == "krun_free_ctx":
        del calls[-1]  # a host step failed between the calls
    wanted = expected(value, directory, directory / "run")
    for made, meant in zip(calls, wanted, strict=False):
        # The number of a descriptor that a step opened is not in the plan.
        for i, argument in enumerate(meant["args"]):
            if isinstance(argument, dict) and type(made["args"][i]) is int:
                meant["args"][i] = made["args"][i]
    assert status in (_ENDED, _REFUSED), (status, value)
    assert calls == (wanted if status == _ENDED else wanted[: len(calls)]), (calls, wanted)
    return status


def main() -> None:
    """Make the mutants of all plans, verify them, and have some of them replayed."""
    v1, v2, where, mutants, replays, preload, *plans = sys.argv[1:]
    dice = random.Random(1)
    values = [json.loads(Path(plan).read_text("utf-8")) for plan in plans]
    seen: dict[Any, list[Any]] = {}
    for value in values:
        for path in places(value):
            if path:
                seen.setdefault(path[-1], []).append(_at(value, path))
    figures = {"mutants": 0, "verified": 0}
    chosen: list[tuple[str, Any]] = []
    for value in values:
        library = v1 if value["api"] == "v1" else v2
        left = int(replays)
        for _ in range(int(mutants)):
            mutant = changed(value, seen, dice)
            figures["mutants"] += 1
            if not taken(json.dumps(mutant, ensure_ascii=False)):
                continue
            figures["verified"] += 1
            if left:
                left -= 1
                chosen.append((library, mutant))
    # Bytes, too: these are only verified, for their paths could lead anywhere.
    for value in values:
        for _ in range(int(mutants)):
            data = bytearray(json.dumps(value).encode())
            for _ in range(dice.choice((1, 1, 2, 8))):
                data[dice.randrange(len(data))] = dice.randrange(256)
            figures["mutants"] += 1
            try:
                figures["verified"] += taken(data.decode("utf-8"))
            except (UnicodeDecodeError, LaunchError):
                continue
    done = subprocess.run(
        [sys.executable, __file__, "--replay", where],
        input=json.dumps(chosen).encode(),
        # Each object is an allocation of its own, so that reading behind it is seen.
        env={**os.environ, "LD_PRELOAD": preload, "PYTHONMALLOC": "malloc"}
        | {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99"},
        stdout=subprocess.PIPE,
        check=True,
    )
    print(json.dumps({**figures, "replayed": len(chosen), "entered": int(done.stdout)}))


def replay(directory: Path) -> None:
    """Replay the mutants that standard input has; print how many VMs were entered."""
    (directory / "run").mkdir(mode=0o700)
    (directory / "x").write_bytes(b"what is in \xff it")
    os.environ.update(
        VARIABLES, KRUN_RECORDER=str(directory / "calls.jsonl"), KRUN_RECORDER_EXIT="7"
    )
    # What the host lacks would hide nearly all that is replayed.
    preflight.preflight = lambda done, directories: []
    mark.missing_workdir = lambda plan, done, directories: []
    entered = 0
    for library, mutant in json.load(sys.stdin):
        plan = directory / "mutant.plan.json"
        plan.write_text(json.dumps(mutant, ensure_ascii=False), "utf-8")
        entered += replayed(plan, mutant, library, directory) == _ENDED
    print(entered)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


if sys.argv[1] == "--replay":
    replay(Path(sys.argv[2]))
else:
    main()
