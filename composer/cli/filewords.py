"""What the command line says in the words of a stack file, checked by the stack file's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from composer.composefile.addresses import parse_cidr, shortest_address
from composer.composefile.netbind import bind_networks, bind_ports
from composer.composefile.netdefinitions import Stack, check_definitions
from composer.composefile.networks import network
from composer.composefile.ports import ports
from composer.composefile.tree import Findings, Mark, Node, Scalar, Source
from composer.desired.networks import hashed
from composer.desired.state import DesiredNetwork
from composer.errors import Complaint, UsageError
from composer.frozen import fields_of, frozen
from composer.model.network import Port

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_MARK = Mark(Source("the command line"))
_KEY = "network"
_OPTIONS = (
    ("driver", "--driver"),
    ("enable_ipv4", "--no-ipv4"),
    ("labels", "--label"),
    ("ip_range", "--ip-range"),
    ("gateway", "--gateway"),
    ("aux_addresses", "--aux-address"),
    ("subnet", "--subnet"),
)
_HINTS = {"--no-ipv4": "give --ipv6"}
"""Where the file's own hint speaks of the file."""


@frozen
class NetworkOptions:
    """What `jocker network create` is told. Pairs are texts `NAME=VALUE`."""

    name: str
    driver: str = "bridge"
    internal: bool = False
    attachable: bool = False
    ipv4: bool = True
    ipv6: bool = False
    subnets: tuple[str, ...] = ()
    ip_ranges: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    aux_addresses: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def desired_network(given: NetworkOptions) -> DesiredNetwork:
    """The network, which belongs to no stack. Raises `UsageError`."""
    findings = Findings()
    tree = _node({
        "name": given.name,
        "driver": given.driver,
        "internal": given.internal,
        "attachable": given.attachable,
        "enable_ipv4": given.ipv4,
        "enable_ipv6": given.ipv6,
        "labels": _pairs("--label", given.labels),
        "driver_opts": _pairs("--opt", given.options),
        "ipam": {"config": _configs(given)},
    })  # fmt: skip
    defined = {_KEY: network(tree, ("networks", _KEY), findings)}
    # What is written wrongly is no subject of the checks that ask what it means.
    if not findings.complaints:
        check_definitions(Stack("", {}, {}, defined, {}, findings), (_KEY,))
    findings.complaints += findings.refusals
    _raise(findings, "NAME")
    bound = bind_networks("", defined, {"": _node({"networks": {_KEY: None}})})[_KEY]
    shared = {name: getattr(bound, name) for name in fields_of(DesiredNetwork) if hasattr(bound, name)}
    return hashed(DesiredNetwork(**{**shared, "key": ""}))


def published_ports(texts: Iterable[str]) -> tuple[Port, ...]:
    """`--publish [IP:][HOST:]CONTAINER[/PROTOCOL]`, several. Raises `UsageError`."""
    findings = Findings()
    done = ports(_node(list(texts)), ("ports",), findings)
    _raise(findings, "--publish")
    found = bind_ports(Node({"ports": done}, _MARK))
    if any(port.protocol == "sctp" for port in found):
        raise UsageError("--publish: the protocol sctp is not supported", hint="write tcp or udp")
    return found


def pair(option: str, text: str) -> tuple[str, str]:
    """`NAME=VALUE`; without a value that is empty. Raises `UsageError`."""
    name, _, value = text.partition("=")
    if not name:
        raise UsageError(f"{option} {text!r}", hint="write NAME=VALUE")
    return name, value


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    return dict(pair(option, text) for text in texts)


class _Config:
    """One entry of `ipam.config` in the making."""

    def __init__(self, text: str) -> None:
        self.cidr = parse_cidr(text)
        self.entries: dict[str, _Plain] = {"subnet": text}
        self.aux: dict[str, _Plain] = {}

    def plain(self) -> _Plain:
        return {**self.entries, "aux_addresses": self.aux} if self.aux else dict(self.entries)


def _configs(given: NetworkOptions) -> list[_Plain]:
    """`ipam.config`: to each subnet what lies in it, as docker sorts it."""
    configs = [_Config(text) for text in given.subnets]
    for config in configs:
        if config.cidr is not None and not (given.ipv6 if config.cidr.version == 6 else given.ipv4):
            without = "without --ipv6" if config.cidr.version == 6 else "with --no-ipv4"
            raise UsageError(f"--subnet {config.cidr}: no effect {without}")
    for option, key, texts in (
        ("--ip-range", "ip_range", given.ip_ranges),
        ("--gateway", "gateway", given.gateways),
    ):
        for text in texts:
            config = _home(option, text, text, configs)
            if key in config.entries:
                raise UsageError(f"{option} {text}: a second one for --subnet {config.cidr}")
            config.entries[key] = text
    for text in given.aux_addresses:
        name, address = pair("--aux-address", text)
        _home("--aux-address", text, address, configs).aux[name] = address
    return [config.plain() for config in configs]


def _home(option: str, text: str, address: str, configs: list[_Config]) -> _Config:
    """The subnet that an address or a range begins in; of what is no address any, so that the rules get to see it."""
    bare = shortest_address(address.partition("/")[0])
    fitting = [one for one in configs if one.cidr is None or not bare or _holds(one.cidr, bare)]
    if not fitting:
        raise UsageError(f"{option} {text}: it lies in no subnet", hint="give the --subnet, too")
    return fitting[0]


def _holds(cidr: IPv4Network | IPv6Network, address: str) -> bool:
    from ipaddress import ip_address

    return ip_address(address) in cidr


_Plain = Scalar | Mapping[str, "_Plain"] | list["_Plain"]


def _node(value: _Plain) -> Node:
    if isinstance(value, Mapping):
        return Node({key: _node(child) for key, child in value.items()}, _MARK)
    if isinstance(value, list):
        return Node([_node(child) for child in value], _MARK)
    return Node(value, _MARK)


def _raise(findings: Findings, otherwise: str) -> None:
    """Raises `UsageError` with all complaints, each by the option it is about, `otherwise` if that cannot be told."""
    if not findings.complaints:
        return
    told = [(_option(complaint, otherwise), complaint) for complaint in findings.complaints]
    errors = [(f"{option}: {one.message}", _HINTS.get(option, one.hint)) for option, one in told]
    if len(errors) == 1:
        raise UsageError(errors[0][0], hint=errors[0][1])
    raise UsageError("\njocker: ".join(f"{message}\n  {hint}" if hint else message for message, hint in errors))


def _option(complaint: Complaint, otherwise: str) -> str:
    path = complaint.place.path.removeprefix(f"networks.{_KEY}.").removeprefix("ipam.config")
    if path.startswith("["):
        path = path.partition("].")[2]
    if path.startswith("driver_opts."):
        return f"--opt {path.removeprefix('driver_opts.')}"
    return next((option for key, option in _OPTIONS if path.startswith(key)), otherwise)
