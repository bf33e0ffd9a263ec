"""What a policy forbids of a plan's paths is told as the policy would allow it: written into it as it
is printed, it does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
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


PASST = {
    "mode": "passt",
    "program": "./passt",
    "host_loopback": True,
    "ports": ["127.0.0.1:8080:80", "0.0.0.0:53:53/udp"],
}
SECRETS = {"A": {"from_env": "APP_TOKEN"}, "B": {"from_env": "TRUE"}, "C": {"from_fd": 7}}
# What a box has beside what all have, the libkrun that it is for, and the keys that forbid it.
FORBIDDEN: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "passt, its program and the loopback": ({"network": PASST}, "1", {"networks": [], "ports": []}),
    "passt, of which a part is allowed": ({"network": PASST}, "1", {"networks": ["passt"]}),
    "TSI": ({"network": {"mode": "tsi", "ports": ["8080:80"]}}, "2", {"networks": [], "ports": []}),
    "a socket": ({"network": {"mode": "unixgram", "socket": "/n"}}, "1", {"networks": []}),
    "variables and descriptors": (
        {"entrypoint": {"executable": "/a", "env": SECRETS}},
        "1",
        {"secrets": []},
    ),
    "a GPU": ({"gpu": {"flags": ["venus"]}}, "1", {"devices": []}),
    "how much": ({"machine": {"cpus": 4, "memory": "3GiB"}}, "1", {"cpus": 1, "memory": "1GiB"}),
    "how long": ({"timeout": "2h"}, "1", {"timeout": "1h"}),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_said_of_any_other_key_allows_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keys, target, allow = FORBIDDEN[name]
    plain = {"krunc": 1, "name": "w", "rootfs": {"path": "./r"}, "network": {"mode": "none"}}
    Path("w.yaml").write_text(json.dumps({**plain, "entrypoint": {"executable": "/a"}, **keys}))
    assert main(["compile", "-q", "--target", target, "w.yaml"]) == 0
    policy = Path("p.yaml")
    policy.write_text(json.dumps({"krunc_policy": 1, "allow": allow}))
    capsys.readouterr()
    assert main(["check", "w.yaml", "--policy", "p.yaml"]) == 1
    told = capsys.readouterr().out
    rows = re.findall(
        r"help: keep to p.yaml: allow\.(\w+): .*; to allow it, (add|write) (.+)\n", told
    )
    assert len(rows) == told.count("error[KR501]"), told
    more = {key: list(value) if isinstance(value, list) else value for key, value in allow.items()}
    for key, verb, values in rows:
        if verb == "add":
            more[key] += yaml.safe_load(f"[{values}]")
        else:
            more[key] = yaml.safe_load(values)
    policy.write_text(json.dumps({"krunc_policy": 1, "allow": more}))
    assert main(["check", "w.yaml", "--policy", "p.yaml"]) == 0, capsys.readouterr().out


def test_an_isolation_is_allowed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(json.dumps({**BOX, "rootfs": {"path": "./r"}}))
    assert main(["compile", "-q", "w.yaml"]) == 0
    Path("p.yaml").write_text("krunc_policy: 1\nisolation: [nesting, files]\n")
    capsys.readouterr()
    assert main(["check", "w.yaml", "--policy", "p.yaml"]) == 1
    assert (
        "keep to p.yaml: isolation: files; to allow it, remove files\n" in capsys.readouterr().out
    )
