"""The networks a project asks for, and each service's ends on them."""

from __future__ import annotations

import json

from composer.desired.names import network_labels
from composer.desired.state import DesiredNetwork, Endpoint
from composer.digest import sha256_hex
from composer.frozen import replace
from composer.model.network import Network
from composer.model.service import Project, Service

BRIDGE = "bridge"
"""The network of `network_mode: bridge`: one for all stacks, made when it is needed, without names (docker's)."""
HASH_VERSION = 1


def desired_networks(project: Project) -> dict[str, DesiredNetwork]:
    """By real name, those that enabled services are on."""
    keys = dict.fromkeys(one.network for service in project.services.values() for one in service.networks)
    wanted = [_desired(project, project.networks[key]) for key in keys]
    if any(service.network_mode == BRIDGE for service in project.services.values()):
        wanted.append(bridge(project.address_pool))
    return {network.name: network for network in wanted}


def bridge(address_pool: tuple[str, ...] = ()) -> DesiredNetwork:
    """The network named `bridge`."""
    return hashed(DesiredNetwork(name=BRIDGE, address_pool=address_pool))


def _desired(project: Project, network: Network) -> DesiredNetwork:
    if network.external:
        return DesiredNetwork(name=network.name, key=network.key, external=True)
    wanted = hashed(
        DesiredNetwork(
            name=network.name,
            project=project.name,
            key=network.key,
            labels=network.labels,
            internal=network.internal,
            attachable=network.attachable,
            enable_ipv4=network.enable_ipv4,
            enable_ipv6=network.enable_ipv6,
            subnets=network.subnets,
            mtu=network.mtu,
            bridge_name=network.bridge_name,
            masquerade=network.masquerade,
            icc=network.icc,
            host_binding=network.host_binding,
            address_pool=project.address_pool,
        )
    )
    ours = network_labels(project=project.name, network=network.key, config_hash=wanted.config_hash)
    return replace(wanted, labels={**network.labels, **ours})


def hashed(network: DesiredNetwork) -> DesiredNetwork:
    """With the hash over what it would really be: whose it is and where addresses come from do not count."""
    facts = [
        *(network.internal, network.attachable, network.enable_ipv4, network.enable_ipv6, network.mtu),
        *(network.bridge_name, network.masquerade, network.icc, network.host_binding),
        sorted(network.subnets),
        sorted(network.labels.items()),
    ]
    text = json.dumps([HASH_VERSION, *facts], separators=(",", ":"), ensure_ascii=False)
    return replace(network, config_hash=sha256_hex(text.encode(errors="surrogatepass")))


def endpoints(project: Project, service: Service) -> tuple[Endpoint, ...]:
    """The service's ends, in the order of its interfaces. Its name, hostname and aliases are the names they share."""
    if service.network_mode == BRIDGE:
        return (Endpoint(BRIDGE),)
    hostnames = [service.hostname] if service.hostname else []
    if service.hostname and service.domainname:
        hostnames.append(f"{service.hostname}.{service.domainname}")
    return tuple(
        Endpoint(
            network=project.networks[one.network].name,
            aliases=tuple(dict.fromkeys((service.name, *one.aliases, *hostnames))),
            ipv4_address=one.ipv4_address,
            ipv6_address=one.ipv6_address,
            link_local_ips=one.link_local_ips,
            mac_address=one.mac_address,
            interface_name=one.interface_name,
            gw_priority=one.gw_priority,
        )
        for one in service.networks
    )


def links(service: Service) -> tuple[tuple[str, str], ...]:
    """The names only this service knows, and what they are other names for. A service goes by its own name anyway."""
    both = (*service.links, *service.external_links)
    return tuple(sorted({(alias, target) for target, alias in both if alias != target}))
