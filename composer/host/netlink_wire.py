"""Netlink as bytes: messages with attributes, sent many at once, each acknowledged (netlink(7), uapi/linux/netlink.h).

A socket belongs to the network namespace of the thread that made it, and keeps to it wherever it is used.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

REQUEST, ACK, EXCLUSIVE, CREATE, REPLACE = 0x1, 0x4, 0x200, 0x400, 0x100
_DUMP = 0x300
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT_DUMP = 270, 10, 11, 12
_ACK_HAS_TEXT = 0x200
_AT_ONCE = 64
"""Messages a send: their answers must fit into the receive buffer."""
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


class Message(NamedTuple):
    """One request: `what` it is for, in the words of an error text; type, flags and body as the protocol has them."""

    what: str
    kind: int
    flags: int
    body: bytes
    may_fail: frozenset[int] = frozenset()
    """Error numbers that are no failure."""


def attribute(kind: int, data: bytes | str | int) -> bytes:
    """One attribute, padded; a text gets its zero byte, a number 32 bits in this machine's order."""
    if isinstance(data, str):
        data = data.encode() + b"\0"
    elif isinstance(data, int):
        data = struct.pack("=I", data)
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a body, by type; of repeated ones the last."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def listed(data: bytes) -> Iterator[bytes]:
    """The bodies of the attributes in a nested list, whatever their type."""
    at = 0
    while at + 4 <= len(data):
        length, _ = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield data[at + 4 : at + length]
        at += (length + 3) & ~3


def text(data: bytes) -> str:
    """A text attribute, without its zero byte."""
    return data.rstrip(b"\0").decode(errors="replace")


class Netlink:
    """A socket of one netlink protocol in the calling thread's network namespace; closed at the end of its `with`."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        # Short answers, with a text that says what was wrong. Kernels since 4.12 know all.
        for option in (_CAP_ACK, _EXT_ACK, _STRICT_DUMP):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def do(self, *messages: Message) -> None:
        """Sends the messages in order and waits for all answers.

        The kernel goes on after one that it refuses; raises `OSError` for the first of these, unless it may fail so.
        """
        refused: OSError | None = None
        for start in range(0, len(messages), _AT_ONCE):
            part = messages[start : start + _AT_ONCE]
            first = self._sequence + 1
            self._send(part)
            answers = 0
            while answers < len(part):
                for kind, flags, sequence, body in self._receive():
                    if kind != _NLMSG_ERROR:
                        continue
                    answers += 1
                    message = part[sequence - first]
                    number = -struct.unpack_from("=i", body)[0]
                    if number and number not in message.may_fail and refused is None:
                        refused = OSError(number, f"{message.what}: {_reason(number, flags, body)}")
        if refused is not None:
            raise refused

    def ask(self, message: Message, *, dump: bool = False) -> list[bytes]:
        """The bodies of the answers to one question, without netlink's own header. Raises `OSError`."""
        self._send((message._replace(flags=message.flags | (_DUMP if dump else 0)),))
        found: list[bytes] = []
        while True:
            for kind, flags, _, body in self._receive():
                if kind == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    if number:
                        raise OSError(number, f"{message.what}: {_reason(number, flags, body)}")
                    return found
                if kind == _NLMSG_DONE:
                    return found
                found.append(body)

    def _send(self, messages: tuple[Message, ...]) -> None:
        parts = []
        for message in messages:
            self._sequence += 1
            length = _HEADER.size + len(message.body)
            parts.append(_HEADER.pack(length, message.kind, message.flags | REQUEST | ACK, self._sequence, 0))
            parts.append(message.body + b"\0" * (-length % 4))
        self._socket.send(b"".join(parts))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, flags, sequence number and body of each message of one datagram."""
        data, at = self._socket.recv(1 << 18), 0
        while at + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
            if sequence == self._sequence or kind == _NLMSG_ERROR:
                yield kind, flags, sequence, data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3


def _reason(number: int, flags: int, body: bytes) -> str:
    """The kernel's own words where it gives some (NLMSGERR_ATTR_MSG), else those of the number."""
    said = attributes(body[20:]).get(1) if flags & _ACK_HAS_TEXT else None
    return text(said) if said else os.strerror(number)


NOT_THERE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})
ALREADY_THERE = frozenset({errno.EEXIST})
