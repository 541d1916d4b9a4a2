"""`build:` of a service: its long form, what must hold in it, what of it jocker cannot do, its value in the model.

Source: the Compose Specification (build.md) and what docker compose 2.40 does. Loaded only by stacks that build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from composer.composefile.checks import did_you_mean
from composer.composefile.hostpaths import Base, absolute
from composer.composefile.tree import OWN_VARIABLES, Findings, Mark, Node, Path, place_of, shown
from composer.errors import UsageError
from composer.image.reference import normalise, parse_platform
from composer.model.building import Build, BuildSecret

Rule = Callable[[Node, Path, Base, Findings], Node | None]

IMAGE: Final = "docker-image://"
SERVICE: Final = "service:"
_REMOTE: Final = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")
_NETWORKS: Final = frozenset({"", "default", "none", "host"})


def is_remote(context: str) -> bool:
    """Whether docker would fetch this context rather than look for a directory."""
    return context.startswith(_REMOTE)


# the long form ----------------------------------------------------------------------------------------------


def build(node: Node, path: Path, base: Base, findings: Findings, shared: Mapping[str, Rule]) -> Node:
    """One `build:` in long form. `shared` are the rules of attributes that services have, too, by their name there.

    What the file leaves out is filled in by `settled`, when all files are one.
    """
    if not isinstance(node.value, dict):
        return node.with_value({"context": Node(_context(node.text, base), node.mark)})
    entries: dict[str, Node] = {}
    for key, child in node.value.items():
        done: Node | None = child
        if child.tag != "reset" and child.value is not None:
            rule = shared.get(_AS_OF_SERVICES.get(key, "")) or _RULES.get(key)
            done = rule(child, (*path, key), base, findings) if rule else child
        if done is not None:
            entries[key] = done
    return node.with_value(entries)


def _context(text: str, base: Base) -> str:
    return text if is_remote(text) else absolute(text, base)


def _context_of(node: Node, _path: Path, base: Base, _findings: Findings) -> Node:
    return node.with_value(_context(node.text, base))


def _contexts(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    found: dict[str, Node] = {}
    for index, item in enumerate(node.elements):
        name, equals, value = item.text.partition("=")
        if not name or not equals or not value:
            findings.complain("must be NAME=CONTEXT", item.mark, (*path, index), "a directory, docker-image://NAME, …")
        else:
            found[name] = Node(value, item.mark, item.mark)
    for name, item in node.items.items():
        if item.value is None or not item.text:
            findings.complain("must be a context", item.key or item.mark, (*path, name), "a directory, for example")
        else:
            found[name] = item
    return node.with_value({
        name: item
        if "://" in item.text or item.text.startswith(SERVICE) or is_remote(item.text)
        else item.with_value(absolute(item.text, base))
        for name, item in found.items()
    })  # fmt: skip


def _ssh(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """Ids, each with the path of a key or socket, or null: that of the agent."""
    found: dict[str, Node] = {}
    for item in node.elements:
        name, equals, value = item.text.partition("=")
        found[name] = Node(value if equals else None, item.mark, item.mark)
    found.update(node.items)
    for name, item in found.items():
        if item.value in (None, "") and name != "default":
            findings.complain(
                f"the key of {shown(name)!r} is missing", item.key or item.mark, (*path, name), f"write {name}=FILE"
            )
    return node.with_value({
        name: item if item.value in (None, "") else item.with_value(absolute(item.text, base))
        for name, item in found.items()
    })  # fmt: skip


def _secrets(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    found = []
    for index, item in enumerate(node.elements):
        entry = item if isinstance(item.value, dict) else Node({"source": Node(item.value, item.mark)}, item.mark)
        if entry.at("source") is None:
            findings.complain("`source` is missing", item.mark, (*path, index))
        else:
            found.append(entry)
    return node.with_value(found)


_AS_OF_SERVICES: Final = {
    "args": "environment",
    "extra_hosts": "extra_hosts",
    "labels": "labels",
    "ulimits": "ulimits",
}
_RULES: Final[Mapping[str, Rule]] = {
    "additional_contexts": _contexts,
    "context": _context_of,
    "secrets": _secrets,
    "ssh": _ssh,
}


def settled(service: Node, base: Base, environment: Mapping[str, str] | None) -> Node:
    """The service with its `build` as if all were written out: context, Dockerfile, values of `args` without one.

    An argument that has no value in `environment` either is left out: the Dockerfile's own default holds. Without an
    environment (`config --no-normalize`) there is a context, and the rest stays as written.
    """
    node = service.at("build")
    if node is None or not isinstance(node.value, dict):
        return service
    entries = dict(node.value)
    entries.setdefault("context", Node(base.directory, node.mark))
    if environment is None:
        return service.with_value({**service.items, "build": node.with_value(entries)})
    if "dockerfile_inline" not in entries:
        entries.setdefault("dockerfile", Node("Dockerfile", node.mark))
    args = entries.get("args")
    if args is not None:
        known = {
            key: item if item.value is not None else item.with_value(environment.get(key))
            for key, item in args.items.items()
        }
        entries["args"] = args.with_value({key: item for key, item in known.items() if item.value is not None})
    return service.with_value({**service.items, "build": node.with_value(entries)})


# what must hold ---------------------------------------------------------------------------------------------


def check_builds(
    project: str,
    services: Mapping[str, Node],
    secrets: Mapping[str, Node],
    environment: Mapping[str, str],
    findings: Findings,
) -> None:
    """Complains about what does not fit together; what fits but cannot be done here is refused."""
    for name, service in services.items():
        node = service.at("build")
        if node is None or not isinstance(node.value, dict):
            continue
        path: Path = ("services", name, "build")
        _check_dockerfile(node, path, findings)
        _check_contexts(node, path, services, findings)
        _check_platforms(service, node, path, findings)
        _check_secrets(node, path, secrets, environment, findings)
        _refuse(f"{project}-{name}", service, node, path, findings)
        _refuse_nuls(node, path, findings)
    _refuse_circles(services, findings)


def _check_dockerfile(node: Node, path: Path, findings: Findings) -> None:
    inline, file = node.at("dockerfile_inline"), node.at("dockerfile")
    if inline is not None and file is not None and inline.text and file.text:
        findings.complain(
            "excludes `dockerfile`", inline.key or inline.mark, (*path, "dockerfile_inline"), "remove one of them"
        )


def _check_contexts(node: Node, path: Path, services: Mapping[str, Node], findings: Findings) -> None:
    contexts = node.at("additional_contexts")
    for name, item in contexts.items.items() if contexts else ():
        if not item.text.startswith(SERVICE):
            continue
        other, here = item.text.removeprefix(SERVICE), (*path, "additional_contexts", name)
        if other not in services:
            hint = did_you_mean(other, list(services))
            findings.complain(f"there is no service {shown(other)!r}", item.mark, here, hint)
        elif services[other].at("build") is None:
            findings.complain(f"the service {shown(other)} has no `build`", item.mark, here)


def _check_platforms(service: Node, node: Node, path: Path, findings: Findings) -> None:
    wanted, platforms = service.at("platform"), node.at("platforms")
    if wanted is None or not wanted.text or platforms is None or not platforms.elements:
        return
    if wanted.text not in {item.text for item in platforms.elements}:
        message = f"must have the service's platform {shown(wanted.text)}"
        findings.complain(message, platforms.mark, (*path, "platforms"))


def _check_secrets(
    node: Node, path: Path, defined: Mapping[str, Node], environment: Mapping[str, str], findings: Findings
) -> None:
    listed = node.at("secrets")
    for index, item in enumerate(listed.elements if listed else ()):
        source = item.at("source")
        if source is None:
            continue
        here = (*path, "secrets", index)
        secret = defined.get(source.text)
        if secret is None:
            hint = did_you_mean(source.text, list(defined)) or "define it at the top, below `secrets:`"
            findings.complain(f"there is no secret {shown(source.text)!r}", source.mark, here, hint)
        elif _is_external(secret):
            findings.refuse("an external secret is of no use to a build", source.mark, here, "use file or environment")
        elif "\0" in _text(secret, "file"):
            findings.refuse("a path cannot contain a NUL", source.mark, here)
        elif (variable := _text(secret, "environment")) and _value(secret, variable, environment) is None:
            findings.refuse(f"the variable {shown(variable)} is not set", source.mark, here)


def _is_external(secret: Node) -> bool:
    external = secret.at("external")
    return external is not None and (external.value is True or bool(external.items))


def _refuse(name: str, service: Node, node: Node, path: Path, findings: Findings) -> None:
    context = node.at("context")
    if context is not None and is_remote(context.text):
        message = f"jocker does not fetch contexts: {shown(context.text)}"
        findings.refuse(message, context.mark, (*path, "context"), "clone it, and name the directory")
    contexts = node.at("additional_contexts")
    for key, item in contexts.items.items() if contexts else ():
        if is_remote(item.text) or ("://" in item.text and not item.text.startswith(IMAGE)):
            message = f"jocker does not fetch contexts: {shown(item.text)}"
            findings.refuse(
                message, item.mark, (*path, "additional_contexts", key), "a directory, docker-image:// or service:"
            )
        elif item.text.startswith(IMAGE):
            _refuse_name(item.text.removeprefix(IMAGE), item.mark, (*path, "additional_contexts", key), findings)
    network = node.at("network")
    if network is not None and network.text not in _NETWORKS:
        findings.refuse(
            f"a build cannot be on the network {shown(network.text)}",
            network.mark,
            (*path, "network"),
            "default, none or host, as BuildKit has it",
        )
    tags = node.at("tags")
    for index, item in enumerate(tags.elements if tags else ()):
        _refuse_name(item.text, item.mark, (*path, "tags", index), findings)
    _refuse_platforms(node, path, findings)
    image = service.at("image")
    if image is None or not image.text:
        _refuse_name(name, service.key or service.mark, path[:2], findings, "give it an `image`")


def _refuse_nuls(node: Node, path: Path, findings: Findings) -> None:
    """No path and no argument of a program can have one."""
    if any("\0" in key for key in node.items) or (isinstance(node.value, str) and "\0" in node.value):
        findings.refuse("a NUL cannot stand in what is built", node.mark, path)
    for key, child in node.items.items():
        _refuse_nuls(child, (*path, key), findings)
    for index, child in enumerate(node.elements):
        _refuse_nuls(child, (*path, index), findings)


def _refuse_name(name: str, mark: Mark, path: Path, findings: Findings, hint: str = "") -> None:
    try:
        normalise(name)
    except UsageError as error:
        findings.refuse(error.message, mark, path, hint or error.hint)


def _refuse_platforms(node: Node, path: Path, findings: Findings) -> None:
    for index, item in enumerate(_items(node, "platforms")):
        if parse_platform(item.text) is None:
            message = f"no platform that Linux can run: {shown(item.text)!r}"
            findings.refuse(message, item.mark, (*path, "platforms", index), "as in linux/amd64 or linux/arm64/v8")


def _refuse_circles(services: Mapping[str, Node], findings: Findings) -> None:
    """A build that needs, by way of others, its own result."""

    def needs(name: str) -> Iterator[tuple[str, Node]]:
        node = services[name].at("build", "additional_contexts") if name in services else None
        for item in node.items.values() if node else ():
            if item.text.startswith(SERVICE):
                yield item.text.removeprefix(SERVICE), item

    for start in services:
        pending = [(name, item, item) for name, item in needs(start)]
        seen: set[str] = set()
        while pending:
            name, _, first = pending.pop()
            if name == start:
                path: Path = ("services", start, "build", "additional_contexts")
                findings.refuse("the image would be made from itself", first.mark, path)
                break
            if name not in seen:
                seen.add(name)
                pending += [(further, node, first) for further, node in needs(name)]


# the model --------------------------------------------------------------------------------------------------


def bind_build(
    name: str, service: Node, secrets: Mapping[str, Node], environment: Mapping[str, str], base: Base
) -> Build | None:
    """The service's `build` as a value, None if it has none. `environment` is what interpolation saw."""
    node = service.at("build")
    if node is None or not isinstance(node.value, dict):
        return None
    shm_size, hosts, network = node.at("shm_size"), node.at("extra_hosts"), _text(node, "network")
    return Build(
        place=place_of(node.key or node.mark, ("services", name, "build")),
        context=_text(node, "context"),
        dockerfile=_text(node, "dockerfile") or "Dockerfile",
        dockerfile_inline=_text(node, "dockerfile_inline"),
        args=_texts(node, "args"),
        contexts=_texts(node, "additional_contexts"),
        labels=_texts(node, "labels"),
        target=_text(node, "target"),
        network="" if network == "default" else network,
        no_cache=_flag(node, "no_cache") or bool(_items(node, "no_cache_filter")),
        pull=_flag(node, "pull"),
        privileged=_flag(node, "privileged"),
        platforms=_platforms(service, node, environment),
        extra_hosts=tuple(_pair(item.text) for item in (hosts.elements if hosts else ())),
        shm_size=shm_size.value if shm_size is not None and isinstance(shm_size.value, int) else 0,
        ulimits={key: _limit(item) for key, item in _entries(node, "ulimits").items()},
        secrets=_build_secrets(node, secrets, environment, base),
        ssh=_texts(node, "ssh"),
        tags=tuple(item.text for item in _items(node, "tags")),
    )


def _platforms(service: Node, node: Node, environment: Mapping[str, str]) -> tuple[str, ...]:
    """In Go's names, whatever the file calls them; without those that are refused."""
    wanted = _text(service, "platform") or environment.get("DOCKER_DEFAULT_PLATFORM", "")
    written = (wanted,) if wanted else (item.text for item in _items(node, "platforms"))
    return tuple(str(found) for text in written if (found := parse_platform(text)) is not None)


def _build_secrets(
    node: Node, defined: Mapping[str, Node], environment: Mapping[str, str], base: Base
) -> tuple[BuildSecret, ...]:
    found = []
    for item in _items(node, "secrets"):
        source = _text(item, "source")
        secret = defined.get(source)
        if secret is None:
            continue
        variable = _text(secret, "environment")
        found.append(
            BuildSecret(
                id=_text(item, "target") or source,
                file=absolute(file, base) if (file := _text(secret, "file")) else "",
                value=_value(secret, variable, environment) or "",
            )
        )
    return tuple(found)


def _value(secret: Node, variable: str, environment: Mapping[str, str]) -> str | None:
    """What the variable of a secret holds: what an included file knows of it goes first."""
    own = secret.at(OWN_VARIABLES, variable)
    return own.text if own is not None else environment.get(variable)


def _pair(line: str) -> tuple[str, str]:
    host, _, address = line.partition("=")
    return host, address


def _limit(item: Node) -> tuple[int, int]:
    if isinstance(item.value, int):
        return item.value, item.value
    soft, hard = item.at("soft"), item.at("hard")
    return _whole(soft), _whole(hard)


def _whole(node: Node | None) -> int:
    return node.value if node is not None and isinstance(node.value, int) else 0


def _text(node: Node, key: str) -> str:
    child = node.at(key)
    return child.text if child is not None else ""


def _flag(node: Node, key: str) -> bool:
    child = node.at(key)
    return child is not None and child.value is True


def _items(node: Node, key: str) -> list[Node]:
    child = node.at(key)
    return child.elements if child is not None else []


def _entries(node: Node, key: str) -> dict[str, Node]:
    child = node.at(key)
    return child.items if child is not None else {}


def _texts(node: Node, key: str) -> dict[str, str]:
    return {name: item.text for name, item in _entries(node, key).items()}


# what `config` prints ---------------------------------------------------------------------------------------


def canonical_build(node: Node, plain: Callable[[Node], Any]) -> dict[str, Any]:
    """`build` as docker compose prints it, but for `ssh`: compose prints paths so that it cannot read them again."""
    done: dict[str, Any] = {}
    for key, child in sorted(node.items.items()):
        value: Any = plain(child)
        if key == "extra_hosts":
            value = sorted(item.text for item in child.elements)
        elif key == "ssh":
            value = [f"{name}={item.text}" if item.text else name for name, item in child.items.items()]
        elif key == "secrets":
            value = [_canonical_secret(item, plain) for item in child.elements]
        elif key in {"shm_size", "provenance", "sbom"}:
            value = None if key == "shm_size" and not child.value else child.text
        if value:
            done[key] = value
    return done


def _canonical_secret(item: Node, plain: Callable[[Node], Any]) -> dict[str, Any]:
    done: dict[str, Any] = plain(item)
    mode = item.at("mode")
    if mode is not None and isinstance(mode.value, int):
        done["mode"] = f"0{mode.value:o}"
    return done
