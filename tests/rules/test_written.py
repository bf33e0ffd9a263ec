"""Paths that a guest can replace by a link: found whichever key names them, however they are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.files.hostpath import lying_in
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.values.inputs import Inputs

BOX = """\
krunc: 1
name: good
rootfs: {path: ROOT}
shares: [{tag: s, path: SHARE, read_only: false}, {tag: r, path: ./read}]
network: {mode: none}
"""
RUN = "entrypoint: {executable: /bin/true}\n"


def found(text: str, target: str = "1.18") -> dict[str, str]:
    """The codes of what is told of a box, by the key."""
    chosen = api.target(target)
    assert chosen is not None
    try:
        _, findings = compile_all("box.yaml", text, Inputs(chosen))
    except Rejected as rejected:
        findings = rejected.findings
    return {".".join(map(str, item.finding.path)): item.finding.code for item in findings}


def box(more: str, share: str = "./share", root: str = "./rootfs") -> str:
    return BOX.replace("SHARE", share).replace("ROOT", root) + more


# Every key of a box that names a file or socket of the host.
KEYS = {
    "entrypoint.env.T.from_file": "entrypoint: {executable: /bin/true, env: {T: {from_file: PATH}}}",
    "disks.0.path": RUN + "disks: [{id: a, path: PATH, format: raw}]",
    "console.output": RUN + "console: {output: PATH}\nstop: {on_sigterm: kill}",
    "console.devices.0.output.file": RUN
    + "console: {devices: [{type: virtio, output: {file: PATH}}]}",
    "boot.kernel.path": RUN + "boot: {kernel: {path: PATH, format: elf}}",
    "boot.kernel.initramfs": RUN + "boot: {kernel: {path: ./k, format: elf, initramfs: PATH}}",
    "boot.firmware": "boot: {firmware: PATH}",
    "vsock.0.socket": RUN + "vsock: [{port: 9, socket: PATH, listen: true}]",
    "agent.listen": RUN + "agent: {listen: PATH}\nallow: [{code: KR606, reason: x}]",
    "displays.0.edid": RUN
    + "gpu: {flags: [venus]}\ndisplays: [{width: 800, height: 600, edid: PATH}]",
    "display.input.0": RUN + "",
}
KEYS.pop("display.input.0")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", ["./share/x", "share/a/b", "./read/../share/x", "./rootfs/run/x"])
def test_below_what_the_guest_may_write(key: str, path: str) -> None:
    assert found(box(KEYS[key].replace("PATH", path) + "\n")) == {key: "KR615"}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", ["./read/x", "./shared/x", "./x", "../share/x", "/share/x"])
def test_elsewhere(key: str, path: str) -> None:
    assert found(box(KEYS[key].replace("PATH", path) + "\n")) == {}


def test_network_and_overlay() -> None:
    text = box(RUN).replace("{mode: none}", "{mode: unixstream, socket: ./share/net.sock}")
    assert found(text) == {"network.socket": "KR615"}
    overlay = "rootfs: {path: ROOT, overlay: [{path: /a, file: ./share/x}]}"
    text = box(RUN).replace("rootfs: {path: ./rootfs}", overlay.replace("ROOT", "./rootfs"))
    assert found(text, "1.19") == {"rootfs.overlay.0.file": "KR615"}


@pytest.mark.parametrize("share", ["/data", "/data/", "//data", "/data/."])
def test_absolute(share: str) -> None:
    disk = RUN + "disks: [{id: a, path: /data/a.img, format: raw}]\n"
    assert found(box(disk, share)) == {"disks.0.path": "KR615"}


def test_in_the_directory_of_the_run() -> None:
    disk = RUN + "disks: [{id: a, path: 'runtime:s/a.img', format: raw}]\n"
    assert found(box(disk, "runtime:s")) == {"disks.0.path": "KR615"}
    assert found(box(disk, "./s")) == {}


@pytest.mark.parametrize("share", [".", "..", "../..", "./a/.."])
def test_the_directory_of_the_box(share: str) -> None:
    """With its plan."""
    disk = RUN + "disks: [{id: a, path: ./a.img, format: raw}]\n"
    told = found(box(disk, share, "/srv/root"))
    assert {key: told[key] for key in ("shares.0.path", "disks.0.path")} == {
        "shares.0.path": "KR615",
        "disks.0.path": "KR615",
    }


def test_a_socket_that_libkrun_connects_to_while_the_guest_runs() -> None:
    text = RUN + "vsock: [{port: 9, socket: ./share/s, listen: false}]\n"
    assert found(box(text)) == {"vsock.0.socket": "KR209"}


def test_it_can_be_allowed() -> None:
    text = RUN + "console: {output: ./share/c}\nstop: {on_sigterm: kill}\n"
    assert found(box(text + "allow: [{code: KR615, reason: a log}]\n")) == {}


def test_the_guest_of_another_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.yaml").write_text(box(RUN, "../work").replace("good", "a"))
    other = box(RUN + "disks: [{id: a, path: work/a.img, format: raw}]\n", "./other", "./root2")
    (tmp_path / "b.yaml").write_text(other.replace("good", "b"))
    assert main(["compile", "sub/a.yaml", "b.yaml"]) == 0
    said = capsys.readouterr().err
    assert "b.yaml:7:23: warning[KR616]: disks[0].path: the guest of box a (sub/a.yaml)" in said
    assert said.count("KR616") == 1


def test_where_a_path_lies() -> None:
    assert list(lying_in("a/b/c"))[:4] == ["a/b", "a", ".", ".."]
    assert list(lying_in("../a/b"))[:3] == ["../a", "..", "../.."]
    assert list(lying_in("/a/b")) == ["/a", "/"]
    assert list(lying_in("runtime:a/b")) == ["runtime:a"]
