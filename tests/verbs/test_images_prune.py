"""krunc images and krunc prune: what the store has, who uses it, and what goes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from krunc_compiler.__main__ import main
from krunc_schema import load
from processes import entered, started
from recorder.fixtures import LAUNCHER
from registry import Krunc, Layout, box, small
from terminals import terminal


@pytest.fixture
def roots(krunc: Krunc, layout: Layout) -> dict[str, str]:
    """Three boxes, each in a directory of its own, and the digests of their roots."""
    found = {}
    for name in ("a", "b", "c"):
        layout.tag(layout.image(small(name.encode())), name)
        Path(name).mkdir()
        path = box(f"oci:../layout:{name}", f"{name}/{name}")
        krunc("pull", path)
        value = json.loads(Path(f"{name}/{name}.lock.json").read_text())
        found[name] = value["images"][0]["root"]["digest"]
    assert len(set(found.values())) == 3
    return found


def there() -> set[str]:
    return {f"sha256:{path.stem[7:]}" for path in Path("store").glob("*.erofs")}


def test_images(krunc: Krunc, roots: dict[str, str]) -> None:
    krunc("compile", box("oci:../layout:a", "a/a", entrypoint={"executable": "/x"}))
    said = krunc("images")
    for name, root in roots.items():
        assert f"{root}  8,192 bytes  checked 20" in said
        assert f"    made of oci:../layout:{name} (linux/amd64) sha256:" in said
        assert f"    used by {name}/{name}.lock.json\n" in said
    assert "    used by a/a.plan.json\n" in said
    assert f"3 roots, 24,576 bytes, in {os.getcwd()}/store\n" in said
    assert krunc("images", "b").count("used by nothing here") == 2
    value = json.loads(krunc("images", "--json", "a", "b/b.yaml"))
    Draft202012Validator(load("images.schema")).validate(value)
    assert {row["digest"]: row["used_by"] for row in value["roots"]} == {
        roots["a"]: ["a/a.lock.json", "a/a.plan.json"], roots["b"]: ["b/b.lock.json"], roots["c"]: [],
    }  # fmt: skip
    # What has changed since is not what was checked.
    path = next(Path("store").glob("*.erofs"))
    os.utime(path, ns=(0, 0))
    assert "not checked in its present state" in krunc("images")
    assert "0 roots, 0 bytes, in nowhere" in krunc("images", "--store", "nowhere")
    assert not Path("nowhere").exists()


def test_prune_keeps_what_is_named(krunc: Krunc, roots: dict[str, str]) -> None:
    assert "removed 0 roots" in krunc("prune", "--force")
    assert krunc("prune", "--force", "a", "b/b.yaml") == (
        f"removed {roots['c']}  8,192 bytes\nremoved 1 root, 8,192 bytes\n"
    )
    assert there() == {roots["a"], roots["b"]}
    assert len(list(Path("store").iterdir())) == 6
    # A plan alone keeps its root, and a lock by its name.
    krunc("compile", "a/a.yaml", "-o", "plan.json", status=1)
    box("oci:../layout:a", "a/a", entrypoint={"executable": "/x"})
    krunc("compile", "a/a.yaml", "-o", "kept.plan.json")
    krunc("prune", "--force", "kept.plan.json", "b/b.lock.json")
    assert there() == {roots["a"], roots["b"]}
    krunc("prune", "--force", "kept.plan.json")
    assert there() == {roots["a"]}
    krunc("pull", "--locked", ".")
    assert there() == set(roots.values())


def test_a_broken_lock_keeps_what_it_names(krunc: Krunc, roots: dict[str, str]) -> None:
    lock = Path("a/a.lock.json")
    lock.write_text(lock.read_text() + "}}} <<<<<<< HEAD")
    assert f"removed {roots['a']}" not in krunc("prune", "--force")
    Path("b/b.lock.json").rename("b/other.json")
    krunc("prune", "--force")
    assert there() == set(roots.values())


def test_what_cannot_be_looked_at_stops_it(krunc: Krunc, roots: dict[str, str]) -> None:
    """Nothing goes while it is not known what is needed."""
    assert "KR001" in krunc("prune", "--force", "missing.yaml", status=1)
    with open("large.json", "w") as large:
        large.write('{"krunc_lock": 1, "images": []}')
        large.truncate((64 << 20) + 2)
    assert "KR001" in krunc("prune", "--force", status=1)
    os.unlink("large.json")
    os.symlink("gone", "x.lock.json")
    assert "KR001" in krunc("prune", "--force", status=1)
    assert there() == set(roots.values())


def test_a_dry_run(krunc: Krunc, roots: dict[str, str]) -> None:
    assert krunc("prune", "--dry-run", "a", "b") == (
        f"would remove {roots['c']}  8,192 bytes\nwould remove 1 root, 8,192 bytes\n"
    )
    value = json.loads(krunc("prune", "--dry-run", "--json", "a"))
    Draft202012Validator(load("prune.schema")).validate(value)
    assert (set(value["removed"]), value["dry_run"]) == ({roots["b"], roots["c"]}, True)
    assert there() == set(roots.values())


def test_what_a_vm_has_is_kept(krunc: Krunc, roots: dict[str, str]) -> None:
    path = Path("store") / f"{roots['c'].replace(':', '-')}.erofs"
    with path.open("rb") as vm:
        fcntl.flock(vm, fcntl.LOCK_SH)
        for options in (["--dry-run"], ["--force"]):
            assert f"kept {roots['c']}: a running VM has it\n" in krunc("prune", *options, "a")
        assert there() == {roots["a"], roots["c"]}
        value = json.loads(krunc("prune", "--json", "a"))
        assert value["running"] == [roots["c"]]
    krunc("prune", "--force", "a")
    assert there() == {roots["a"]}


def test_a_launched_vm_keeps_its_root(
    krunc: Krunc, roots: dict[str, str], build: Callable[..., Path], fake_kvm: Path, tmp_path: Path
) -> None:
    """From the pull to the VM, and to what is left when it has ended."""
    krunc("compile", box("oci:../layout:c", "c/c", entrypoint={"executable": "/version"}))
    calls = tmp_path / "calls"
    command = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    env = {**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(calls)}
    with started([*command, "c/c.plan.json"], env={**env, "KRUN_RECORDER_STAY": "1"}) as vm:
        entered(calls, vm)
        assert f"kept {roots['c']}: a running VM has it" in krunc("prune", "--force", "a")
        vm.terminate()
        vm.wait()
    assert there() == {roots["a"], roots["c"]}
    krunc("prune", "--force", "a")
    assert there() == {roots["a"]}


def test_it_asks(krunc: Krunc, roots: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--force removes" in krunc("prune", "a", status=2)
    for answer, left in [("", 3), ("n", 3), ("yellow", 3), ("Y", 1)]:
        with terminal() as (ours, theirs):
            ours.write(f"{answer}\n".encode())
            done = subprocess.run(
                [sys.executable, "-m", "krunc", "prune", "a"],
                stdin=theirs,
                capture_output=True,
                check=True,
            )
        assert b"Remove 2 roots, 16,384 bytes, from " in done.stderr
        assert f"No lock or plan below {os.getcwd()}/a names these".encode() in done.stderr
        assert len(there()) == left
    assert there() == {roots["a"]}


def test_what_no_pull_put_there_stays(krunc: Krunc, roots: dict[str, str]) -> None:
    """A store is a directory like others: what has no name of ours is not ours."""
    names = ["notes.txt", "sha256-x.erofs", f"sha256-{'0' * 63}.erofs", ".hidden", "sha256-x.image"]
    for name in names:
        (Path("store") / name).touch()
    Path("empty").mkdir()
    krunc("prune", "--force", "empty")
    assert sorted(os.listdir("store")) == sorted(names)


def test_a_store_that_is_closed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for verb in (["images"], ["prune", "--force"]):
        assert main([*verb, "--store", str(tmp_path / "file"), str(tmp_path)]) == 1
        assert "error[KR714]" in capsys.readouterr().err
