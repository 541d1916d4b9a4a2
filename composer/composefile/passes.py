"""From texts to a `Project`: the passes, in order. Pure; files are read through the function passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from composer.composefile.bind import LIFE, RESOURCES, bind_service, canonical_project
from composer.composefile.checks import check_nulls, did_you_mean
from composer.composefile.consistency import check_services, load_seccomp, named_volumes, read_or_complain, replicas_of
from composer.composefile.environment import Reader, labelled, resolved
from composer.composefile.hostpaths import Base, absolute
from composer.composefile.implied import completed
from composer.composefile.loading import Context, Loading, Parsed
from composer.composefile.names import name_from_file, name_of_directory
from composer.composefile.netbind import bind_networks
from composer.composefile.tree import Findings, Mark, Node, Source, plain
from composer.composefile.yaml import parse_yaml
from composer.errors import UsageError
from composer.frozen import replace
from composer.model.fileobject import FileObject, Kind
from composer.model.service import Project, Service, Volume

if TYPE_CHECKING:
    from composer.composefile.raw import RawStack, Variable
    from composer.model.resources import StackLimits


class StackText(NamedTuple):
    """One stack file: its name as the user would write it, its absolute path (`-` for stdin), its text."""

    name: str
    path: str
    text: str


class Sources(NamedTuple):
    """All a project is made from. `project_name` is given by option or variable and valid; else the files decide.

    `environment` is what interpolation sees; `directory` (absolute) is what relative paths start from. `as_written` are
    passes that only `config` may leave out: "normal" (names, defaults), "env" (reading env and label files).
    """

    files: tuple[StackText, ...]
    environment: Mapping[str, str]
    directory: str
    cwd: str
    home: str
    project_name: str | None = None
    profiles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    as_written: frozenset[str] = frozenset()


_WIRED: Final = frozenset({
    "external_links", "ipc", "links", "mac_address", "network_mode", "networks", "pid", "ports", "uts",
})  # fmt: skip
"""What makes a look at the wiring worth its modules: a plain stack is on its default network."""


_PROCESS: Final = frozenset({
    "isolation", "logging", "platform", "runtime", "security_opt", "userns_mode",
})  # fmt: skip
"""What makes a look at the processes worth its module."""
_KERNELS: Final = frozenset({"sysctls", "tmpfs", "ulimits"})
"""Keys whose words are the kernel's."""


def load_project(sources: Sources, read: Reader, *, with_services: tuple[str, ...] = ()) -> Project:
    """The project the sources describe. `with_services` are named by the user: their profiles become active.

    Raises `StackFileError` with every complaint of every file; `UsageError` for a service that is not there.
    """
    findings = Findings()
    name, context, tree = _merged(sources, read, findings)
    check_nulls(tree, findings)
    return _assembled(tree, name, sources, context, read, with_services)


def load_raw(sources: Sources, read: Reader) -> RawStack:
    """The files the sources describe, merged, with what they extend and include, but with variables as written.

    Raises `StackFileError` for what is wrong whatever the variables are.
    """
    from composer.composefile.raw import RawStack

    findings = Findings()
    variables: dict[str, Variable] = {}
    name, _, tree = _merged(sources, read, findings, variables)
    findings.raise_if_any()
    named = {"name": name, **plain(tree)}
    if sources.project_name:
        named["name"] = name
    return RawStack(named, dict(sorted(variables.items())), tuple(findings.warnings))


def _merged(
    sources: Sources, read: Reader, findings: Findings, variables: dict[str, Variable] | None = None
) -> tuple[str, Context, Node]:
    """Name, what the passes may look at, and all files as one tree. Raises `StackFileError` for what is no YAML."""
    findings.warnings.extend(sources.warnings)
    files = [Parsed(file.path, _documents(file, findings)) for file in sources.files]
    unreadable = bool(findings.complaints)
    documents = [document for file in files for document in file.documents]
    if not documents and not unreadable:
        findings.complain("the stack file is empty", Mark(Source(sources.files[0].name), 1, 1), ())
        findings.raise_if_any()
    name = (
        sources.project_name
        or name_from_file(documents, sources.environment, findings)
        or name_of_directory(sources.directory)
    )
    environment = {**sources.environment, "COMPOSE_PROJECT_NAME": name}
    context = Context(environment, Base(sources.directory, sources.home), findings, variables)
    tree = Loading(read, sources.cwd, findings).model(files, context)
    if unreadable:
        findings.raise_if_any()
    if not tree.items and not findings.complaints:
        findings.complain("nothing is left of the stack once all is merged", documents[-1].mark, ())
    return name, context, tree


def _documents(file: StackText, findings: Findings) -> tuple[Node, ...]:
    found = parse_yaml(file.text, file.name, findings)
    for node in found if len(found) > 1 else ():
        if node.value is None:
            findings.complain("an empty document", node.mark, (), "remove its `---`")
    return tuple(node for node in found if node.value is not None and node.value != {})


def _assembled(
    tree: Node, name: str, sources: Sources, context: Context, read: Reader, with_services: tuple[str, ...]
) -> Project:
    environment, base, findings, _ = context
    networks = _entries(tree, "networks")
    written = _entries(tree, "services")
    everything = written if "normal" in sources.as_written else {key: completed(one) for key, one in written.items()}
    has_builds = any("build" in service.items for service in everything.values())
    if has_builds:
        from composer.composefile.building import bind_build, check_builds, settled

        known = None if "normal" in sources.as_written else environment
        everything = {key: settled(service, base, known) for key, service in everything.items()}
    enabled, disabled = _by_profile(everything, sources.profiles, with_services, findings)
    check_services(enabled, disabled, findings)
    secrets = _entries(tree, "secrets")
    if has_builds:
        check_builds(name, enabled, secrets, environment, findings)
    models = _entries(tree, "models")
    if models or any(not LIFE.isdisjoint(service.items) for service in written.values()):
        from composer.composefile.life import check_life, check_models

        check_models(models, findings)
        check_life(enabled, models, findings)
    if networks or any(not _WIRED.isdisjoint(one.items) for one in written.values()):
        from composer.composefile.netchecks import check_wiring

        replicas = {key: replicas_of(service) for key, service in enabled.items()}
        check_wiring(name, enabled, disabled, networks, replicas, findings)
    if any(not _PROCESS.isdisjoint(one.items) for one in enabled.values()):
        from composer.composefile.process import check_processes

        check_processes(enabled, findings)
    _check_kernel_words(enabled, findings)
    _check_resources(tree, enabled, findings)
    volumes = _volumes(name, tree, enabled, findings)
    _check_mounts(enabled, disabled, findings)
    if _has_file_objects(tree, enabled):
        from composer.composefile.fileobjects import check_file_objects

        check_file_objects(enabled, tree, findings)
    seccomp = load_seccomp(enabled, base, read, sources.cwd, findings)
    if "env" not in sources.as_written:
        enabled = {
            key: labelled(
                resolved(node, ("services", key), environment, read, sources.cwd, findings),
                ("services", key),
                read,
                sources.cwd,
                findings,
            )
            for key, node in enabled.items()
        }
    defaults = tree.at("x-jocker")
    templates = _templates(enabled, defaults, base, read, sources.cwd, findings)
    findings.raise_if_any()

    real = bind_networks(name, networks, enabled)
    objects = _file_objects(tree, enabled)
    if findings.may_refuse:
        from composer.composefile.refusals import refuse_by_table

        refuse_by_table(
            {
                "services": enabled,
                "networks": {key: node for key, node in networks.items() if key in real},
                "volumes": {key: node for key, node in _entries(tree, "volumes").items() if key in volumes},
                "secrets": {key: tree.items["secrets"].items[key] for kind, key in objects if kind == "secret"},
                "configs": {key: tree.items["configs"].items[key] for kind, key in objects if kind == "config"},
            },
            findings,
        )
    pool = tree.at("x-jocker", "address_pool")

    def bound(services: Mapping[str, Node]) -> dict[str, Service]:
        done = {key: bind_service(key, node, defaults, templates.get(key), real) for key, node in services.items()}
        for key, node in services.items() if has_builds else ():
            if (made := bind_build(key, node, secrets, environment, base)) is not None:
                named = bool(done[key].image)
                image = done[key].image or f"{name}-{key}"
                done[key] = replace(done[key], image=image, image_is_named=named, build=made)
        return done

    return Project(
        name=name,
        working_dir=sources.directory,
        files=tuple(file.path for file in sources.files),
        services=bound(enabled),
        disabled=bound(disabled),
        networks=real,
        volumes=volumes,
        file_objects=objects,
        limits=_stack_limits(tree.at("x-jocker", "limits")),
        address_pool=tuple(item.text for item in pool.elements) if pool else (),
        environment=environment,
        warnings=tuple(findings.warnings),
        refusals=tuple(findings.refusals),
        seccomp_profiles=seccomp,
        canonical=canonical_project(name, tree, enabled, normal="normal" not in sources.as_written),
    )


def _check_kernel_words(services: Mapping[str, Node], findings: Findings) -> None:
    for key, service in services.items():
        if not _KERNELS.isdisjoint(service.items):
            from composer.composefile.kernelwords import refuse_kernel_words

            refuse_kernel_words(service, ("services", key), findings)


def _check_resources(tree: Node, services: Mapping[str, Node], findings: Findings) -> None:
    limits = tree.at("x-jocker", "limits")
    if limits is not None or any(map(_has_resources, services.values())):
        from composer.composefile.resources import check_resources

        check_resources(services, limits, findings)


def _has_resources(service: Node) -> bool:
    return (
        not RESOURCES.isdisjoint(service.items)
        or "mem_limit" in service.items
        or service.at("deploy", "resources") is not None
    )


def _stack_limits(node: Node | None) -> StackLimits | None:
    if node is None or not node.items:
        return None
    from composer.composefile.resourcebind import bind_stack_limits

    return bind_stack_limits(node)


def _entries(tree: Node, section: str) -> dict[str, Node]:
    node = tree.at(section)
    return node.items if node else {}


def _volumes(name: str, tree: Node, services: Mapping[str, Node], findings: Findings) -> dict[str, Volume]:
    """The volumes that the services use, by key. What cannot be is complained about."""
    known = _entries(tree, "volumes")
    if not known and not any(any(named_volumes(one)) for one in services.values()):
        return {}
    from composer.composefile.volumes import bind_volumes, check_volumes

    check_volumes(name, services, known, findings)
    return bind_volumes(name, services, known)


def _check_mounts(enabled: Mapping[str, Node], disabled: Mapping[str, Node], findings: Findings) -> None:
    if any("volumes_from" in service.items for service in enabled.values()):
        from composer.composefile.volumesfrom import check_volumes_from

        check_volumes_from(enabled, disabled, findings)
    if any(_has_special_mounts(service) for service in enabled.values()):
        from composer.composefile.mountparts import refuse_parts

        refuse_parts(enabled, findings)


def _has_special_mounts(service: Node) -> bool:
    """Images, and parts of volumes."""
    listed = service.at("volumes")
    return any(
        item.at("volume", "subpath") is not None or ((kind := item.at("type")) is not None and kind.text == "image")
        for item in (listed.elements if listed else ())
    )


def _has_file_objects(tree: Node, services: Mapping[str, Node]) -> bool:
    return any(
        section in tree.items or any(section in one.items for one in services.values())
        for section in ("secrets", "configs")
    )


def _file_objects(tree: Node, services: Mapping[str, Node]) -> dict[tuple[Kind, str], FileObject]:
    if not _has_file_objects(tree, services):
        return {}
    from composer.composefile.fileobjects import bind_file_objects

    return bind_file_objects(services, tree)


def _by_profile(
    services: Mapping[str, Node], profiles: tuple[str, ...], named: tuple[str, ...], findings: Findings
) -> tuple[dict[str, Node], dict[str, Node]]:
    """The services split in enabled and disabled ones. One without profiles is always on; `*` means all profiles."""

    def profiles_of(service: Node) -> list[str]:
        node = service.at("profiles")
        return [item.text for item in node.elements] if node else []

    active = set(profiles) or {""}  # docker compose: an empty name is active as long as no other is
    for name in named:
        if name in services:
            active.update(profiles_of(services[name]))
        elif not findings.complaints:
            raise UsageError(f"no such service: {name}", hint=did_you_mean(name, list(services)))
    enabled: dict[str, Node] = {}
    disabled: dict[str, Node] = {}
    for name, service in services.items():
        own = profiles_of(service)
        is_on = not own or "*" in active or not active.isdisjoint(own)
        (enabled if is_on else disabled)[name] = service
    return enabled, disabled


def _templates(
    services: Mapping[str, Node], defaults: Node | None, base: Base, read: Reader, cwd: str, findings: Findings
) -> dict[str, str]:
    """The text of each service's bundle template; one that cannot be read is complained about."""
    found: dict[str, str] = {}
    shared = defaults.at("template") if defaults else None
    for name, service in services.items():
        own = service.at("x-jocker", "template")
        node = own or shared
        if node is None:
            continue
        path = ("services", name, "x-jocker", "template") if own else ("x-jocker", "template")
        file = absolute(node.text, base)
        text = read_or_complain(file, "template", node.mark, path, read, cwd, findings)
        if text is not None:
            found[name] = text
    return found
