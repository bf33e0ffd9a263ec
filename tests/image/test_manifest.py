"""Manifests and configs of strangers: what is an image, and what of anything else is said."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from krunc_compiler.image import manifest as manifests
from krunc_compiler.image.manifest import DIGEST, Manifest, chosen, config, digest_of, manifest
from krunc_compiler.image.unusable import Unusable
from registry import CONFIG, INDEX, LAYER, MANIFEST

HEX = "sha256:" + "a" * 64
AMD, ARM = "linux/amd64", "linux/arm64"


def blob(kind: str = LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": HEX, "size": 3, **more}


def image(**more: Any) -> dict[str, Any]:
    """A manifest with MORE; None leaves a key out."""
    value = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": blob(CONFIG), "layers": [blob()], **more,
    }  # fmt: skip
    return {key: item for key, item in value.items() if item is not None}


def entry(platform: Any, letter: str = "b", kind: str = MANIFEST) -> dict[str, Any]:
    """A row of an index."""
    return {**blob(kind), "digest": "sha256:" + letter * 64, "platform": platform}


def index(*rows: Any, **more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(rows), **more}


def raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def of(system: str, architecture: str, variant: str = "") -> dict[str, str]:
    return {"os": system, "architecture": architecture, "variant": variant}


@pytest.mark.parametrize(
    "kind", [MANIFEST, None, "application/vnd.docker.distribution.manifest.v2+json"]
)
def test_an_image(kind: str | None) -> None:
    data = raw(image(mediaType=kind))
    found = manifest(data)
    assert found.digest == digest_of(data) == chosen(data, AMD)
    assert [one.size for one in found.layers] == [3]
    assert found.config.digest == HEX


@pytest.mark.parametrize(
    ("rows", "wanted", "letter"),
    [
        ([entry(of("linux", "arm64"), "c"), entry(of("linux", "amd64"))], AMD, "b"),
        ([entry(of("linux", "arm64", "v8"), "c"), entry(of("linux", "amd64"))], ARM, "c"),
        # A processor of amd64 need not be one of v3, and the first of two counts.
        ([entry(of("linux", "amd64", "v3"), "c"), entry(of("linux", "amd64"), "d"),
          entry(of("linux", "amd64"), "e")], AMD, "d"),
        # What buildx says of an image stands beside it.
        ([entry(of("unknown", "unknown"), "c"), entry(None, "d"), entry(of("linux", "amd64"))], AMD, "b"),
    ],
)  # fmt: skip
def test_an_index_has_one_for_each_platform(rows: list[Any], wanted: str, letter: str) -> None:
    assert chosen(raw(index(*rows)), wanted) == "sha256:" + letter * 64
    assert chosen(raw(index(*rows, mediaType="")), wanted) == "sha256:" + letter * 64


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b"[" * 100_000, "not"),
        (b"\xff{}", "not UTF-8"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', "duplicate key"),
        (b'{"schemaVersion": NaN}', "not a number"),
        (b'{"schemaVersion": ' + b"9" * 10_000 + b"}", ""),
        (b" " * (manifests.MAX_MANIFEST + 1), "more than 4,194,304 bytes"),
        ({}, "schemaVersion is missing"),
        (image(schemaVersion="2"), "schemaVersion is 2; 2 is allowed"),
        (image(schemaVersion=True), "schemaVersion is true"),
        ({"schemaVersion": 1, "name": "a", "fsLayers": []}, "schema 1"),
        (image(mediaType="application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1"),
        (image(mediaType=["a"]), "mediaType is"),
        (image(mediaType="text/html"), "mediaType is text/html"),
        (image(mediaType=None, manifests=[]), "mediaType is"),
        (image(config=None), "config is not an object"),
        (image(config=blob("application/vnd.cncf.helm.config.v1+json")), "an artifact"),
        (image(config=blob("application/vnd.oci.empty.v1+json")), "an artifact"),
        (image(config=blob(CONFIG, size=1 << 30)), "config: size is 1073741824"),
        (image(layers={}), "layers is not a list"),
        (image(layers=[blob()] * 501), "501 layers; 500 are allowed"),
        (image(layers=["x"]), "layers[0] is not an object"),
        (image(layers=[blob(), blob(digest="sha256:" + "A" * 64)]), "layers[1]: digest is"),
        (image(layers=[blob(digest="sha512:" + "a" * 128)]), "digest is sha512:"),
        (image(layers=[blob(digest=HEX + "\n")]), "digest is"),
        (image(layers=[blob(digest=f"../{HEX}")]), "digest is"),
        (image(layers=[blob(digest=None)]), "digest is missing"),
        (image(layers=[blob(size=-1)]), "size is -1"),
        (image(layers=[blob(size=True)]), "size is true"),
        (image(layers=[blob(size=1.5)]), "size is 1.5"),
        (image(layers=[blob(size=1 << 41)]), "size is"),
        (image(layers=[blob(mediaType=7)]), "mediaType is 7"),
        (image(layers=[blob("text/plain")]), "layers[0] is not a layer: text/plain"),
        (image(layers=[blob(LAYER + "+encrypted")]), "encrypted"),
        (image(layers=[blob(urls=["http://elsewhere.example/layer"])]), "foreign"),
        (image(layers=[blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]), "foreign"),
        (image(layers=[blob("application/vnd.oci.image.layer.nondistributable.v1.tar")]), "foreign"),
        (index(), "an index came"),
    ],
)  # fmt: skip
def test_what_is_no_image(value: Any, said: str) -> None:
    with pytest.raises(Unusable) as refused:
        manifest(raw(value))
    assert said in refused.value.message
    assert refused.value.code == "KR712"
    assert len(refused.value.message) < 400
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "nothing that names a platform"),
        ([entry(of("linux", "s390x")), entry(of("windows", "amd64"))], "it has linux/s390x, windows/amd64"),
        ([entry(of("linux", "amd64", "v3"))], "it has linux/amd64/v3"),
        ([entry(of("linux", "amd64"), kind=INDEX)], "an index in an index"),
        ([entry(["linux", "amd64"])], "platform is not an object"),
        ([entry({"os": 1, "architecture": "amd64"})], "are strings"),
        ([entry(of("\x1b[2J" * 100, "amd64"))], "it has ?[2J"),
        (["x"], "manifests[0] is not an object"),
        ([entry(of("linux", "amd64"))] * 10_001, "10,001 manifests"),
    ],
)  # fmt: skip
def test_an_index_without_the_platform(rows: list[Any], said: str) -> None:
    with pytest.raises(Unusable) as refused:
        chosen(raw(index(*rows)), AMD)
    assert said in refused.value.message
    assert len(refused.value.message) < 2_000
    assert refused.value.message.isprintable()


def with_config(value: Any, layers: int = 1) -> tuple[bytes, Manifest]:
    data = raw(value)
    held = blob(CONFIG, digest=digest_of(data), size=len(data))
    return data, manifest(raw(image(config=held, layers=[blob()] * layers)))


GOOD = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [HEX]}}


def test_a_config() -> None:
    assert config(*with_config({**GOOD, "config": {"User": "app"}}), AMD).user == "app"


@pytest.mark.parametrize(
    ("value", "layers", "said"),
    [
        (b"{", 1, "not JSON"),
        (b"\xff", 1, "not UTF-8"),
        ([], 1, "not an object"),
        ({**GOOD, "config": {"Env": "A=b"}}, 1, "config.Env is not a list"),
        ({**GOOD, "config": {"Cmd": [1]}}, 1, "config.Cmd[0] is not a string"),
        ({**GOOD, "architecture": "arm64"}, 1, "for linux/arm64, not for linux/amd64"),
        ({**GOOD, "os": "windows"}, 1, "for windows/amd64"),
        ({**GOOD, "rootfs": {"diff_ids": [HEX.upper()]}}, 1, "diff_ids needs sha256"),
        ({**GOOD, "rootfs": {"diff_ids": []}}, 1, "0 diff ids, but the manifest has 1 layers"),
        (GOOD, 2, "1 diff ids, but the manifest has 2 layers"),
        ({**GOOD, "rootfs": None}, 1, "0 diff ids"),
        ({**GOOD, "rootfs": [HEX]}, 1, "rootfs is not an object"),
    ],
)  # fmt: skip
def test_a_config_of_another_shape(value: Any, layers: int, said: str) -> None:
    with pytest.raises(Unusable) as refused:
        config(*with_config(value, layers), AMD)
    assert said in refused.value.message


def test_another_config() -> None:
    _, found = with_config(GOOD)
    with pytest.raises(Unusable, match="the manifest says"):
        config(raw({**GOOD, "x": 1}), found, AMD)


ODD: list[Any] = [
    None, True, 0, -1, 1 << 70, 1.5, "", "x", "\x00\ud800", "y" * 10_000, [], {}, [[]], [{}], {"a": 1},
    ["sha256:" + "a" * 64],
]  # fmt: skip


def replaced(value: Any) -> Iterator[Any]:
    """VALUE with each part of it replaced by everything that is odd there."""
    yield from ODD
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            for other in replaced(value[key]):
                changed = copy.copy(value)
                changed[key] = other
                yield changed


def test_anything_anywhere_in_a_manifest() -> None:
    for value in replaced(image(annotations={"a": "b"})):
        with contextlib.suppress(Unusable):
            assert chosen(raw(value), AMD) == manifest(raw(value)).digest


def test_anything_anywhere_in_an_index() -> None:
    rows = [entry(of("linux", "arm64", "v8"), "c"), entry(of("linux", "amd64", "v1"))]
    for value in replaced(index(*rows)):
        with contextlib.suppress(Unusable):
            assert DIGEST.fullmatch(chosen(raw(value), AMD))


def test_anything_anywhere_in_a_config() -> None:
    fields = {
        "User": "app", "Env": ["A=b"], "Cmd": ["c"], "WorkingDir": "/", "Volumes": {"/v": {}},
        "ExposedPorts": {"80/tcp": {}}, "StopSignal": "TERM", "Healthcheck": {"Test": ["CMD", "x"]},
    }  # fmt: skip
    for value in replaced({**GOOD, "variant": "v1", "config": fields}):
        with contextlib.suppress(Unusable):
            assert config(*with_config(value), AMD).platform == AMD
