"""How fast bytes and small requests come through what a tool has set up: to a published port from the host itself and
from another host, and from container to container by name.

All tools' stacks stand while they are measured in turn, each on a pair of hosts of its own.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import hosts
import inputs
import machine
from peers import PATH, Command, Failed

ROUTES = ("host", "outside", "between")
BARE = "no container"
"""The column of a server that runs on the host as any program does: more than that no tool can give."""

SMALL_REQUESTS = 200

Fetch = Callable[[str, str, int], float]
"""Runs `wire.py` on some route: what to measure, which route, and how many bytes or requests."""


def measure(
    peers: Sequence[Command], home: Path, rounds: int, size: int, seed: int
) -> dict[str, dict[str, list[float]]]:
    """Measure, then peer, then one number per round: MB per second, or seconds per small request."""
    program = home / "wire.py"
    program.write_bytes((Path(__file__).parent / "wire.py").read_bytes())
    folder = home / "traffic"
    folder.mkdir()
    stack = folder / "compose.yml"
    stack.write_text(inputs.traffic_stack(program))
    samples: dict[str, dict[str, list[float]]] = {}
    bare = _Bare(home, program)
    try:
        bare.start()
        fetches: dict[str, tuple[Fetch, Sequence[str]]] = {BARE: (bare.fetch, ROUTES[:2])}
        for peer in peers:
            peer.up(stack)
            fetches[peer.name] = (_through(peer, stack, program), ROUTES)
        for name, (fetch, routes) in fetches.items():
            for route in routes:
                _wait_for(name, fetch, route)
        _rounds(fetches, rounds, size, random.Random(seed), samples)
        for peer in peers:
            peer.down(stack)
    finally:
        bare.stop()
    return samples


def _rounds(
    fetches: Mapping[str, tuple[Fetch, Sequence[str]]],
    rounds: int,
    size: int,
    order: random.Random,
    samples: dict[str, dict[str, list[float]]],
) -> None:
    for number in range(rounds):
        print(f"traffic, round {number + 1} (load {machine.load():.1f})", file=sys.stderr)
        for route in ROUTES:
            for what, count in (("rate", size), ("latency", SMALL_REQUESTS)):
                able = [name for name, (_, routes) in fetches.items() if route in routes]
                for name in order.sample(able, len(able)):
                    value = fetches[name][0](what, route, count)
                    samples.setdefault(f"{what} {route}", {}).setdefault(name, []).append(value)


def _wait_for(name: str, fetch: Fetch, route: str) -> None:
    for attempt in range(50):
        try:
            fetch("latency", route, 1)
        except Failed as failure:
            if attempt == 49:
                raise Failed(f"{name}: nothing answers on the route {route!r}: {failure}") from failure
            time.sleep(0.1)
        else:
            return


def _through(peer: Command, stack: Path, program: Path) -> Fetch:
    """Measures a stack that stands. The client runs on the host, on the other one, or in the second container."""

    def fetch(what: str, route: str, count: int) -> float:
        if route == "between":
            client = inputs.wire(program, what, "server", inputs.SERVER_PORT, count)
            return _number(peer.execute(stack, "client", *client))
        return _from_host(peer.hosts, program, what, route, inputs.PUBLISHED, count)

    return fetch


class _Bare:
    """The same server on a host of its own, without a container."""

    def __init__(self, home: Path, program: Path) -> None:
        (home / "bare").mkdir()
        self.hosts = hosts.Hosts(home / "bare")
        self.program = program
        self.server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.hosts.make()
        command = inputs.wire(self.program, "serve", inputs.SERVER_PORT)
        self.server = subprocess.Popen([*self.hosts.on_host, *command], env={"PATH": PATH}, stdin=subprocess.DEVNULL)

    def fetch(self, what: str, route: str, count: int) -> float:
        return _from_host(self.hosts, self.program, what, route, inputs.SERVER_PORT, count)

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()


def _from_host(pair: hosts.Hosts, program: Path, what: str, route: str, port: int, count: int) -> float:
    where, address = (pair.on_host, "127.0.0.1") if route == "host" else (pair.on_other, hosts.ADDRESS)
    command = [*where, *inputs.wire(program, what, address, port, count)]
    done = subprocess.run(
        command, env={"PATH": PATH}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return _number(done.stdout)


def _number(printed: str) -> float:
    try:
        return float(printed.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Failed(f"the client printed no number but {printed[-2000:]!r}") from None
