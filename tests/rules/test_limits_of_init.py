"""Limits that are too small for libkrun's init, which has them itself before it starts the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main


@pytest.mark.parametrize(
    ("limits", "target", "is_refused"),
    [
        ({"fsize": 0}, "2", True),
        ({"fsize": "0:0"}, "2", True),
        ({"fsize": "0:4194304"}, "2", True),
        ({"nofile": 64, "fsize": "1048576:4194304"}, "2", True),
        ({"fsize": 1}, "2", True),
        ({"fsize": 2097151}, "2", True),
        ({"fsize": "2097152:4194304"}, "2", False),
        ({"core": 0}, "2", False),
        ({"fsize": 0}, "1", False),  # seen: the program starts, and is ended when it writes
        ({"fsize": "0:4096"}, "1.18", False),
    ],
)
@pytest.mark.parametrize("keys", [{}, {"hostname": "here"}])
def test_no_plan_whose_program_never_starts(
    keys: dict[str, str],
    limits: dict[str, int | str],
    target: str,
    is_refused: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    box = {
        "krunc": 1,
        "name": "a",
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {"executable": "/bin/a"},
        "limits": limits,
        **keys,
    }
    (tmp_path / "a.yaml").write_text(json.dumps(box))
    status = main(["compile", str(tmp_path / "a.yaml"), "--target", target])
    said = capsys.readouterr().err
    assert ("KR898" in said, status == 0) == (is_refused, not is_refused), said


def test_an_init_of_the_box_needs_none(tmp_path: Path) -> None:
    (tmp_path / "init").touch(0o755)
    box = {"krunc": 1, "name": "a", "rootfs": {"path": "./rootfs"}, "network": {"mode": "none"},
           "boot": {"init": "./init"}, "entrypoint": {"executable": "/bin/a"},
           "limits": {"fsize": 0}}  # fmt: skip
    (tmp_path / "a.yaml").write_text(json.dumps(box))
    assert main(["compile", str(tmp_path / "a.yaml"), "--target", "2"]) == 0


def test_show_tells_it_of_a_plan_that_was_edited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = {"krunc": 1, "name": "a", "rootfs": {"path": "./rootfs"}, "network": {"mode": "tsi"},
           "entrypoint": {"executable": "/bin/a"}, "limits": {"fsize": 5000000}}  # fmt: skip
    for target, is_told in (("1", False), ("2", True)):
        (tmp_path / "a.yaml").write_text(json.dumps(box))
        assert main(["compile", str(tmp_path / "a.yaml"), "--target", target]) == 0
        plan = tmp_path / "a.plan.json"
        plan.write_text(
            plan.read_text().replace('"fsize": "5000000:5000000"', '"fsize": "0:5000000"')
        )
        capsys.readouterr()
        assert main(["show", str(plan)]) == 0
        shown = capsys.readouterr().out
        assert "fsize 0:5000000" in shown
        assert ("no program starts" in shown) == is_told
