"""What a service says without writing it: the default network, and dependencies on services that it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from composer.composefile.tree import Node, Path
from composer.model.network import DEFAULT

SERVICE: Final = "service:"
CONTAINER: Final = "container:"
_SHARED: Final = ("network_mode", "ipc", "pid")


class Reference(NamedTuple):
    """A service named by another one; `path` is below the one that names it. `restart`: it goes with that one."""

    service: str
    node: Node
    path: Path
    restart: bool = True


def completed(service: Node) -> Node:
    """The service with `networks` and `depends_on` as if all were written out. What is written is never overridden.

    Implied entries of `depends_on` have no key of their own in the file: their `key` is None.
    """
    if not isinstance(service.value, dict):
        return service
    entries = dict(service.value)
    networks = entries.get("networks")
    if "network_mode" not in entries and "provider" not in entries and (networks is None or not networks.items):
        # the default network's place is that of the service: nothing in the file names it
        mark = service.key or service.mark
        entries["networks"] = Node({DEFAULT: Node(None, mark)}, mark)
    written = entries.get("depends_on")
    dependencies = dict(written.items) if written else {}
    for reference in (*references(service), *volume_references(service)):
        if reference.service not in dependencies:
            fields: dict[str, str | bool] = {"condition": "service_started", "required": True}
            if reference.restart:
                fields["restart"] = True
            mark = reference.node.mark
            dependencies[reference.service] = Node({key: Node(value, mark) for key, value in fields.items()}, mark)
    if dependencies:
        entries["depends_on"] = Node(dependencies, written.mark if written else service.mark)
    return service.with_value(entries)


def references(service: Node) -> Iterator[Reference]:
    """The services that `links` and shared namespaces name, in the order in which they count."""
    links = service.items.get("links")
    for index, item in enumerate(links.elements if links else ()):
        yield Reference(split_link(item.text)[0], item, ("links", index))
    for key in _SHARED:
        mode = service.items.get(key)
        if mode is not None and mode.text.startswith(SERVICE):
            yield Reference(mode.text.removeprefix(SERVICE), mode, (key,))


def volume_references(service: Node) -> Iterator[Reference]:
    """The services that `volumes_from` names."""
    listed = service.items.get("volumes_from")
    for index, item in enumerate(listed.elements if listed else ()):
        name, _ = split_volumes_from(item.text)
        if not name.startswith(CONTAINER):
            yield Reference(name, item, ("volumes_from", index), restart=False)


def split_volumes_from(text: str) -> tuple[str, str]:
    """`db:ro` and `container:db:ro` to whose (`db`, `container:db`) and the mode, "" if there is none."""
    kind = CONTAINER if text.startswith(CONTAINER) else ""
    name, _, mode = text.removeprefix(kind).partition(":")
    return kind + name, mode


def split_link(text: str) -> tuple[str, str]:
    """`db:database` to service (or container) and alias; without an alias the name is its own."""
    name, colon, alias = text.partition(":")
    return name, alias if colon else name
