"""What a policy forbids of a plan's paths is told as the policy would allow it: written into it as it
is printed, it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main

BOX = {
    "krunc": 1,
    "name": "w",
    "rootfs": {"path": "../rootfs"},
    "shares": [
        {"tag": "a", "path": "./in here", "read_only": True},
        {"tag": "b", "path": "/srv/data", "read_only": False},
        {"tag": "c", "path": "../../away", "read_only": False},
    ],
    "network": {"mode": "none"},
    "vsock": [
        {"port": 1, "socket": "runtime:a.sock", "listen": True},
        {"port": 2, "socket": "./b.sock", "listen": False},
    ],
    "entrypoint": {"executable": "/x", "env": {"T": {"from_file": "./secrets/token"}}},
    "console": {"output": "runtime:c.log"},
}
KEYS = ("writes", "reads", "roots", "sockets", "secrets")


@pytest.mark.parametrize("home", [".", "boxes", "other"])
def test_what_is_printed_is_what_is_written(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in ("boxes", "other"):
        Path(directory).mkdir()
    Path("boxes/w.yaml").write_text(json.dumps(BOX))
    Path(home, ".krunc").mkdir()
    policy = Path(home, ".krunc/policy.yaml")
    allow: dict[str, list[str]] = {key: [] for key in KEYS}
    assert main(["compile", "-q", "boxes"]) == 0
    for _ in range(3):
        policy.write_text(json.dumps({"krunc_policy": 1, "allow": allow}))
        capsys.readouterr()
        if main(["check", "boxes", "--policy", str(policy)]) == 0:
            break
        told = capsys.readouterr().out
        rows = re.findall(
            r'allow\.(\w+): .*?; to allow it, add ("[^"]*"|\S+)( \(relative paths start at (\S+)\))?\n',
            told,
        )
        assert rows, told
        for key, path, _, start in rows:
            plain = json.loads(path) if path.startswith('"') else path
            assert bool(start) == (not plain.startswith(("/", "runtime:")))
            assert not start or start == home
            assert plain not in allow[key], "what was added allows it"
            allow[key].append(plain)
    else:
        pytest.fail(f"never allowed: {allow}")
    assert {path for path in allow["writes"] if path.startswith("/")} == {"/srv/data"}
    if home == "boxes":
        assert "./b.sock" in allow["sockets"]
        assert allow["secrets"] == ["./secrets/token"]
        assert "../rootfs" in allow["roots"]
