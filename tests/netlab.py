"""A machine in miniature: network namespaces that play the host, the world outside, and containers.

A socket keeps to the namespace it was made in: so one test plays all sides, with sockets made in threads that end
there.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self, TypeVar

from composer.host import netlink, netns
from composer.host.netlink_wire import Netlink

T = TypeVar("T")

HOST4, HOST6 = "192.0.2.2", "2001:db8::2"
OUTSIDE4, OUTSIDE6 = "192.0.2.9", "2001:db8::9"
PATIENCE = 10.0
REFUSAL = 0.15
"""Seconds that a packet must have stayed unanswered to count as lost: no test waits so long but for silence."""


class Lab(NamedTuple):
    """`host` is the namespace that plays the machine, `outside` another host on its `eth0`."""

    host: str
    outside: str

    def on_host(self, function: Callable[[], T]) -> T:
        return netns.inside(self.host, function)

    def on_outside(self, function: Callable[[], T]) -> T:
        return netns.inside(self.outside, function)


@contextlib.contextmanager
def lab(directory: str) -> Iterator[Lab]:
    """A host with an `eth0` to an outside that knows no way to its containers."""
    made = Lab(f"{directory}/host", f"{directory}/outside")
    try:
        netns.create(made.outside, _loopback)
        peer = netns.open_pinned(made.outside)

        def furnish() -> None:
            _loopback()
            netns.set_sysctls({"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"})
            with Netlink() as here:
                here.do(netlink.veth("eth0", netlink.Peer("eth0", peer)))
                index = socket.if_nametoindex("eth0")
                here.do(netlink.address(index, f"{HOST4}/24"), netlink.address(index, f"{HOST6}/64"))
                here.do(netlink.route("0.0.0.0/0", OUTSIDE4), netlink.route("::/0", OUTSIDE6))

        try:
            netns.create(made.host, furnish)
        finally:
            os.close(peer)
        made.on_outside(_outside)
        yield made
    finally:
        netns.remove(made.host)
        netns.remove(made.outside)


def _loopback() -> None:
    with Netlink() as here:
        here.do(netlink.up("lo"))


def _outside() -> None:
    with Netlink() as here:
        here.do(netlink.up("eth0"))
        index = socket.if_nametoindex("eth0")
        here.do(netlink.address(index, f"{OUTSIDE4}/24"), netlink.address(index, f"{OUTSIDE6}/64"))


# who listens and who calls --------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(path: str, port: int, kind: str = "tcp", address: str = "") -> Iterator[socket.socket]:
    """A server's socket in the namespace at `path`, on all its addresses, IPv4 and IPv6, or on one."""

    def make() -> socket.socket:
        family = socket.AF_INET if address and ":" not in address else socket.AF_INET6
        made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((address or "::", port))
        if kind == "tcp":
            made.listen(16)
        made.settimeout(PATIENCE)
        return made

    server = netns.inside(path, make)
    with server:
        yield server


def call(path: str, server: socket.socket, address: str, port: int, kind: str = "tcp") -> str:
    """Sends a word from the namespace at `path` to an address, and back from `server`.

    The address that the server sees is given; "refused" or "lost" if it sees nothing.
    """
    with _client(path, address, kind) as client:
        try:
            client.settimeout(REFUSAL)
            client.connect((address, port))
            if kind == "udp":
                return _exchange_datagrams(client, server)
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "lost"
        except OSError as error:
            return f"refused ({os.strerror(error.errno or 0)})"
        client.settimeout(PATIENCE)
        there, seen = server.accept()
        with there:
            client.sendall(b"ping")
            assert there.recv(4) == b"ping"
            there.sendall(b"pong")
            assert client.recv(4) == b"pong"
            return _plain(seen)


def _exchange_datagrams(client: socket.socket, server: socket.socket) -> str:
    client.send(b"ping")
    server.settimeout(REFUSAL)
    word, seen = server.recvfrom(16)
    server.sendto(b"pong", seen)
    assert (word, client.recv(16)) == (b"ping", b"pong")
    return _plain(seen)


def _client(path: str, address: str, kind: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return netns.inside(path, lambda: socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM))


def _plain(seen: tuple[str, int]) -> str:
    return str(seen[0]).removeprefix("::ffff:")


# names ----------------------------------------------------------------------------------------------------

A, PTR, AAAA, MX = 1, 12, 28, 15
NXDOMAIN = "nxdomain"


def ask(path: str, name: str, kind: int = A, *, server: str, port: int = 53, over: str = "udp") -> list[str] | str:
    """What a name server says to somebody in the namespace at `path`: answers in order, or `nxdomain`, `refused` …"""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    with _client(path, server, over) as client:
        client.settimeout(PATIENCE)
        client.connect((server, port))
        if over == "tcp":
            client.sendall(struct.pack(">H", len(query)) + query)
            with client.makefile("rb") as stream:
                answer = stream.read(struct.unpack(">H", stream.read(2))[0])
        else:
            client.send(query)
            answer = client.recv(4096)
    code = answer[3] & 15
    return [_value(answer, at, kind) for at, kind in _records(answer)] if code == 0 else _CODES[code]


_CODES = {2: "servfail", 3: NXDOMAIN, 5: "refused"}


def times_to_live(path: str, name: str, *, server: str) -> set[int]:
    """The TTLs of the answers about a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with _client(path, server, "udp") as client:
        client.settimeout(PATIENCE)
        client.connect((server, 53))
        client.send(struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", A, 1))
        answer = client.recv(4096)
    return {struct.unpack_from(">I", answer, at - 6)[0] for at, _ in _records(answer)}


def _records(answer: bytes) -> Iterator[tuple[int, int]]:
    """Where the data of each answer begins, and its type."""
    at = _skip_name(answer, 12) + 4
    for _ in range(struct.unpack_from(">H", answer, 6)[0]):
        at = _skip_name(answer, at)
        kind, length = struct.unpack_from(">H6xH", answer, at)
        yield at + 10, kind
        at += 10 + length


def _value(answer: bytes, at: int, kind: int) -> str:
    if kind == A:
        return socket.inet_ntop(socket.AF_INET, answer[at : at + 4])
    if kind == AAAA:
        return socket.inet_ntop(socket.AF_INET6, answer[at : at + 16])
    return _name(answer, at)


def _skip_name(answer: bytes, at: int) -> int:
    while answer[at]:
        if answer[at] >= 0xC0:
            return at + 2
        at += answer[at] + 1
    return at + 1


def _name(answer: bytes, at: int) -> str:
    labels = []
    while answer[at]:
        if answer[at] >= 0xC0:
            at = struct.unpack_from(">H", answer, at)[0] & 0x3FFF
            continue
        labels.append(answer[at + 1 : at + 1 + answer[at]].decode())
        at += answer[at] + 1
    return ".".join(labels)


class Upstream:
    """A name server of the world: answers every A query with one address, all else with "no such name"."""

    def __init__(self, path: str, address: str, says: str = "198.51.100.7") -> None:
        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, 53))
            return made

        import threading

        self._says = says
        self.asked: list[str] = []
        self._socket = netns.inside(path, make)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                query, who = self._socket.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            end = _skip_name(query, 12) + 4
            kind = struct.unpack_from(">H", query, end - 4)[0]
            self.asked.append(_name(query, 12))
            good = kind == A
            header = query[:2] + struct.pack(">HHHHH", 0x8180 if good else 0x8183, 1, int(good), 0, 0)
            record = struct.pack(">HHHIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton(self._says)
            with contextlib.suppress(OSError):
                self._socket.sendto(header + query[12:end] + (record if good else b""), who)
