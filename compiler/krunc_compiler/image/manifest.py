"""Manifests and configs of images, as a stranger's registry sends them: read within bounds, nothing
in them followed.

The formats are those of the OCI image specification 1.1 (manifest.md, image-index.md, config.md)
and Docker's schema 2.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.image.platform import takes
from krunc_compiler.image.run_config import BadConfig, Config, read_config
from krunc_compiler.image.unusable import Unusable
from krunc_compiler.text.strict_json import value_of

# As much as registries take (distribution's registry/handlers/manifests.go) and skopeo reads.
MAX_MANIFEST = 4 << 20
MAX_CONFIG = 4 << 20
# Docker and containerd make no image with more than 128.
MAX_LAYERS = 500  # a lock takes 1,000
MAX_SIZE = 1 << 40  # as a lock takes them

DIGEST = re.compile("sha256:[0-9a-f]{64}")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LAYERS = (
    PLAIN_LAYER,
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
_OF_A_LAYOUT = ("manifests", "digest", "size")
_ELSEWHERE = "push it again with all of its layers in the registry"


class Blob(NamedTuple):
    """What a manifest points to: bytes by their digest, and how many there are."""

    media_type: str
    digest: str
    size: int


class Manifest(NamedTuple):
    """An image: its manifest as it came, the digest of that, its config and its layers, the lowest
    first."""

    raw: bytes
    digest: str
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """The bytes of all blobs, as far as the manifest tells."""
        return sum({blob.digest: blob.size for blob in (self.config, *self.layers)}.values())


def refused(message: str, hint: str = "") -> Unusable:
    """Return the refusal of an image."""
    return Unusable("KR712", message, hint)


def digest_of(data: bytes) -> str:
    """Return the digest of DATA."""
    return f"sha256:{hexdigest(data)}"


def chosen(raw: bytes, wanted: str) -> str:
    """Return the digest of the manifest for the platform WANTED: that of RAW, or of what RAW, which
    is an index, names for it. Raises Unusable."""
    value = _read(raw, "manifest")
    if not _is_index(value):
        return digest_of(raw)
    entries = _list(value, "manifests", "index", 10_000)
    offered = []
    for number, entry in enumerate(entries):
        place = f"index: manifests[{number}]"
        blob = _blob(entry, place, MAX_MANIFEST)
        found, variant = _platform(entry, place)
        if found:
            offered.append(f"{found}/{variant}" if variant else found)
        if takes(wanted, found, variant):
            if blob.media_type in _INDEXES:
                raise refused(
                    f"{place} is an index in an index", "name the inner one by its digest"
                )
            return blob.digest
    names = ", ".join(dict.fromkeys(offered[:12])) or "nothing that names a platform"
    raise refused(f"it has nothing for {wanted}; it has {names}", "choose one with --platform")


def outermost(raw: bytes) -> list[str]:
    """Return the digests to which RAW, the index.json of a layout, points. Raises Unusable, also
    where skopeo could read another one: Go takes a key for its own in whatever case it is."""
    index = _read(raw, "index.json")
    rows = _list(index, "manifests", "index.json", 10_000)
    digests = [
        _blob(row, f"index.json: manifests[{i}]", MAX_MANIFEST).digest for i, row in enumerate(rows)
    ]
    for key in {key for one in (index, *rows) for key in one}:
        if key not in _OF_A_LAYOUT and key.casefold() in _OF_A_LAYOUT:
            raise refused(f"index.json: the key {shown(key)}; write {key.casefold()}")
    return digests


def manifest(raw: bytes) -> Manifest:
    """Return the image whose manifest is RAW. Raises Unusable."""
    value = _read(raw, "manifest")
    if _is_index(value):
        raise refused("an index came where a manifest was asked for")
    config = _blob(value.get("config"), "manifest: config", MAX_CONFIG)
    if config.media_type not in _CONFIGS:
        kind = shown(config.media_type)
        raise refused(f"it is an artifact, not an image: its config is {kind}")
    rows = _list(value, "layers", "manifest", MAX_LAYERS)
    layers = tuple(_layer(row, f"manifest: layers[{number}]") for number, row in enumerate(rows))
    return Manifest(raw, digest_of(raw), config, layers)


def _layer(row: Any, place: str) -> Blob:
    layer = _blob(row, place, MAX_SIZE)
    kind = layer.media_type
    if row.get("urls") or "foreign" in kind or "nondistributable" in kind:
        raise refused(f"{place} lies elsewhere (a foreign layer), and is not fetched", _ELSEWHERE)
    if kind.endswith("+encrypted"):
        raise refused(f"{place} is encrypted", "decrypt it first: skopeo copy --decryption-key")
    if kind not in _LAYERS:
        raise refused(
            f"{place} is not a layer: {shown(kind)}", "a layer is a tar: plain, gzip or zstd"
        )
    return layer


def config(raw: bytes, image: Manifest, wanted: str) -> Config:
    """Return the config RAW of IMAGE, which is to be for the platform WANTED and to have a diff id
    for each layer. Raises Unusable."""
    if digest_of(raw) != image.config.digest:
        raise refused(f"config: it has {digest_of(raw)}, the manifest says {image.config.digest}")
    try:
        found = read_config(_text(raw, "config"))
    except BadConfig as error:
        raise refused(f"config: {shown(str(error), 200)}") from None
    if found.platform != wanted:
        raise refused(
            f"the image is for {shown(found.platform)}, not for {wanted}",
            "choose another with --platform, or another image",
        )
    if not all(map(DIGEST.fullmatch, found.diff_ids)):
        raise refused("config: rootfs.diff_ids needs sha256: and 64 hexadecimal digits")
    if len(found.diff_ids) != len(image.layers):
        counts = f"{len(found.diff_ids)} diff ids, but the manifest has {len(image.layers)} layers"
        raise refused(f"config: {counts}")
    return found


def _is_index(value: dict[str, Any]) -> bool:
    """Tell whether VALUE is an index, not a manifest. Raises Unusable when it is neither."""
    kind = value.get("mediaType", "")
    version = value.get("schemaVersion")
    if isinstance(version, bool) or version not in (1, 2):
        raise refused(f"manifest: schemaVersion is {shown(version)}; 2 is allowed")
    if version == 1 or (isinstance(kind, str) and kind.startswith(_SCHEMA_1)):
        raise refused(
            "it has Docker's schema 1, which neither names its layers' sizes nor its config",
            "push it again with a current docker, podman or skopeo",
        )
    if kind in _INDEXES or (not kind and "manifests" in value and "layers" not in value):
        return True
    if kind in _MANIFESTS or (not kind and "layers" in value and "manifests" not in value):
        return False
    raise refused(f"manifest: mediaType is {shown(kind)}; an image's is allowed")


def _platform(entry: dict[str, Any], place: str) -> tuple[str, str]:
    """Return the platform that ENTRY tells, empty when it tells none, and its variant. Raises
    Unusable."""
    value = entry.get("platform") or {}
    if not isinstance(value, dict):
        raise refused(f"{place}: platform is not an object")
    words = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(word, str) for word in words):
        raise refused(f"{place}: os, architecture and variant are strings")
    system, architecture, variant = map(shown, words)
    return (f"{system}/{architecture}" if system and architecture else ""), variant


def _blob(value: Any, place: str, most: int) -> Blob:
    if not isinstance(value, dict):
        raise refused(f"{place} is not an object")
    digest, size, kind = (value.get(key) for key in ("digest", "size", "mediaType"))
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        allowed = "sha256: and 64 hexadecimal digits are"
        raise refused(f"{place}: digest is {shown(digest)}; {allowed} allowed")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= most:
        raise refused(f"{place}: size is {shown(size)}; 0 to {most:,} bytes are allowed")
    if not isinstance(kind, str):
        raise refused(f"{place}: mediaType is {shown(kind)}; a string is allowed")
    return Blob(kind, digest, size)


def _list(value: dict[str, Any], key: str, place: str, most: int) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise refused(f"{place}: {key} is not a list")
    if len(found) > most:
        raise refused(f"{place}: {len(found):,} {key}; {most:,} are allowed")
    return found


def _read(raw: bytes, what: str) -> dict[str, Any]:
    """Return the object that RAW is. Raises Unusable."""
    if len(raw) > MAX_MANIFEST:
        raise refused(f"{what}: more than {MAX_MANIFEST:,} bytes")
    try:
        value = value_of(what, _text(raw, what), "KR712", "a manifest")
    except Rejected as rejected:
        raise refused(f"{what}: {shown(rejected.findings[0].finding.message, 200)}") from None
    if not isinstance(value, dict):
        raise refused(f"{what}: this is not an object")
    return value


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise refused(f"{what}: this is not UTF-8") from None


def shown(value: Any, most: int = 80) -> str:
    """Return VALUE, a stranger's, for a message: short, and on one line."""
    if value is None:
        return "missing"
    text = value if isinstance(value, str) else json.dumps(value)
    text = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return text if len(text) <= most else text[: most - 3] + "..."
