"""Looking at the networks of a stack from all sides: from within its containers, from the machine, from outside."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

import netlab
from scenarios.conftest import Stack

from composer.host import net_paths, netns, networks
from composer.model.wiring import Wiring

T = TypeVar("T")

RESOLVER = "127.0.0.11"
QUIET = "    image: demo\n    command: [sleep, '1000']\n    stop_grace_period: 0s\n"
"""A service that only is there: whoever listens in a container is the test itself, in its namespace."""


def inside(stack: Stack, name: str) -> str:
    """The pinned network namespace of a container."""
    return net_paths.container_netns(stack.paths, stack.ids()[name])


def machine(stack: Stack) -> str:
    """The network namespace of the machine that the stack is on."""
    return stack.netns or "/proc/self/ns/net"


def on_machine(stack: Stack, work: Callable[[], T]) -> T:
    return netns.inside(stack.netns, work) if stack.netns else work()


def asked(path: str, name: str, kind: int = netlab.A, over: str = "udp") -> list[str] | str:
    """What the name server of the container at `path` says, in order."""
    found = netlab.ask(path, name, kind, server=RESOLVER, over=over)
    return sorted(found) if isinstance(found, list) else found


def reverse(address: str) -> str:
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def wiring(stack: Stack, network: str) -> Wiring:
    """The record of a network."""
    found = networks.read(stack.paths, network)
    assert found is not None
    return found


def address(stack: Stack, network: str, name: str) -> str:
    """The IPv4 address of a container on a network."""
    return wiring(stack, network).leases[stack.ids()[name]].ipv4


def addresses(stack: Stack, network: str) -> dict[str, str]:
    """The IPv4 addresses of all of the stack's containers on a network, by name."""
    leases = wiring(stack, network).leases
    return {name: leases[one].ipv4 for name, one in stack.ids().items() if one in leases}


def free_ports(stack: Stack, number: int = 1) -> int:
    """The first of so many ports of the machine that nobody has, TCP and UDP alike."""

    def look() -> int:
        while True:
            with socket.socket() as first:
                first.bind(("", 0))
                start = int(first.getsockname()[1])
            if start + number < 65536 and all(map(_is_free, range(start, start + number))):
                return start

    return on_machine(stack, look)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as one:
            try:
                one.bind(("", port))
            except OSError:
                return False
    return True


def is_free(stack: Stack, port: int) -> bool:
    """Whether a program of the machine could have the port."""
    return on_machine(stack, lambda: _is_free(port))


@contextlib.contextmanager
def small_machine(stack: Stack) -> Iterator[tuple[Stack, netlab.Lab]]:
    """The stack on a machine in miniature, with a neighbour outside: its commands run there."""
    directory = stack.directory.parent / "lab"
    os.mkdir(directory)
    with netlab.lab(str(directory)) as lab:
        stack.netns = lab.host
        try:
            yield stack, lab
        finally:
            stack("down", "-t", "0", "--remove-orphans", code=None)
            stack.netns = ""
