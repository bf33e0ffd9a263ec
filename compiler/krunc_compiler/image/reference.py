"""What names an image, as a box and as skopeo write it.

Only the text is looked at: whether there is such an image, `krunc pull` finds out.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

# Where a name without a registry comes from, as docker and podman take it.
_REGISTRY, _LIBRARY = "docker.io", "library"
_TAG = "latest"
# PATH_MAX of the host with the NUL at its end; names of registries are shorter.
_MOST_BYTES = 4095
_MOST_NAME = 255
# The grammar of github.com/distribution/reference.
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]{2,45}\](?::[0-9]{1,5})?"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG_FORM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# A name in an OCI layout: org.opencontainers.image.ref.name of the image specification.
_LAYOUT_TAG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@+/-]{0,253}[A-Za-z0-9])?")
_DOCKER = "docker"
# What leads to a file of the host, and whether a tag may stand behind it.
_FILES = {"oci": True, "oci-archive": False, "docker-archive": False}
# The other transports that skopeo's help lists, and two words that are taken for one. `dir:1` would
# else be an image of docker.io with the name dir.
_OTHERS = frozenset(
    ("atomic", "containers-storage", "dir", "docker-daemon", "oci-dir", "ostree", "sif", "tarball")
)
FORM = (
    "NAME:TAG of a registry, as in alpine:3.20 or docker://registry.example/app@sha256:..., or "
    "oci:PATH[:TAG], oci-archive:FILE, docker-archive:FILE"
)


class NotAReference(ValueError):
    """The text names no image."""


class Reference(NamedTuple):
    """An image: in a registry (transport docker, with a name, a tag and perhaps a digest), or in a
    layout or archive at a path of the host."""

    transport: str
    name: str
    tag: str | None
    digest: str | None
    path: str

    @property
    def pinned(self) -> bool:
        """Tell whether its digest says which image it is, whatever a registry answers."""
        return self.digest is not None

    def full(self) -> str:
        """Return the reference with everything that its writer left out: what names of a policy
        are compared with. docker://docker.io/library/alpine:3.20."""
        if self.transport != _DOCKER:
            return f"{self.transport}:{self.path}" + (f":{self.tag}" if self.tag else "")
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"docker://{self.name}{tag}{digest}"

    def short(self) -> str:
        """Return what a reader calls it, in few letters: app:1.4."""
        name = (self.name or self.path.rstrip("/")).rsplit("/", 1)[-1]
        return name + (f":{self.tag}" if self.tag else "")

    def source(self, home: str) -> str:
        """Return what skopeo takes, for a box in the directory HOME.

        Of a registry's image a digest is what counts: skopeo takes no tag beside one.
        """
        if self.transport == _DOCKER:
            which = f"@{self.digest}" if self.digest else f":{self.tag}"
            return f"docker://{self.name}{which}"
        path = posixpath.join(home, self.path)
        return f"{self.transport}:{path}" + (f":{self.tag}" if self.tag else "")

    def moved(self, directory: str) -> str:
        """Return the text of this relative reference for a box from whose directory DIRECTORY leads
        to the one that says it."""
        return self._replace(path=posixpath.normpath(posixpath.join(directory, self.path))).full()

    @property
    def relative(self) -> bool:
        """Tell whether it starts at the directory of the box that says it."""
        return self.transport != _DOCKER and not self.path.startswith("/")


def parse(text: str) -> Reference:
    """Return the reference that TEXT is; raises NotAReference, which says what is wrong."""
    if len(text.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise NotAReference(f"it has more than {_MOST_BYTES:,} bytes")
    if not text.isprintable() or text != text.strip():
        raise NotAReference("it has invisible characters")
    transport, colon, rest = text.partition(":")
    if colon and transport in _FILES:
        return _in_files(transport, rest)
    if colon and transport in _OTHERS and not rest.startswith("//"):
        raise NotAReference(
            f"{transport}: is a transport that krunc does not read (skopeo copies from it into an "
            f"oci: layout); an image with this name is docker.io/library/{transport}:TAG"
        )
    if "://" in text and not text.startswith("docker://"):
        raise NotAReference(f"{transport}:// is not known; docker:// is, or no scheme")
    return _in_registry(text.removeprefix("docker://"))


def _in_files(transport: str, rest: str) -> Reference:
    path, colon, tag = rest.partition(":")
    if not path:
        raise NotAReference(f"a path is missing behind {transport}:")
    if path.startswith("//"):
        raise NotAReference(f"{transport}:// is not known; write {transport}:PATH")
    if not colon:
        return Reference(transport, "", None, None, path)
    if not _FILES[transport]:
        raise NotAReference(f"the path of {transport}: has no colon")
    if not _LAYOUT_TAG.fullmatch(tag):
        raise NotAReference(f"{tag!r} is not a tag of an OCI layout")
    return Reference(transport, "", tag, None, path)


def _in_registry(text: str) -> Reference:
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise NotAReference("behind @, expected sha256: and 64 hexadecimal digits in lower case")
    name, tag = rest, None
    if ":" in rest.rsplit("/", 1)[-1]:
        name, _, tag = rest.rpartition(":")
        if not _TAG_FORM.fullmatch(tag):
            allowed = "letters, digits, '_', '.', '-', at most 128"
            raise NotAReference(f"{tag!r} is not a tag: {allowed}")
    domain, path = _split(name)
    if not _DOMAIN.fullmatch(domain):
        raise NotAReference(f"{domain!r} is not a registry: HOST or HOST:PORT")
    for component in path.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise NotAReference(
                f"{component!r} is not part of a name: lower-case letters and digits, with '.', "
                "'_' or '-' between them"
            )
    whole = f"{domain}/{path}"
    if len(whole) > _MOST_NAME:
        raise NotAReference(f"the name has more than {_MOST_NAME} characters")
    if tag is None and not at:
        tag = _TAG
    return Reference(_DOCKER, whole, tag, digest or None, "")


def _split(name: str) -> tuple[str, str]:
    """Split the registry from the rest of NAME, as docker does."""
    first, slash, rest = name.partition("/")
    is_domain = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not is_domain:
        first, rest = _REGISTRY, name
    if first == "index.docker.io":
        first = _REGISTRY
    if first == _REGISTRY and "/" not in rest:
        rest = f"{_LIBRARY}/{rest}"
    return first, rest
