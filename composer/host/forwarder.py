"""The way to name servers that listen on nothing but the machine's loopback: dnsmasq on the machine, for one network.

A network's name server lives in a namespace of its own: to it 127.0.0.1 is itself. So one more stands on the machine's
end of the network's way out, and asks for it. Machines whose servers can be reached from elsewhere have none.
"""

from __future__ import annotations

import os

from composer.host import dnsmasq, net_paths
from composer.host.resolvers import is_local
from composer.model.wiring import Wiring
from composer.paths import Paths

PORT = 61053
"""Above the ports that the kernel hands out; 53 may be taken by a server that listens everywhere."""


def asked_instead(wiring: Wiring, upstreams: tuple[str, ...]) -> tuple[str, ...]:
    """Whom the name servers of a network ask about the rest of the world."""
    if not wiring.uplink:
        return ()
    return (f"{_address(wiring)}#{PORT}",) if _is_needed(upstreams) else upstreams


def keep(paths: Paths, wiring: Wiring, upstreams: tuple[str, ...]) -> None:
    """Starts the forwarder of a network that needs one, tells it of other servers, ends it where there is no need.

    Raises as `dnsmasq.start`. The network's way out is there.
    """
    directory = _directory(paths, wiring)
    if not _is_needed(upstreams):
        if dnsmasq.upstreams(directory) is not None:
            dnsmasq.remove(paths, directory)
    elif dnsmasq.alive(directory):
        dnsmasq.set_upstreams(directory, upstreams)
    else:
        dnsmasq.start(
            paths,
            dnsmasq.NameServer(
                directory=directory,
                netns="/proc/thread-self/ns/net",  # the machine's: there it stays
                listen=(_address(wiring),),
                port=PORT,
                hosts=(),
                upstreams=upstreams,
            ),
        )


def works(paths: Paths, wiring: Wiring, upstreams: tuple[str, ...]) -> bool:
    """Whether the forwarder runs and asks these, or is neither needed nor there."""
    directory = _directory(paths, wiring)
    if not _is_needed(upstreams):
        return dnsmasq.upstreams(directory) is None
    return dnsmasq.alive(directory) and dnsmasq.upstreams(directory) == upstreams


def remove(paths: Paths, wiring: Wiring) -> None:
    """Ends the forwarder of a network and takes away its files. There need be none."""
    directory = _directory(paths, wiring)
    if os.path.isdir(directory):
        dnsmasq.remove(paths, directory)


def _is_needed(upstreams: tuple[str, ...]) -> bool:
    return any(map(is_local, upstreams))


def _address(wiring: Wiring) -> str:
    return wiring.link4[0] or wiring.link6[0]


def _directory(paths: Paths, wiring: Wiring) -> str:
    return net_paths.network_dns(paths, wiring.name) + "-world"
