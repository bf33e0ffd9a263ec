"""krunc pull from registries, layouts and archives that want something else: one clear line, nothing
written, nothing followed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from elf_files import elf, elf32
from hostile_registry import (
    Answer,
    Server,
    breaks_off,
    changes,
    closes,
    fails,
    hostile,
    overflows,
    redirects,
    refuses,
    right,
    waits,
)
from krunc_compiler.__main__ import main
from krunc_compiler.image import skopeo
from registry import INDEX, LAYER, Krunc, Layout, box, layer, small, trusting


def refused(krunc: Krunc, image: str, *words: str) -> str:
    """Pull IMAGE, which fails with one finding and leaves nothing; what is said."""
    said = krunc("pull", *words, box(image), status=1)
    assert said.count("error[") == 1, said
    assert "Traceback" not in said
    assert len(max(said.splitlines(), key=len)) < 1_200
    assert not Path("web.lock.json").exists()
    assert not os.path.exists("store") or os.listdir("store") == []
    return said


def served(krunc: Krunc, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of an image of SERVER."""
    home = Path("home")
    trusting(home.absolute(), server.host)
    monkeypatch.setenv("HOME", str(home.absolute()))
    return refused(krunc, f"{server.host}/app:it")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"ping": closes}, "skopeo: Error parsing image name"),
        ({"ping": fails}, "500"),
        ({"manifests": closes}, "EOF"),
        ({"manifests": fails}, "500 Internal Server Error"),
        ({"manifests": redirects}, "stopped after 10 redirects"),
        ({"manifests": refuses}, "unauthorized"),
        ({"manifests": changes}, "not JSON"),
        ({"manifests": breaks_off}, "unexpected EOF"),
        ({"manifests": overflows}, "exceeded maximum allowed size"),
        ({"blobs": closes}, "EOF"),
        ({"blobs": fails}, "500 (Internal Server Error)"),
        ({"blobs": redirects}, "stopped after 10 redirects"),
        ({"blobs": changes}, "Digest did not match"),
        ({"blobs": breaks_off}, "unexpected EOF"),
        ({"blobs": overflows}, ""),
    ],
    ids=lambda item: "-".join(f"{k}-{v.__name__}" for k, v in item.items()) if isinstance(item, dict) else "",
)  # fmt: skip
def test_a_registry(
    answers: dict[str, Answer],
    said: str,
    krunc: Krunc,
    layout: Layout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hostile(layout, layout.image(small(os.urandom(100_000))), answers) as server:
        found = served(krunc, server, monkeypatch)
    assert said in found
    assert "s3cr3t" not in found
    if answers.get("manifests") is refuses:
        assert f"help: skopeo login {server.host}" in found


@pytest.mark.parametrize("kind", ["ping", "manifests", "blobs"])
def test_a_registry_that_never_answers(
    kind: str, krunc: Krunc, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skopeo, "PATIENCE", 1.0)
    with hostile(layout, layout.image(small()), {kind: waits}) as server:
        assert "nothing came for 1 seconds" in served(krunc, server, monkeypatch)


def test_no_registry(krunc: Krunc) -> None:
    assert "connection refused" in refused(krunc, "127.0.0.1:1/app:1")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"layers": [{"mediaType": LAYER, "digest": "sha256:" + "1" * 64, "size": 1,
                      "urls": ["http://127.0.0.1:1/elsewhere"]}]}, "foreign layer"),
        ({"layers": [{"mediaType": LAYER, "digest": "sha256:../../../etc/passwd", "size": 1}]}, "digest is"),
        ({"layers": [{"mediaType": LAYER, "digest": "sha256:" + "1" * 64, "size": 1 << 39}]}, "bytes are free"),
        ({"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json",
                     "digest": "sha256:" + "1" * 64, "size": 1}}, "an artifact"),
        ({"schemaVersion": 1, "fsLayers": []}, "schema 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["registry", "layout", "archive", "index", "archived index"])
def test_a_manifest(
    manifest: dict[str, Any],
    said: str,
    place: str,
    krunc: Krunc,
    layout: Layout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it points to is not asked for."""
    row = layout.image(small(), manifest=manifest)
    if place == "registry":
        with hostile(layout, row, {}) as server:
            found = served(krunc, server, monkeypatch)
            assert not [path for path in server.asked if "/blobs/" in path]
    else:
        layout.tag(layout.index(row) if "index" in place else row, "it")
        if "archive" in place:
            subprocess.run(["tar", "-cf", "it.tar", "-C", "layout", "."], check=True)
        image = "oci-archive:it.tar" if "archive" in place else "oci:layout:it"
        found = refused(krunc, image)
    assert said in found or "schema" in found.lower()


def test_an_index_in_a_circle(
    krunc: Krunc, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = {"os": "linux", "architecture": "amd64"}
    inner = {"mediaType": INDEX, "digest": "sha256:" + "1" * 64, "size": 1, "platform": platform}
    row = layout.index(inner)
    with hostile(layout, row, {}, INDEX) as server:
        assert "an index in an index" in served(krunc, server, monkeypatch)
    layout.tag(row, "it")
    assert "an index in an index" in refused(krunc, "oci:layout:it")
    # An index that says of itself that it is a manifest.
    blobs = layout.path / "blobs" / "sha256"
    value = {**inner, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    again = layout.index(value)
    (blobs / ("1" * 64)).write_bytes((blobs / again["digest"][7:]).read_bytes())
    layout.tag(again, "again")
    assert "has sha256:" in refused(krunc, "oci:layout:again")
    whole = layout.index({**again, "mediaType": value["mediaType"], "platform": platform})
    layout.tag(whole, "whole")
    assert "an index came where a manifest was asked for" in refused(krunc, "oci:layout:whole")


def test_an_index_without_the_platform(krunc: Krunc, layout: Layout) -> None:
    layout.tag(layout.index(layout.image(small(), arch="s390x")), "it")
    assert "it has nothing for linux/amd64; it has linux/s390x" in refused(krunc, "oci:layout:it")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"Env": {"A": "b"}}, "config.Env is not a list"),
        ({"User": "nobody"}, "has no nobody"),
        ({"WorkingDir": 7}, "config.WorkingDir is not a string"),
        ({"Entrypoint": ["x" * 200_000]}, "more than 131,072"),
        ({"Env": ["A=" + "x" * 100_000] * 20}, "bytes; Linux takes"),
        ({"User": "\u0000"}, "no string of Linux"),
    ],
)  # fmt: skip
def test_a_config(fields: dict[str, Any], said: str, krunc: Krunc, layout: Layout) -> None:
    layout.tag(layout.image(small(), **fields), "it")
    assert said in refused(krunc, "oci:layout:it")


AMD, ARM, LD = 62, 183, "/lib/ld.so"
LINKED = elf(AMD, LD)
WRONG_LABELS: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "its program": ({"app": elf(ARM)}, {"Entrypoint": ["/app"]}, "/app"),
    "its command": ({"app": elf(ARM)}, {"Cmd": ["/app", "-x"]}, "/app"),
    "32 bits": ({"app": elf32(40)}, {"Cmd": ["/app"]}, "/app"),
    "of the other order": ({"app": elf(22, order=">")}, {"Cmd": ["/app"]}, "/app"),
    "by PATH": ({"opt/app": elf(ARM)}, {"Cmd": ["app"], "Env": ["PATH=/bin:/opt"]}, "/opt/app"),
    "by PATH that nobody says": ({"usr/bin/app": elf(ARM)}, {"Cmd": ["app"]}, "/usr/bin/app"),
    "from its directory": (
        {"srv/bin/app": elf(ARM)}, {"Cmd": ["bin/app"], "WorkingDir": "/srv"}, "/srv/bin/app"
    ),
    "its interpreter": ({"app": b"#! /bin/b -x\n", "bin/b": elf(ARM)}, {"Cmd": ["/app"]}, "/bin/b"),
    "its loader": ({"app": LINKED, LD[1:]: elf(ARM)}, {"Cmd": ["/app"]}, LD),
    "its interpreter's loader": (
        {"app": b"#!/b\n", "b": LINKED, LD[1:]: elf(ARM)}, {"Cmd": ["/app"]}, LD
    ),
    "the shell of one without a program": ({"bin/sh": elf(ARM)}, {}, "/bin/sh"),
    "the shell, as the program is not there": ({"bin/sh": elf(ARM)}, {"Cmd": ["/no"]}, "/bin/sh"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_LABELS)
def test_a_wrong_label(what: str, krunc: Krunc, layout: Layout) -> None:
    files, config, path = WRONG_LABELS[what]
    layout.tag(layout.image(layer(files), **config), "it")
    said = refused(krunc, "oci:layout:it")
    assert f"its config says linux/amd64, and {path} in it is a program for " in said
    # With the right one it is fetched, but for a machine that krunc has no label for.
    layout.tag(layout.image(layer(files), arch="arm64", **config), "it")
    status = 1 if "s390x" in said or "machine 22" in said or "loader" in what else 0
    krunc("pull", "--platform", "linux/arm64", box("oci:layout:it"), status=status)


def test_an_index_with_a_wrong_label(krunc: Krunc, layout: Layout) -> None:
    """What the index, the config and the program say is the same, or nothing is written."""
    amd = {"os": "linux", "architecture": "amd64"}
    row = layout.image(layer({"app": elf(AMD)}), arch="arm64", Cmd=["/app"])
    layout.tag(layout.index({**row, "platform": amd}), "it")
    assert "the image is for linux/arm64, not for linux/amd64" in refused(krunc, "oci:layout:it")
    row = layout.image(layer({"app": elf(ARM)}), Cmd=["/app"])
    layout.tag(layout.index({**row, "platform": amd}), "it")
    said = refused(krunc, "oci:layout:it")
    assert "its config says linux/amd64, and /app in it is a program for arm64" in said


RIGHT_LABELS: dict[str, tuple[dict[str, bytes], dict[str, Any]]] = {
    "its program": ({"app": elf(AMD), "bin/sh": elf(ARM)}, {"Cmd": ["/app"]}),
    "32 bits": ({"app": elf32(3)}, {"Cmd": ["/app"]}),
    "with its loader": ({"app": LINKED, LD[1:]: elf(AMD)}, {"Cmd": ["/app"]}),
    "without its loader": ({"app": LINKED}, {"Cmd": ["/app"]}),
    "no program": ({"app": b"\x7fELF"}, {"Cmd": ["/app"]}),
    "a loader's name beyond all": ({"app": LINKED[:128] + b"\xff" * 64}, {"Cmd": ["/app"]}),
    "headers beyond all": ({"app": LINKED[:32] + b"\xff" * 60}, {"Cmd": ["/app"]}),
    "a script of itself": ({"app": b"#!/app\n"}, {"Cmd": ["/app"]}),
    "a loader that is itself": ({"app": elf(AMD, "/app")}, {"Cmd": ["/app"]}),
    "many PATHs": ({"app": elf(AMD)}, {"Cmd": ["x"], "Env": ["PATH=" + ":/.." * 9_000]}),
}


@pytest.mark.parametrize("what", RIGHT_LABELS)
def test_a_label_that_may_be_right(what: str, krunc: Krunc, layout: Layout) -> None:
    files, config = RIGHT_LABELS[what]
    layout.tag(layout.image(layer(files), **config), "it")
    krunc("pull", "--platform", "linux/amd64", box("oci:layout:it"))


def test_blobs_of_a_layout(krunc: Krunc, layout: Layout) -> None:
    """Where a blob is another, and where it is a link, nothing comes of it."""
    row = layout.image(small(b"x" * 10_000))
    layout.tag(row, "it")
    blobs = layout.path / "blobs" / "sha256"
    value = json.loads((blobs / row["digest"][7:]).read_text())
    blob = blobs / value["layers"][0]["digest"][7:]
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + b"?")
    assert "error[KR71" in refused(krunc, "oci:layout:it")
    blob.unlink()
    assert "error[KR71" in refused(krunc, "oci:layout:it")
    blob.symlink_to("/etc/passwd")
    assert "root:" not in refused(krunc, "oci:layout:it")
    # The manifest of an index is read by krunc itself.
    layout.tag(layout.index(row), "it")
    inner = blobs / row["digest"][7:]
    for replace in (lambda: inner.symlink_to("/etc/passwd"), lambda: os.mkfifo(inner), inner.mkdir):
        inner.unlink()
        replace()
        assert "root:" not in refused(krunc, "oci:layout:it")
        if inner.is_dir() and not inner.is_symlink():
            break


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
@pytest.mark.parametrize("content", [b"", b"notes", b"\x1f\x8b" + bytes(100), b"x" * 100_000])
def test_what_is_no_archive(transport: str, content: bytes, krunc: Krunc) -> None:
    Path("file").write_bytes(content)
    refused(krunc, f"{transport}:file")
    refused(krunc, f"{transport}:missing")
    refused(krunc, f"{transport}:/dev/null")
    os.mkfifo("pipe")
    refused(krunc, f"{transport}:pipe")


def test_an_archive_that_unpacks_to_much(
    krunc: Krunc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from krunc_compiler.image import pull

    monkeypatch.setattr(pull, "_FREE", 1 << 20)
    Path("zeros").touch()
    os.truncate("zeros", 300 << 20)
    for name in ("docker.tar.gz", "oci.tar.gz"):
        subprocess.run(["tar", "-I", "gzip -1", "-cf", name, "zeros"], check=True)
    Path("zeros").unlink()
    assert "unpacks to more than" in refused(krunc, "docker-archive:docker.tar.gz")
    assert "unpacks to more than" in refused(krunc, "oci-archive:oci.tar.gz")


def test_an_archive_that_leads_out(krunc: Krunc, layout: Layout, tmp_path: Path) -> None:
    layout.tag(layout.index(layout.image(small())), "it")
    with tarfile.open("it.tar", "w") as archive:
        link = tarfile.TarInfo("blobs")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        archive.addfile(link)
        for path in Path("layout").rglob("*"):
            if path.is_file():
                archive.add(path, path.relative_to("layout"))
    (tmp_path / "elsewhere").mkdir()
    main(["pull", box("oci-archive:it.tar")])
    assert os.listdir("elsewhere") == []
    for path in (Path("store"), Path("web.lock.json")):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    closed = tarfile.TarInfo("closed")
    closed.type, closed.mode = tarfile.DIRTYPE, 0
    with tarfile.open("closed.tar", "w") as archive:
        archive.addfile(closed)
    refused(krunc, "oci-archive:closed.tar")


def test_a_name_is_never_an_option(
    krunc: Krunc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever a box says, skopeo gets one word for it that begins with a transport."""
    heard = tmp_path / "heard"
    program = tmp_path / "bin" / "skopeo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{heard}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    names = [
        "--help", "-v", "--authfile=/etc/shadow", "a:$(touch x)", "a;touch x", "oci:--help", "oci:-x:t",
        "docker-archive:--debug", "docker://--help", "containers-storage:x", "dir:/etc", "docker-daemon:x:y",
        "oci:`touch x`", "user:secret@host/app:1", "a b", "a\n--help", "", "oci:", "//x", "sif:x",
    ]  # fmt: skip
    for name in names:
        said = krunc("pull", box(name), status=1)
        assert "Traceback" not in said
    words = heard.read_text().splitlines()
    started = {"inspect", "--raw", "--tmpdir"}
    rest = [word for word in words if word not in started and not word.startswith(str(tmp_path))]
    assert rest
    assert all(
        word.startswith(("docker://docker.io/", "oci:", "oci-archive:", "docker-archive:"))
        for word in rest
    )
    assert not Path("x").exists()


SECRET = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    "said",
    [
        f'time="x" level=fatal msg="Get \\"https://u:{SECRET}@h/v2/?token={SECRET}\\": bad\\nthing"',
        f'level=fatal msg="reading blob: https://cdn/x?X-Amz-Signature={SECRET}&a=b: 403"',
        f"Authorization: Bearer {SECRET}",
        f'level=error msg=basic\nlevel=fatal msg="Basic {SECRET}=="',
    ],
)
def test_no_credential_is_told(
    said: str, krunc: Krunc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "skopeo"
    program.parent.mkdir()
    (tmp_path / "said").write_text(said)
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    found = refused(krunc, "app:1")
    assert SECRET not in found
    assert "skopeo: " in found


def test_skopeo_that_is_killed_or_says_much(
    krunc: Krunc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "skopeo"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for script, said in [
        ("kill -KILL $$", "it ended with signal 9, and said nothing"),
        ("exit 3", "it ended with exit code 3"),
        ("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1", "xxx..."),
        ("head -c 10000000 /dev/zero", "more than 4,194,304 bytes"),
        ("echo '\x1b[2J' >&2; exit 1", "skopeo: [2J"),
    ]:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert said in refused(krunc, "app:1")


def test_credentials_are_skopeos(
    krunc: Krunc, layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A registry that wants to know who asks gets what REGISTRY_AUTH_FILE has, and nobody else."""
    import base64

    word = base64.b64encode(f"me:{SECRET}".encode()).decode()
    seen = []

    def asks(handler: Any, data: bytes) -> None:
        seen.append(handler.headers.get("Authorization"))
        (right if seen[-1] == f"Basic {word}" else refuses)(handler, data)

    row = layout.image(small())
    with hostile(layout, row, dict.fromkeys(["ping", "manifests", "blobs"], asks)) as server:
        assert "skopeo login" in served(krunc, server, monkeypatch)
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {server.host: {"auth": word}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(auth))
        said = krunc("pull", "web.yaml")
    assert f"Basic {word}" in seen
    for path in [*Path("store").iterdir(), Path("web.lock.json")]:
        assert SECRET.encode() not in path.read_bytes()
        assert word.encode() not in path.read_bytes()
    assert SECRET not in said


def test_a_policy_of_skopeo_counts(
    krunc: Krunc, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.tag(layout.image(small()), "it")
    trusting(Path("home").absolute(), "127.0.0.1:1")
    Path("home/.config/containers/policy.json").write_text('{"default": [{"type": "reject"}]}')
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    said = refused(krunc, "oci:layout:it")
    assert "rejected by policy" in said
    assert "containers-policy.json(5)" in said


@pytest.mark.parametrize(
    ("name", "what"),
    [(name, what) for name in ("index.json", "oci-layout", "outermost", "layer") for what in ("a link", "an endless one", "large")],
)  # fmt: skip
def test_a_layout_with_what_no_layout_has(
    krunc: Krunc, layout: Layout, name: str, what: str, tmp_path: Path
) -> None:
    """skopeo follows links, and reads a manifest whole whatever its size."""
    row = layout.image(small())
    layout.tag(layout.index(row), "it")
    index = json.loads((layout.path / "index.json").read_text())
    blobs = layout.path / "blobs/sha256"
    inner = json.loads((blobs / row["digest"][7:]).read_text())
    files = {
        "index.json": layout.path / "index.json",
        "oci-layout": layout.path / "oci-layout",
        "outermost": blobs / index["manifests"][0]["digest"][7:],
        "layer": blobs / inner["layers"][0]["digest"][7:],
    }
    file, elsewhere = files[name], tmp_path / "elsewhere"
    if what == "large":
        with file.open("ab") as out:
            out.truncate(300 << 20)
    else:
        file.rename(elsewhere)
        file.symlink_to(elsewhere if what == "a link" else "/dev/zero")
    said = refused(krunc, f"oci:{layout.path}:it")
    if what != "large":
        assert "is not a regular file" in said
    elif name != "layer":
        assert "314,572,800 bytes; allowed: 4,194,304" in said


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ('{"manifests": [ROW], "manifests": [{}]}', "duplicate key"),
        ('{"Manifests": [ROW], "schemaVersion": 2}', "manifests is not a list"),
        ('{"manifests": [], "MANIFESTS": [ROW]}', "the key MANIFESTS"),
        ('{"manifests": [], "manife\u017ft\u017f": [ROW]}', "the key manife"),
        ('{"manifests": [{"Digest": "sha256:1", ROW}]}', "not JSON"),
        ('{"manifests": [{"mediaType": "a", "size": 1, "digest": "sha512:' + "0" * 128 + '"}]}', "digest is sha512"),
        ('{"manifests": [{"size": 1}]}', "digest is missing"),
        ("[ROW]", "not an object"),
        ("{", "not JSON"),
    ],
)  # fmt: skip
def test_an_index_that_skopeo_could_read_otherwise(
    krunc: Krunc, layout: Layout, index: str, said: str
) -> None:
    layout.tag(layout.image(small()), "it")
    (row,) = json.loads((layout.path / "index.json").read_text())["manifests"]
    (layout.path / "index.json").write_text(index.replace("ROW", json.dumps(row)))
    assert said in refused(krunc, f"oci:{layout.path}:it")


@pytest.mark.parametrize("start", ["", "denied: ", "https://", "a://b?c=", "bearer "])
def test_a_long_error_is_looked_at_in_a_moment(start: str) -> None:
    """Patterns that try each place of a text take long for a long one."""
    for text in (start + "A" * 60_000, f'level=fatal msg="{start}{"A" * 60_000}"'):
        for _ in range(20):
            said = skopeo.told(text)
        assert len(said) <= 600
