"""The files of a container's /etc that are ours: mounted into it, never written through its rootfs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from composer.desired.state import DesiredContainer
from composer.host.files import read_text, write_plain
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.bundle.context import Namespaces
    from composer.execute.networking import Attached

_NAMES = ("hosts", "hostname", "resolv.conf")


def sources(paths: Paths, container_id: str) -> dict[str, str]:
    """Where in the container each of them is mounted, and where on the machine it is."""
    directory = paths.container(container_id)
    return {f"/etc/{name}": f"{directory}/{name}" for name in _NAMES}


def write(
    paths: Paths,
    container: DesiredContainer,
    container_id: str,
    namespaces: Namespaces,
    attached: Attached | None,
    machine_hostname: Callable[[], str],
) -> None:
    """Writes them. Who shares another container's network has what that one has. Raises `ContainerError`."""
    for name, text in _texts(paths, container, container_id, namespaces, attached, machine_hostname).items():
        write_plain(f"{paths.container(container_id)}/{name}", text.encode(), mode=0o644)


def _texts(
    paths: Paths,
    container: DesiredContainer,
    container_id: str,
    namespaces: Namespaces,
    attached: Attached | None,
    machine_hostname: Callable[[], str],
) -> dict[str, str]:
    from composer.bundle.context import container_hostname
    from composer.bundle.render import container_resolv_conf, render_hosts
    from composer.desired.joining import own_addresses
    from composer.execute import sharing
    from composer.host.resolvers import resolvers
    from composer.model.wiring import RESOLVER

    spec = container.spec
    if ":" in spec.network_mode:
        other = sharing.find(paths, container.project, spec.network_mode, f'service "{container.service}"')
        directory = paths.container(other["id"])
        return {name: read_text(f"{directory}/{name}") or "" for name in _NAMES}
    hostname = namespaces.hostname or container_hostname(spec, container_id, machine_hostname())
    addresses = own_addresses(spec, hostname, attached.wirings, container_id) if attached else ()
    gateway = attached.machine if attached else ""
    has_names = attached is not None and any(wiring.names for wiring in attached.wirings)
    machine = read_text("/etc/resolv.conf") or "" if spec.network_mode == "host" else resolvers().as_text()
    return {
        "hosts": render_hosts(container, machine=read_text("/etc/hosts") or "", gateway=gateway, addresses=addresses),
        "hostname": f"{hostname}\n",
        "resolv.conf": container_resolv_conf(container, machine, resolver=RESOLVER if has_names else ""),
    }
