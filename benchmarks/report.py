"""Samples as Markdown tables: medians, and how jocker stands to the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

Samples = Mapping[str, Mapping[str, Sequence[float]]]

JOCKER = "jocker"
NETWORKED = "networked "
"""Before the name of a measure: of stacks on the default network."""

AT_MOST = {
    ("up 10", "docker compose"): 0.25,
    ("up 10", "runc alone"): 2.5,
    ("no-op up 10", "docker compose"): 1.5,
    ("down 10", "docker compose"): 0.3,
    ("ps 10", "docker compose"): 1.5,
    ("networked up 10", "docker compose"): 0.25,
    ("networked up 50", "docker compose"): 0.25,
    ("networked down 10", "docker compose"): 0.3,
    ("networked down 50", "docker compose"): 0.3,
    ("unpack", "docker compose"): 0.35,
    ("config 500", "docker compose"): 2.0,
    ("config demo", "docker compose"): 2.0,
}
"""At most so many times the other's median."""

AT_LEAST = {
    ("rate host", "docker compose"): 1.0,
    ("rate outside", "docker compose"): 0.8,
    ("rate between", "docker compose"): 0.95,
}
"""At least so many times the other's median."""

MOST_PER_NETWORKED = 0.015
"""Seconds that a container on a network may cost more than one without."""

ROUTES = {
    "host": "published port, 127.0.0.1",
    "outside": "published port, from another host",
    "between": "container to container, by name",
}


def markdown(samples: Samples, sizes: Sequence[int], facts: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """The machine, the tables, the targets."""
    lines = ["Machine: " + "; ".join(f"{name} {value}" for name, value in facts.items()) + ".", ""]
    lines += ["Versions: " + "; ".join(f"{name} {value}" for name, value in versions.items()) + ".", ""]
    whats = ("up", "no-op up", "ps", "down", "memory")
    plain = [f"{what} {size}" for what in whats for size in sizes]
    for heading, measures in (
        ("Without a network", [*plain, "unpack"]),
        ("Default network, a published port on every fifth service", [f"{NETWORKED}{measure}" for measure in plain]),
        ("Reading a stack file and printing it", ["config 500", "config demo"]),
        (
            "Traffic: MB per second of one transfer, and small requests",
            [f"rate {route}" for route in ROUTES] + [f"latency {route}" for route in ROUTES],
        ),
    ):
        if rows := table(samples, measures, list(versions)):
            lines += [f"{heading}, medians (best):", "", *rows, ""]
    return "\n".join([*lines, *targets(samples), *networking_costs(samples), *memory(samples)])


def table(samples: Samples, measures: Sequence[str], peers: Sequence[str]) -> list[str]:
    """One row per measure that was taken: median (best), with the ratio to jocker's median behind the others'. One
    column per peer that has any, those that are no peers at the end.
    """
    rows = [(measure, samples[measure]) for measure in measures if measure in samples]
    measured = dict.fromkeys(peer for _, by_peer in rows for peer in by_peer)
    columns = [*(peer for peer in peers if peer in measured), *(peer for peer in measured if peer not in peers)]
    if not rows:
        return []
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for measure, by_peer in rows:
        cells = [cell(measure, by_peer, peer) for peer in columns]
        lines.append(f"| {title(measure)} | {' | '.join(cells)} |")
    return lines


def title(measure: str) -> str:
    what, _, size = measure.removeprefix(NETWORKED).rpartition(" ")
    if measure == "unpack":
        return "load an image of 100 MB, 10,000 files"
    if size == "demo":
        return f"`{what}` of the demo"
    if what == "rate":
        return ROUTES[size]
    if what == "latency":
        return f"small request, {ROUTES[size]}"
    if what == "memory":
        return f"resident memory beside {size} container{'s' * (size != '1')}"
    return f"`{what}`, {size} service{'s' * (size != '1')}"


def full_title(measure: str) -> str:
    """As `title`, where no heading says what kind of stack it was."""
    return f"{title(measure)}{', networked' * measure.startswith(NETWORKED)}"


def cell(measure: str, by_peer: Mapping[str, Sequence[float]], peer: str) -> str:
    if not by_peer.get(peer):
        return "-"
    middle = median(by_peer[peer])
    what = measure.removeprefix(NETWORKED).split()[0]
    if what == "memory":
        text = f"{middle:.1f} MiB"
    elif what == "rate":
        text = f"{middle:.0f} MB/s ({max(by_peer[peer]):.0f})"
    elif what == "latency":
        text = f"{middle * 1000:.2f} ms ({min(by_peer[peer]) * 1000:.2f} ms)"
    else:
        text = f"{show(middle)} ({show(min(by_peer[peer]))})"
    ours = by_peer.get(JOCKER)
    if peer == JOCKER or not ours or not median(ours):
        return text
    return f"{text}, {middle / median(ours):.1f}x"


def show(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def targets(samples: Samples) -> list[str]:
    """What was promised and what came out, for the measures at hand."""
    lines = []
    for promises, at_least in ((AT_MOST, False), (AT_LEAST, True)):
        for (measure, other), limit in promises.items():
            both = samples.get(measure, {})
            if both.get(JOCKER) and both.get(other):
                ratio = median(both[JOCKER]) / median(both[other])
                promise = f"at {'least' if at_least else 'most'} {limit} promised"
                kept = ratio >= limit if at_least else ratio <= limit
                lines.append(f"- {full_title(measure)}: {ratio:.2f} times {other}, {promise}: {verdict(kept)}")
    return lines


def networking_costs(samples: Samples) -> list[str]:
    """What a container on a network costs jocker more than one without, where both kinds of stacks were measured."""
    lines = []
    for measure, by_peer in samples.items():
        networked = samples.get(f"{NETWORKED}{measure}", {}).get(JOCKER)
        size = int(measure.split()[1]) if measure.startswith("up ") else 1
        if size > 1 and networked and by_peer.get(JOCKER):
            each = (median(networked) - median(by_peer[JOCKER])) / size
            promise = f"at most {MOST_PER_NETWORKED * 1000:.0f} promised: {verdict(each <= MOST_PER_NETWORKED)}"
            lines.append(f"- networking, {full_title(measure)}: {each * 1000:.1f} ms per container, {promise}")
    return lines


def memory(samples: Samples) -> list[str]:
    lines = []
    for measure, by_peer in samples.items():
        if measure.startswith("memory") and by_peer.get(JOCKER):
            each = median(by_peer[JOCKER]) / int(measure.split()[1])
            lines.append(f"- {title(measure)}: {each:.2f} MiB per container, at most 1 promised: {verdict(each <= 1)}")
    return lines


def verdict(kept: bool) -> str:
    return "kept" if kept else "MISSED"
