"""Secrets and configs: the top-level ones, the references of services, the model's values, what `config` prints."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import normpath
from typing import Any, Final, NamedTuple

from composer.composefile.checks import did_you_mean
from composer.composefile.hostpaths import Base, absolute
from composer.composefile.netbind import real_name
from composer.composefile.tree import OWN_VARIABLES, Findings, Node, Path, place_of, plain, shown
from composer.model.fileobject import MODE, FileObject, FileReference, Kind, Origin, Secret

_MAX_ID: Final = 2**32 - 2
_READABLE: Final = 0o555
"""What counts of a mode: nobody writes to what is mounted read-only, and a set-id bit would do nothing."""
_MODES: Final = range(0o10000)
_KEPT_EMPTY: Final = frozenset({"content", "environment", "name"})
"""What is printed even if it is empty: docker compose prints nothing then, which it would not read again."""


class Section(NamedTuple):
    """What is true of secrets, or of configs."""

    name: str
    kind: Kind
    directory: str
    """Where relative targets start from."""
    sources: tuple[str, ...]


SECTIONS: Final = (
    Section("secrets", "secret", "/run/secrets", ("file", "environment")),
    Section("configs", "config", "", ("file", "environment", "content")),
)


def _section(name: str) -> Section:
    return next(one for one in SECTIONS if one.name == name)


def _defined(tree: Node, section: Section) -> dict[str, Node]:
    node = tree.at(section.name)
    return node.items if node else {}


# the canonical form -----------------------------------------------------------------------------------
def file_object(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """One top-level secret or config: paths absolute, `external` a boolean, values of `driver_opts` strings."""
    from composer.composefile.networks import with_plain_external

    entries = with_plain_external(dict(node.items), path, findings)
    file, options = entries.get("file"), entries.get("driver_opts")
    if file is not None and isinstance(file.value, str) and file.tag != "reset":
        entries["file"] = file.with_value(absolute(file.text, base))
    if options is not None and options.items:
        entries["driver_opts"] = options.with_value({
            key: option if option.value is None or option.tag == "reset" else option.with_value(option.text)
            for key, option in options.items.items()
        })  # fmt: skip
    return node.with_value(entries)


def references(node: Node, path: Path, _findings: Findings) -> Node:
    """A service's secrets or configs in long form; a secret has a `target` in it."""
    section = _section(str(path[-1]))
    done = []
    for item in node.elements:
        entries = dict(item.items) if isinstance(item.value, dict) else {"source": Node(item.value, item.mark)}
        source = entries.get("source")
        if section.kind == "secret" and "target" not in entries and source is not None:
            target = f"{section.directory}/{source.text}"
            entries = {"source": source, "target": Node(target, item.mark), **entries}
        done.append(Node(entries, item.mark))
    return node.with_value(done)


def secret_target(item: Node) -> str:
    """What a secret of a service is unique by."""
    return _unique_by(item, _section("secrets"))


def config_target(item: Node) -> str:
    """What a config of a service is unique by."""
    return _unique_by(item, _section("configs"))


def _unique_by(item: Node, section: Section) -> str:
    target, source = item.at("target"), item.at("source")
    return target.text if target else f"{section.directory}/{source.text if source else ''}"


# checks -----------------------------------------------------------------------------------------------
def check_file_objects(services: Mapping[str, Node], tree: Node, findings: Findings) -> None:
    """Complains about what is wrong with secrets and configs of the merged `tree`, and with references to them."""
    for section in SECTIONS:
        objects = _defined(tree, section)
        for key, node in objects.items():
            if isinstance(node.value, dict) and not findings.touches((section.name, key)):
                _check_source(node, section, key, findings)
        used: set[str] = set()
        for name, service in services.items():
            for index, item in enumerate(_items(service, section)):
                path: Path = ("services", name, section.name, index)
                used.add(_check_reference(item, section, objects, path, findings))
        for key in sorted(used & objects.keys()):
            _refuse_external(objects[key], section, key, findings)
    for name, service in services.items():
        _warn_of_hidden(service, ("services", name), findings)


def _items(service: Node, section: Section) -> list[Node]:
    node = service.at(section.name)
    return node.elements if node else []


def _check_source(node: Node, section: Section, key: str, findings: Findings) -> None:
    """Exactly one source; of those that come from elsewhere none is needed (docker compose's rule)."""
    path, mark = (section.name, key), node.key or node.mark
    written = [source for source in section.sources if (one := node.at(source)) is not None and one.value is not None]
    words = " or ".join(f"`{source}`" for source in section.sources)
    if len(written) > 1:
        second = node.items[written[1]]
        message = f"`{written[0]}` and `{written[1]}` exclude each other"
        findings.complain(message, second.key or second.mark, (*path, written[1]), "keep one of them")
    elif not is_external(node) and (
        not written or (section.kind == "secret" and not node.items[written[0]].text and written[0] != "file")
    ):
        findings.complain(f"needs {words}", mark, path)


def _check_reference(item: Node, section: Section, objects: Mapping[str, Node], path: Path, findings: Findings) -> str:
    """The key it refers to, "" if there is none."""
    source = item.at("source")
    if source is None or not source.text:
        if not findings.touches(path):
            findings.complain("`source` is missing", item.mark, path, f"name one of the top-level {section.name}")
        return ""
    here = (*path, "source") if source.key else path
    if source.text not in objects:
        if not findings.touches((section.name, source.text)):
            word = shown(source.text)
            hint = did_you_mean(source.text, list(objects))
            hint = hint or f"define it at the top level: {section.name}: {{{word}: {{file: ./{word}}}}}"
            findings.complain(f"the undefined {section.kind} {shown(source.text)!r}", source.mark, here, hint)
        return ""
    target = item.at("target")
    if target is not None and target.text and _target(item, section) == "/":
        message = f"nothing can be mounted on {shown(target.text)!r}"
        findings.complain(message, target.mark, (*path, "target"), "it is the path of a file")
    if target is not None and "\0" in target.text:
        findings.complain("a NUL cannot stand in a path", target.mark, (*path, "target"))
    for name in ("uid", "gid"):
        number = item.at(name)
        if number is not None and number.text and _number(number.text) is None:
            message = f"must be a number from 0 to {_MAX_ID}, not {shown(number.text)!r}"
            findings.refuse(message, number.mark, (*path, name), "names of the image are not looked up")
    mode = item.at("mode")
    if mode is not None and isinstance(mode.value, int) and mode.value not in _MODES:
        message = f"no file has the mode {_mode_text(mode.value)}"
        findings.refuse(message, mode.mark, (*path, "mode"), 'in octal, as in "0440"')
    return source.text


def _refuse_external(node: Node, section: Section, key: str, findings: Findings) -> None:
    path: Path = (section.name, key)
    external = node.at("external")
    if is_external(node) and external is not None:
        message = f"external {section.name} are kept by a swarm, and there is none"
        hint = f"say where it comes from: {' or '.join(f'{one}: …' for one in section.sources[:2])}"
        findings.refuse(message, external.key or external.mark, (*path, "external"), hint)


def _warn_of_hidden(service: Node, path: Path, findings: Findings) -> None:
    """A mount of the service wins over a secret, a secret over a config (docker compose's rule): never in silence."""
    taken = dict.fromkeys(_mounted(service), "a mount")
    for section in SECTIONS:
        mine: dict[str, str] = {}
        for index, item in reversed(list(enumerate(_items(service, section)))):
            target = _target(item, section)
            other = taken.get(target) or mine.get(target)
            if other:
                findings.warn(f"hidden by {other} on {shown(target)}", item.mark, (*path, section.name, index))
            mine[target] = f"another {section.kind}"
        taken = {**dict.fromkeys(mine, f"a {section.kind}"), **taken}


def _mounted(service: Node) -> set[str]:
    """The targets of the service's own mounts."""
    volumes, tmpfs = service.at("volumes"), service.at("tmpfs")
    targets = [_text(item, "target") for item in (volumes.elements if volumes else ())]
    return {normpath(target) for target in targets} | {
        normpath(item.text.partition(":")[0]) for item in (tmpfs.elements if tmpfs else ())
    }


def is_external(node: Node) -> bool:
    """Is it kept somewhere else?"""
    external = node.at("external")
    return external is not None and external.value is True


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 11 and int(text) <= _MAX_ID else None


def _mode_text(mode: int) -> str:
    """As docker compose prints it (Go's `0%o`)."""
    return f"0{mode:o}"


def _target(item: Node, section: Section) -> str:
    """The path in the container. Relative ones start from the section's directory."""
    target, source = item.at("target"), item.at("source")
    text = (target.text if target else "") or (source.text if source else "")
    return normpath(text if text.startswith("/") else f"{section.directory}/{text}")


# the model's values -----------------------------------------------------------------------------------
def bind_references(service: Node) -> tuple[FileReference, ...]:
    """The files a service is given. What a mount of its own hides, or a later one with the same target, is left out."""
    found: dict[str, FileReference] = {}
    for section in reversed(SECTIONS):  # a secret wins over a config
        for item in _items(service, section):
            target, mode, source = _target(item, section), item.at("mode"), item.at("source")
            found[target] = FileReference(
                kind=section.kind,
                key=source.text if source else "",
                target=target,
                uid=_number(_text(item, "uid")) or 0,
                gid=_number(_text(item, "gid")) or 0,
                mode=mode.value & _READABLE if mode is not None and isinstance(mode.value, int) else MODE,
            )
    for target in _mounted(service):
        found.pop(target, None)
    return tuple(found[target] for target in sorted(found))


def _text(item: Node, key: str) -> str:
    node = item.at(key)
    return node.text if node else ""


def bind_file_objects(services: Mapping[str, Node], tree: Node) -> dict[tuple[Kind, str], FileObject]:
    """The secrets and configs that these services use, by kind and key."""
    return {
        (section.kind, key): _file_object(section, key, node)
        for section in SECTIONS
        for key, node in _defined(tree, section).items()
        if key in _used(section, services, _defined(tree, section))
    }


def _used(section: Section, services: Mapping[str, Node], objects: Mapping[str, Node]) -> list[str]:
    used = {_text(item, "source") for service in services.values() for item in _items(service, section)}
    return sorted(objects.keys() & used)


def _file_object(section: Section, key: str, node: Node) -> FileObject:
    source = next((one for one in section.sources if node.at(one) is not None), "file")
    value = node.at(source) or node
    labels = node.at("labels")
    known = node.at(OWN_VARIABLES, value.text) if source == "environment" else None
    value = known or value
    is_content = source == "content" or known is not None
    return FileObject(
        kind=section.kind,
        key=key,
        origin=Origin(section.kind, key, "content" if is_content else source, key if is_content else value.text),  # type: ignore[arg-type]
        place=place_of(value.key or value.mark, (section.name, key, source)),
        content=Secret(value.text.encode(errors="surrogateescape")) if is_content else None,
        labels={name: label.text for name, label in labels.items.items()} if labels else {},
    )


# what `config` prints ---------------------------------------------------------------------------------
def canonical_references(node: Node) -> list[dict[str, Any]]:
    """A service's secrets or configs as docker compose prints them."""
    done = []
    for item in node.elements:
        entries = {key: plain(value) for key, value in item.items.items() if value.text or key.startswith("x-")}
        if isinstance(entries.get("mode"), int):
            entries["mode"] = _mode_text(entries["mode"])
        done.append(entries)
    return done


def canonical_file_objects(project: str, services: Mapping[str, Node], tree: Node) -> dict[str, dict[str, Any]]:
    """`secrets` and `configs` as `config` prints them: those that the services or their builds use; of variables only
    the name.
    """
    whole: dict[str, dict[str, Any]] = {}
    builds = {key: build for key, one in services.items() if (build := one.at("build")) is not None}
    for section in SECTIONS:
        objects = _defined(tree, section)
        used = sorted({*_used(section, services, objects), *_used(section, builds, objects)})
        found = {key: _canonical(project, key, objects[key]) for key in used}
        if found:
            whole[section.name] = found
    return whole


def _canonical(project: str, key: str, node: Node) -> dict[str, Any]:
    entries = {"name": real_name(project, key, node), **plain(node)}
    entries.pop(OWN_VARIABLES, None)
    return {part: value for part, value in entries.items() if value or part in _KEPT_EMPTY or part.startswith("x-")}
