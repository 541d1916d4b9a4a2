"""What the parts of a network are called on this machine: files, links, tables, cgroups. Names only.

All names of one store differ from those of another, as its run directory does.
"""

from __future__ import annotations

import os

from composer.digest import sha256_hex
from composer.paths import RUN_DIR, Paths

ROUTER_TABLE = "jk"
"""The nft table inside a router."""
RESOLVER_TABLE = "jk_names"
"""The nft table inside a container that leads its name server's address to the real one."""
UP = "up0"
"""The router's end of the way out."""


def netns_dir(paths: Paths) -> str:
    """Where all namespaces of the store are pinned."""
    return f"{paths.run}/netns"


def router_netns(paths: Paths, network_name: str) -> str:
    """The pinned network namespace of a network."""
    return f"{paths.run}/netns/net-{_digest(network_name, 12)}"


def container_netns(paths: Paths, container_id: str) -> str:
    """The pinned network namespace of a container: what its bundle names."""
    return f"{paths.run}/netns/{container_id}"


def endpoint(paths: Paths, container_id: str) -> str:
    """What is known of a container's connections while its namespace lives: JSON."""
    return f"{paths.run}/netns/{container_id}.json"


def network_dns(paths: Paths, network_name: str) -> str:
    """The directory of a network's name server."""
    return f"{paths.run}/dns/net-{_digest(network_name, 12)}"


def hosts_dir(paths: Paths, network_name: str) -> str:
    """One file for each container on the network: its names there."""
    return f"{network_dns(paths, network_name)}/hosts"


def container_dns(paths: Paths, container_id: str) -> str:
    """The directory of a name server that one container has for itself."""
    return f"{paths.run}/dns/{container_id}"


def dns_cgroup(paths: Paths) -> str:
    """Where all name servers of the store live."""
    return f"{paths.cgroup_root}/.dns"


def uplink(paths: Paths, network_name: str) -> str:
    """The machine's end of a network's way out; within the 15 bytes a link's name may have."""
    return "jk" + _digest(f"{paths.run}\0{network_name}", 8)


def port(container_id: str) -> str:
    """The end of a container's link on the bridge of a network."""
    return f"v{container_id[:12]}"


def host_table(paths: Paths) -> str:
    """The nft table (family inet) of this store in the machine's own namespace."""
    return "jocker" if paths.run == RUN_DIR else f"jocker_{_digest(paths.run, 8)}"


def _digest(text: str, length: int) -> str:
    return sha256_hex(os.fsencode(text))[:length]
