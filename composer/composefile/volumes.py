"""Volumes with a name: the top-level ones, the mounts that refer to them, the model's values, what `config` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from composer.composefile.checks import did_you_mean
from composer.composefile.consistency import is_name, named_volumes
from composer.composefile.hostpaths import Base, absolute
from composer.composefile.netbind import real_name
from composer.composefile.tree import Findings, Node, Path, place_of, plain, shown
from composer.model.localvolume import local_mount
from composer.model.service import Volume

_LOCAL: Final = frozenset({"", "local"})
_MAX_NAME: Final = 255
"""It is a directory's name, too."""


def volume(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """One top-level volume: `external` a boolean, values of `driver_opts` strings, the directory it is bound to
    absolute (where docker compose makes it so: with `driver: local` and `o: bind`).
    """
    entries = dict(node.items)
    external, options = entries.get("external"), entries.get("driver_opts")
    if external is not None and isinstance(external.value, dict):
        from composer.composefile.networks import with_plain_external

        entries = with_plain_external(entries, path, findings)
    if options is not None and options.items:
        entries["driver_opts"] = options.with_value({
            key: option if option.value is None or option.tag == "reset" else option.with_value(option.text)
            for key, option in options.items.items()
        })  # fmt: skip
        given, driver = entries["driver_opts"].items, entries.get("driver")
        device = given.get("device")
        is_bound = driver is not None and driver.text == "local" and "o" in given and given["o"].text == "bind"
        if is_bound and device is not None:
            device = device.with_value(absolute(device.text, base))
            entries["driver_opts"] = options.with_value({**given, "device": device})
    return node.with_value(entries)


def check_volumes(project: str, services: Mapping[str, Node], defined: Mapping[str, Node], findings: Findings) -> None:
    """Complains about mounts of these services whose volume is not defined, and about what no volume can be."""
    used: set[str] = set()
    for name, service in services.items():
        for index, source in named_volumes(service):
            path: Path = ("services", name, "volumes", index)
            used.add(source.text)
            if source.text not in defined and not findings.touches(("volumes", source.text)):
                long = source.key is not None
                hint = _where_to_find(source.text, list(defined), long=long)
                message = f"the undefined volume {shown(source.text)!r}"
                findings.complain(message, source.mark, (*path, "source") if long else path, hint)
    names: dict[str, str] = {}
    for key, node in defined.items():
        external = _is_external(node)
        path = ("volumes", key)
        if external:
            _check_external(node, path, findings)
        if key not in used or findings.touches(path):
            continue
        if not external:
            _check_driver(node, path, findings)
        _check_name(project, key, defined, names, findings)


def _where_to_find(word: str, defined: list[str], *, long: bool) -> str:
    if word.startswith((".", "/", "~")) or (long and "/" in word):
        return "a directory of the host goes with `type: bind`"
    path = f"a directory of the host starts with a dot or a slash: ./{shown(word)}"
    if "/" in word:
        return path
    near = did_you_mean(word, defined)
    if near:
        return near
    if not all(char.isascii() and (char.isalnum() or char in "._-") for char in word):
        return "a name has letters a-z, A-Z, digits, dots, dashes and underscores" if long else path
    hint = f"define it at the top level: volumes: {{{word}: }}"
    return hint if long else f"{hint}; {path}"


def _check_external(node: Node, path: Path, findings: Findings) -> None:
    """Of all volumes, used or not: docker compose looks at the unused ones, too."""
    for key, child in node.items.items():
        if key not in {"external", "name"} and not key.startswith("x-"):
            message = "an external volume is used as it is"
            findings.complain(message, child.key or child.mark, (*path, key), "remove this, or `external`")


def _check_driver(node: Node, path: Path, findings: Findings) -> None:
    driver, options = node.at("driver"), node.at("driver_opts")
    if driver is not None and driver.text not in _LOCAL:
        message = f"there is no volume driver {shown(driver.text)}: drivers are plugins of docker"
        hint = "the local driver mounts nfs, cifs, tmpfs and directories of the machine"
        findings.refuse(message, driver.mark, (*path, "driver"), hint)
    elif options is not None and options.items:
        try:
            local_mount(_texts(options))
        except ValueError as error:
            findings.refuse(str(error), options.key or options.mark, (*path, "driver_opts"))


def _check_name(project: str, key: str, defined: Mapping[str, Node], names: dict[str, str], findings: Findings) -> None:
    """May it be called so? Two keys may have one name only if they say the same of it: it is one volume then."""
    node = defined[key]
    written = node.at("name")
    name = real_name(project, key, node)
    mark, path = (written.mark, ("volumes", key, "name")) if written else (node.key or node.mark, ("volumes", key))
    if not is_name(name) or len(name) > _MAX_NAME:
        hint = "two or more letters, digits, dots, dashes and underscores; a letter or digit first"
        findings.complain(f"{shown(name)!r} cannot be a volume's name", mark, path, hint)
        return
    other = names.setdefault(name, key)
    if other != key and _said_of(defined[other]) != _said_of(node):
        message = f"the volume {shown(other)} has the name {shown(name)!r} already, and is another one"
        findings.complain(message, mark, path, "define both alike, or give each a name of its own")


def _said_of(node: Node) -> tuple[bool, dict[str, str], dict[str, str]]:
    return _is_external(node), _texts(node.at("labels")), _texts(node.at("driver_opts"))


def bind_volumes(project: str, services: Mapping[str, Node], defined: Mapping[str, Node]) -> dict[str, Volume]:
    """The volumes that these services use, in the order in which the file has them."""
    used = _used(services)
    return {
        key: Volume(
            key=key,
            name=real_name(project, key, node),
            place=place_of(node.key or node.mark, ("volumes", key)),
            external=_is_external(node),
            labels=_texts(node.at("labels")),
            driver_opts=_texts(node.at("driver_opts")),
        )
        for key, node in defined.items()
        if key in used
    }


def canonical_volumes(
    project: str, defined: Mapping[str, Node], services: Mapping[str, Node]
) -> dict[str, dict[str, Any]]:
    """What `config` prints of the volumes that these services use, by key."""
    used = _used(services)
    return {key: _canonical_volume(project, key, node) for key, node in sorted(defined.items()) if key in used}


def _canonical_volume(project: str, key: str, node: Node) -> dict[str, Any]:
    whole = plain(node)
    entries: dict[str, Any] = whole if isinstance(whole, dict) else {}
    done: dict[str, Any] = {"name": real_name(project, key, node)}
    for part, value in entries.items():
        if part not in done and (value or part.startswith("x-")):
            done[part] = value
    return done


def _used(services: Mapping[str, Node]) -> set[str]:
    return {source.text for service in services.values() for _, source in named_volumes(service)}


def _is_external(node: Node) -> bool:
    external = node.at("external")
    return external is not None and external.value is True


def _texts(node: Node | None) -> dict[str, str]:
    return {key: value.text for key, value in node.items.items() if value.value is not None} if node else {}
