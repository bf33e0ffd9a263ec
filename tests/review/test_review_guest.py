"""What the guest gets of the library that runs it, and that no change of it is called neutral."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.review.difference import compare
from reviews import call, reviewed

Operation = dict[str, Any]

TSI = call("krun_add_vsock", tsi_features=["hijack_inet"])
OF_ITSELF = {"implicit": "vsock_with_tsi"}


def policy(*cidrs: str, hosts: tuple[str, ...] = ()) -> Operation:
    return call("krun_set_egress_policy", cidrs=list(cidrs), hosts=list(hosts))


def effects(old: list[Operation], new: list[Operation], era: str = "v1") -> set[str]:
    """How the changes between two plans are judged."""
    one, two = (reviewed(*operations, era=era) for operations in (old, new))
    return {change.effect for change in compare(one, two).changes}


def test_localhost_is_promised_where_the_library_reaches_it() -> None:
    (first,) = reviewed(OF_ITSELF).exposure
    (second,) = reviewed(TSI, era="v2_flat").exposure
    assert first.text.endswith(", localhost included")
    assert second.text.endswith(", but not to the host's localhost")


# Networks that have an address of the host's loopback, however they are written.
LOOPED = ["127.0.0.0/8", "127.0.0.1/32", "127.9.9.9", "0.0.0.0/0", "0.0.0.0", "126.0.0.0/7", "::1", "::/0", "::ffff:127.0.0.1", "no address"]  # fmt: skip
OTHERS = ["10.0.0.0/8", "192.168.1.1", "128.0.0.0/1", "2000::/3"]


@pytest.mark.parametrize("network", LOOPED)
def test_an_egress_policy_that_reaches_the_loopback_opens_it(network: str) -> None:
    new = [TSI, policy("10.0.0.0/8", network)]
    assert "opens" in effects([TSI], new, "v2_flat")
    (fact,) = reviewed(*new, era="v2_flat").exposure
    assert "localhost" in fact.text


@pytest.mark.parametrize("network", OTHERS)
def test_another_egress_policy_narrows_and_its_end_opens(network: str) -> None:
    assert effects([TSI], [TSI, policy(network)], "v2_flat") >= {"narrows"}
    assert "opens" not in effects([TSI], [TSI, policy(network)], "v2_flat")
    assert "opens" in effects([TSI, policy(network)], [TSI], "v2_flat")


def test_a_name_can_lead_to_the_loopback() -> None:
    assert "opens" in effects([TSI], [TSI, policy(hosts=("a.example",))], "v2_flat")


def test_the_end_of_a_policy_of_the_loopback_opens_all_else() -> None:
    assert "opens" in effects([TSI, policy("127.0.0.0/8")], [TSI], "v2_flat")
