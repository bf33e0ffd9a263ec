"""Secrets in a directory, where engines put them: --secrets, and systemd's credentials."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

BOX = """\
krunc: 1
name: secrets
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/a, env: {A: SECRET}}
"""
VALUE = "a-secret value"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of secrets, `secrets`, and a root."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "secrets").mkdir()
    return tmp_path


def planned(
    place: Path, secret: str = "{from_env: TOKEN}", target: str = "1.18", more: str = ""
) -> Path:
    (place / "box.yaml").write_text(BOX.replace("SECRET", secret) + more)
    assert main(["compile", str(place / "box.yaml"), "--target", target]) == 0
    return place / "box.plan.json"


def given(done: Launch) -> list[str]:
    """The variables that the guest got."""
    assert done.returncode == 7, done.stderr
    (call,) = [call for call in done.calls if call["call"] == "krun_set_exec"]
    variables: list[str] = call["args"][3]
    return variables


def refused(done: Launch) -> str:
    """Why nothing was called."""
    assert (done.returncode, done.calls) == (125, [])
    return done.stderr


# How each names the directory: by the option, or as systemd does.
def named(place: Path) -> list[str]:
    return ["--secrets", str(place / "secrets")]


def credentials(place: Path) -> dict[str, str]:
    return {"CREDENTIALS_DIRECTORY": str(place / "secrets")}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (VALUE, VALUE),
        (VALUE + "\n", VALUE),
        (VALUE + "\r\n", VALUE),
        # As of from_file: one line break is an editor's, or echo's.
        ("", ""),
        ("\n", ""),
        (" two  words ", " two  words "),
    ],
)
def test_a_variable_is_a_file_of_its_name(
    content: str, found: str, place: Path, launch: Callable[..., Launch]
) -> None:
    (place / "secrets/TOKEN").write_text(content, newline="")
    plan = planned(place)
    for done in (
        launch(plan, *named(place), KRUN_RECORDER_EXIT="7"),
        launch(plan, KRUN_RECORDER_EXIT="7", **credentials(place)),
    ):
        assert given(done) == [f"A={found}"]


def test_a_descriptor_is_a_file_too(place: Path, launch: Callable[..., Launch]) -> None:
    (place / "secrets/fd-9").write_text(VALUE)
    plan = planned(place, "{from_fd: 9}, B: {from_fd: 9}")
    assert given(launch(plan, *named(place), KRUN_RECORDER_EXIT="7")) == [
        f"A={VALUE}",
        f"B={VALUE}",
    ]


def test_kubernetes_projects_links(place: Path, launch: Callable[..., Launch]) -> None:
    """As in a pod: NAME to ..data/NAME, ..data to a directory with a time for its name."""
    newest = place / "secrets/..2026_11_28_22_00_00.123"
    newest.mkdir()
    (newest / "TOKEN").write_text(VALUE)
    (place / "secrets/..data").symlink_to(newest.name)
    (place / "secrets/TOKEN").symlink_to("..data/TOKEN")
    (place / "mounted").symlink_to("secrets")
    for directory in ("secrets", "mounted"):
        done = launch(planned(place), "--secrets", str(place / directory), KRUN_RECORDER_EXIT="7")
        assert given(done) == [f"A={VALUE}"]


def test_who_names_the_directory_means_it(place: Path, launch: Callable[..., Launch]) -> None:
    (place / "secrets/TOKEN").write_text(VALUE)
    (place / "other").mkdir()
    (place / "other/TOKEN").write_text("of another")
    more = {"TOKEN": "of the environment", "CREDENTIALS_DIRECTORY": str(place / "other")}
    done = launch(planned(place), *named(place), KRUN_RECORDER_EXIT="7", **more)
    assert given(done) == [f"A={VALUE}"]


def test_a_variable_that_is_no_file_is_of_the_environment(
    place: Path, launch: Callable[..., Launch]
) -> None:
    (place / "secrets/OTHER").write_text("x")
    plan = planned(place)
    for words, more in ((named(place), {}), ([], credentials(place))):
        done = launch(plan, *words, TOKEN=VALUE, KRUN_RECORDER_EXIT="7", **more)
        assert given(done) == [f"A={VALUE}"]
        said = refused(launch(plan, *words, **more))
        assert "the launcher's variable TOKEN is not set, nor is there a file " in said
        assert f"{place}/secrets/TOKEN; set it for krunc launch" in said


def test_credentials_and_a_variable_have_to_agree(
    place: Path, launch: Callable[..., Launch]
) -> None:
    """Neither was named to krunc as the one that is meant."""
    (place / "secrets/TOKEN").write_text(VALUE + "\n")
    plan = planned(place)
    said = refused(launch(plan, TOKEN="another", **credentials(place)))
    assert f"the secret in {place}/secrets/TOKEN cannot be read: " in said
    assert "the launcher's variable of that name has another value" in said
    assert "another value; unset it, or choose the directory by --secrets" in said
    assert VALUE not in said
    done = launch(plan, TOKEN=VALUE, KRUN_RECORDER_EXIT="7", **credentials(place))
    assert given(done) == [f"A={VALUE}"]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "directory": (Path.mkdir, "it is not a regular file"),
    "fifo": (_fifo, "it is not a regular file"),
    "socket": (lambda path: _socket(path), "no such device or address"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a link leads out of its directory"),
    "out": (lambda path: path.symlink_to("../rootfs/bin/a"), "a link leads out of its directory"),
    "absolute": (lambda path: path.symlink_to("/etc/hostname"), "a link leads out of its directory"),
    "process": (lambda path: path.symlink_to("/proc/self/environ"), "proc has no files"),
    "dangling": (lambda path: path.symlink_to("..data/TOKEN"), "no such file or directory"),
    "loop": (_loop, "too many levels of symbolic links"),
    "large": (lambda path: path.write_bytes(b"x" * 65537), "it has more than 65536 bytes"),
    "sparse": (lambda path: _sparse(path), "it has more than 65536 bytes"),
    "bytes": (lambda path: path.write_bytes(b"\xff\xfe"), "it is not UTF-8"),
    "NUL": (lambda path: path.write_bytes(b"a\0secret"), "cannot reach the guest"),
    "quote": (lambda path: path.write_bytes(b'a"secret'), "cannot reach the guest"),
    "line": (lambda path: path.write_bytes(b"a\nsecret\n\n"), "cannot reach the guest"),
}  # fmt: skip


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # its whole path may be too long
        made.bind(path.name)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_is_no_secret(kind: str, place: Path, launch: Callable[..., Launch]) -> None:
    make, why = HOSTILE[kind]
    make(place / "secrets/TOKEN")
    plan = planned(place)
    # What is wrong with a file is never made good by the environment.
    for words, more in ((named(place), {"TOKEN": "x"}), ([], credentials(place))):
        said = refused(launch(plan, *words, **more))
        assert why in said
        for never in ('a"secret', "a\nsecret", "a\0secret", "Traceback"):
            assert never not in said


@pytest.mark.parametrize(
    ("directory", "why"),
    [
        ("none", "no such file or directory"),
        ("box.yaml", "not a directory"),
        ("rootfs", "a guest of this run gets its directory"),
        ("rootfs/bin", "a guest of this run gets its directory"),
        ("site", "a guest of this run gets its directory"),
        ("link", "a guest of this run gets its directory"),
    ],
)
def test_a_directory_that_is_none(
    directory: str, why: str, place: Path, launch: Callable[..., Launch]
) -> None:
    (place / "site").mkdir()
    (place / "link").symlink_to("site")
    for shared in ("rootfs", "rootfs/bin", "site"):
        (place / shared / "TOKEN").write_text(VALUE)
    plan = planned(place, more="shares: [{tag: s, path: ./site}]\n")
    said = refused(launch(plan, "--secrets", str(place / directory)))
    assert why in said
    assert f"the secret in {place}/{directory}/TOKEN cannot be read" in said


def test_a_plan_without_secrets_looks_at_no_directory(
    place: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(planned(place, "x"), "--secrets", str(place / "none"), KRUN_RECORDER_EXIT="7")
    assert given(done) == ["A=x"]


@pytest.mark.parametrize("target", ["1.18", "2"])
def test_it_is_shown_nowhere(target: str, place: Path, launch: Callable[..., Launch]) -> None:
    (place / "secrets/TOKEN").write_text(VALUE)
    plan = planned(place, target=target)
    call = "krun_set_exec" if target == "1.18" else "krun_fs_add_overlay_file"
    done = launch(
        plan, *named(place), "--exit-record", str(place / "end.json"),
        KRUN_RECORDER_FAIL=f"{call}=-22",
    )  # fmt: skip
    assert call in done.stderr
    for text in (done.stderr, done.stdout, (place / "end.json").read_text()):
        assert "a-secret" not in text
    assert json.loads((place / "end.json").read_text())["reason"] == "not_started"


def test_a_confined_vm_cannot_read_it(place: Path, launch: Callable[..., Launch]) -> None:
    (place / "secrets/TOKEN").write_text(VALUE)
    tries = [f"r {place}/secrets/TOKEN", f"d {place}/secrets", f"r {place}/rootfs/bin/a"]
    plan = planned(place, more="confine: required\n")
    done = launch(plan, *named(place), KRUN_RECORDER_REACH="\n".join(tries))
    errors = {call["reach"]: call["errno"] for call in done.calls if "reach" in call}
    assert [errors[line] for line in tries] == [13, 13, 0]


def dry(plan: Path, *words: str, **more: str) -> str:
    done = subprocess.run(
        [*LAUNCHER, "--dry-run", *words, str(plan)], capture_output=True, text=True, check=True,
        env={**os.environ, **more},
    )  # fmt: skip
    assert "a-secret" not in done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["1.18", "2"])
def test_the_dry_run_tells_where_it_would_come_from(target: str, place: Path) -> None:
    plan = planned(place, "{from_env: TOKEN}, B: {from_fd: 9}, C: {from_file: ./key}", target)
    unset = "/* secret  <from_env TOKEN>: the launcher's variable TOKEN, which is not set */"
    others = [
        "/* secret  <from_fd 9>: file descriptor 9 */",
        f"/* secret  <from_file key>: the file {place}/key */",
    ]
    assert dry(plan).splitlines()[-3:] == [unset, *others]
    assert dry(plan, TOKEN=VALUE).splitlines()[-3] == unset.replace(", which is not set", "")
    (place / "secrets/TOKEN").write_text(VALUE)
    file = f"/* secret  <from_env TOKEN>: the file {place}/secrets/TOKEN */"
    assert file in dry(plan, *named(place), TOKEN="other").splitlines()
    assert file in dry(plan, **credentials(place)).splitlines()
    (place / "secrets/TOKEN").unlink()
    (place / "secrets/TOKEN").symlink_to("/etc/hostname")
    said = dry(plan, *named(place))
    assert f"{place}/secrets/TOKEN, which cannot be read: a link leads out of its" in said
