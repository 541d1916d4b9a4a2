"""Which name servers of the machine containers can use, and how it looks names up (resolv.conf(5))."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from composer.host.files import read_text

FILE = "/etc/resolv.conf"
SYSTEMD = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved writes down whom it asks itself."""
_STUBS = frozenset({"127.0.0.53", "127.0.0.54"})


class Resolvers(NamedTuple):
    """What resolv.conf says; `servers` only those that can be reached from a network of containers. `local` are those
    on the machine's loopback, if the machine itself asks one of them first.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    local: tuple[str, ...] = ()

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Whom the name servers of networks ask; those on the loopback by way of a `forwarder`."""
        return self.local or self.servers

    def as_text(self) -> str:
        """A resolv.conf that says so."""
        lines = [f"nameserver {server}" for server in self.servers]
        lines += [
            f"{key} {' '.join(words)}" for key, words in (("search", self.search), ("options", self.options)) if words
        ]
        return "".join(f"{line}\n" for line in lines)


def resolvers(read: Callable[[str], str | None] = read_text) -> Resolvers:
    """Those of the machine. Behind the stub of systemd-resolved are others, which containers can ask themselves. `read`
    gives the text of a file, None if it is missing.
    """
    text = read(FILE) or ""
    if _STUBS & set(_servers(text)):
        text = read(SYSTEMD) or text
    return parse(text)


def parse(text: str) -> Resolvers:
    """A resolv.conf; of `search` and `domain` the last counts, as resolvers have it."""
    search: tuple[str, ...] = ()
    options: list[str] = []
    for key, values in _lines(text):
        if key in {"search", "domain"}:
            search = tuple(value for value in values if value != ".")
        elif key == "options":
            options += values
    every = tuple(dict.fromkeys(_servers(text)))
    servers = tuple(filter(_is_reachable, every))
    local = tuple(filter(is_local, every)) if every and is_local(every[0]) else ()
    return Resolvers(servers, search, tuple(options), local)


def is_local(server: str) -> bool:
    """Whether a server listens on the machine's loopback."""
    import ipaddress

    with suppress(ValueError):
        return ipaddress.ip_address(server).is_loopback
    return False


def _servers(text: str) -> list[str]:
    return [values[0] for key, values in _lines(text) if key == "nameserver"]


def _lines(text: str) -> list[tuple[str, list[str]]]:
    lines = (line.split("#")[0].split(";")[0].split() for line in text.splitlines())
    return [(words[0], words[1:]) for words in lines if len(words) > 1]


def _is_reachable(server: str) -> bool:
    """Neither the machine's own loopback, nor an address that means something on one link only."""
    import ipaddress

    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)
