"""What must hold between the parts of a merged stack: dependencies, names, counts, targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from composer.composefile.checks import did_you_mean
from composer.composefile.environment import Reader
from composer.composefile.hostpaths import Base, absolute, display_path
from composer.composefile.implied import references, volume_references
from composer.composefile.tree import Findings, Mark, Node, Path, shown
from composer.errors import UsageError
from composer.image.reference import normalise

_NAME_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_NAME_REST = _NAME_START | frozenset("_.-")
_MAX_HOSTNAME = 64


def check_services(services: Mapping[str, Node], disabled: Mapping[str, Node], findings: Findings) -> None:
    """Complains about whatever does not fit together in the enabled `services`."""
    is_broken = any(".extends" in found.place.path for found in findings.complaints)
    for name, service in services.items():
        path = ("services", name)
        image = service.at("image")
        is_made = "provider" in service.items or "build" in service.items
        if (image is None or not image.text) and not (is_made or is_broken or findings.touches(path)):
            findings.complain("needs an `image` or a `build`", service.key or service.mark, path)
        _check_image(service, path, findings)
        _check_dependencies(name, service, services, disabled, findings)
        _check_count(service, path, findings)
        _check_names(service, path, findings)
        _check_targets(service, path, findings)
        _check_repetitions(service, path, findings)
    _check_container_names(services, findings)
    _check_cycles(services, findings)


def _check_image(service: Node, path: Path, findings: Findings) -> None:
    image = service.at("image")
    if image is None or not image.text:
        return
    try:
        normalise(image.text)
    except UsageError as error:
        findings.complain(error.message, image.mark, (*path, "image"), error.hint)


def replicas_of(service: Node) -> int:
    """How many containers: `scale`, else `deploy.replicas`, else 1."""
    for node in (service.at("scale"), service.at("deploy", "replicas")):
        if node is not None and isinstance(node.value, int):
            return node.value
    return 1


def named_volumes(service: Node) -> Iterator[tuple[int, Node]]:
    """The names of volumes that the service's mounts have, each with the number of its mount."""
    mounts = service.at("volumes")
    for index, item in enumerate(mounts.elements if mounts else ()):
        kind, source = item.at("type"), item.at("source")
        if kind is not None and kind.text == "volume" and source is not None and source.text:
            yield index, source


def load_seccomp(
    services: Mapping[str, Node], base: Base, read: Reader, cwd: str, findings: Findings
) -> dict[str, str]:
    """The text of each `seccomp=FILE`, by the path as written. A file that cannot be read is refused."""
    texts: dict[str, str] = {}
    for name, service in services.items():
        options = service.at("security_opt")
        if options is None:
            continue
        from composer.composefile.security import split_security_option

        for index, option in enumerate(options.elements):
            kind, value = split_security_option(option.text)
            if kind == "seccomp" and value not in {"", "unconfined", "builtin"} and value not in texts:
                path = ("services", name, "security_opt", index)
                try:
                    texts[value] = read(absolute(value, base))
                except (OSError, ValueError) as error:
                    findings.refuse(
                        _unreadable(absolute(value, base), "seccomp profile", cwd, error), option.mark, path
                    )
    return texts


def read_or_complain(
    file: str, what: str, mark: Mark, path: Path, read: Reader, cwd: str, findings: Findings
) -> str | None:
    """The file's text, or None after a complaint that calls it `what`."""
    try:
        return read(file)
    except (OSError, ValueError) as error:
        findings.complain(_unreadable(file, what, cwd, error), mark, path)
    return None


def _unreadable(file: str, what: str, cwd: str, error: OSError | ValueError) -> str:
    name = shown(display_path(file, cwd))
    if isinstance(error, FileNotFoundError):
        return f"the {what} {name} does not exist"
    return f"the {what} {name} cannot be read: {getattr(error, 'strerror', None) or error}"


def _check_dependencies(
    name: str, service: Node, services: Mapping[str, Node], disabled: Mapping[str, Node], findings: Findings
) -> None:
    node = service.at("depends_on")
    for other, entry in node.items.items() if node else ():
        if entry.key is None:
            continue  # implied: complained about where it stands
        path = ("services", name, "depends_on", other)
        mark = entry.key
        condition = entry.at("condition")
        if condition is None and not findings.touches(path):
            findings.complain("`condition` is missing", mark, path, "write {condition: service_started}")
        if other in services:
            continue
        required = entry.at("required")
        if other in disabled and required is not None and required.value is False:
            continue
        if other in disabled:
            profiles = disabled[other].at("profiles")
            names = " ".join(f"--profile {shown(item.text)}" for item in (profiles.elements if profiles else ())[:1])
            findings.complain(
                f"depends on {shown(other)}, which no active profile enables", mark, path, f"give {names}"
            )
        else:
            findings.complain(
                f"depends on the undefined service {shown(other)!r}", mark, path, did_you_mean(other, list(services))
            )


def _check_count(service: Node, path: Path, findings: Findings) -> None:
    scale, replicas = service.at("scale"), service.at("deploy", "replicas")
    if scale is not None and replicas is not None and scale.value != replicas.value:
        message = f"scale is {scale.text}, but deploy.replicas is {replicas.text}"
        findings.complain(message, scale.mark, (*path, "scale"), "write one of them, or the same number twice")
    mode = service.at("deploy", "mode")
    if mode is not None and mode.text == "global" and replicas_of(service) > 1:
        message = f"a global service has one container on a machine, not {replicas_of(service)}"
        hint = "remove the mode, or the number"
        findings.refuse(message, mode.mark, (*path, "deploy", "mode"), hint)
    name = service.at("container_name")
    if name is not None and name.text and replicas_of(service) > 1:
        message = f"{replicas_of(service)} containers cannot share one name"
        findings.complain(message, name.mark, (*path, "container_name"), "remove container_name, or run one container")


def _check_names(service: Node, path: Path, findings: Findings) -> None:
    name = service.at("container_name")
    if name is not None and not is_name(name.text):
        hint = "two or more letters, digits, dots, dashes, underscores; a letter or digit first"
        findings.complain(
            f"{shown(name.text)!r} cannot be a container's name", name.mark, (*path, "container_name"), hint
        )
    profiles = service.at("profiles")
    for index, profile in enumerate(profiles.elements if profiles else ()):
        if profile.text and (profile.text[0] not in _NAME_START or not _NAME_REST.issuperset(profile.text)):
            hint = "letters, digits, dots, dashes, underscores; a letter or digit first"
            here = (*path, "profiles", index)
            findings.complain(f"{shown(profile.text)!r} cannot be a profile's name", profile.mark, here, hint)
    hostname = service.at("hostname")
    if hostname is not None and not _is_hostname(hostname.text):
        message = f"a hostname has at most {_MAX_HOSTNAME} printable characters, no space or # among them"
        findings.complain(message, hostname.mark, (*path, "hostname"))
    directory = service.at("working_dir")
    if directory is not None and directory.text and not directory.text.startswith("/"):
        message = f"must be an absolute path of the container, not {shown(directory.text)!r}"
        findings.complain(message, directory.mark, (*path, "working_dir"))


def _is_hostname(text: str) -> bool:
    """It stands in lines of /etc/hosts, where a space would begin another name."""
    return len(text) <= _MAX_HOSTNAME and text.isprintable() and " " not in text and "#" not in text


def is_name(text: str) -> bool:
    """May a container or a volume be called so?"""
    return len(text) > 1 and text[0] in _NAME_START and _NAME_REST.issuperset(text)


def _check_targets(service: Node, path: Path, findings: Findings) -> None:
    """`volumes` among themselves were made unique by merging; `tmpfs` must not meet them, nor itself."""
    volumes, tmpfs = service.at("volumes"), service.at("tmpfs")
    taken = {node.text for item in (volumes.elements if volumes else ()) if (node := item.at("target"))}
    for index, item in enumerate(tmpfs.elements if tmpfs else ()):
        target = item.text.partition(":")[0]
        if target in taken:
            findings.complain(f"something is mounted on {shown(target)} already", item.mark, (*path, "tmpfs", index))
        taken.add(target)


def _check_repetitions(service: Node, path: Path, findings: Findings) -> None:
    for key in ("device_cgroup_rules", "external_links", "group_add", "security_opt", "volumes_from"):
        node = service.at(key)
        seen: set[str] = set()
        for index, item in enumerate(node.elements if node else ()):
            here = (*path, key, index)
            if item.text in seen and not findings.touches(here):
                findings.complain(f"{shown(item.text)!r} is written twice", item.mark, here)
            seen.add(item.text)


def _check_container_names(services: Mapping[str, Node], findings: Findings) -> None:
    owners: dict[str, str] = {}
    for name, service in services.items():
        node = service.at("container_name")
        if node is None or not node.text:
            continue
        owner = owners.setdefault(node.text, name)
        if owner != name:
            message = f"the service {shown(owner)} has this container_name already"
            findings.complain(message, node.mark, ("services", name, "container_name"))


def _check_cycles(services: Mapping[str, Node], findings: Findings) -> None:
    """Each circle is told once, with the place of the edge that closes it."""

    def below(name: str) -> list[str]:
        node = services[name].at("depends_on")
        return [other for other in (node.items if node else ()) if other in services]

    finished: set[str] = set()
    trail: list[str] = []  # from the start to where we are; one iterator more than names in it
    for start in services:
        walkers = [iter([start])]
        while walkers:
            name = next(walkers[-1], None)
            if name is None:
                walkers.pop()
                if trail:
                    finished.add(trail.pop())
            elif name in trail:
                _complain_of_circle([*trail[trail.index(name) :], name], services, findings)
            elif name not in finished:
                trail.append(name)
                walkers.append(iter(below(name)))


def _complain_of_circle(circle: list[str], services: Mapping[str, Node], findings: Findings) -> None:
    first, last = circle[0], circle[-2]
    edge = services[last].at("depends_on", first)
    mark = (edge.key or edge.mark) if edge else services[last].mark
    path: Path = ("services", last, "depends_on", first)
    if edge is not None and edge.key is None:  # implied
        found = (*references(services[last]), *volume_references(services[last]))
        path = next(("services", last, *one.path) for one in found if one.service == first)
    drawing = " → ".join(shown(name) for name in circle)
    message = "a service cannot depend on itself" if len(circle) == 2 else f"a dependency circle: {drawing}"
    findings.complain(message, mark, path)
