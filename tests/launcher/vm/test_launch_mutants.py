"""Plans that somebody changed: the launcher refuses them, or makes exactly the calls in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.plan.plan import to_text
from places import GOLDEN, ROOT, TOOLS
from recorder.source import source
from whole_boxes import IMAGE, IMAGE_KEPT, compiled

PLANS = [*sorted(ROOT.glob("boxes/*.plan.json")), *sorted(GOLDEN.glob("*.plan.json"))]
# More by hand: KRUNC_MUTANTS=20000 pytest tests/launcher/vm/test_launch_mutants.py
MUTANTS = int(os.environ.get("KRUNC_MUTANTS", "400"))


def test_no_mutant_escapes(
    tmp_path: Path, fake_kvm: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    libraries = []
    for era in ("v1", "v2_flat"):
        text = tmp_path / f"{era}.c"
        text.write_text(source(era))
        libraries.append(str(tmp_path / f"lib{era}.so"))
        build: list[str | Path] = [
            "cc",
            "-g",
            "-fsanitize=address",
            "-shared",
            "-fPIC",
            "-o",
            libraries[-1],
            text,
        ]
        subprocess.run(build, check=True)
    asan = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True)
    directory = tmp_path / "mutants"
    directory.mkdir()
    plans = [*PLANS]
    for name, box in {"image": IMAGE, "kept": IMAGE_KEPT}.items():
        for target in ("1", "2"):
            plans.append(tmp_path / f"{name}{target}.plan.json")
            plans[-1].write_text(to_text(compiled(box, target)), "utf-8")
    done = subprocess.run(
        [
            sys.executable,
            TOOLS / "mutants.py",
            *libraries,
            directory,
            str(MUTANTS),
            str(MUTANTS // 20),
            f"{asan.stdout.strip()} {fake_kvm}",
            *plans,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    figures = json.loads(done.stdout)
    print(f"{len(plans)} plans: {figures}")
    assert figures["mutants"] == 2 * MUTANTS * len(plans)
    # Neither everything refused nor everything taken: the mutants test both sides.
    assert 0.02 < figures["verified"] / figures["mutants"] < 0.5
    assert figures["entered"] > len(plans)
