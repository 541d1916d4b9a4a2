"""The firewall as nft texts: of a network's router, of a container's resolver, of the machine. Values in, text out.

A published port is led on twice: by the machine to the router, by the router to the container. Every wall is the
router's own, so that it stands when the machine's rules are flushed; the machine's table is the second one.
Names of chains start with `c_`: `dnat` or `fwd` alone would be words of the language.

Texts of whole tables make them where there is none; with `replacing` they take the place of the one there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from composer.model.addresses import is_link_name
from composer.model.wiring import GATEWAY_PORT, RESOLVER, Wiring

UPLINKS = "uplinks"
"""The set of the machine's table that holds the machine's end of every way out."""

_ANY = {"", "0.0.0.0", "::"}  # noqa: S104  these are compared with, nothing listens there

_PORT = "meta l4proto . th dport"

_PROTOCOLS = {"tcp", "udp"}
_PLAIN = frozenset("0123456789abcdefABCDEF.:/")

Elements = Mapping[str, Mapping[str, str]]
"""By set or map of the machine's table: keys, each with its value ("" in a set)."""


# a network's router ---------------------------------------------------------------------------------------


def router(wiring: Wiring, table: str, up: str) -> str:
    """The whole table of a router. `up` is the router's end of the way out."""
    inner = Inside(wiring, up)
    return _table(table, [*_maps(wiring), *inner.guard(), *inner.translation(), *inner.walls()])


def router_change(table: str, old: Wiring, new: Wiring) -> str:
    """What has to change in a router's table when ports are published or no longer; see `host_change`."""
    return _change(table, _inner_elements(old), _inner_elements(new))


class Inside:
    """The parts of a router's table."""

    def __init__(self, wiring: Wiring, up: str) -> None:
        self._wiring = wiring
        self._bridge = _quoted(wiring.bridge)
        self._up = _quoted(up) if wiring.uplink else ""
        v4 = (wiring.gateway4, wiring.subnet4, wiring.link4, "ip")
        v6 = (wiring.gateway6, wiring.subnet6, wiring.link6, "ip6")
        self._families = [
            (_plain(gateway), _plain(subnet), (_plain(machine), _plain(here)), ip)
            for gateway, subnet, (machine, here), ip in (v4, v6)
            if subnet
        ]

    def guard(self) -> list[str]:
        """Nothing from a container names the router's own 127.0.0.0/8."""
        rules = [f"iifname {self._bridge} ip {way} 127.0.0.0/8 drop" for way in ("daddr", "saddr")]
        return _chain("c_raw", "filter hook prerouting priority raw", rules)

    def translation(self) -> list[str]:
        """Destinations: published ports, and the gateway, which but for names is the machine. Sources: the router's on
        the way out; the gateway's for what the machine itself asks for, as docker has it, so that the answer comes back
        here even if the container's default route leads elsewhere.
        """
        before, after = [], []
        for gateway, _, (machine, here), ip in self._families:
            version = "4" if ip == "ip" else "6"
            if not self._up or not here:
                continue
            before.append(f"iifname {self._up} {ip} daddr {here} dnat {ip} to {_PORT} map @pub{version}")
            if version == "4":
                before.append(f"iifname {self._up} ip saddr {machine} ip daddr {here} dnat ip to {_PORT} map @own4")
            names = f"th dport != {GATEWAY_PORT} " if self._wiring.names else ""
            before.append(
                f"iifname {self._bridge} {ip} daddr {gateway} meta l4proto {{ tcp, udp }} {names}dnat {ip} to {machine}"
            )
            after.append(f"oifname {self._bridge} {ip} saddr {machine} masquerade")
        if self._up:
            after.append(f"oifname {self._up} {'' if self._wiring.masquerade else 'ct status dnat '}masquerade")
        return [
            *_chain("c_pre", "nat hook prerouting priority dstnat", before),
            *_chain("c_post", "nat hook postrouting priority srcnat", after),
        ]

    def walls(self) -> list[str]:
        """To the router itself: names and pings. Through it: out, from addresses of the network; in, what is published
        and what the machine asks for. Nothing else.
        """
        to_router = [
            'iifname "lo" accept',
            "ct state established,related accept",
            "ct state invalid drop",
            "meta l4proto { icmp, ipv6-icmp } accept",
            f"iifname {self._bridge} meta l4proto {{ tcp, udp }} th dport {GATEWAY_PORT} accept",
            f"iifname {self._bridge} meta l4proto tcp reject with tcp reset",
            f"iifname {self._bridge} reject",
        ]
        # Within a bridge packets come by only where br_netfilter takes them here.
        through = [
            "ct state established,related accept",
            "ct state invalid drop",
            f"iifname {self._bridge} oifname {self._bridge} {'accept' if self._wiring.icc else 'drop'}",
        ]
        if self._up:
            for _, subnet, (machine, _here), ip in self._families:
                through.append(f"iifname {self._bridge} oifname {self._up} {ip} saddr {subnet} accept")
                if machine:
                    through.append(f"iifname {self._up} oifname {self._bridge} {ip} saddr {machine} accept")
            through.append(f"iifname {self._up} oifname {self._bridge} ct status dnat accept")
        return [
            *_chain("c_in", "filter hook input priority filter; policy drop", to_router),
            *_chain("c_fwd", "filter hook forward priority filter; policy drop", through),
        ]


def _maps(wiring: Wiring) -> list[str]:
    """Where published ports lead to; apart those that only the machine itself may use (bound to 127.0.0.1)."""
    kinds = {"pub4": "ipv4_addr", "own4": "ipv4_addr", "pub6": "ipv6_addr"}
    elements = _inner_elements(wiring)
    return [_map(name, "inet_proto . inet_service", f"{kinds[name]} . inet_service", elements[name]) for name in kinds]


def _inner_elements(wiring: Wiring) -> Elements:
    found: dict[str, dict[str, str]] = {"pub4": {}, "own4": {}, "pub6": {}}
    for one in wiring.publications:
        own = "own4" if one.host_ip.startswith("127.") else "pub4"
        name = "pub6" if ":" in one.address else own
        found[name].setdefault(_joined(one.protocol, one.inner), _joined(one.address, one.target))
    return found


# a container's resolver -----------------------------------------------------------------------------------


def resolver(table: str, gateway: str) -> str:
    """The table of a container whose names are answered on its network's gateway."""
    gateway = _plain(gateway)
    return _resolver(
        table,
        [f"ip daddr {RESOLVER} {protocol} dport 53 dnat ip to {gateway}:{GATEWAY_PORT}" for protocol in ("udp", "tcp")],
        [f"ip saddr 127.0.0.0/8 ip daddr {gateway} masquerade"],
    )


def own_resolver(table: str, port: int) -> str:
    """The table of a container with a name server of its own on another port of the resolver's address."""
    server = f"{RESOLVER}:{_plain(port)}"
    return _resolver(
        table,
        [f"ip daddr {RESOLVER} {protocol} dport 53 dnat ip to {server}" for protocol in ("udp", "tcp")],
        [],
    )


def _resolver(table: str, leads: list[str], masks: list[str]) -> str:
    guard = [f'iifname != "lo" ip {way} 127.0.0.0/8 drop' for way in ("daddr", "saddr")]
    return _table(
        table,
        [
            *_chain("c_raw", "filter hook prerouting priority raw", guard),
            *_chain("c_out", "nat hook output priority -100", leads),
            *(_chain("c_post", "nat hook postrouting priority srcnat", masks) if masks else ()),
        ],
    )


# the machine ----------------------------------------------------------------------------------------------


def _host_header(table: str) -> str:
    """The machine's table without any network."""
    chains = []
    for ip, version in (("ip", "4"), ("ip6", "6")):
        # Neither can be led out of the machine: the kernel forwards nothing to or from them.
        rules = ["ip6 daddr { ::1, fe80::/10 } return"] if version == "6" else []
        rules.append(f"dnat {ip} to {ip} daddr . {_PORT} map @at{version}")
        rules.append(f"fib daddr type local dnat {ip} to {_PORT} map @any{version}")
        chains += _chain(f"c_pub{version}", "", rules)
    published = ["meta nfproto ipv4 jump c_pub4", "meta nfproto ipv6 jump c_pub6"]
    lines = [_set(UPLINKS, "ifname"), _set("routers4", "ipv4_addr"), _set("routers6", "ipv6_addr")]
    for version in ("4", "6"):
        address = f"ipv{version}_addr"
        lines.append(_map(f"at{version}", f"{address} . inet_proto . inet_service", f"{address} . inet_service", {}))
        lines.append(_map(f"any{version}", "inet_proto . inet_service", f"{address} . inet_service", {}))
    lines += chains
    # route_localnet of an uplink lets 127.0.0.0/8 out there: here is what keeps it from coming in.
    guard = [f"iifname @{UPLINKS} ip {way} 127.0.0.0/8 drop" for way in ("daddr", "saddr")]
    lines += _chain("c_raw", "filter hook prerouting priority raw", guard)
    lines += _chain("c_pre", "nat hook prerouting priority dstnat", ["ip daddr 127.0.0.0/8 return", *published])
    lines += _chain("c_out", "nat hook output priority -100", published)
    masks = [
        f"oifname @{UPLINKS} ip saddr 127.0.0.0/8 masquerade",
        f"iifname @{UPLINKS} oifname @{UPLINKS} masquerade",
        f"oifname != @{UPLINKS} ip saddr @routers4 masquerade",
        f"oifname != @{UPLINKS} ip6 saddr @routers6 masquerade",
    ]
    lines += _chain("c_post", "nat hook postrouting priority srcnat", masks)
    wall = [f"oifname @{UPLINKS} ct state != {{ established, related }} ct status & dnat != dnat drop"]
    lines += _chain("c_fwd", "filter hook forward priority filter", wall)
    return _table(table, lines)


def host_change(table: str, old: Wiring | None, new: Wiring | None) -> str:
    """What has to change in the machine's table when a network's wiring goes from `old` to `new` (None: there is none).

    "" if nothing does. All of it is one transaction: it fails as a whole if the table does not hold what `old` says.
    """
    before, after = _elements(_sound([old] if old else [])), _elements([new] if new else [])
    return _change(table, before, after)


def host_removal(table: str, wiring: Wiring) -> tuple[str, ...]:
    """One text for each element that a network may have in the machine's table, each to be tried by itself."""
    elements = _elements(_sound([wiring]))
    return tuple(
        line for name, has in elements.items() for key in has for line in _element("delete", table, name, [key])
    )


def host_table(table: str, wirings: Iterable[Wiring]) -> str:
    """The machine's whole table for all networks.

    Of two networks that claim one port the first has it: one odd record must not keep the others from working.
    """
    return _host_header(table) + _change(table, _elements([]), _elements(_sound(wirings)))


def replacing(table: str, text: str) -> str:
    """The text of a whole table, so that it takes the place of the one there is, in one transaction."""
    return no_table(table) + text


def no_table(table: str) -> str:
    """Takes a table away, whether it is there or not."""
    return f"table inet {table} {{}}\ndelete table inet {table}\n"


def _sound(wirings: Iterable[Wiring]) -> Iterator[Wiring]:
    """Those whose elements can be written. Those of the others cannot be there, either."""
    for wiring in wirings:
        with suppress(ValueError):
            _elements([wiring])
            yield wiring


def _elements(wirings: Iterable[Wiring]) -> Elements:
    found: dict[str, dict[str, str]] = {
        name: {} for name in (UPLINKS, "routers4", "routers6", "at4", "any4", "at6", "any6")
    }
    for wiring in wirings:
        if not wiring.uplink:
            continue
        found[UPLINKS][_quoted(wiring.uplink)] = ""
        for name, (_, here) in (("routers4", wiring.link4), ("routers6", wiring.link6)):
            if here:
                found[name][_plain(here)] = ""
        for one in wiring.publications:
            version, here = ("6", wiring.link6[1]) if ":" in one.address else ("4", wiring.link4[1])
            leads, key = _joined(here, one.inner), (one.protocol, one.published)
            if here and one.host_ip in _ANY:
                found[f"any{version}"].setdefault(_joined(*key), leads)
            elif here and (":" in one.host_ip) == (version == "6"):
                found[f"at{version}"].setdefault(_joined(one.host_ip, *key), leads)
    return found


# the language ---------------------------------------------------------------------------------------------


def _quoted(name: str) -> str:
    """The name of a link. As it may come from a damaged record: raises `ValueError` for what cannot be one."""
    if not is_link_name(name):
        raise ValueError(f"{name!r} cannot be a link's name")
    return f'"{name}"'


def _plain(value: str | int) -> str:
    """An address, a CIDR, a number or a protocol. Raises `ValueError` for what could say anything else."""
    text = str(value)
    if text not in _PROTOCOLS and not _PLAIN.issuperset(text):
        raise ValueError(f"{text!r} is neither an address nor a number")
    return text


def _joined(*values: str | int) -> str:
    """A key or value of several parts."""
    return " . ".join(map(_plain, values))


def _table(table: str, lines: Iterable[str]) -> str:
    body = "".join(f"  {line}\n" for line in lines)
    return f"table inet {table} {{\n{body}}}\n"


def _chain(name: str, hook: str, rules: Iterable[str]) -> list[str]:
    return [f"chain {name} {{", *([f"  type {hook};"] if hook else []), *(f"  {rule}" for rule in rules), "}"]


def _set(name: str, kind: str) -> str:
    return f"set {name} {{ type {kind}; }}"


def _map(name: str, key: str, value: str, leads: Mapping[str, str]) -> str:
    entries = ", ".join(_entry(key, value) for key, value in leads.items())
    elements = f" elements = {{ {entries} }};" if entries else ""
    return f"map {name} {{ type {key} : {value};{elements} }}"


def _change(table: str, before: Elements, after: Elements) -> str:
    lines = []
    for name, had in before.items():
        lines += _element("delete", table, name, [key for key, value in had.items() if after[name].get(key) != value])
    for name, has in after.items():
        fresh = [_entry(key, value) for key, value in has.items() if before[name].get(key) != value]
        lines += _element("add", table, name, fresh)
    return "".join(f"{line}\n" for line in lines)


def _element(verb: str, table: str, name: str, entries: Iterable[str]) -> list[str]:
    text = ", ".join(entries)
    return [f"{verb} element inet {table} {name} {{ {text} }}"] if text else []


def _entry(key: str, value: str) -> str:
    return f"{key} : {value}" if value else key
