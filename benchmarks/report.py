"""Samples as a Markdown table: medians, and how jocker stands to the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

Samples = Mapping[str, Mapping[str, Sequence[float]]]

JOCKER = "jocker"

TARGETS = {
    ("up 10", "docker compose"): 0.25,
    ("up 10", "runc alone"): 2.5,
    ("no-op up 10", "docker compose"): 1.5,
    ("down 10", "docker compose"): 0.3,
    ("ps 10", "docker compose"): 1.5,
    ("unpack", "docker compose"): 0.35,
}
"""At most so many times the other's median."""


def markdown(samples: Samples, sizes: Sequence[int], facts: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """The machine, the table, the targets."""
    lines = ["Machine: " + "; ".join(f"{name} {value}" for name, value in facts.items()) + ".", ""]
    lines += ["Versions: " + "; ".join(f"{name} {value}" for name, value in versions.items()) + ".", ""]
    lines += [*table(samples, sizes, list(versions)), "", *targets(samples)]
    return "\n".join(lines)


def table(samples: Samples, sizes: Sequence[int], peers: Sequence[str]) -> list[str]:
    """One row per measure: median (minimum), with the ratio to jocker's median behind the others'."""
    lines = [f"| | {' | '.join(peers)} |", f"|---|{'---|' * len(peers)}"]
    measures = [f"{what} {size}" for what in ("up", "no-op up", "ps", "down", "memory") for size in sizes]
    for measure in [*measures, "unpack"]:
        if measure in samples:
            cells = [cell(measure, samples[measure], peer) for peer in peers]
            lines.append(f"| {title(measure)} | {' | '.join(cells)} |")
    return lines


def title(measure: str) -> str:
    what, _, size = measure.rpartition(" ")
    if measure == "unpack":
        return "load an image of 100 MB, 10,000 files"
    if what == "memory":
        return f"resident memory beside {size} container{'s' * (size != '1')}"
    return f"`{what}`, {size} service{'s' * (size != '1')}"


def cell(measure: str, by_peer: Mapping[str, Sequence[float]], peer: str) -> str:
    if not by_peer.get(peer):
        return "-"
    middle, least = median(by_peer[peer]), min(by_peer[peer])
    text = f"{middle:.1f} MiB" if measure.startswith("memory") else f"{show(middle)} ({show(least)})"
    ours = by_peer.get(JOCKER)
    if peer == JOCKER or not ours or not median(ours):
        return text
    return f"{text}, {middle / median(ours):.1f}x"


def show(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def targets(samples: Samples) -> list[str]:
    """What was promised and what came out, for the measures at hand."""
    lines = []
    for (measure, other), most in TARGETS.items():
        both = samples.get(measure, {})
        if both.get(JOCKER) and both.get(other):
            ratio = median(both[JOCKER]) / median(both[other])
            verdict = "kept" if ratio <= most else "MISSED"
            lines.append(f"- {title(measure)}: {ratio:.2f} times {other}, at most {most} promised: {verdict}")
    for measure, by_peer in samples.items():
        if measure.startswith("memory") and by_peer.get(JOCKER):
            each = median(by_peer[JOCKER]) / int(measure.split()[1])
            verdict = "kept" if each <= 1 else "MISSED"
            lines.append(f"- {title(measure)}: {each:.2f} MiB per container, at most 1 promised: {verdict}")
    return lines
