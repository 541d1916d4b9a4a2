"""The firewall as text: what it opens, and what it says of a change."""

from __future__ import annotations

import textwrap

import pytest

from composer.bundle import firewall
from composer.frozen import replace
from composer.model.wiring import Lease, Publication, Wiring

SHOP = Wiring(
    name="shop_default",
    subnet4="10.1.0.0/24",
    gateway4="10.1.0.1",
    uplink="jk00000001",
    link4=("10.9.0.0", "10.9.0.1"),
)
BOTH = replace(
    SHOP, subnet6="fd00:1::/64", gateway6="fd00:1::1", link6=("fd00:9::2", "fd00:9::3"), bridge="mine", names=False
)


def with_ports(wiring: Wiring, *publications: Publication) -> Wiring:
    return replace(wiring, leases={"one": Lease("02:00:00:00:00:01", "10.1.0.2", "", publications)})


def plain(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


WEB = Publication("tcp", "", 8080, 8080, "10.1.0.2", 80)
ADMIN = Publication("tcp", "127.0.0.1", 9000, 9000, "10.1.0.2", 9)
LAN = Publication("udp", "192.0.2.2", 53, 1053, "10.1.0.2", 53)
SIX = Publication("tcp", "", 8080, 8080, "fd00:1::2", 80)


def test_a_router_opens_what_is_published_and_nothing_else() -> None:
    assert firewall.router(with_ports(SHOP, WEB, ADMIN, LAN), "jk", "up0") == plain(
        """
        table inet jk {
          map pub4 { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 8080 : 10.1.0.2 . 80, udp . 1053 : 10.1.0.2 . 53 }; }
          map own4 { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 9000 : 10.1.0.2 . 9 }; }
          map pub6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
          chain c_raw {
            type filter hook prerouting priority raw;
            iifname "br0" ip daddr 127.0.0.0/8 drop
            iifname "br0" ip saddr 127.0.0.0/8 drop
          }
          chain c_pre {
            type nat hook prerouting priority dstnat;
            iifname "up0" ip daddr 10.9.0.1 dnat ip to meta l4proto . th dport map @pub4
            iifname "up0" ip saddr 10.9.0.0 ip daddr 10.9.0.1 dnat ip to meta l4proto . th dport map @own4
            iifname "br0" ip daddr 10.1.0.1 meta l4proto { tcp, udp } th dport != 53 dnat ip to 10.9.0.0
          }
          chain c_post {
            type nat hook postrouting priority srcnat;
            oifname "br0" ip saddr 10.9.0.0 masquerade
            oifname "up0" masquerade
          }
          chain c_in {
            type filter hook input priority filter; policy drop;
            iifname "lo" accept
            ct state established,related accept
            ct state invalid drop
            meta l4proto { icmp, ipv6-icmp } accept
            iifname "br0" meta l4proto { tcp, udp } th dport 53 accept
            iifname "br0" meta l4proto tcp reject with tcp reset
            iifname "br0" reject
          }
          chain c_fwd {
            type filter hook forward priority filter; policy drop;
            ct state established,related accept
            ct state invalid drop
            iifname "br0" oifname "br0" accept
            iifname "br0" oifname "up0" ip saddr 10.1.0.0/24 accept
            iifname "up0" oifname "br0" ip saddr 10.9.0.0 accept
            iifname "up0" oifname "br0" ct status dnat accept
          }
        }
        """  # noqa: E501
    )


def rules(text: str, chain: str) -> list[str]:
    """The rules of one chain, without its hook."""
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {chain} {{") + 2
    return lines[start : lines.index("}", start)]


def test_an_internal_network_has_no_way_out() -> None:
    text = firewall.router(replace(SHOP, internal=True, uplink="", link4=("", "")), "jk", "up0")
    assert "up0" not in text
    assert rules(text, "c_pre") == rules(text, "c_post") == []
    assert rules(text, "c_fwd")[2:] == ['iifname "br0" oifname "br0" accept']


def test_both_families_have_their_own_rules() -> None:
    text = firewall.router(with_ports(BOTH, WEB, SIX), "jk", "up0")
    # Without names of its own the gateway is the machine on every port.
    assert rules(text, "c_pre") == [
        'iifname "up0" ip daddr 10.9.0.1 dnat ip to meta l4proto . th dport map @pub4',
        'iifname "up0" ip saddr 10.9.0.0 ip daddr 10.9.0.1 dnat ip to meta l4proto . th dport map @own4',
        'iifname "mine" ip daddr 10.1.0.1 meta l4proto { tcp, udp } dnat ip to 10.9.0.0',
        'iifname "up0" ip6 daddr fd00:9::3 dnat ip6 to meta l4proto . th dport map @pub6',
        'iifname "mine" ip6 daddr fd00:1::1 meta l4proto { tcp, udp } dnat ip6 to fd00:9::2',
    ]
    assert "elements = { tcp . 8080 : fd00:1::2 . 80 }" in text


def test_options_of_the_network_change_what_passes() -> None:
    text = firewall.router(replace(SHOP, icc=False, masquerade=False), "jk", "up0")
    assert 'iifname "br0" oifname "br0" drop' in rules(text, "c_fwd")
    assert rules(text, "c_post")[-1] == 'oifname "up0" ct status dnat masquerade'


def test_a_change_names_only_what_changes() -> None:
    old, new = with_ports(SHOP, WEB, ADMIN), with_ports(SHOP, WEB._replace(target=81), LAN)
    assert firewall.router_change("jk", old, new) == plain(
        """
        delete element inet jk pub4 { tcp . 8080 }
        delete element inet jk own4 { tcp . 9000 }
        add element inet jk pub4 { tcp . 8080 : 10.1.0.2 . 81, udp . 1053 : 10.1.0.2 . 53 }
        """
    )
    # To the machine another port of the container is nothing new.
    assert firewall.host_change("jocker", old, new) == plain(
        """
        delete element inet jocker at4 { 127.0.0.1 . tcp . 9000 }
        add element inet jocker at4 { 192.0.2.2 . udp . 53 : 10.9.0.1 . 1053 }
        """
    )
    assert firewall.host_change("jocker", new, new) == firewall.router_change("jk", new, new) == ""


def test_a_network_comes_and_goes_as_a_whole() -> None:
    wiring = with_ports(BOTH, WEB, SIX)
    assert firewall.host_change("jocker", None, wiring) == plain(
        """
        add element inet jocker uplinks { "jk00000001" }
        add element inet jocker routers4 { 10.9.0.1 }
        add element inet jocker routers6 { fd00:9::3 }
        add element inet jocker any4 { tcp . 8080 : 10.9.0.1 . 8080 }
        add element inet jocker any6 { tcp . 8080 : fd00:9::3 . 8080 }
        """
    )
    assert firewall.host_change("jocker", wiring, None) == plain(
        """
        delete element inet jocker uplinks { "jk00000001" }
        delete element inet jocker routers4 { 10.9.0.1 }
        delete element inet jocker routers6 { fd00:9::3 }
        delete element inet jocker any4 { tcp . 8080 }
        delete element inet jocker any6 { tcp . 8080 }
        """
    )
    assert list(firewall.host_removal("jocker", wiring)) == firewall.host_change("jocker", wiring, None).splitlines()


def test_internal_networks_are_nothing_to_the_machine() -> None:
    inner = with_ports(replace(SHOP, internal=True, uplink="", link4=("", "")), WEB)
    assert firewall.host_change("jocker", None, inner) == ""
    assert "add element" not in firewall.host_table("jocker", [inner])


def test_the_loopback_of_ipv6_leads_nowhere() -> None:
    odd = with_ports(BOTH, SIX._replace(host_ip="::1"), WEB._replace(host_ip="::"))
    assert "any4 { tcp . 8080" in firewall.host_change("jocker", None, odd)
    assert "ip6 daddr { ::1, fe80::/10 } return" in firewall.host_table("jocker", [odd])


def test_of_two_that_claim_a_port_the_first_has_it() -> None:
    other = with_ports(replace(SHOP, name="b", uplink="jk00000002", link4=("10.9.0.2", "10.9.0.3")), WEB)
    text = firewall.host_table("jocker", [with_ports(SHOP, WEB), other])
    assert 'uplinks { "jk00000001", "jk00000002" }' in text
    assert "any4 { tcp . 8080 : 10.9.0.1 . 8080 }" in text


def test_the_whole_table_of_the_machine() -> None:
    text = firewall.host_table("jocker", [])
    assert text.startswith("table inet jocker {\n")
    assert rules(text, "c_raw") == [
        "iifname @uplinks ip daddr 127.0.0.0/8 drop",
        "iifname @uplinks ip saddr 127.0.0.0/8 drop",
    ]
    assert rules(text, "c_fwd") == [
        "oifname @uplinks ct state != { established, related } ct status & dnat != dnat drop",
    ]
    assert firewall.replacing("jocker", text) == f"table inet jocker {{}}\ndelete table inet jocker\n{text}"


def test_names_of_a_container_are_led_to_its_gateway() -> None:
    assert firewall.resolver("names", "10.1.0.1") == plain(
        """
        table inet names {
          chain c_raw {
            type filter hook prerouting priority raw;
            iifname != "lo" ip daddr 127.0.0.0/8 drop
            iifname != "lo" ip saddr 127.0.0.0/8 drop
          }
          chain c_out {
            type nat hook output priority -100;
            ip daddr 127.0.0.11 udp dport 53 dnat ip to 10.1.0.1:53
            ip daddr 127.0.0.11 tcp dport 53 dnat ip to 10.1.0.1:53
          }
          chain c_post {
            type nat hook postrouting priority srcnat;
            ip saddr 127.0.0.0/8 ip daddr 10.1.0.1 masquerade
          }
        }
        """
    )
    own = firewall.own_resolver("names", 61053)
    assert "tcp dport 53 dnat ip to 127.0.0.11:61053" in own
    assert "c_post" not in own


EVIL = 'a" accept; #'


@pytest.mark.parametrize(
    "wiring",
    [
        replace(SHOP, bridge=EVIL),
        replace(SHOP, bridge=""),
        replace(SHOP, gateway4=EVIL),
        replace(SHOP, subnet4=EVIL),
        replace(SHOP, link4=("10.9.0.0", EVIL)),
        *(with_ports(SHOP, WEB._replace(**{field: EVIL})) for field in ("protocol", "inner", "address", "target")),
    ],
)
def test_a_damaged_record_adds_no_rule_to_a_router(wiring: Wiring) -> None:
    with pytest.raises(ValueError, match=r"accept|link's name"):
        firewall.router(wiring, "jk", "up0")


@pytest.mark.parametrize(
    "wiring",
    [
        replace(SHOP, uplink=EVIL),
        replace(SHOP, link4=("10.9.0.0", EVIL)),
        *(with_ports(SHOP, WEB._replace(**{field: EVIL})) for field in ("protocol", "host_ip", "published", "inner")),
    ],
)
def test_a_damaged_record_adds_nothing_to_the_machine_and_keeps_nobody_from_it(wiring: Wiring) -> None:
    with pytest.raises(ValueError, match="accept"):
        firewall.host_change("jocker", None, wiring)
    other = with_ports(replace(SHOP, name="b", uplink="jk00000002"), WEB)
    assert firewall.host_table("jocker", [wiring, other]) == firewall.host_table("jocker", [other])
    assert firewall.host_change("jocker", wiring, None) == ""
    assert firewall.host_removal("jocker", wiring) == ()


def test_a_resolver_is_led_to_addresses_alone() -> None:
    with pytest.raises(ValueError, match="accept"):
        firewall.resolver("names", EVIL)
