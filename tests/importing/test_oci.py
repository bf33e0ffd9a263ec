"""krunc import oci: every key by its table, paths of the bundle, what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import CONFIG, bundled, compiles, refused
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.importing import oci
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.importing.oci_keys import BECOMES, TOLD, page
from krunc_compiler.text.parsing import parse

PROCESS = CONFIG["process"]
NET = {"namespaces": [{"type": "network"}]}


def process(**keys: Any) -> dict[str, Any]:
    """A bundle's keys whose process has KEYS."""
    return {"process": {**PROCESS, **keys}}


def linux(**keys: Any) -> dict[str, Any]:
    """A bundle's keys about Linux."""
    return {"linux": {**NET, **keys}}


def mounts(*rows: dict[str, Any]) -> dict[str, Any]:
    """A bundle's keys with mounts."""
    return {"mounts": list(rows)}


BIND = {"destination": "/a", "type": "bind", "source": "/srv/a", "options": ["rbind", "ro"]}
SHARE = {"tag": "a", "path": "/srv/a", "mount": "/a"}
CARRIED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"name": "bundle", "rootfs": {"path": "./bundle/rootfs", "read_only": True}, "network": {"mode": "none"}}, []),
    ({"root": {"path": "/srv/root"}}, {"rootfs": {"path": "/srv/root"}}, ["changes: discard holds more"]),
    ({"hostname": "web"}, {"name": "web", "hostname": "web"}, []),
    (process(args=["sh", "-c", "x"]), {"entrypoint.script": 'exec "$@"'}, ["PATH"]),
    (process(args=["/a", "b"]), {"entrypoint.executable": "/a", "entrypoint.args": ["b"]}, []),
    (process(user={"uid": 5, "gid": 6, "additionalGids": [7], "umask": 18}), {"entrypoint.user": "5:6"}, ["further groups", "mask 022"]),
    (process(env=["A=b=c", "B", "A=d"]), {"entrypoint.env": {"A": "d"}}, ["no value", "twice"]),
    (process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]), {"limits": {"nofile": "1:2"}}, []),
    (process(noNewPrivileges=True, capabilities={"bounding": []}), {}, ["setuid", "keeps all"]),
    (mounts(BIND), {"shares": [SHARE]}, []),
    (mounts({**BIND, "type": None, "options": ["bind"]}), {"shares": [{**SHARE, "read_only": False}]}, []),
    (mounts({**BIND, "options": ["rbind", "rro"]}), {"shares": [SHARE]}, []),
    (mounts({**BIND, "source": "data"}), {"shares": [{**SHARE, "tag": "data", "path": "./bundle/data"}]}, []),
    (mounts({"destination": "/proc", "type": "proc"}, {"destination": "/dev", "type": "tmpfs"}), {"tmpfs": None}, []),
    (mounts({"destination": "/t", "type": "tmpfs", "options": ["nosuid", "size=65536k", "mode=755"]}), {"tmpfs": [{"path": "/t", "size": "64MiB", "mode": "755"}]}, []),
    (mounts({"destination": "/o", "type": "overlay"}), {}, ["no counterpart"]),
    (linux(resources={"memory": {"limit": 1 << 30, "swap": 1}, "cpu": {"quota": 150000, "shares": 2}, "pids": {"limit": 9}}),
     {"machine": {"cpus": 2, "memory": "1GiB"}, "limits": {"nproc": 9}}, ["swap", "1.5 became 2", "shares", "not root"]),
    (linux(resources={"devices": [{"allow": False}], "memory": {"limit": -1}, "pids": {"limit": -1}}), {"limits": None}, []),
    (linux(resources={"devices": [{"allow": True}], "rdma": {"x": 1}, "hugepageLimits": []}), {}, ["open a host device", "rdma", "hugepageLimits"]),
    ({"linux": {"namespaces": []}}, {"network": {"mode": "passt"}}, ["open the host's own network"]),
    ({"linux": {"namespaces": [{"type": "network", "path": "/run/netns/a"}]}}, {"network": {"mode": "none"}}, ["cannot be joined"]),
    ({"annotations": {"owner": "a", "A/b": "c"}}, {"labels": {"owner": "a"}}, ["fits no label"]),
    ({"hooks": {"prestart": [{"path": "/x"}], "poststop": [{"path": "/x"}]}}, {}, ["hooks.prestart", "hooks.poststop"]),
    ({"later": {"a": 1}}, {}, ["later: unknown"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "made", "told"), CARRIED, ids=[str(row[0])[:80] for row in CARRIED]
)
def test_a_key(keys: dict[str, Any], made: dict[str, Any], told: list[str], tmp_path: Path) -> None:
    box = bundled(**keys)
    compiles(box, tmp_path)
    for key, wanted in made.items():
        value: Any = box.value
        for part in key.split("."):
            value = value.get(part, {})
        assert (value or None) == wanted
    notes = [
        note for note in box.notes if "network namespace" not in note and note[:8] != "machine:"
    ]
    for word in told:
        assert any(word in note for note in notes), notes
    if not told:
        assert notes == []


@pytest.mark.parametrize("key", TOLD)
def test_every_key_without_a_counterpart_is_told(key: str) -> None:
    top, _, inner = key.partition(".")
    given_value = {"x": 1} if key == "hooks" else "x"
    base = {"process": PROCESS, "linux": NET}.get(top, {})
    box = bundled(**{top: {**base, inner: given_value} if inner else given_value})
    assert any(note.startswith(key) for note in box.notes)
    assert set(page()) == set(TOLD) | set(BECOMES)


def test_paths_start_at_the_bundle_wherever_the_box_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundles" / "a b"
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    rows = [
        ("bundles/a b", "-", "./bundles/a b/rootfs"),
        ("bundles/a b", "bundles/a b/box.yaml", "./rootfs"),
        ("bundles/a b/", "bundles/box.yaml", "./a b/rootfs"),
        (str(bundle), "box.yaml", f"{bundle}/rootfs"),
    ]
    (tmp_path / "bundles/other").mkdir()
    rows.append(("bundles/a b", "bundles/other/box.yaml", "../a b/rootfs"))
    for given_path, out, wanted in rows:
        assert main(["import", "oci", given_path, "-o", out]) == 0
        made = capsys.readouterr().out if out == "-" else Path(out).read_text("utf-8")
        value, _ = parse("box", made)
        assert value["rootfs"]["path"] == wanted
        assert value["name"] == "a-b"
    assert os.path.isdir(bundle)


WRONG: list[tuple[str, list[str]]] = [
    ("", ["the file is empty"]),
    ("[]", ["not a map"]),
    ("{}", ["'process' is missing", "'root' is missing"]),
    (json.dumps({**CONFIG, "ociVersion": "2.0.0"}), ["a version 1.x"]),
    (json.dumps({**CONFIG, "root": {"path": 1}, "process": {"args": [], "cwd": 3}}), ["root.path", "process.args", "process.cwd"]),
    (json.dumps({**CONFIG, **process(args=[""], cwd="srv")}), ["which program", "not an absolute path"]),
    (json.dumps({**CONFIG, **process(rlimits=[{"type": "RLIMIT_X", "soft": 1, "hard": 1}])}), ["not a limit"]),
    (json.dumps({**CONFIG, **process(user={"uid": -1})}), ["below the minimum"]),
    (json.dumps({**CONFIG, **mounts({"destination": "a", "type": "bind"}, {"destination": 1})}), ["mounts[1].destination"]),
    (json.dumps({**CONFIG, **mounts({"destination": "a", "type": "bind", "source": "/a"}, {"destination": "/a", "type": "bind"})}), ["mounts[0]", "mounts[1]"]),
    (json.dumps({**CONFIG, **linux(resources={"memory": {"limit": "1g"}})}), ["linux.resources.memory.limit"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_is_wrong_is_told_at_its_place(text: str, told: list[str]) -> None:
    with pytest.raises(Rejected) as rejected:
        oci.convert("config.json", text, "bundle", "bundle")
    said = refused(rejected.value)
    for word in told:
        assert word in said, said
    assert "config.json:1:" in said


def test_a_bundle_without_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "oci", str(tmp_path)]) == 1
    assert "config.json: error[KR001]" in capsys.readouterr().err


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**22) | st.text(max_size=6)
    | st.sampled_from(["/a", "bind", "ro", "A=b", "RLIMIT_CORE", "size=1k"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "destination", "source", "options", "limit", "soft", "hard", "path", "uid", "a"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*BECOMES, *TOLD, "linux.resources.cpu", "linux.resources.memory"]), ANY
        ),
        max_size=4,
    )
)
def test_any_bundle_gives_a_box_or_findings(changes: list[tuple[str, Any]]) -> None:
    value = json.loads(json.dumps(CONFIG))
    for key, given_value in changes:
        *above, last = key.split(".")
        inner = value
        for part in above:
            inner = inner.setdefault(part, {}) if isinstance(inner, dict) else {}
        if isinstance(inner, dict):
            inner[last] = given_value
    try:
        box = bundled(**value)
    except Rejected as rejected:
        assert refused(rejected)
        return
    made, _ = parse("box.yaml", to_yaml(box.value, box.notes, "title"))
    assert made["name"] == box.value["name"]
