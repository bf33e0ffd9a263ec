"""A firmware boots a system of its own: a box with one needs no root and no program."""

from __future__ import annotations

from typing import Any

import pytest
from krunc.verifying import refusals
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected, dotted
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.plan.plan import to_text
from krunc_compiler.policy import rules
from krunc_compiler.policy.way_out import Place
from krunc_compiler.review.difference import compare
from krunc_compiler.review.summary import Review, review
from krunc_compiler.values.inputs import Inputs

BOX = """\
krunc: 1
name: machine
boot: {firmware: ./KRUN_EFI.fd}
disks: [{id: vda, path: ./disk.raw, format: raw, read_only: false}]
network: {mode: none}
"""
TARGETS = ["1", "1.17", "1.18", "1.19", "2"]


def made(text: str, target: str = "2") -> tuple[Review, str, list[str]]:
    """The review, the plan's text, and the warnings of a box."""
    chosen = api.target(target)
    assert chosen is not None
    (one,), warned = compile_all("box.yaml", text, Inputs(chosen))
    told = [f"{item.finding.code} {dotted(item.finding.path)}" for item in warned]
    return review(one.plan), to_text(one.plan), told


@pytest.mark.parametrize("target", TARGETS)
def test_a_box_with_a_firmware_alone_compiles_for_each_libkrun(target: str) -> None:
    found, text, warned = made(BOX, target)
    names = [row.get("call") or row.get("implicit") or row["step"] for row in found.operations]
    program = {"krun_set_exec", "krun_set_workdir", "krun_set_rlimits", "program_of_the_root"}
    assert not program & set(names)
    assert not {"init", "kernel", "lay_stage", "krun_set_root", "krun_add_virtiofs3"} & set(names)
    assert "krun_set_firmware" in names
    assert not warned
    assert not refusals(text.encode()), "the launcher takes it"


def test_the_review_says_what_the_plan_cannot_know() -> None:
    found, _, _ = made(BOX)
    held = {fact.subject[0]: fact.held for fact in found.isolation}
    assert not held["guest_user"], "what the firmware boots runs as root"
    assert not held["root"], "its root is on a disk that is written"
    assert not held["kernel"]
    only_read, _, _ = made(BOX.replace("read_only: false", "read_only: true"))
    assert {fact.subject[0]: fact.held for fact in only_read.isolation}["root"]
    told = {fact.kind: fact.text for fact in found.facts()}
    assert told["program"] == "what the firmware boots"
    changes = compare(only_read, found).of("widens")
    assert {change.kind for change in changes} >= {"write", "root"}


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("hostname: x", "hostname"),
        ("hosts: {a: 10.0.0.1}", "hosts"),
        ("tmpfs: [{path: /x}]", "tmpfs"),
        ("shares: [{tag: a, path: ./a, mount: /a}]", "shares[0].mount"),
        ("stop: {on_sigterm: terminate}", "stop.on_sigterm"),
        ("rootfs: {path: ./r, changes: discard}", "rootfs.changes"),
        ("entrypoint: {executable: /bin/a, user: x}", "entrypoint.user"),
        ("entrypoint: {script: a, before: b}", "entrypoint.before"),
    ],
)
def test_what_krunc_would_have_to_start_is_an_error(key: str, where: str) -> None:
    with pytest.raises(Rejected) as caught:
        made(BOX + key + "\n")
    told = [(item.finding.code, dotted(item.finding.path)) for item in caught.value.findings]
    assert ("KR209", where) in told
    assert "boot.firmware" in caught.value.findings[0].finding.message


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("rootfs: {disk: vda}", "rootfs"),
        ("limits: {nofile: 9}", "limits"),
        ("entrypoint: {executable: /bin/a}", "entrypoint"),
        ("entrypoint: {script: a}", "entrypoint"),
    ],
)
def test_what_reaches_nothing_there_is_warned_of(keys: str, where: str, target: str) -> None:
    _, text, warned = made(BOX + keys + "\n", target)
    assert f"KR882 {where}" in warned
    assert not refusals(text.encode())


def test_a_directory_beside_it_is_a_share_that_its_system_can_mount() -> None:
    _, _, warned = made(BOX + "rootfs: {path: ./r}\n")
    assert not warned


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("firmware: ./KRUN_EFI.fd=init: ./i", {"entrypoint", "rootfs"}),
        ("boot: {firmware: ./KRUN_EFI.fd}=", {"entrypoint", "rootfs"}),
        ("network: {mode: none}=network: {mode: none}\nentrypoint: {args: [a]}", {"executable"}),
        ("network: {mode: none}=network: {mode: none}\nentrypoint: {}", {"executable"}),
        ("network: {mode: none}=network: {mode: none}\nrootfs: {}", {"path", "disk", "image"}),
    ],
)
def test_another_box_needs_both_and_none_has_half_of_one(change: str, said: set[str]) -> None:
    old, _, new = change.partition("=")
    with pytest.raises(Rejected) as caught:
        made(BOX.replace(old, new))
    messages = " ".join(item.finding.message for item in caught.value.findings)
    assert all(f"'{key}'" in messages for key in said)
    assert {item.finding.code for item in caught.value.findings} == {"KR102"}


@pytest.mark.parametrize(
    ("roots", "fine"), [(["*.raw"], True), (["other.raw"], False), (["KRUN_EFI.fd"], False)]
)
def test_a_policy_of_roots_is_held_to_the_disks(roots: list[str], fine: bool) -> None:
    found, _, _ = made(BOX)
    policy: dict[str, Any] = {"krunc_policy": 1, "allow": {"roots": roots}}
    judged = list(rules.judge(policy, found, Place("/d", "/d")))
    assert bool(judged) != fine
    without, _, _ = made(BOX.replace("disks", "x-disks"))
    assert list(rules.judge(policy, without, Place("/d", "/d"))), "no disk, no known root"
