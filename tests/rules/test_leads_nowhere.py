"""Warnings about what leads nowhere in the guest: directories of PATH, and addresses."""

from __future__ import annotations

import json

import pytest
from boxes_of import said

USUAL = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SEARCHED: list[tuple[str, str, str]] = [
    ("$PATH:/opt/bin", "$PATH", f"/opt/bin:{USUAL}"),
    ("/opt/bin:$PATH", "$PATH", f"/opt/bin:{USUAL}"),
    ("/opt/bin:${PATH}", "${PATH}", f"/opt/bin:{USUAL}"),
    ("/bin:/usr/bin:$HOME/bin", "$HOME/bin", "/bin:/usr/bin:/usr/local/sbin:/usr/local/bin"),
    ("~/bin:/bin", "~/bin", "/bin:/usr/local/sbin"),
    ("$PATH", "$PATH", USUAL),
]


@pytest.mark.parametrize(("path", "lost", "whole"), SEARCHED)
def test_a_directory_of_path_that_only_a_shell_knows(path: str, lost: str, whole: str) -> None:
    program = f"{{executable: /bin/a, env: {{PATH: {json.dumps(path)}}}}}"
    ((code, where, message, hint),) = said(entrypoint=program)
    assert (code, where) == ("KR604", "entrypoint.env.PATH")
    assert message.startswith(repr(lost))
    assert whole in hint


@pytest.mark.parametrize(
    "env",
    [
        "PATH: /opt/bin:/bin",
        "PATH: /opt/a$b:/bin",
        'A: "$PATH:/opt"',
        'LD_LIBRARY_PATH: "$ORIGIN/lib"',
        "PATH: {from_env: PATH}",
    ],
)
def test_a_dollar_that_may_be_meant(env: str) -> None:
    assert said(entrypoint=f"{{executable: /bin/a, env: {{{env}}}}}") == []


ADDRESSES: list[tuple[dict[str, str], list[str]]] = [
    ({"network": "{mode: passt}", "dns": '["2606:4700:4700::1111", 1.1.1.1]'}, ["dns.0"]),
    ({"network": "{mode: passt}", "dns": '[1.1.1.1, "fd00::1"]'}, ["dns.1"]),
    ({"network": "{mode: passt}", "hosts": '{a: "fd00::5", b: 10.0.0.5}'}, ["hosts.a"]),
    ({"network": "{mode: passt}", "hosts": '{a: "::1"}', "dns": '["::1"]'}, []),
    ({"network": "{mode: tsi}", "dns": '["fd00::1"]', "hosts": '{a: "fd00::5"}'}, []),
    ({"network": "{mode: none}", "dns": "[1.1.1.1]"}, ["dns.0"]),
    ({"network": "{mode: none}", "dns": '["fd00::1"]'}, ["dns.0"]),
    ({"network": "{mode: none}", "dns": '[127.0.0.1, 127.0.0.53, "::1"]'}, []),
    # A name may be kept from an address, or lead to the guest itself.
    ({"network": "{mode: none}", "hosts": "{a: 10.0.0.5, b: 0.0.0.0}"}, []),
    ({"network": "{mode: tap, device: tap0}", "dns": '["fd00::1"]'}, []),
]


@pytest.mark.parametrize(("keys", "places"), ADDRESSES)
def test_an_address_that_no_network_leads_to(keys: dict[str, str], places: list[str]) -> None:
    found = said(**keys)
    assert {code for code, *_ in found} <= {"KR854"}
    assert [path for _, path, *_ in found] == places
