"""krunc pull: images of a real registry, of layouts and archives, into the store and the lock."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from krunc_compiler.image.lock import read_lock
from krunc_schema import load
from registry import Krunc, Layout, Registry, alpine, box, small


def lock(name: str = "web") -> Any:
    """The only image of a lock."""
    path = f"{name}.lock.json"
    (image,) = read_lock(Path(path).read_text(), path).images
    return image


def stored() -> set[str]:
    """The kinds of files in the store; what has not been removed is one of its own."""
    return (
        {path.suffix or path.name for path in Path("store").iterdir()}
        if Path("store").exists()
        else set()
    )


def test_a_pull_writes_the_root_and_the_lock(
    krunc: Krunc, layout: Layout, registry: Registry
) -> None:
    row = layout.image(small(), small(b"2"), User="app", Cmd=["/bin/sh"])
    layout.tag(row, "app")
    name = registry.push(layout, "app", "app:1.4")
    said = krunc("pull", box(name))
    assert f"fetched {name} (linux/amd64) {row['digest']} (2 layers, " in said
    assert "wrote web.lock.json" in said
    image = lock()
    assert (image.reference, image.platform, image.manifest) == (name, "linux/amd64", row["digest"])
    assert image.run.user == ("app", 1000, 1000, (50,), "/home/app")
    assert image.run.cmd == ("/bin/sh",)
    root = Path("store") / f"{image.root.digest.replace(':', '-')}.erofs"
    assert root.stat().st_size == image.root.size
    assert root.stat().st_mode & 0o777 == 0o444
    subprocess.run(["fsck.erofs", root], check=True, capture_output=True)
    assert stored() == {".erofs", ".checked", ".image"}
    assert krunc("pull", "web.yaml") == "krunc: unchanged: web.lock.json\n"
    assert krunc("pull", "-q", "web.yaml") == ""


def test_all_transports_make_the_same_root(
    krunc: Krunc, layout: Layout, registry: Registry
) -> None:
    row = layout.image(small(), User="app:staff")
    layout.tag(row, "one")
    layout.tag(layout.index(row, layout.image(small(b"arm"), arch="arm64")), "many")
    name = registry.push(layout, "one", "same:1")
    registry.push(layout, "many", "same:many", "--all")
    registry.push(layout, "one", "same:docker", "--format", "v2s2")
    for target in ("oci-archive:one.tar", "docker-archive:docker.tar"):
        subprocess.run(["skopeo", "copy", "-q", "oci:layout:one", target], check=True)
    many = Layout(Path("single"))
    (many.path / "blobs").rename(many.path / "none")
    (many.path / "blobs").symlink_to(layout.path / "blobs")
    many.tag(layout.index(row), "x")
    subprocess.run(["tar", "-chf", "index.tar", "-C", "single", "."], check=True)
    images = {
        "registry": name, "index": f"docker://{registry.host}/same:many",
        "schema": f"{registry.host}/same:docker", "layout": "oci:./layout:one",
        "layouts": "oci:layout:many", "archive": "oci-archive:one.tar", "docker": "docker-archive:docker.tar",
        "archived": "oci-archive:index.tar", "pinned": f"{registry.host}/same:any@{row['digest']}",
    }  # fmt: skip
    for box_name, image in images.items():
        box(image, box_name)
    krunc("pull", ".")
    locked = {box_name: lock(box_name) for box_name in images}
    assert len({image.root.digest for image in locked.values()}) == 1
    assert len({image.run for image in locked.values()}) == 1
    # Formats have manifests of their own, and nothing is repacked on the way.
    same = set(images) - {"schema", "docker"}
    assert {locked[box_name].manifest for box_name in same} == {row["digest"]}
    assert locked["schema"].layers == locked["registry"].layers
    assert stored() == {".erofs", ".checked", ".image"}
    krunc("pull", "--locked", ".")
    krunc("pull", "--store", "other", "--locked", ".")


@pytest.mark.parametrize(
    ("said", "user"),
    [
        ("guest", ("guest", 405, 100, (), "/dev/null")),
        ("games:video", ("games", 35, 27, (), "/usr/games")),
        ("2", ("daemon", 2, 2, (1, 2, 4), "/sbin")),
        ("nobody", ("nobody", 65534, 65534, (), "/")),
    ],
)  # fmt: skip
def test_alpine(
    said: str, user: tuple[Any, ...], krunc: Krunc, layout: Layout, registry: Registry
) -> None:
    """A real root, packed by zstd: its users as runc finds them."""
    layout.tag(alpine(layout, User=said, Cmd=["/bin/sh"]), "it")
    name = registry.push(layout, "it", f"alpine:{user[0]}")
    krunc("pull", box(name))
    assert lock().run.user == user
    root = Path("store") / f"{lock().root.digest.replace(':', '-')}.erofs"
    subprocess.run(["fsck.erofs", root], check=True, capture_output=True)
    assert root.stat().st_size > 30 << 20


def test_many_boxes_and_one_fetch(krunc: Krunc, layout: Layout, registry: Registry) -> None:
    layout.tag(layout.image(small()), "a")
    layout.tag(layout.image(small(b"2")), "b")
    first, second = registry.push(layout, "a", "many:a"), registry.push(layout, "b", "many:b")
    Path("boxes").mkdir()
    os.chdir("boxes")
    box(first, "one")
    box(f"docker://{first}", "two")
    whole = f"{registry.host}/many:{{{{ tag }}}}"
    value = {
        "krunc": 1, "name": "m-{{ tag }}", "matrix": {"tag": ["a", "b"]}, "rootfs": {"image": whole},
        "network": {"mode": "none"},
    }  # fmt: skip
    Path("matrix.yaml").write_text(json.dumps(value))
    Path("plain.yaml").write_text(
        "krunc: 1\nname: p\nrootfs: {path: .}\nnetwork: {mode: none}\nentrypoint: {executable: /x}\n"
    )
    os.chdir("..")
    said = krunc("pull", "boxes")
    assert said.count("fetched") == 2
    assert {path.name for path in Path("boxes").glob("*.lock.json")} == {
        "one.lock.json", "two.lock.json", "matrix.lock.json",
    }  # fmt: skip
    text = Path("boxes/matrix.lock.json").read_text()
    assert [image.reference for image in read_lock(text, "x").images] == [first, second]
    assert lock("boxes/two").reference == f"docker://{first}"
    assert lock("boxes/two")._replace(reference=first) == lock("boxes/one")
    assert "plain.yaml names no image" in krunc("pull", "boxes/plain.yaml")
    Path("none").mkdir()
    assert krunc("pull", "none") == "krunc: no box in none names an image\n"


def test_a_tag_that_moved(krunc: Krunc, layout: Layout, registry: Registry) -> None:
    old = layout.tag(layout.image(small()), "a")
    name = registry.push(layout, "a", "moves:1")
    krunc("pull", box(name))
    before = Path("web.lock.json").read_text()
    new = layout.tag(layout.image(small(b"2")), "b")
    registry.push(layout, "b", "moves:1")
    krunc("pull", "--locked", "web.yaml")
    assert Path("web.lock.json").read_text() == before
    for options in ([], ["-q"]):
        Path("web.lock.json").write_text(before)
        said = krunc("pull", *options, "web.yaml")
        assert f"{name} (linux/amd64) moved: {old} -> {new}\n" in said
    assert lock().manifest == new
    Path("web.lock.json").write_text(before)
    value = json.loads(krunc("pull", "--json", "web.yaml"))
    Draft202012Validator(load("pull.schema")).validate(value)
    assert value["locks"] == ["web.lock.json"]
    (row,) = value["images"]
    assert (row["before"], row["manifest"], row["fetched"]) == (old, new, False)


def test_locked_is_by_digest(krunc: Krunc, layout: Layout, registry: Registry) -> None:
    layout.tag(layout.image(small()), "a")
    name = registry.push(layout, "a", "locked:1")
    krunc("pull", box(name))
    locked = Path("web.lock.json").read_text()
    layout.tag(layout.image(small(b"2")), "b")
    registry.push(layout, "b", "locked:1")
    said = krunc("pull", "--store", "fresh", "--locked", "web.yaml")
    assert f"fetched {name} (linux/amd64) {lock().manifest}" in said
    assert Path("web.lock.json").read_text() == locked
    # Nothing is asked where the store has it.
    os.environ["PATH"], path = "/nowhere", os.environ["PATH"]
    try:
        krunc("pull", "--store", "fresh", "--locked", "web.yaml")
    finally:
        os.environ["PATH"] = path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda image: image["root"].update(digest="sha256:" + "1" * 64), "its root is sha256:"),
        (lambda image: image["root"].update(writer=2), "version 2 of the writer"),
        (lambda image: image["run"].update(cmd=["/evil"]), "the lock's run is not that of the image"),
        (lambda image: image.update(config="sha256:" + "1" * 64), "the lock's config"),
        (lambda image: image["layers"][0].update(size=1), "the lock's layers"),
        (lambda image: image.update(manifest="sha256:" + "1" * 64), "manifest unknown"),
        (lambda image: image.update(platform="linux/arm64"), "for linux/amd64, not for linux/arm64"),
        (lambda image: image.update(reference="other"), "does not have 127.0.0.1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("store", ["store", "fresh"])
def test_a_lock_that_is_edited(
    change: Callable[[Any], Any],
    said: str,
    store: str,
    krunc: Krunc,
    layout: Layout,
    registry: Registry,
) -> None:
    """It fails, with and without the image in the store, and a pull mends it."""
    layout.tag(layout.image(small(), Cmd=["/bin/sh"]), "a")
    krunc("pull", box(registry.push(layout, "a", "edited:1")))
    good = Path("web.lock.json").read_text()
    value = json.loads(good)
    change(value["images"][0])
    Path("web.lock.json").write_text(json.dumps(value))
    found = krunc("pull", "--store", store, "--locked", "web.yaml", status=1)
    assert said in found
    assert "web.yaml:1:" in found
    if store == "fresh":
        assert not Path("fresh").exists() or not list(Path("fresh").glob("*.erofs"))
    krunc("pull", "--platform", "linux/amd64", "web.yaml")
    assert Path("web.lock.json").read_text() == good


def test_a_lock_that_is_none(krunc: Krunc, layout: Layout, registry: Registry) -> None:
    layout.tag(layout.image(small()), "a")
    name = registry.push(layout, "a", "none:1")
    assert "there is no lock web.lock.json" in krunc("pull", "--locked", box(name), status=1)
    Path("web.lock.json").write_text('{"krunc_lock": 1, "images": 3}')
    assert "KR701" in krunc("pull", "--locked", "web.yaml", status=1)
    krunc("pull", "web.yaml")
    # What is no lock is not written over.
    Path("web.lock.json").write_text("my notes")
    assert "KR302" in krunc("pull", "web.yaml", status=1)
    assert Path("web.lock.json").read_text() == "my notes"


def test_platforms(krunc: Krunc, layout: Layout, registry: Registry) -> None:
    amd = layout.image(small(b"amd"))
    arm = layout.image(small(b"arm"), arch="arm64")
    layout.tag(layout.index(amd, arm), "many")
    name = registry.push(layout, "many", "platforms:1", "--all")
    krunc("pull", "--platform", "linux/arm64", box(name))
    assert lock().manifest == arm["digest"]
    # What the lock has is what a pull looks at again, on any machine.
    krunc("pull", "web.yaml")
    assert lock().platform == "linux/arm64"
    krunc("pull", "--platform", "linux/arm64", "--platform", "linux/amd64", "web.yaml")
    assert len(json.loads(Path("web.lock.json").read_text())["images"]) == 2
    box(name, "arm", arch="arm64")
    krunc("pull", "--platform", "linux/amd64", "arm.yaml")
    assert lock("arm").platform == "linux/arm64"
    layout.tag(arm, "arm")
    registry.push(layout, "arm", "platforms:arm")
    said = krunc(
        "pull", "--platform", "linux/amd64", box(f"{registry.host}/platforms:arm"), status=1
    )
    assert "the image is for linux/arm64, not for linux/amd64" in said


def test_one_that_fails_keeps_no_other_from_its_lock(
    krunc: Krunc, layout: Layout, registry: Registry
) -> None:
    layout.tag(layout.image(small()), "a")
    name = registry.push(layout, "a", "partly:1")
    Path("boxes").mkdir()
    os.chdir("boxes")
    box(name, "good")
    box(f"{registry.host}/partly:gone", "gone")
    box("Not/A/Name", "wrong")
    Path("shape.yaml").write_text("krunc: 1\nname: s\nrootfs: {imag: x}\n")
    os.chdir("..")
    said = krunc("pull", "boxes", status=1)
    assert "boxes/gone.yaml:1:" in said
    assert "error[KR710]: rootfs.image: " in said
    assert "manifest unknown" in said
    assert "help: look at the reference" in said
    assert "'Not/A/Name' names no image" in said
    assert "boxes/shape.yaml" in said
    assert [path.name for path in Path("boxes").glob("*.lock.json")] == ["good.lock.json"]


def test_layers_that_are_wrong(krunc: Krunc, layout: Layout) -> None:
    from registry import layer

    bad = layout.image(small(), layer({"../../etc/passwd": b"x"}))
    layout.tag(bad, "bad")
    said = krunc("pull", box("oci:layout:bad"), status=1)
    assert "error[KR712]" in said
    assert "layer 2 (sha256:" in said
    assert stored() == set()
    assert not Path("web.lock.json").exists()


def test_a_lock_that_nobody_could_read(
    krunc: Krunc, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not written: krunc compile would refuse it."""
    variables = [f"A{number}={'x' * 100_000}" for number in range(4)]
    tags = ["a", "b", "c"]
    for tag in tags:
        layout.tag(layout.image(small(tag.encode()), Env=variables), tag)
    more = {"name": "m-{{ tag }}", "matrix": {"tag": tags}}
    box("oci:layout:{{ tag }}", "m")
    whole = {**json.loads(Path("m.yaml").read_text()), **more}
    Path("m.yaml").write_text(json.dumps(whole))
    said = krunc("pull", "m.yaml", status=1)
    assert "its lock would have 3 images and 1,20" in said
    assert not Path("m.lock.json").exists()


def test_a_pull_without_skopeo(krunc: Krunc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = krunc("pull", box("alpine:3.20"), status=1)
    assert "error[KR711]" in said
    for words in (
        "apt install",
        "dnf install",
        "pacman -S",
        "zypper install",
        "nix profile",
        "brew",
    ):
        assert words in said


@pytest.mark.parametrize(
    "words",
    [
        ["pull"],
        ["pull", "--json", "--export", "-", "."],
        ["pull", "-"],
        ["pull", "--locked", "--export", "x", "."],
        ["pull", "--platform", "linux/s390x", "."],
    ],
)
def test_wrong_usage(words: list[str], krunc: Krunc) -> None:
    try:
        krunc(*words, status=2)
    except SystemExit as end:
        assert end.code == 2


def test_no_box(krunc: Krunc) -> None:
    assert "KR001" in krunc("pull", "missing.yaml", status=1)
    Path("x.plan.json").write_text("{}")
    assert "this is not a box" in krunc("pull", "x.plan.json", status=1)
    Path("policy.yaml").write_text("krunc_policy: 1\n")
    assert "policy.yaml: error[KR001]: this is not a box" in krunc("pull", "policy.yaml", status=1)
    assert not Path("store").exists()
