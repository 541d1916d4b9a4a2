"""Firewalls of others on this machine that drop what it forwards unless told otherwise, as docker's and ufw's do.

A rule of ours cannot overrule a drop of theirs. Docker keeps a chain for rules of others, `DOCKER-USER`: there we let
the links of our networks pass. What may pass to them is up to our own table. All of it in the calling thread's network
namespace.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from composer.errors import JockerError
from composer.host import nfnetlink, proc
from composer.host.files import read_text
from composer.host.proc import Command

CHAIN = "DOCKER-USER"
_LEGACY_TABLES = {"ip": "/proc/thread-self/net/ip_tables_names", "ip6": "/proc/thread-self/net/ip6_tables_names"}
_PROGRAMS = {"ip": "iptables", "ip6": "ip6tables"}


class Wall(NamedTuple):
    """A chain that drops forwarded packets by default. `program` works on it; "" for a chain of nft itself.

    `has_place`: there is a `DOCKER-USER` beside it.
    """

    family: str
    table: str
    chain: str
    program: str
    has_place: bool


def walls(own_table: str = "jocker") -> tuple[Wall, ...]:
    """All such chains but those in tables of ours. Asks the kernel; runs a program only where old iptables are used."""
    found = []
    chains = nfnetlink.chains()
    places = {chain.family for chain in chains if chain.name == CHAIN and chain.table == "filter"}
    for chain in chains:
        if chain.forwards and chain.drops and not chain.table.startswith(own_table):
            by_iptables = chain.family in _PROGRAMS and chain.table == "filter" and chain.name == "FORWARD"
            program = _program(chain.family, "nft") if by_iptables else ""
            found.append(Wall(chain.family, chain.table, chain.name, program, by_iptables and chain.family in places))
    found += [wall for family in _PROGRAMS for wall in _legacy(family)]
    if any(chain.table == "firewalld" and chain.forwards for chain in chains):
        found.append(Wall("inet", "firewalld", "filter_FORWARD", "", has_place=False))
    return tuple(found)


def let_pass(uplinks: Iterable[str], own_table: str = "jocker") -> tuple[str, ...]:
    """Lets packets from and to our links pass where docker has a place for that; rules that are there stay.

    Gives words for the walls without such a place: what is forwarded to containers is lost there.
    """
    found = walls(own_table)
    for wall in found:
        if wall.has_place:
            for uplink in uplinks:
                for rule in _rules(uplink):
                    if not _succeeds(wall, "-C", rule):
                        proc.run(Command(argv=(wall.program, "-w", "-I", CHAIN, *rule)))
    return tuple(_words(wall) for wall in found if not wall.has_place)


def kept_out(uplinks: Iterable[str], own_table: str = "jocker") -> frozenset[str]:
    """Those of our links that docker's chain does not let pass yet."""
    missing: set[str] = set()
    for wall in walls(own_table):
        if wall.has_place:
            said = proc.run(Command(argv=(wall.program, "-w", "-S", CHAIN), accept=None)).stdout
            missing |= {uplink for uplink in uplinks if f"-A {CHAIN} -o {uplink} -j ACCEPT" not in said.splitlines()}
    return frozenset(missing)


def take_back(uplinks: Iterable[str], own_table: str = "jocker") -> None:
    """Removes the rules that `let_pass` has made for these links; none need be there."""
    for wall in walls(own_table):
        if wall.has_place:
            for uplink in uplinks:
                for rule in _rules(uplink):
                    while _succeeds(wall, "-D", rule):
                        continue


def _rules(uplink: str) -> tuple[tuple[str, ...], ...]:
    return (("-i", uplink, "-j", "ACCEPT"), ("-o", uplink, "-j", "ACCEPT"))


def _succeeds(wall: Wall, verb: str, rule: tuple[str, ...]) -> bool:
    return proc.run(Command(argv=(wall.program, "-w", verb, CHAIN, *rule), accept=None)).returncode == 0


def _legacy(family: str) -> list[Wall]:
    """What old iptables hold, if they hold anything: to ask them otherwise would load their modules."""
    if "filter" not in (read_text(_LEGACY_TABLES[family]) or "").split():
        return []
    program = _program(family, "legacy")
    with suppress(JockerError):
        rules = proc.run(Command(argv=(program, "-w", "-S"))).stdout.splitlines()
        if "-P FORWARD DROP" in rules:
            return [Wall(family, "filter", "FORWARD", program, f"-N {CHAIN}" in rules)]
    return []


def _program(family: str, kind: str) -> str:
    """The machine's own `iptables`, of the kind that made the chain where there are both."""
    name = f"{_PROGRAMS[family]}-{kind}"
    return name if proc.find(name) else _PROGRAMS[family]


def _words(wall: Wall) -> str:
    if wall.table == "firewalld":
        return "firewalld forwards only what it is told: firewall-cmd --permanent --zone=trusted --add-interface=LINK"
    rule = f"{wall.program or 'iptables'} -I FORWARD -o LINK -j ACCEPT, and the same with -i"
    if not wall.program:
        rule = f"nft insert rule {wall.family} {wall.table} {wall.chain} oifname LINK accept, and the same with iifname"
    return f"the chain {wall.chain} of {wall.family} {wall.table} drops what the machine forwards: {rule}"
