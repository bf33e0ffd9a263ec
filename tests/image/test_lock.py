"""The lock's format: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.image.lock import Lock, lock_text, read_lock
from locks import APP, digest, image, text

WHOLE = image(
    entrypoint=("/e",), cmd=("ü", ""), env=("A=b", "B="), working_dir="/srv",
    user=APP._replace(groups=(4, 27)), exposed_ports=("80/tcp",), volumes=("/data",),
    stop_signal="SIGQUIT", healthcheck=True,
)  # fmt: skip


def test_what_is_written_is_read_again() -> None:
    images = (
        WHOLE,
        image("app:1.4", "linux/arm64"),
        image("oci:x:1", user=APP._replace(name=None)),
    )
    lock = Lock(images)
    assert read_lock(lock_text(lock), "x.lock.json") == lock
    assert lock_text(Lock(images[::-1])) == lock_text(lock)


def test_the_format() -> None:
    assert text(image("alpine:3.20", env=("A=b",))) == (
        '{\n  "images": [\n    {\n      "config": "' + digest("b") + '",\n      "layers": [\n'
        + "".join(
            f'        {{\n          "digest": "{digest(letter)}",\n          "size": 1048576\n        }}'
            + (",\n" if letter != "e" else "\n")
            for letter in "cde"
        )
        + '      ],\n      "manifest": "' + digest("a") + '",\n      "platform": "linux/amd64",\n'
        '      "reference": "alpine:3.20",\n      "root": {\n        "digest": "' + digest("8")
        + '",\n        "size": 37748736,\n        "writer": 1\n      },\n      "run": {\n'
        '        "env": [\n          "A=b"\n        ]\n      }\n    }\n  ],\n  "krunc_lock": 1\n}\n'
    )  # fmt: skip


def test_what_a_config_does_not_say_is_left_out() -> None:
    (one,) = json.loads(text(image()))["images"]
    assert one["run"] == {}


def refusal(changed: str) -> str:
    with pytest.raises(Rejected) as refused:
        read_lock(changed, "x.lock.json")
    return report(refused.value.findings)


def edited(change: Callable[[Any], object]) -> str:
    value = json.loads(text(WHOLE))
    change(value)
    return json.dumps(value, indent=1)


def in_image(key: str, item: Any) -> Callable[[Any], object]:
    return lambda value: value["images"][0].update({key: item})


def in_run(key: str, item: Any) -> Callable[[Any], object]:
    return lambda value: value["images"][0]["run"].update({key: item})


def in_root(key: str, item: Any) -> Callable[[Any], object]:
    return lambda value: value["images"][0]["root"].update({key: item})


def in_user(key: str, item: Any) -> Callable[[Any], object]:
    return lambda value: value["images"][0]["run"]["user"].update({key: item})


EDITS: list[tuple[Callable[[Any], object], str]] = [
    (lambda value: value.update(krunc_lock=2), "krunc_lock"),
    (lambda value: value.update(krunc_lock=True), "krunc_lock"),
    (lambda value: value.pop("krunc_lock"), "krunc_lock"),
    (lambda value: value.update(more=1), "more"),
    (lambda value: value.update(images={}), "images"),
    (lambda value: value["images"].append(value["images"][0]), "images[0] has this reference"),
    (lambda value: value["images"].extend(value["images"] * 1000), "too long"),
    (in_image("digest", digest("a")), "digest"),
    (in_image("reference", ""), "images[0].reference"),
    (in_image("reference", "Up:1"), "names no image"),
    (in_image("reference", "--help"), "names no image"),
    (in_image("reference", 1), "images[0].reference"),
    (in_image("platform", "windows/amd64"), "images[0].platform"),
    (in_image("manifest", "sha256:1"), "images[0].manifest"),
    (in_image("manifest", digest("A")), "images[0].manifest"),
    (in_image("config", digest("a") + "\n"), "images[0].config"),
    (in_image("config", "sha512:" + "a" * 64), "images[0].config"),
    (in_image("layers", {}), "images[0].layers"),
    (in_image("layers", [{"digest": digest("a"), "size": -1}]), "layers[0].size"),
    (in_image("layers", [{"digest": digest("a"), "size": 1 << 50}]), "layers[0].size"),
    (in_image("layers", [{"digest": digest("a"), "size": 1.0}]), "layers[0].size"),
    (in_image("layers", [{"digest": digest("a"), "size": True}]), "layers[0].size"),
    (in_image("layers", [{"digest": digest("a"), "size": "1"}]), "layers[0].size"),
    (in_image("layers", [{"digest": digest("a")}]), "layers[0]"),
    (in_image("layers", [{"digest": digest("a"), "size": 1}] * 1001), "images[0].layers"),
    (in_root("digest", "sha256-" + "a" * 64), "root.digest"),
    (in_root("digest", "../" * 20), "root.digest"),
    (in_root("size", 0), "root.size"),
    (in_root("size", 10**300), "301 digits"),
    (in_root("writer", 0), "root.writer"),
    (in_root("path", "/etc/passwd"), "path"),
    (in_run("entrypoint", "/e"), "run.entrypoint"),
    (in_run("entrypoint", ["a\0"]), "run.entrypoint[0]"),
    (in_run("cmd", [1]), "run.cmd[0]"),
    (in_run("cmd", ["a"] * 4097), "run.cmd"),
    (in_run("cmd", ["a" * 1000] * 2000), "run: the program is given"),
    (in_run("env", ["A"]), "run.env[0]"),
    (in_run("env", ["=b"]), "run.env[0]"),
    (in_run("env", {"A": "b"}), "run.env"),
    (in_run("working_dir", "srv"), "run.working_dir"),
    (in_run("working_dir", "/a\0"), "run.working_dir"),
    (in_run("volumes", ["data"]), "run.volumes[0]"),
    (in_run("exposed_ports", ["80"]), "run.exposed_ports[0]"),
    (in_run("stop_signal", "TERM"), "run.stop_signal"),
    (in_run("healthcheck", False), "run.healthcheck"),
    (in_run("healthcheck", 1), "run.healthcheck"),
    (in_run("labels", {}), "labels"),
    (in_run("user", "app"), "run.user"),
    (in_user("uid", -1), "user.uid"),
    (in_user("uid", 1 << 32), "user.uid"),
    (in_user("gid", "0"), "user.gid"),
    (in_user("groups", [1] * 65537), "user.groups"),
    (in_user("home", ""), "user.home"),
    (in_user("shell", "/bin/sh"), "shell"),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_an_edit_by_hand_is_told(number: int) -> None:
    change, said = EDITS[number]
    told = refusal(edited(change))
    assert said in told
    assert "x.lock.json" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not JSON"), ("{", "not JSON"), ("null", "null"), ("[]", "krunc_lock"),
        ('{"krunc_lock": 1}', "images"), ("[" * 200_000, "not a lock"), ('{"a": NaN}', "not a number"),
        ('{"krunc_lock": 1, "krunc_lock": 1, "images": []}', "duplicate key"),
        ('{"krunc_lock": ' + "1" * 5000 + "}", "not a lock"),
        ('{"krunc_lock": 1, "images": ["\\ud800"]}', "images[0]"),
    ],
)  # fmt: skip
def test_what_is_no_lock_is_told(content: str, said: str) -> None:
    assert said in refusal(content) or said == "krunc_lock"


def test_every_value_that_is_replaced_is_refused_or_read() -> None:
    """No value anywhere ends in a traceback."""

    def everywhere(value: Any) -> list[tuple[Any, Any]]:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found = [(value, key) for key, _ in items]
        for _, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if isinstance(item, dict | list):
                found += everywhere(item)
        return found

    count = len(everywhere(json.loads(text(WHOLE))))
    others: tuple[Any, ...] = (
        None,
        True,
        -1,
        10**40,
        1.5,
        "",
        "\ud800",
        "\0",
        [],
        {},
        [[]],
        {"a": {}},
    )
    for number in range(count):
        for other in others:
            value = json.loads(text(WHOLE))
            holder, key = everywhere(value)[number]
            holder[key] = other
            try:
                read_lock(json.dumps(value), "x.lock.json")
            except Rejected as refused:
                assert report(refused.findings)
