"""How a network is wired on this machine: what its record holds, and what the kernel is told. Values only.

Texts of addresses are in their shortest form, as `ipaddress` prints them; "" = none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.frozen import field, fields_of, frozen
from composer.model.network import Protocol

RECORD_VERSION = 1
GATEWAY_PORT = 53
"""Where a network's name server listens, on the addresses of its gateway."""
RESOLVER = "127.0.0.11"
"""The name server that every container on a network has, as docker has it."""


class Publication(NamedTuple):
    """One port of the machine that leads to a container.

    `host_ip` is "" for all IPv4 (or, with an IPv6 `address`, all IPv6) addresses of the machine. `inner` is the port
    on the router in between: `published` wherever that is free there. `address` is the container's on this network.
    """

    protocol: Protocol
    host_ip: str
    published: int
    inner: int
    address: str
    target: int


class Lease(NamedTuple):
    """What one container has on one network. `mac` is always set."""

    mac: str
    ipv4: str = ""
    ipv6: str = ""
    publications: tuple[Publication, ...] = ()
    """While it runs."""
    claimed_by: str = ""
    """`<pid>-<start time>` of the command that took it for a container that has no record yet."""


@frozen(shown=False)
class Wiring:
    """A network as its record has it: definition, addresses, leases. `key` and `project` are "" for those made by
    `jocker network create` and for `bridge`.

    `uplink` is the machine's end of the way out ("" if there is none: `internal`), `link4` and `link6` are the two
    addresses on it, the machine's and the router's, each a /31 or /127.
    """

    name: str
    project: str = ""
    key: str = ""
    config_hash: str = ""
    created_at: float = 0.0
    labels: Mapping[str, str] = field(factory=dict)
    internal: bool = False
    attachable: bool = False
    mtu: int = 0
    bridge: str = "br0"
    masquerade: bool = True
    icc: bool = True
    host_binding: str = ""
    names: bool = True
    """Whether containers find each other by name: not on `bridge`, as with docker."""
    subnet4: str = ""
    gateway4: str = ""
    range4: str = ""
    subnet6: str = ""
    gateway6: str = ""
    range6: str = ""
    reserved: Mapping[str, str] = field(factory=dict)
    """`aux_addresses`: name to address."""
    uplink: str = ""
    link4: tuple[str, str] = ("", "")
    link6: tuple[str, str] = ("", "")
    leases: Mapping[str, Lease] = field(factory=dict)
    """By container id."""

    @property
    def publications(self) -> tuple[Publication, ...]:
        """Of all containers, in a stable order."""
        return tuple(sorted(one for lease in self.leases.values() for one in lease.publications))


class Joint(NamedTuple):
    """One container's end on one network, ready to be made. `has_default` 4 and 6: its default route leads here."""

    wiring: Wiring
    lease: Lease
    interface: str
    link_local_ips: tuple[str, ...] = ()
    has_default4: bool = False
    has_default6: bool = False


def to_json(wiring: Wiring) -> dict[str, Any]:
    """As it stands in its record."""
    plain = {name: getattr(wiring, name) for name in fields_of(Wiring)}
    leases = {
        one: {**lease._asdict(), "publications": list(lease.publications)} for one, lease in wiring.leases.items()
    }
    return {"version": RECORD_VERSION, **plain, "leases": leases}


def from_json(plain: Mapping[str, Any]) -> Wiring:
    """The wiring a record holds. Raises `KeyError`, `TypeError` or `ValueError` for what is not one."""
    fields = {name: value for name, value in plain.items() if name != "version"}
    for name, value in fields.items():
        wanted = type(getattr(_SAMPLE, name, None))
        if not isinstance(value, _JSON_TYPES.get(wanted, wanted)):
            raise TypeError(f"{name}: {value!r}")
    for name in ("link4", "link6"):
        ours, theirs = fields[name]
        fields[name] = (ours, theirs)
    fields["leases"] = {one: _lease(lease) for one, lease in fields["leases"].items()}
    return Wiring(**fields)


_SAMPLE = Wiring(name="")
"""The types of the fields, by example."""
_JSON_TYPES: Mapping[type, Any] = {tuple: list, float: (int, float)}
"""As what a type comes back from JSON, where that is another."""


def _lease(plain: Mapping[str, Any]) -> Lease:
    return Lease(**{**plain, "publications": tuple(Publication(*one) for one in plain["publications"])})
