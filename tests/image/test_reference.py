"""References: what names an image, spelled in many ways."""

from __future__ import annotations

import subprocess

import pytest
from krunc_compiler.image.reference import NotAReference, Reference, parse

D = "sha256:" + "0123456789abcdef" * 4

GOOD = {
    "alpine": "docker://docker.io/library/alpine:latest",
    "alpine:3.20": "docker://docker.io/library/alpine:3.20",
    "docker://alpine:3.20": "docker://docker.io/library/alpine:3.20",
    "docker.io/alpine": "docker://docker.io/library/alpine:latest",
    "index.docker.io/alpine": "docker://docker.io/library/alpine:latest",
    "library/alpine": "docker://docker.io/library/alpine:latest",
    "krunc/app:1.4": "docker://docker.io/krunc/app:1.4",
    "localhost/app": "docker://localhost/app:latest",
    "localhost:5000/app:1": "docker://localhost:5000/app:1",
    "127.0.0.1:5000/a/b/c:1": "docker://127.0.0.1:5000/a/b/c:1",
    "[::1]:5000/app:1": "docker://[::1]:5000/app:1",
    "registry.example/a__b/c-d.e:V_1.0-x": "docker://registry.example/a__b/c-d.e:V_1.0-x",
    "Registry/app": "docker://Registry/app:latest",
    f"alpine@{D}": f"docker://docker.io/library/alpine@{D}",
    f"r.example:443/app:1@{D}": f"docker://r.example:443/app:1@{D}",
    "oci:./layout": "oci:./layout",
    "oci:layout:1.4": "oci:layout:1.4",
    "oci:/srv/layout:app:1.4": "oci:/srv/layout:app:1.4",
    "oci-archive:app.tar": "oci-archive:app.tar",
    "docker-archive:../app.tar": "docker-archive:../app.tar",
    "oci:-x": "oci:-x",
    "oci:ä/b c": "oci:ä/b c",
}
BAD = [
    "", " ", "alpine ", " alpine", "alpine\n", "al\tpine", "alpine:", "alpine:-1", "alpine:a b",
    "Alpine", "alpine@", "alpine@sha256:1", f"alpine@{D}0", f"alpine@{D.upper()}", f"@{D}",
    "alpine:" + "a" * 129, "a" * 256, "a/" * 2000 + "a", "-alpine", "--help", "alpine/", "/alpine",
    "a//b", "a/../b", "./alpine", "../alpine", "a_-b", "a___b", ".a", "a.", "a\0b", "a\u202eb", "ａ",
    "docker://", "docker:alpine:", "https://registry.example/app", "oci://layout", "dir:/x/y z",
    "containers-storage:x/ y", "docker-daemon:alpine:latest:1", "oci:", "oci::tag", "oci:x:",
    "oci:x:-a", "oci:x:a b", "oci:a\nb", "oci-archive:", "oci-archive:x:1", "docker-archive:x:a:b",
    "host:99999999/app", "ho st/app", "host:x/app", "exa_mple.org/app", "[::1/app", "\ud800",
    "oci:" + "ä" * 3000, "dir:1", "docker-daemon:app:1", "containers-storage:app", "sif:app",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_reference_is_completed(text: str) -> None:
    assert parse(text).full() == GOOD[text]


@pytest.mark.parametrize("text", GOOD)
def test_a_completed_reference_stays(text: str) -> None:
    assert parse(parse(text).full()) == parse(text)


@pytest.mark.parametrize("text", BAD)
def test_what_names_no_image_says_why(text: str) -> None:
    with pytest.raises(NotAReference) as refused:
        parse(text)
    assert str(refused.value)


OTHERS = ["containers-storage", "dir", "docker-daemon", "ostree", "sif", "tarball"]


@pytest.mark.parametrize("transport", OTHERS)
def test_a_transport_that_is_not_read_is_no_name(transport: str) -> None:
    with pytest.raises(NotAReference, match=f"^{transport}: is a transport"):
        parse(f"{transport}:1")
    assert parse(f"docker.io/library/{transport}:1").name == f"docker.io/library/{transport}"


def test_every_transport_of_skopeo_is_read_or_told() -> None:
    said = subprocess.run(["skopeo", "copy", "--help"], capture_output=True, text=True, check=True)
    listed = said.stdout.partition("Supported transports:\n")[2].splitlines()[0].split(", ")
    assert set(listed) <= {"docker", "oci", "oci-archive", "docker-archive", *OTHERS}


def test_what_skopeo_is_given_is_never_an_option() -> None:
    for text in GOOD:
        transport, colon, _ = parse(text).source("/home/x").partition(":")
        assert colon
        assert transport in ("docker", "oci", "oci-archive", "docker-archive")


@pytest.mark.parametrize(
    ("text", "home", "source"),
    [
        ("oci:./a:1", "boxes", "oci:boxes/./a:1"),
        ("oci:/a", "boxes", "oci:/a"),
        ("docker-archive:a.tar", "", "docker-archive:a.tar"),
        ("alpine", "boxes", "docker://docker.io/library/alpine:latest"),
        (f"alpine:3@{D}", "boxes", f"docker://docker.io/library/alpine@{D}"),
    ],
)
def test_the_source_starts_at_the_directory_of_the_box(text: str, home: str, source: str) -> None:
    assert parse(text).source(home) == source


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("r.example/team/app:1.4", "app:1.4"),
        ("alpine", "alpine:latest"),
        (f"alpine@{D}", "alpine"),
        ("oci:images/web/:2", "web:2"),
        ("oci-archive:x/app.tar", "app.tar"),
    ],
)
def test_a_reader_gets_the_short_name(text: str, short: str) -> None:
    assert parse(text).short() == short


def test_a_digest_pins() -> None:
    assert parse(f"alpine@{D}").pinned
    assert not parse("alpine:3.20").pinned
    assert parse(f"a:1@{D}") == Reference("docker", "docker.io/library/a", "1", D, "")


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("oci:a:1", "oci:../base/a:1"),
        ("oci-archive:../x", "oci-archive:../x"),
        ("docker-archive:./x", "docker-archive:../base/x"),
    ],
)
def test_a_relative_path_moves_with_its_box(text: str, moved: str) -> None:
    assert parse(text).relative
    assert parse(text).moved("../base") == moved


def test_others_stay() -> None:
    for text in ("oci:/a", "alpine", "docker://localhost/a"):
        assert not parse(text).relative
