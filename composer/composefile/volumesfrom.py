"""`volumes_from`: the mounts of another service, or of a container by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from composer.composefile.checks import did_you_mean
from composer.composefile.implied import CONTAINER, SERVICE, split_volumes_from
from composer.composefile.tree import Findings, Node, Path, shown

_MODES: Final = frozenset({"", "ro", "rw"})


def check_volumes_from(services: Mapping[str, Node], disabled: Mapping[str, Node], findings: Findings) -> None:
    """Complains about services that are not there, refuses modes that no mount has."""
    for name, service in services.items():
        listed = service.at("volumes_from")
        for index, item in enumerate(listed.elements if listed else ()):
            path: Path = ("services", name, "volumes_from", index)
            source, mode = split_volumes_from(item.text)
            if source == CONTAINER:
                findings.refuse("no container is named", item.mark, path, "write container:NAME")
            if mode not in _MODES:
                findings.refuse(f"a mount cannot be {shown(mode)!r}", item.mark, path, "ro or rw")
            if source.startswith(CONTAINER) or source in services:
                continue
            if source in disabled:
                message = f"the service {shown(source)}, which no active profile enables"
                findings.complain(message, item.mark, path)
            else:
                message = f"the undefined service {shown(source)!r}" if source else "no service is named"
                findings.complain(message, item.mark, path, did_you_mean(source, list(services)))


def bind_volumes_from(service: Node) -> tuple[str, ...]:
    """`service:NAME` and `container:NAME`, with `:ro` where what is mounted must not be written to."""
    found = []
    for item in service.items["volumes_from"].elements:
        source, mode = split_volumes_from(item.text)
        source = source if source.startswith(CONTAINER) else f"{SERVICE}{source}"
        found.append(f"{source}:ro" if mode == "ro" else source)
    return tuple(found)
