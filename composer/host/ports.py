"""Ports of the machine: kept for a container while its shim lives, and found taken before anything is started.

A published port is a rule of the firewall, and nothing listens on it. So that no other program takes it meanwhile, a
socket is bound to it, without listening, and given to conmon: the port is free again when conmon ends.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from composer.errors import NetworkError
from composer.model.network import Port

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_LISTENING = {"tcp": "0A", "udp": "07"}
"""State in /proc/net: LISTEN for TCP, unconnected for UDP (include/net/tcp_states.h)."""

Held = Collection[tuple[str, int]]
"""Ports (protocol, number) of a container that is about to give them up."""
Owner = Callable[[Port, int], str]
"""Which container has this number of the port, in words; "" if none has."""
_GATE = "127.83.75.80"
"""Of those that take a port over the remains of connections only one is let in: who has the port there, too."""
_TRIES = 16
"""How often any port is asked for, until it is free for IPv4 and IPv6."""


class Kept(NamedTuple):
    """One port that was chosen: what it is for, its number, and the sockets that keep it."""

    port: Port
    published: int
    sockets: tuple[socket.socket, ...]

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def keep(
    ports: Sequence[Port], *, ipv6: bool, held: Held, where: str, owner: Owner = lambda *_: ""
) -> tuple[Kept, ...]:
    """Takes a port of the machine for each of `ports`; with `ipv6` on its IPv6 addresses, too.

    Those that are `held` by the container that is being replaced are shared with it, and preferred. Raises
    `NetworkError` that names who has a port that cannot be had; then none is kept.
    """
    with ExitStack() as undo:
        done = []
        for port in ports:
            kept = _keep(port, ipv6=ipv6, held=held)
            if kept is None:
                numbers = candidates(port)
                raise in_the_way(port, where, owner=owner(port, numbers[0]) if len(numbers) == 1 else "")
            undo.callback(kept.close)
            done.append(kept)
        undo.pop_all()
    return tuple(done)


def _keep(port: Port, *, ipv6: bool, held: Held) -> Kept | None:
    for number in sorted(candidates(port), key=lambda number: (port.protocol, number) not in held):
        with suppress(OSError), ExitStack() as opened:
            sockets: list[socket.socket] = []
            for family, address in _addresses(port, ipv6=ipv6):
                # Of a free port the first socket finds the number, the second must get the same.
                taken = sockets[0].getsockname()[1] if sockets else number
                sockets.append(opened.enter_context(_taken(port, family, address, taken, held, gate=not sockets)))
            opened.pop_all()
            return Kept(port, sockets[0].getsockname()[1], tuple(sockets))
    return None


def _taken(port: Port, family: int, address: str, number: int, held: Held, *, gate: bool) -> socket.socket:
    try:
        return _bound(port, family, address, number)
    except OSError as error:
        is_held = (port.protocol, number) in held
        if error.errno != errno.EADDRINUSE or not (is_held or port.protocol == "tcp"):
            raise
    if is_held:
        # Only together with a socket that lets itself be shared, and has the same owner.
        return _bound(port, family, address, number, socket.SO_REUSEPORT, *_over_remains(port))
    if not gate:
        return _bound(port, family, address, number, *_over_remains(port))
    # Two that let themselves be shared would both get the port. That this one was bound without tells the kernel to
    # look at each socket of the port from now on, also at what it allows later.
    with _bound(port, socket.AF_INET, _GATE, number) as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _bound(port, family, address, number, *_over_remains(port))


def _over_remains(port: Port) -> tuple[int, ...]:
    """With what a socket is bound although connections of a program that has ended are remembered (TIME_WAIT). UDP has
    none, and two servers would share a port.
    """
    return (socket.SO_REUSEADDR,) if port.protocol == "tcp" else ()


def candidates(port: Port) -> range | tuple[int, ...]:
    """The numbers a port may get, in order; 0 means any."""
    first, dash, last = port.published.partition("-")
    if not first:
        return (0,) * _TRIES
    return range(int(first), int(last) + 1) if dash else (int(first),)


def is_taken(port: Port, number: int, *, ipv6: bool = False) -> bool:
    """Whether somebody else has the port, whether or not he listens. Raises `OSError` for an address we lack."""
    for family, address in _addresses(port, ipv6=ipv6):
        try:
            _bound(port, family, address, number, *_over_remains(port)).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def _addresses(port: Port, *, ipv6: bool) -> list[tuple[int, str]]:
    if port.host_ip:
        return [(socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET, port.host_ip)]
    return [(socket.AF_INET, ""), *([(socket.AF_INET6, "::")] if ipv6 else [])]


def _bound(port: Port, family: int, address: str, number: int, *options: int) -> socket.socket:
    """A socket with the port, bound with these options set."""
    one = socket.socket(family, _KINDS[port.protocol] | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        one.bind((address, number))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        # Once we have it: of two that ask at the same time only one gets it, and its successor may share it.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except BaseException:
        one.close()
        raise
    return one


def in_the_way(port: Port, where: str, *, owner: str = "") -> NetworkError:
    """The error for a port that is taken, with who has it."""
    shown = f"{port.host_ip + ':' if port.host_ip else ''}{port.published or 'any'}/{port.protocol}"
    if port.host_ip and not _is_local(port.host_ip):
        return NetworkError(
            f"{where}: port {shown} cannot be published: this machine has no address {port.host_ip}",
            hint="an address of this machine (ip address), or none for all of them",
        )
    numbers = [number for number in candidates(port) if number]
    if len(numbers) > 1:
        return NetworkError(f"{where}: all ports of {shown} are taken", hint="a wider range")
    by = owner or (listener(port, numbers[0]) if numbers else "")
    return NetworkError(
        f"{where}: port {shown} is taken{f' by {by}' if by else ''}", hint="end that, or publish another port"
    )


def _is_local(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one, suppress(OSError):
        one.bind((address, 0))
        return True
    return False


def listener(port: Port, number: int) -> str:
    """Who listens on the port, as `nginx (pid 12)`; "" if that cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port.protocol, number)}
    if not inodes:
        return ""
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(FileNotFoundError):
                    if os.readlink(f"/proc/{pid}/fd/{name}") in inodes:
                        return f"{_program(pid)} (pid {pid})"
    return ""


def _inodes(protocol: str, number: int) -> Iterator[str]:
    for name in (protocol, f"{protocol}6"):
        with suppress(OSError), open(f"/proc/net/{name}") as file:
            next(file)
            for line in file:
                words = line.split()
                if words[3] == _LISTENING[protocol] and int(words[1].rpartition(":")[2], 16) == number:
                    yield words[9]


def _program(pid: str) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", errors="replace") as file:
        return file.read().strip()
    return "a program"
