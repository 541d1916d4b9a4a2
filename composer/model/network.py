"""Networks as the stack file means them: definitions, attachments of services to them, published ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from composer.errors import Place
from composer.frozen import field, frozen

Protocol = Literal["tcp", "udp", "sctp"]
"""sctp is read and printed only: what makes containers refuses it."""
DEFAULT = "default"
"""The key of the network that a service is on when it names none."""


class Subnet(NamedTuple):
    """One entry of `ipam.config`. CIDRs and addresses in the shortest form; "" = not given."""

    subnet: str
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: tuple[tuple[str, str], ...] = ()
    """Names and addresses that no container gets."""


@frozen(shown=False)
class Network:
    """One top-level network that an enabled service uses. `name` is the real one (`<project>_<key>`)."""

    key: str
    name: str
    place: Place
    external: bool = False
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    subnets: tuple[Subnet, ...] = ()
    labels: Mapping[str, str] = field(factory=dict)
    mtu: int = 0
    """`driver_opts: com.docker.network.driver.mtu`; 0 = 1500, or what the machine sends at most if that is less."""
    bridge_name: str = ""
    """`driver_opts: com.docker.network.bridge.name`; "" = ours."""
    masquerade: bool = True
    """`com.docker.network.bridge.enable_ip_masquerade`."""
    icc: bool = True
    """`com.docker.network.bridge.enable_icc`: whether containers of the network reach each other."""
    host_binding: str = ""
    """`com.docker.network.bridge.host_binding_ipv4`: where ports without a host address are bound; "" = everywhere."""


class Attachment(NamedTuple):
    """A service on one network. `network` is the key. Addresses in the shortest form, MAC lower case with colons."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    interface_name: str = ""
    priority: int = 0
    gw_priority: int = 0


class Port(NamedTuple):
    """One entry of `ports` in its long form.

    `published` is "" (any free port of the machine), "8080", or "8000-9000" (the first free one of these).
    `host_ip` is "" for every address of the machine.
    """

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: Protocol = "tcp"
