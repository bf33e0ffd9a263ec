"""Paths in the guest: options of other tools behind them, and what the box itself would hide."""

from __future__ import annotations

import json

import pytest
from boxes_of import said
from krunc_schema import load

SHARE = "{{tag: a, path: ./a, mount: {0}}}"
DISK = "{{id: a, path: ./a.img, format: raw, mount: {0}}}"

# A tmpfs as other tools have it, and the same here.
TMPFS = [
    ("/tmp:size=16m", "{path: /tmp, size: 16MiB}"),
    ("/tmp:size=16M", "{path: /tmp, size: 16MiB}"),
    ("/tmp:SIZE=16m", "{path: /tmp, size: 16MiB}"),
    ("/tmp: size=16m", "{path: /tmp, size: 16MiB}"),
    ("/tmp,size=16m", "{path: /tmp, size: 16MiB}"),
    ("/tmp:size=16777216", "{path: /tmp, size: 16MiB}"),
    ("/tmp:size=1", "{path: /tmp, size: 1MiB}"),
    ("/tmp:size=65536k", "{path: /tmp, size: 64MiB}"),
    ("/tmp:size=1g", "{path: /tmp, size: 1024MiB}"),
    ("/tmp:size=25%", "{path: /tmp, size: 64MiB}"),
    ("/run:rw,nosuid,nodev,size=8m,mode=0700", '{path: /run, size: 8MiB, mode: "0700"}'),
    ("/run:mode=1777", '{path: /run, mode: "1777"}'),
    ("/run:mode=01777", '{path: /run, mode: "1777"}'),
    ("/run:mode=755", '{path: /run, mode: "755"}'),
    ("/run:tmpfs-size=8m", "{path: /run, size: 8MiB}"),
    ("/c:ro", "{path: /c}; there is no key for ro"),
    ("/c:noexec,size=1m", "{path: /c, size: 1MiB}; there is no key for noexec"),
    ("/c:uid=1000", "{path: /c}; there is no key for uid"),
    ("/c:mode=rwx", "{path: /c}; there is no key for mode"),
    ("/opt/a:b:ro", "{path: /opt/a:b}; there is no key for ro"),
]


@pytest.mark.parametrize(("text", "way"), TMPFS)
@pytest.mark.parametrize("form", ["{0}", "{{path: {0}}}"])
def test_options_behind_a_tmpfs(text: str, way: str, form: str) -> None:
    ((code, path, message, hint),) = said(tmpfs=f"[{form.format(json.dumps(text))}]")
    assert code == "KR106"
    assert path.startswith("tmpfs.0")
    assert repr(text) in message
    assert hint == f"write {way}"


# A mount as other tools have it, and the same for a share and for a disk.
MOUNTS = [
    ("/s:ro", "mount: /s, read_only: true", "mount: /s, read_only: true"),
    ("/s:RO", "mount: /s, read_only: true", "mount: /s, read_only: true"),
    ("/s:ro=true", "mount: /s, read_only: true", "mount: /s, read_only: true"),
    ("/s:ro=false", "mount: /s, read_only: false", "mount: /s, read_only: false"),
    ("/s:ro,rw", "mount: /s, read_only: false", "mount: /s, read_only: false"),
    ("/s,readonly", "mount: /s, read_only: true", "mount: /s, read_only: true"),
    ("/s:rw", "mount: /s, read_only: false", "mount: /s, read_only: false"),
    ("/s:z", "mount: /s; there is no key for z", "mount: /s; there is no key for z"),
    (
        "/s:ro,Z",
        "mount: /s, read_only: true; there is no key for Z",
        "mount: /s, read_only: true; there is no key for Z",
    ),
    (
        "/s:delegated",
        "mount: /s; there is no key for delegated",
        "mount: /s; there is no key for delegated",
    ),
    ("/s:noexec", "mount: /s; there is no key for noexec", 'mount: /s, options: "noexec"'),
    (
        "/s:noexec,ro",
        "mount: /s, read_only: true; there is no key for noexec",
        'mount: /s, read_only: true, options: "noexec"',
    ),
]


@pytest.mark.parametrize(("text", "of_share", "of_disk"), MOUNTS)
def test_options_behind_a_mount(text: str, of_share: str, of_disk: str) -> None:
    for key, form, way in (("shares", SHARE, of_share), ("disks", DISK, of_disk)):
        ((code, path, _, hint),) = said(**{key: f"[{form.format(json.dumps(text))}]"})
        assert (code, path, hint) == ("KR106", f"{key}.0.mount", f"write {way}")


def test_options_go_to_those_that_a_disk_has() -> None:
    disk = DISK.format('"/s:nosuid", options: noatime')
    ((_, _, _, hint),) = said(disks=f"[{disk}]")
    assert hint == 'write mount: /s, options: "noatime,nosuid"'


def test_what_a_tmpfs_says_already_stays() -> None:
    ((_, _, _, hint),) = said(tmpfs='[{path: "/e:noexec", size: 5MiB, mode: "0700"}]')
    assert hint.startswith('write {path: /e, size: 5MiB, mode: "0700"}')


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"entrypoint": '{executable: /bin/a, workdir: "/src:ro"}'}, "entrypoint.workdir"),
        ({"entrypoint": '{executable: "/bin/a:ro"}'}, "entrypoint.executable"),
        ({"rootfs": '{path: ./r, overlay: [{path: "x:ro", text: a}]}'}, "rootfs.overlay.0.path"),
        (
            {"shares": '[{tag: a, path: ./a, overlay: [{path: "x,rw", text: a}]}]'},
            "shares.0.overlay.0.path",
        ),
        (
            {
                "rootfs": '{disk: a, device: "/dev/vda1:ro"}',
                "disks": "[{id: a, path: ./a.img, format: raw}]",
            },
            "rootfs.device",
        ),
    ],
)
def test_options_behind_any_path(keys: dict[str, str], path: str) -> None:
    keys = {key: text.replace("{{", "{") for key, text in keys.items()}
    assert ("KR106", path) in [found[:2] for found in said(**keys)]


@pytest.mark.parametrize(
    "path", ["/opt/a:b", "/x,y", "/a:b=c", "/a:", "/a,", "/ro", "/size=1m", "/a:roz", "/a:sizes=1"]
)
def test_a_path_may_have_colons_and_commas(path: str) -> None:
    assert said(tmpfs=f'["{path}"]', shares=f'[{{tag: a, path: ./a, mount: "/m{path}"}}]') == []


def test_flags_are_words() -> None:
    known = load("habits")["mount_options"]
    assert set(known["flags"]) <= set(known["words"])
    assert not any("=" in word or "," in word for word in known["words"] + known["values"])


# What is in the place of a file that the box makes.
PLACES = [
    {"tmpfs": "[{0}]"},
    {"tmpfs": '["{0}/"]'},
    {"tmpfs": "[{{path: {0}, size: 1MiB}}]"},
    {"tmpfs": '["{0}/below"]'},
    {"shares": f"[{SHARE}]"},
    {"disks": f"[{DISK}]"},
    {"rootfs": "{{path: ./r, overlay: [{{path: /etc, directory: true}}, {{path: {0}, text: a}}]}}"},
    {
        "shares": "[{{tag: a, path: ./a, mount: /etc, overlay: [{{path: {1}, text: a}}]}}]",
    },
]
MAKING = [
    ("/etc/hosts", {"hosts": "{db: 10.0.0.1}"}),
    ("/etc/hosts", {"hostname": "here"}),
    ("/etc/resolv.conf", {"dns": "[127.0.0.1]"}),
    ("/etc/resolv.conf", {"network": "{mode: passt}"}),
]


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize(("file", "making"), MAKING)
def test_a_file_that_the_box_makes_has_one_content(
    file: str, making: dict[str, str], place: dict[str, str]
) -> None:
    there = {key: text.format(file, file[5:]) for key, text in place.items()}
    assert "KR201" in [code for code, *_ in said(**making, **there)]
    assert "KR201" not in [code for code, *_ in said(**there)]
    assert "KR201" not in [code for code, *_ in said(**making, tmpfs="[/etc/host, /etc/hosts.d]")]


SH, APP = "{script: ls}", "{executable: /opt/app/bin/a}"
HIDDEN = [
    ({"tmpfs": "[/bin]", "entrypoint": SH}, ["tmpfs.0"]),
    ({"tmpfs": "[/bin/]", "entrypoint": SH}, ["tmpfs.0"]),
    ({"tmpfs": "[/tmp, {path: /bin}]", "entrypoint": SH}, ["tmpfs.1.path"]),
    ({"tmpfs": "[/bin]", "entrypoint": "{executable: /opt/a, before: ls}"}, ["tmpfs.0"]),
    ({"tmpfs": "[/opt]", "entrypoint": APP}, ["tmpfs.0"]),
    ({"tmpfs": "[/opt/app/bin]", "entrypoint": APP}, ["tmpfs.0"]),
    ({"tmpfs": "[/opt/app/b]", "entrypoint": APP}, []),
    ({"tmpfs": "[/bin]", "entrypoint": APP}, []),
    # It can be put there first, or comes with another mount.
    ({"tmpfs": "[/opt]", "entrypoint": "{executable: /opt/a, before: cp /a /opt/}"}, []),
    (
        {
            "tmpfs": "[/opt]",
            "shares": "[{tag: a, path: ./a, mount: /opt/app}]",
            "entrypoint": APP,
        },
        [],
    ),
    ({"tmpfs": "[/etc]", "entrypoint": "{executable: /bin/a, user: app}"}, ["tmpfs.0"]),
    ({"tmpfs": "[/etc]", "entrypoint": '{executable: /bin/a, user: "1:app"}'}, ["tmpfs.0"]),
    ({"tmpfs": "[/etc]", "entrypoint": "{executable: /bin/a, user: app, before: ls}"}, ["tmpfs.0"]),
    ({"tmpfs": "[/etc]", "entrypoint": "{executable: /bin/a, user: 1000}"}, []),
    ({"tmpfs": "[/etc]", "entrypoint": '{executable: /bin/a, user: "1:2"}'}, []),
    ({"tmpfs": "[/w]", "entrypoint": "{executable: /bin/a, workdir: /w/a}"}, ["tmpfs.0"]),
    ({"tmpfs": "[/w]", "entrypoint": "{executable: /bin/a, workdir: /w}"}, []),
    ({"tmpfs": "[/w, /w/a/b]", "entrypoint": "{executable: /bin/a, workdir: /w/a}"}, []),
    (
        {
            "rootfs": "{path: ./r, overlay: [{path: e, directory: true}, {path: e/x, text: a}]}",
            "shares": "[{tag: a, path: ./a, mount: /e}]",
        },
        ["rootfs.overlay.1.path"],
    ),
]


@pytest.mark.parametrize(("keys", "places"), HIDDEN)
def test_an_empty_file_system_over_what_is_needed(keys: dict[str, str], places: list[str]) -> None:
    found = said(**keys)
    assert {code for code, *_ in found} <= {"KR850"}
    assert [path for _, path, *_ in found] == places
