"""jocker, docker compose, podman-compose and runc alone, in turn, on the same stacks and images.

Run it by `scripts/bench`, which brings the peers along. Rounds are interleaved, so that a noisy minute hits all;
medians are compared, minima shown beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import inputs
import machine
import report
from peers import DockerCompose, Failed, Floor, Jocker, Peer, PodmanCompose, end_all

ROOT = Path(__file__).resolve().parent.parent

Samples = dict[str, dict[str, list[float]]]
"""Measure, then peer, then one number per round: seconds, or MiB for memory."""


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
    parser.add_argument("--no-unpack", action="store_true", help="leave the unpacking of a large image out")
    parser.add_argument("--json", type=Path, help="also write everything, with all samples, to this file")
    parser.add_argument("--seed", type=int, default=1, help="of the order of peers within a round")
    return parser.parse_args(argv)


def make_peers(wanted: argparse.Namespace, home: Path) -> list[Peer]:
    known: dict[str, Peer] = {}
    jocker = Jocker(home / "j", wanted.jocker)
    if "jocker" in wanted.peers:
        known["jocker"] = jocker
    if "docker" in wanted.peers:
        known["docker"] = DockerCompose(home / "d", wanted.tools, wanted.docker_compose)
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


def settle() -> None:
    """Lets the disk and the kernel finish what the last measurement began."""
    os.sync()
    time.sleep(0.3)


def expect_running(count: int, peer: Peer) -> None:
    """A tool that is fast because it did nothing shall not win. The `sleep` of a fresh container appears in moments."""
    for _ in range(100):
        if len(machine.with_argument(inputs.MARK)) == count:
            return
        time.sleep(0.02)
    raise Failed(f"{peer.name}: {len(machine.with_argument(inputs.MARK))} containers run, not {count}")


def one_round(peer: Peer, stack: Path, size: int, samples: Samples) -> None:
    def note(measure: str, value: float | None) -> None:
        if value is not None:
            samples[f"{measure} {size}"][peer.name].append(value)

    settle()
    note("up", peer.up(stack))
    expect_running(size, peer)
    if not isinstance(peer, Floor):
        note("no-op up", peer.up(stack))
        note("no-op up", peer.up(stack))
        note("memory", machine.pss_mib(peer.resident()))
    note("ps", peer.ps(stack))
    note("ps", peer.ps(stack))
    settle()
    note("down", peer.down(stack))
    expect_running(0, peer)


def measure_stacks(peers: list[Peer], sizes: list[int], wanted: argparse.Namespace, home: Path) -> Samples:
    samples: Samples = defaultdict(lambda: defaultdict(list))
    order = random.Random(wanted.seed)
    for size in sizes:
        folder = home / f"bench{size}"
        folder.mkdir()
        stack = folder / "compose.yml"
        stack.write_text(inputs.stack(size))
        for number in range(rounds_of(size, wanted)):
            for peer in order.sample(peers, len(peers)):
                print(f"{size} services, round {number + 1}: {peer.name} (load {machine.load():.1f})", file=sys.stderr)
                one_round(peer, stack, size, samples)
    return samples


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
    cgroups = machine.cgroup_tops()
    shared_memory = set(os.listdir("/dev/shm"))
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
        samples = measure_stacks(started, sizes, wanted, home)
        if not wanted.no_unpack:
            measure_unpacking(started, wanted, home, samples)
        versions = {peer.name: peer.version for peer in started}
        facts = {**machine.facts(), "load": f"{before:.1f} at the beginning, {machine.load():.1f} at the end"}
        print(report.markdown(samples, sizes, facts, versions))
        if wanted.json:
            result = {"machine": facts, "versions": versions, "samples": samples}
            wanted.json.write_text(json.dumps(result, indent=2) + "\n")
    except Failed as failure:
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
        for name in set(os.listdir("/dev/shm")) - shared_memory:
            if name.startswith("libpod"):
                os.unlink(f"/dev/shm/{name}")
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
