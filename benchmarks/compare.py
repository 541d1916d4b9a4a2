"""jocker, docker compose, podman-compose and runc alone, in turn, on the same stacks and images.

Run it by `scripts/bench`, which brings the peers along. Rounds are interleaved, so that a noisy minute hits all;
medians are compared, minima shown beside them. Five parts: stacks without a network, the same on the default network
with a published port on every fifth service, traffic through what was set up, the unpacking of a large image, and the
reading of a large stack file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import inputs
import machine
import report
import traffic
from peers import Command, DockerCompose, Failed, Floor, Jocker, Peer, PodmanCompose, end_all

ROOT = Path(__file__).resolve().parent.parent

PARTS = ("none", "network", "traffic", "unpack", "config")

Samples = dict[str, dict[str, list[float]]]
"""Measure, then peer, then one number per round: seconds, MiB for memory, MB per second for rates."""


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no stack of 50: a look, not a result")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="services per stack (1 10 50)")
    parser.add_argument("--rounds", type=int, help="rounds for each size (7 for 1, 5 for 10, 3 for 50)")
    parser.add_argument(
        "--peers", nargs="+", default=["jocker", "docker", "podman", "runc"], help="whom to compare; runc needs jocker"
    )
    parser.add_argument("--tools", type=Path, default=Path("/"), help="root of unpacked Debian packages of the peers")
    parser.add_argument("--docker-compose", default="docker-compose", help="the docker compose binary")
    parser.add_argument("--podman-compose", default="podman-compose", help="the podman-compose command")
    parser.add_argument("--jocker", default=str(ROOT / ".venv/bin/jocker"), help="the jocker command")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (everything)")
    parser.add_argument("--transfer", type=int, metavar="MB", help="bytes of a transfer, in millions (200)")
    parser.add_argument(
        "--no-docker-proxy", action="store_true", help="docker without docker-proxy, which it has unless told otherwise"
    )
    parser.add_argument("--json", type=Path, help="also write everything, with all samples, to this file")
    parser.add_argument("--seed", type=int, default=1, help="of the order of peers within a round")
    return parser.parse_args(argv)


def make_peers(wanted: argparse.Namespace, home: Path) -> list[Peer]:
    known: dict[str, Peer] = {}
    jocker = Jocker(home / "j", wanted.jocker)
    if "jocker" in wanted.peers:
        known["jocker"] = jocker
    if "docker" in wanted.peers:
        known["docker"] = DockerCompose(
            home / "d", wanted.tools, wanted.docker_compose, proxy=not wanted.no_docker_proxy
        )
    if "podman" in wanted.peers:
        known["podman"] = PodmanCompose(home / "p", wanted.tools, wanted.podman_compose)
    if "runc" in wanted.peers:
        known["runc"] = Floor(home / "r", jocker)
    return list(known.values())


def rounds_of(size: int, wanted: argparse.Namespace) -> int:
    if wanted.rounds:
        return int(wanted.rounds)
    few, many = {1: (3, 7), 10: (2, 5)}.get(size, (1, 3))
    return few if wanted.quick else many


def settle(containers: int = 0) -> None:
    """Lets the disk and the kernel finish what the last measurement began; namespaces go long after their owners."""
    os.sync()
    time.sleep(0.3 + 0.02 * containers)


def expect_running(count: int, peer: Peer) -> None:
    """A tool that is fast because it did nothing shall not win. The `sleep` of a fresh container appears in moments."""
    for _ in range(100):
        if len(machine.with_argument(inputs.MARK)) == count:
            return
        time.sleep(0.02)
    raise Failed(f"{peer.name}: {len(machine.with_argument(inputs.MARK))} containers run, not {count}")


def one_round(peer: Peer, stack: Path, size: int, prefix: str, samples: Samples) -> None:
    def note(measure: str, value: float | None) -> None:
        if value is not None:
            samples[f"{prefix}{measure} {size}"][peer.name].append(value)

    settle(size)
    note("up", peer.up(stack))
    expect_running(size, peer)
    if isinstance(peer, Command):
        note("no-op up", peer.up(stack))
        note("no-op up", peer.up(stack))
        note("memory", machine.pss_mib(peer.resident()))
    note("ps", peer.ps(stack))
    note("ps", peer.ps(stack))
    settle()
    note("down", peer.down(stack))
    expect_running(0, peer)


def measure_stacks(
    peers: list[Peer], sizes: list[int], wanted: argparse.Namespace, home: Path, samples: Samples
) -> None:
    """With and without a network in the same round: what networking costs is a difference."""
    order = random.Random(wanted.seed)
    for size in sizes:
        turns: list[tuple[Peer, Path, str]] = []
        for part, prefix in (("none", ""), ("network", report.NETWORKED)):
            if part in wanted.parts:
                stack = home / f"{part}{size}" / "compose.yml"
                stack.parent.mkdir()
                stack.write_text(inputs.stack(size, networked=part == "network"))
                turns += [(peer, stack, prefix) for peer in peers if part == "none" or isinstance(peer, Command)]
        for number in range(rounds_of(size, wanted) if turns else 0):
            for peer, stack, prefix in order.sample(turns, len(turns)):
                what = f"{size} {prefix}services, round {number + 1}"
                print(f"{what}: {peer.name} (load {machine.load():.1f})", file=sys.stderr)
                one_round(peer, stack, size, prefix, samples)


def measure_traffic(peers: list[Peer], wanted: argparse.Namespace, home: Path, samples: Samples) -> None:
    rounds = wanted.rounds or (3 if wanted.quick else 15)
    size = (wanted.transfer or (60 if wanted.quick else 200)) * 1_000_000
    commands = [peer for peer in peers if isinstance(peer, Command)]
    samples.update(traffic.measure(commands, home, rounds, size, wanted.seed))


def measure_config(peers: list[Peer], wanted: argparse.Namespace, home: Path, samples: Samples) -> None:
    """Reading and printing alone: of a file of 500 services, and of the demo."""
    large = home / "large" / "compose.yml"
    large.parent.mkdir()
    large.write_text(inputs.large_stack(500))
    turns = [
        (peer, stack, size)
        for peer in peers
        if isinstance(peer, Command)
        for stack, size in ((large, "500"), (ROOT / "jocker.yml", "demo"))
    ]
    for number in range(3 if wanted.quick else 10):
        print(f"config, round {number + 1} (load {machine.load():.1f})", file=sys.stderr)
        for peer, stack, size in random.Random(wanted.seed + number).sample(turns, len(turns)):
            samples[f"config {size}"][peer.name].append(peer.config(stack))


def measure_unpacking(peers: list[Peer], wanted: argparse.Namespace, home: Path, samples: Samples) -> None:
    """Another image in every round, none removed: on some file systems, making files soon after removing many is ten
    times slower, which would be charged to whoever comes next."""
    for number in range(1 if wanted.quick else 5):
        archive = home / f"large{number}.tar"
        inputs.write_large_image(archive, f"localhost/large:{number}", seed=number)
        for peer in random.Random(wanted.seed + number).sample(peers, len(peers)):
            settle()
            print(f"unpack, round {number + 1}: {peer.name} (load {machine.load():.1f})", file=sys.stderr)
            seconds = peer.load(archive)
            if seconds is not None:
                samples["unpack"][peer.name].append(seconds)
        archive.unlink()


def main(argv: list[str]) -> int:
    wanted = arguments(argv)
    sizes = wanted.sizes or ([1, 10] if wanted.quick else [1, 10, 50])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as on every other way out, nothing stays
    cgroups = machine.cgroup_tops()
    # Short: sockets below it must fit into 107 bytes. On the disk, not on /tmp, which may be memory.
    home = Path(tempfile.mkdtemp(prefix="jkb", dir="/var/tmp"))
    started: list[Peer] = []
    try:
        archive = home / "small.tar"
        inputs.write_small_image(archive)
        for peer in make_peers(wanted, home):
            started.append(peer)
            peer.start()
            peer.load(archive)
            print(f"{peer.name}: {peer.version}", file=sys.stderr)
        before = machine.load()
        samples: Samples = defaultdict(lambda: defaultdict(list))
        measure_stacks(started, sizes, wanted, home, samples)
        if "traffic" in wanted.parts:
            measure_traffic(started, wanted, home, samples)
        if "config" in wanted.parts:
            measure_config(started, wanted, home, samples)
        if "unpack" in wanted.parts:
            measure_unpacking(started, wanted, home, samples)
        versions = {peer.name: peer.version for peer in started}
        facts = {**machine.facts(), "load": f"{before:.1f} at the beginning, {machine.load():.1f} at the end"}
        print(report.markdown(samples, sizes, facts, versions))
        if wanted.json:
            result = {"machine": facts, "versions": versions, "samples": samples}
            wanted.json.write_text(json.dumps(result, indent=2) + "\n")
    except (Failed, subprocess.SubprocessError) as failure:
        print(failure, file=sys.stderr)
        return 1
    else:
        return 0
    finally:
        for peer in started:
            with contextlib.suppress(Failed, subprocess.TimeoutExpired):
                peer.stop()
        end_all(home)
        machine.remove_cgroups(machine.cgroup_tops() - cgroups)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
