"""A file that a box extends is shown only when it is a box: any file of the host can be named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from reviews import BOX

SECRET = "hunter2"
# Files of a host that are no boxes, some of them YAML or JSON with a key that a box has too.
FILES = {
    "an environment": f"PATH=/bin\0HOME=/root\0DEPLOY_KEY={SECRET}\0",
    "a start file": f"export TOKEN={SECRET}\nalias l='ls'\n",
    "an .env": f"TOKEN={SECRET}\n",
    "a netrc": f"machine example.org login a password {SECRET}\n",
    "docker's configuration": f'{{"auths": {{"https://index": {{"auth": "{SECRET}"}}}}}}',
    "a kubeconfig": f"apiVersion: v1\nusers:\n- name: a\n  user: {{token: {SECRET}}}\n",
    "a token with a name": f"name: deploy\ntoken: {SECRET}\n",
    "a job": f"name: ci\non: push\nenv: {{TOKEN: {SECRET}}}\n",
    "a list": f"- {SECRET}\n",
    "a word": SECRET,
    "a key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n",
    "passwords": f"root:{SECRET}:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/bin/false\n",
    "broken YAML": f"a: [{SECRET}\n",
    "a broken map": f"name: {SECRET}\n\tx: 1\n",
    "duplicate keys": f"token: {SECRET}\ntoken: {SECRET}\n",
    "an alias": f"a: *{SECRET}\n",
    "a tag": f"a: !{SECRET} x\n",
    "long": f"{'x' * 5000}: {SECRET}\n",
}
WAYS = ("alone", "in a box", "of several", "of a base")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_nothing_of_a_file_that_is_no_box_is_shown(
    name: str,
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in ("boxes", "home"):
        Path(directory).mkdir()
    Path("home/secret").write_text(FILES[name])
    Path("boxes/base.yaml").write_text("krunc: 1\n")
    Path("boxes/between.yaml").write_text("krunc: 1\nextends: ../home/secret\n")
    box = {"extends": "../home/secret"} if way == "alone" else {**BOX, "extends": "../home/secret"}
    if way == "of several":
        box = {**BOX, "extends": ["base.yaml", "../home/secret"]}
    if way == "of a base":
        box = {**BOX, "extends": "between.yaml"}
    Path("boxes/x.yaml").write_text(json.dumps(box))
    for command in (
        ["compile", "boxes/x.yaml"], ["compile", "boxes"], ["compile", "--format", "json", "boxes/x.yaml"],
        ["compile", "--format", "sarif", "boxes/x.yaml"], ["show", "boxes/x.yaml"], ["show", "--effective", "boxes/x.yaml"],
        ["diff", "boxes/x.yaml", "boxes/x.yaml"], ["check"], ["check", "--allow-outside", "home"],
    ):  # fmt: skip
        capsys.readouterr()
        status = main(command)
        out, err = capsys.readouterr()
        assert SECRET not in out + err, command
        assert status != 0 or way == "alone", command
    assert main(["compile", "boxes/x.yaml"]) == 1
    assert "not a box; nothing of it is shown" in capsys.readouterr().err


def test_the_environment_stays_out_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(json.dumps({**BOX, "extends": "/proc/self/environ"}))
    for words in (["compile", "x.yaml"], ["show", "x.yaml"], ["compile", "--inside", "x.yaml"]):
        done = subprocess.run(
            [sys.executable, "-m", "krunc", *words], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "DEPLOY_KEY": SECRET}, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("disks: 5\n", "disks: 5"),
        ("krunc: 1\nmemroy: 1\n", "memroy: 1"),
        ("krunc: 1\na: [}\n", "a: [}"),
        ("x-note: 1\nmachine: {memroy: 1}\n", "memroy: 1"),
    ],
)
def test_what_is_wrong_in_a_base_is_shown(
    base: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(base)
    Path("x.yaml").write_text(json.dumps({**BOX, "extends": "base.yaml"}))
    assert main(["compile", "x.yaml"]) == 1
    assert f"| {base.splitlines()[-1]}" in capsys.readouterr().err
    assert said in base


def test_inside_reads_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory in ("repo/.git", "common"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "common/base.yaml").write_text("machine: {cpus: 3}\n")
    (tmp_path / "repo/x.yaml").write_text(json.dumps({**BOX, "extends": "../common/base.yaml"}))
    monkeypatch.chdir(tmp_path / "repo")
    assert main(["compile", "--inside", "x.yaml"]) == 1
    assert "error[KR011]" in capsys.readouterr().err
    assert main(["compile", "--inside", "--allow-outside", "../common", "x.yaml"]) == 0
    assert main(["compile", "x.yaml"]) == 0
