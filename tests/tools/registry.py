"""A real registry on loopback, Debian's docker-registry, and images for it, made by hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.image.layers import UNPACKERS
from processes import started, wait_until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = b"root:x:0:\nstaff:x:50:app,other\napp:x:1000:\n"
_TAG = "org.opencontainers.image.ref.name"


class Registry(NamedTuple):
    """A registry that is served, and the home directory of a user who trusts it without TLS."""

    host: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which skopeo knows it."""
        return {"HOME": str(self.home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def push(self, layout: Layout, tag: str, name: str, *options: str) -> str:
        """Push what has TAG in LAYOUT as NAME; the reference of it."""
        target = f"docker://{self.host}/{name}"
        command = ["skopeo", "copy", "-q", *options, f"oci:{layout.path}:{tag}", target]
        subprocess.run(command, check=True, env=self.environment)
        return f"{self.host}/{name}"


def layer(files: dict[str, bytes]) -> bytes:
    """A layer with FILES, as a plain tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def digest(data: bytes) -> str:
    """The digest of DATA."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Layout:
    """An OCI layout that is made by hand, and need not be right."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs = path / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._rows: list[dict[str, Any]] = []
        self._write()

    def _write(self) -> None:
        index = {"schemaVersion": 2, "manifests": self._rows}
        (self.path / "index.json").write_text(json.dumps(index))

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        """Keep DATA; what points to it."""
        (self._blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    def image(
        self,
        *layers: bytes,
        arch: str = "amd64",
        manifest: dict[str, Any] | None = None,
        **config: Any,
    ) -> dict[str, Any]:
        """Make an image of the tars LAYERS with the fields of CONFIG, and of MANIFEST in its
        manifest; what points to it."""
        rows = (manifest or {}).get("layers")
        if rows is None:
            rows = [self.blob(gzip.compress(one, mtime=0), LAYER) for one in layers]
        value = {
            "architecture": arch,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": list(map(digest, layers))},
        }
        whole = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(value).encode(), CONFIG),
            "layers": rows,
            **(manifest or {}),
        }
        platform = {"os": "linux", "architecture": arch}
        return {**self.blob(json.dumps(whole).encode(), MANIFEST), "platform": platform}

    def index(self, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Make an index of ROWS; what points to it."""
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(rows), **more}
        return self.blob(json.dumps(value).encode(), INDEX)

    def tag(self, row: dict[str, Any], tag: str) -> str:
        """Give TAG to what ROW points to; the digest of that."""
        annotated = {key: item for key, item in row.items() if key != "platform"}
        self._rows = [one for one in self._rows if one["annotations"][_TAG] != tag]
        self._rows.append({**annotated, "annotations": {_TAG: tag}})
        self._write()
        return str(row["digest"])


def alpine(layout: Layout, **config: Any) -> dict[str, Any]:
    """Make the image of Alpine's root that the extra krunc[libkrun] carries, packed by zstd as it
    is there; what points to it."""
    found = find_spec("smol")
    assert found is not None
    assert found.origin is not None
    packed = (Path(found.origin).parent / "agent-rootfs.tar.zst").read_bytes()
    whole = b"".join(UNPACKERS["zstd"]([packed]))
    row = layout.blob(packed, LAYER.replace("gzip", "zstd"))
    return layout.image(whole, manifest={"layers": [row]}, **config)


def small(content: bytes = b"1", **files: bytes) -> bytes:
    """A small layer that has a user app, and CONTENT in /version."""
    named = {name.replace("_", "/"): data for name, data in files.items()}
    return layer({"etc/passwd": PASSWD, "etc/group": GROUP, "version": content, **named})


def trusting(home: Path, host: str) -> None:
    """Make the user of HOME trust the registry HOST without TLS."""
    directory = home / ".config" / "containers"
    directory.mkdir(parents=True)
    text = f'[[registry]]\nlocation = "{host}"\ninsecure = true\n'
    (directory / "registries.conf").write_text(text)
    (directory / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')


@contextmanager
def serving(directory: Path) -> Iterator[Registry]:
    """A registry of its own in DIRECTORY, on a port that the kernel chooses."""
    directory.mkdir()
    (directory / "config.yml").write_text(
        "version: 0.1\n"
        "log: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
        'http: {addr: "127.0.0.1:0"}\n'
    )
    said = directory / "log"
    command = ["docker-registry", "serve", str(directory / "config.yml")]
    with said.open("wb") as log, started(command, stdout=log, stderr=log) as process:
        wait_until(lambda: "listening on" in said.read_text(), process)
        found = re.search(r"listening on (127\.0\.0\.1:\d+)", said.read_text())
        assert found is not None
        trusting(directory / "home", found[1])
        yield Registry(found[1], directory / "home")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry for all tests of a process."""
    with serving(tmp_path_factory.mktemp("registry") / "served") as found:
        yield found


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty layout, below the directory in which `krunc` works."""
    return Layout(tmp_path / "layout")


class Krunc(NamedTuple):
    """krunc in a directory of its own, by a user who trusts the registry."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str, status: int = 0) -> str:
        """Run krunc with WORDS, which ends with STATUS; what it says."""
        self.capsys.readouterr()
        ended = main(list(words))
        said = "".join(self.capsys.readouterr())
        assert ended == status, said
        return said


@pytest.fixture
def krunc(
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Krunc:
    """krunc, whose store is `store` in the directory of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(registry.home))
    monkeypatch.setenv("KRUNC_STORE", str(tmp_path / "store"))
    return Krunc(capsys)


def box(image: str, name: str = "web", **more: Any) -> str:
    """Write a box with this IMAGE into the file NAME.yaml, which is returned."""
    value = {"krunc": 1, "name": "web", "rootfs": {"image": image}, "network": {"mode": "none"}}
    Path(f"{name}.yaml").write_text(json.dumps({**value, **more}))
    return f"{name}.yaml"
