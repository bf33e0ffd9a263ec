"""The host ports that a policy allows, with and without the address on which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.policy.rules import judge
from krunc_compiler.policy.way_out import Place
from krunc_compiler.shape.checking import check
from krunc_schema import load
from reviews import BOX, reviewed_box

PLACE = Place("/repo", "/repo")


def passt(*ports: str) -> dict[str, Any]:
    return {"mode": "passt", "ports": list(ports)}


def tsi(ports: Any) -> dict[str, Any]:
    return {"mode": "tsi", "ports": ports}


def hints(network: dict[str, Any], allowed: list[Any]) -> list[str]:
    """What is said of a box by a policy that allows these ports."""
    policy = {"krunc_policy": 1, "allow": {"ports": allowed}}
    assert check(policy, load("policy.schema")) == []
    return [one.hint for one in judge(policy, reviewed_box({**BOX, "network": network}), PLACE)]


LOCAL, EVERY, OTHER = "127.0.0.1:8080:80", "0.0.0.0:8080:80", "192.0.2.1:8080:80"
# What is published, what a policy has, and whether it allows that.
PORTS: list[tuple[dict[str, Any], list[Any], bool]] = [
    # Without an address: any, as ever.
    (passt(LOCAL), [8080], True),
    (passt(EVERY), [8080], True),
    (passt(OTHER), ["8000-8999"], True),
    (tsi(["8080:80"]), [8080], True),
    (passt(LOCAL), [80], False),
    # On one address.
    (passt(LOCAL), ["127.0.0.1:8080"], True),
    (passt(LOCAL), ["127.0.0.1:8000-8999"], True),
    (passt("127.0.0.1:8080:80/udp"), ["127.0.0.1:8080"], True),
    (passt("0.0.0.0:8080:80/udp"), ["127.0.0.1:8080"], False),
    (passt(LOCAL), ["127.0.0.1:8081"], False),
    (passt(LOCAL), ["127.0.0.2:8080"], False),
    (passt(EVERY), ["127.0.0.1:8080"], False),
    (passt(EVERY), ["127.0.0.1:0-65535", "192.0.2.1:0-65535"], False),
    (passt(OTHER), ["127.0.0.1:8080"], False),
    (passt(OTHER), ["192.0.2.1:8080"], True),
    (passt(LOCAL, OTHER.replace("8080", "8081")), ["127.0.0.1:8000-8999"], False),
    (passt(LOCAL, OTHER.replace("8080", "8081")), ["127.0.0.1:8080", 8081], True),
    # Every IPv4 address of the host has each of them.
    (passt(EVERY), ["0.0.0.0:8080"], True),
    (passt(LOCAL), ["0.0.0.0:8080"], True),
    (passt(OTHER), ["0.0.0.0:8000-8080"], True),
    # The guest's program chooses the address.
    (tsi(["8080:80"]), ["127.0.0.1:8080"], False),
    (tsi(["8080:80"]), ["0.0.0.0:8080"], False),
    (tsi("all"), ["0.0.0.0:0-65535", "127.0.0.1:0-65535"], False),
    (tsi("all"), ["0-65535"], False),
]


@pytest.mark.parametrize(("network", "allowed", "fits"), PORTS, ids=range(len(PORTS)))
def test_ports(network: dict[str, Any], allowed: list[Any], fits: bool) -> None:
    assert (hints(network, allowed) == []) == fits


# What is published and not allowed, and what would allow it.
ADDED = [
    (passt(LOCAL), "127.0.0.1:8080"),
    (passt(EVERY), "0.0.0.0:8080"),
    (passt("192.0.2.1:53:53/udp"), "192.0.2.1:53"),
    (tsi(["8080:80"]), 8080),
]


@pytest.mark.parametrize(("network", "added"), ADDED)
def test_what_would_allow_it_is_told_and_does(network: dict[str, Any], added: Any) -> None:
    (hint,) = hints(network, [1])
    assert hint == f"allow.ports: 1; to allow it, add {added}"
    assert hints(network, [1, added]) == []


def test_nothing_allows_all_ports_of_the_guest() -> None:
    assert hints(tsi("all"), [1]) == ["allow.ports: 1"]


# What a policy may not have, the code, and what is said of it.
WRONG = {
    '"9000-8000"': ("KR860", "has no port: FROM is above TO", 'write "8000-9000"'),
    '"127.0.0.1:9000-8000"': ("KR860", "FROM is above TO", 'write "127.0.0.1:8000-9000"'),
    '"8000-65536"': ("KR860", "has a port above 65535", "write numbers up to 65535"),
    '"127.0.0.1:65536"': ("KR860", "has a port above 65535", "write numbers up to 65535"),
    '"99999-99999"': ("KR860", "has a port above 65535", "write numbers up to 65535"),
    '"256.0.0.1:80"': ("KR860", "has no IPv4 address", "as in 127.0.0.1:80"),
    '"127.0.0.01:80"': ("KR860", "has no IPv4 address", "as in 127.0.0.1:80"),
    "65536": ("KR10", "", ""),
    '"8080"': ("KR10", "", ""),
    '"127.0.0.1"': ("KR106", "has an invalid format", "127.0.0.1:8000-8999"),
    '"127.0.0.1:8080:80"': ("KR106", "has an invalid format", "127.0.0.1:8000-8999"),
    '"localhost:8080"': ("KR106", "has an invalid format", "127.0.0.1:8000-8999"),
    '"[::1]:8080"': ("KR106", "has an invalid format", "127.0.0.1:8000-8999"),
    '"8080/udp"': ("KR106", "has an invalid format", "127.0.0.1:8000-8999"),
}


@pytest.mark.parametrize("port", WRONG)
def test_a_port_that_allows_nothing_is_refused_at_its_place(
    port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(json.dumps(BOX))
    assert main(["compile", "a.yaml"]) == 0
    Path("p.yaml").write_text(f"krunc_policy: 1\nallow:\n  ports: [80, {port}]\n")
    capsys.readouterr()
    assert main(["check", "a.yaml", "--policy", "p.yaml"]) == 1
    said = capsys.readouterr().out
    code, message, hint = WRONG[port]
    assert f"p.yaml:3:15: error[{code}" in said
    assert "allow.ports[1]: " in said
    assert message in said
    assert hint in said
