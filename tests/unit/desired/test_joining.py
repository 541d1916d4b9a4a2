"""A container's ends on its networks."""

from __future__ import annotations

import json

import pytest

from composer.desired.joining import interface_names, joints, machine_address, own_addresses, publications, way_out
from composer.desired.state import ContainerSpec, DesiredNetwork, Endpoint
from composer.desired.wire import cidrs, leased, released, wire
from composer.errors import NetworkError
from composer.frozen import replace
from composer.model.network import Port, Subnet
from composer.model.wiring import Lease, Publication, Wiring, from_json, to_json

POOL = ("172.24.0.0/13",)


def network(name: str = "p_default", **fields: object) -> Wiring:
    wanted = DesiredNetwork(name=name, project="p", key="default", **fields)  # type: ignore[arg-type]
    return wire(wanted, pool=POOL, taken=(), uplink=f"jk{name}", names=True, now=1.0)


def spec(*ends: Endpoint, **fields: object) -> ContainerSpec:
    return ContainerSpec(image="i", image_id="d", network_mode="", networks=ends, **fields)  # type: ignore[arg-type]


def test_a_network_gets_its_addresses_from_the_pool() -> None:
    made = network()
    assert (made.subnet4, made.gateway4, made.link4) == (
        "172.24.0.0/24",
        "172.24.0.1",
        ("172.31.255.254", "172.31.255.255"),
    )
    assert (made.subnet6, made.link6, made.bridge) == ("", ("", ""), "br0")
    assert cidrs(made) == ("172.24.0.0/24", "172.31.255.254/31")


def test_an_internal_network_has_no_way_out() -> None:
    made = network(internal=True, enable_ipv6=True)
    assert (made.uplink, made.link4, made.link6) == ("", ("", ""), ("", ""))
    assert made.subnet6.startswith("fd")


def test_given_subnets_are_taken_as_they_are() -> None:
    given = (Subnet("10.5.0.0/16", "10.5.9.0/24", "10.5.0.254", (("printer", "10.5.9.0"),)), Subnet("fd05::/64"))
    made = network(subnets=given, enable_ipv6=True)
    assert (made.subnet4, made.gateway4, made.range4) == ("10.5.0.0/16", "10.5.0.254", "10.5.9.0/24")
    assert (made.subnet6, made.gateway6) == ("fd05::/64", "fd05::1")
    lease = leased(made, "c", Endpoint("p_default")).leases["c"]
    assert (lease.ipv4, lease.ipv6) == ("10.5.9.1", "fd05::2")


def test_a_record_reads_back_as_it_was() -> None:
    made = leased(network(enable_ipv6=True), "c", Endpoint("p_default"), claimed_by="1-2")
    rule = Publication("tcp", "", 8080, 8080, "172.24.0.2", 80)
    made = replace(made, leases={"c": made.leases["c"]._replace(publications=(rule,))})
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_leases_are_kept_and_given_back() -> None:
    made = network()
    one = leased(made, "a", Endpoint("p_default"))
    two = leased(one, "b", Endpoint("p_default"))
    assert [lease.ipv4 for lease in two.leases.values()] == ["172.24.0.2", "172.24.0.3"]
    assert leased(two, "a", Endpoint("p_default", ipv4_address="172.24.0.9")) is two
    again = leased(released(two, ["a"]), "c", Endpoint("p_default"))
    assert again.leases["c"].ipv4 == "172.24.0.2"


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (Endpoint("p_default", ipv4_address="10.0.0.1"), "is not an address of 172.24.0.0/24"),
        (Endpoint("p_default", ipv4_address="172.24.0.1"), "is taken"),
        (Endpoint("p_default", ipv6_address="fd00::9"), "it has none of its kind"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused(end: Endpoint, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        leased(network(), "c", end)


def test_interfaces_are_numbered_round_the_names_asked_for() -> None:
    assert interface_names(["", "", ""]) == ("eth0", "eth1", "eth2")
    assert interface_names(["", "eth0", ""]) == ("eth1", "eth0", "eth2")
    assert interface_names(["lan", "", "wan"]) == ("lan", "eth0", "wan")


def test_the_way_out_is_the_highest_priority_then_by_name_and_never_internal() -> None:
    back, front, inner = network("p_back"), network("p_front"), network("p_inner", internal=True)
    ends = (Endpoint("p_inner", gw_priority=9), Endpoint("p_front"), Endpoint("p_back"))
    wirings = [inner, front, back]
    assert way_out(spec(*ends), wirings, 4) is back
    assert way_out(spec(ends[0], ends[1]._replace(gw_priority=1), ends[2]), wirings, 4) is front
    assert way_out(spec(*ends), wirings, 6) is None
    assert machine_address(spec(*ends), wirings) == back.link4[0]
    assert machine_address(spec(ends[0]), [inner]) == ""


def test_joints_carry_names_and_routes() -> None:
    one = leased(network("p_a"), "c", Endpoint("p_a"))
    two = leased(network("p_b"), "c", Endpoint("p_b"))
    made = joints(spec(Endpoint("p_b", link_local_ips=("169.254.1.1",)), Endpoint("p_a")), [two, one], "c")
    assert [(joint.interface, joint.wiring.name, joint.has_default4) for joint in made] == [
        ("eth0", "p_b", False),
        ("eth1", "p_a", True),
    ]
    assert made[0].link_local_ips == ("169.254.1.1",)


def test_a_hosts_file_names_its_container() -> None:
    made = leased(network(enable_ipv6=True), "c", Endpoint("p_default"))
    four, six = made.leases["c"].ipv4, made.leases["c"].ipv6
    assert own_addresses(spec(), "web", [made], "c") == ((four, ("web",)), (six, ("web",)))
    assert own_addresses(spec(domainname="lan"), "web", [made], "c")[0] == (four, ("web.lan", "web"))


def test_ports_are_published_for_each_kind_of_address() -> None:
    made = leased(network(enable_ipv6=True), "c", Endpoint("p_default"))
    four, six = made.leases["c"].ipv4, made.leases["c"].ipv6
    both = publications(made, "c", [(Port(80, "8080"), 8080)])
    assert both == (Publication("tcp", "", 8080, 8080, four, 80), Publication("tcp", "", 8080, 8080, six, 80))
    only = publications(made, "c", [(Port(80, "8080", "127.0.0.1"), 8080)])
    assert only == (Publication("tcp", "127.0.0.1", 8080, 8080, four, 80),)
    assert publications(made, "c", [(Port(80, "8080", "::1"), 8080)]) == (
        Publication("tcp", "::1", 8080, 8080, six, 80),
    )


def test_two_addresses_of_the_machine_may_lead_to_two_containers_by_one_port() -> None:
    made = leased(leased(network(), "a", Endpoint("p_default")), "b", Endpoint("p_default"))
    first = publications(made, "a", [(Port(80, "80", "127.0.0.1"), 80), (Port(80, "80", "10.0.0.1"), 80)])
    assert [rule.inner for rule in first] == [80, 80]
    held = replace(made, leases={**made.leases, "a": made.leases["a"]._replace(publications=first)})
    second = publications(held, "b", [(Port(80, "80", "10.0.0.2"), 80), (Port(81, "80", "10.0.0.3"), 80)])
    assert [rule.inner for rule in second] == [61000, 61001]
    udp = publications(held, "b", [(Port(80, "80", "10.0.0.2", "udp"), 80)])
    assert [rule.inner for rule in udp] == [80]


def test_publications_of_a_network_stand_in_a_stable_order() -> None:
    rules = [Publication("tcp", "", number, number, "10.0.0.2", 80) for number in (3, 1, 2)]
    made = replace(
        network(), leases={"a": Lease("m", publications=tuple(rules[:2])), "b": Lease("n", publications=(rules[2],))}
    )
    assert [rule.published for rule in made.publications] == [1, 2, 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("leases", []),
        ("leases", None),
        ("leases", {"c": 1}),
        ("subnet4", None),
        ("uplink", 7),
        ("link4", "ab"),
        ("x", 1),
    ],
)
def test_a_record_that_is_none_is_refused(field: str, value: object) -> None:
    plain = json.loads(json.dumps(to_json(leased(network(), "c", Endpoint("p_default")))))
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_json({**plain, field: value})


def test_a_network_sends_no_more_at_once_than_the_machine_can() -> None:
    def mtu(of_machine: int, own: int = 0) -> int:
        wanted = DesiredNetwork(name="p", mtu=own)
        return wire(wanted, pool=POOL, taken=(), uplink="", names=True, now=0.0, machine_mtu=of_machine).mtu

    assert [mtu(1500), mtu(9000), mtu(1400), mtu(1400, 1450)] == [0, 0, 1400, 1450]
