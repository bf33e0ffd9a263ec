"""Where TSI leads with an egress policy: to its networks and names, as its resolvers answer."""

from __future__ import annotations

import pytest
from krunc_compiler.policy.rules import judge
from krunc_compiler.policy.way_out import Place
from krunc_compiler.review.difference import compare
from krunc_compiler.review.fact import Reach
from krunc_compiler.review.summary import Review
from reviews import call, reviewed

TSI = call("krun_add_vsock", tsi_features=["hijack_inet"])
POLICY = {"cidrs": ["10.9.9.9", "10.1.0.0/16"], "hosts": ["pypi.org"], "resolvers": ["1.1.1.1"]}


def under(era: str = "v2_flat", /, **policy: list[str]) -> Review:
    return reviewed(TSI, call("krun_set_egress_policy", **{**POLICY, **policy}), era=era)


def effects(old: Review, new: Review) -> list[str]:
    return [change.effect for change in compare(old, new).changes]


# Who answers for a name decides where it leads.
@pytest.mark.parametrize(
    "new",
    [
        {"cidrs": ["1.1.1.1", "10.1.0.0/16"], "resolvers": ["10.9.9.9"]},  # they change places
        {"resolvers": ["1.1.1.1", "10.9.9.9"]},  # an allowed address answers, too
        {"resolvers": ["10.9.9.9"]},
        {"cidrs": ["10.9.9.9", "10.1.0.0/16", "1.1.1.1"]},  # what answers can be connected to
        {"hosts": ["pypi.org", "1.1.1.1"]},
        {"resolvers": []},  # nobody knows who answers then
    ],
)
def test_a_resolver_is_not_a_network_nor_a_network_a_resolver(new: dict[str, list[str]]) -> None:
    assert effects(under(), under(**new)) == ["widens"]


def test_a_resolver_less_narrows() -> None:
    assert effects(under(resolvers=["1.1.1.1", "9.9.9.9"]), under()) == ["narrows"]


def test_without_a_policy_the_guest_asks_whom_it_likes() -> None:
    open_ = reviewed({"implicit": "vsock_with_tsi"})
    policy = call("krun_set_egress_policy", **POLICY)
    assert effects(open_, reviewed({"implicit": "vsock_with_tsi"}, policy)) == ["narrows"]


# 169.254.0.0/16 is refused until a policy names it (network.tsi has where that was seen).
@pytest.mark.parametrize(
    "network",
    ["169.254.169.254", "169.254.0.0/16", "168.0.0.0/7", "128.0.0.0/1", "::ffff:169.254.169.254"],
)
def test_a_policy_that_names_link_local_addresses_opens_them(network: str) -> None:
    policy = {"cidrs": [network], "hosts": [], "resolvers": []}
    new = under(**policy)
    assert effects(reviewed(TSI, era="v2_flat"), new) == ["widens"]
    (fact,) = new.exposure
    assert fact.text == f"only to {network} (TSI); 169.254.0.0/16 is among them"
    assert Reach("network", "TSI to 169.254.0.0/16", network) in fact.reach


def test_a_policy_of_all_addresses_says_both() -> None:
    (fact,) = under(cidrs=["0.0.0.0/0"], hosts=[], resolvers=[]).exposure
    assert fact.text == "only to 0.0.0.0/0 (TSI); localhost and 169.254.0.0/16 are among them"


def test_a_policy_narrows_where_the_library_reaches_link_local_addresses_by_itself() -> None:
    named = call("krun_set_egress_policy", cidrs=["169.254.169.254"])
    changed = reviewed({"implicit": "vsock_with_tsi"}, named)
    assert effects(reviewed({"implicit": "vsock_with_tsi"}), changed) == ["narrows"]


def test_a_repository_that_allows_tsi_allows_all_of_it() -> None:
    review = under(cidrs=["0.0.0.0/0"])
    place = Place("/repo/a", "/repo")
    assert not list(judge({"allow": {"networks": ["tsi"]}}, review, place))
    (found,) = judge({"allow": {"networks": []}}, review, place)
    assert "tsi" in (found.hint or "")
