"""`jocker run`: one command in a new container of a service."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, cast

import typer

from composer.actual.observe import observe, observe_stack
from composer.cli import road
from composer.cli.containers import variables
from composer.cli.flags import BuildFirst, QuietBuild
from composer.cli.globals import Globals, one_of
from composer.cli.text import escape
from composer.desired.build import oneoff, wanted_platform
from composer.desired.hashing import container_id
from composer.desired.state import DesiredContainer, DesiredStack
from composer.errors import CommandNotStarted, ImageNotFound, StackFileError, UsageError
from composer.frozen import replace
from composer.model.network import Port
from composer.model.service import AnonymousVolume, BindMount, Mount, NamedVolume, Project, Service
from composer.plan.policy import Policy

if TYPE_CHECKING:
    from composer.host.givenfiles import Contents
    from composer.model.service import PullPolicy

_UNKNOWN_EXIT = 255


def run(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Service")],
    command: Annotated[list[str] | None, typer.Argument(help="Command and its arguments")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="In the background; prints the id")] = False,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE, or NAME from here; several")] = None,
    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", help="Instead of the image's; drops its command")
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="NAME=VALUE; several")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Container name")] = None,
    no_tty: Annotated[
        bool, typer.Option("--no-TTY", "--no-tty", "-T", help="No terminal, even if there is one")
    ] = False,
    no_deps: Annotated[bool, typer.Option("--no-deps", help="Do not start what it depends on")] = False,
    publish: Annotated[
        list[str] | None, typer.Option("--publish", "-p", help="[IP:][HOST:]CONTAINER[/udp]; several")
    ] = None,
    pull: Annotated[str | None, typer.Option("--pull", help="always, missing or never")] = None,
    build: BuildFirst = False,
    quiet_build: QuietBuild = False,
    remove: Annotated[bool, typer.Option("--rm", help="Remove the container afterwards")] = False,
    service_ports: Annotated[
        bool, typer.Option("--service-ports", "-P", help="Publish the service's ports; without it none")
    ] = False,
    use_aliases: Annotated[
        bool, typer.Option("--use-aliases", help="Go by the service's names, too; without it by its own alone")
    ] = False,
    user: Annotated[str | None, typer.Option("--user", "-u", help="User, or user:group")] = None,
    volume: Annotated[list[str] | None, typer.Option("--volume", "-v", help="SOURCE:TARGET[:ro]; several")] = None,
    workdir: Annotated[str | None, typer.Option("--workdir", "-w", help="Working directory")] = None,
) -> None:
    """Run one command in a new container of a service; its exit code is ours."""
    from composer.host.attach import is_terminal

    options: Globals = context.obj.with_quiet_builds(quiet_build)
    if pull is not None:
        one_of("--pull", pull, ("always", "missing", "never"))
    project = road.load(options, (service,))
    if service in project.providers:
        raise UsageError(f"{service} comes from a provider: there is no container of it to run a command in")
    if service not in project.services:
        raise UsageError(f"no such service: {service}", hint=f"there are: {', '.join(project.services)}")
    if project.refusals:  # before anything is pulled for it
        raise StackFileError(project.refusals)
    ports = _ports(project.services[service], publish, service_ports=service_ports)
    if project.providers:
        from composer.cli.providing import for_run

        project = for_run(options, project, service, no_deps=no_deps)
    if not no_deps:
        _start_dependencies(options, project, service, build=build)
    tty = not no_tty and not detach and is_terminal()
    changed = _changed(
        project.services[service],
        command=tuple(command or ()),
        entrypoint=entrypoint,
        env=env,
        user=user,
        workdir=workdir,
        mounts=_mounts(project, volume),
        labels=dict(_pair(text) for text in label or ()),
        tty=tty,
        interactive=not detach,
    )
    contents = road.contents_of(options.paths, project, make_key=True)
    stack = _prepare(options, project, changed, pull, contents, build=build)
    container = oneoff(
        stack,
        stack.services[service],
        slug=os.urandom(32).hex(),
        name=_free_name(options, project, name),
        ports=ports,
        use_aliases=use_aliases,
    )
    raise typer.Exit(_carry_out(options, stack, container, contents, tty=tty, detach=detach, remove=remove))


def _ports(service: Service, given: list[str] | None, *, service_ports: bool) -> tuple[Port, ...]:
    """What is to be published. Raises `UsageError`."""
    if not given:
        return service.ports if service_ports else ()
    if service_ports:
        raise UsageError("--publish and --service-ports exclude each other", hint="leave one of them out")
    if service.network_mode and service.network_mode != "bridge":
        raise UsageError(
            f"--publish: {service.name} has no network of its own", hint=f"it has network_mode: {service.network_mode}"
        )
    from composer.cli.filewords import published_ports

    return published_ports(given)


def _start_dependencies(options: Globals, project: Project, service: str, *, build: bool) -> None:
    needed = tuple(name for name in project.services[service].depends_on if name in project.services)
    if needed:
        policy = Policy(services=needed, ignore_orphans=True, build="always" if build else "missing")
        road.up(options, project, policy)
        _await(options, project, service)


def _await(options: Globals, project: Project, service: str) -> None:
    """Until what it depends on is healthy, or has completed. Raises `Failed`."""
    from composer.plan.plan import Node, Plan
    from composer.plan.reconcile import wait_step

    needs = project.services[service].depends_on
    found = observe(options.paths, project.name).containers
    waits = [
        wait_step(service, one.id, one.name, needs[one.service])
        for one in found
        if one.service in needs and not one.oneoff and needs[one.service].condition != "service_started"
    ]
    road.apply(options, Plan(nodes=tuple(Node(number, step) for number, step in enumerate(waits, 1))))


def _changed(
    service: Service,
    *,
    command: tuple[str, ...],
    entrypoint: str | None,
    env: list[str] | None,
    user: str | None,
    workdir: str | None,
    mounts: tuple[Mount, ...],
    labels: dict[str, str],
    tty: bool,
    interactive: bool,
) -> Service:
    """The service with what the flags change: an entrypoint drops the command, mounts replace those on their target."""
    changed = replace(
        service,
        environment={**service.environment, **variables(env)},
        mounts=tuple(mount for mount in service.mounts if mount.target not in {one.target for one in mounts}) + mounts,
        labels={**service.labels, **labels},
        tty=tty,
        stdin_open=interactive,
        retry=None,
    )
    if interactive and service.log is not None and service.log.driver == "passthrough":
        # What it says goes through us, who are attached; conmon makes no socket for that where it passes output on.
        changed = replace(changed, log=service.log._replace(driver="none"))
    if entrypoint is not None:
        changed = replace(changed, entrypoint=tuple(shlex.split(entrypoint)), command=())
    if command:
        changed = replace(changed, command=command)
    if user is not None:
        changed = replace(changed, user=user)
    if workdir is not None:
        changed = replace(changed, working_dir=workdir)
    return changed


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _mounts(project: Project, given: list[str] | None) -> tuple[Mount, ...]:
    return tuple(_mount(text, project) for text in given or ())


def _mount(text: str, project: Project) -> Mount:
    """`SOURCE:TARGET[:ro]` or `TARGET`, as the short form of `volumes`. Raises `UsageError`."""
    source, colon, rest = text.partition(":")
    if not colon:
        return AnonymousVolume(target=_absolute(source, text))
    target, _, mode = rest.partition(":")
    if mode not in {"", "ro", "rw"}:
        raise UsageError(f"--volume {text!r}: {mode!r} is not supported", hint="ro or rw")
    if not source.startswith(("/", ".", "~")):
        if source not in project.volumes:
            there = ", ".join(project.volumes) or "none"
            raise UsageError(
                f"--volume {text!r}: no service of the stack uses a volume {source!r}",
                hint=f"there are: {there}; a path starts with / . or ~",
            )
        return NamedVolume(target=_absolute(target, text), volume=source, read_only=mode == "ro")
    path = os.path.normpath(os.path.join(project.working_dir, os.path.expanduser(source)))
    return BindMount(target=_absolute(target, text), source=path, read_only=mode == "ro")


def _absolute(target: str, text: str) -> str:
    if not target.startswith("/"):
        raise UsageError(f"--volume {text!r}: the path in the container must be absolute")
    return os.path.normpath(target)


def _prepare(
    options: Globals, project: Project, service: Service, pull: str | None, contents: Contents | None, *, build: bool
) -> DesiredStack:
    """The stack of this service alone, its image there. Raises `ImageNotFound`."""
    only = replace(project, services={service.name: replace(service, depends_on={})})
    images = road.images(options.paths, only)
    pull = pull or ("always" if road.stale(options.paths, [service]) else None)
    if any(one.build is not None for one in project.services.values()):
        road.get_image(
            options,
            project,
            service.name,
            Policy(pull=cast("PullPolicy | None", pull), build="always" if build else "missing"),
        )
    elif (wanted := pull or service.pull_policy) == "always" or (not images and wanted != "never"):
        from composer.image.reference import normalise
        from composer.plan.plan import Node, Plan
        from composer.plan.steps import PullImage

        platform = str(wanted_platform(project, service) or "")
        step = PullImage(subject=normalise(service.image), because="run", services=(service.name,), platform=platform)
        road.apply(options, Plan(nodes=(Node(1, step),)))
    stack = road.desired(options.paths, only, contents, services=(service.name,))
    if not stack.services[service.name].image_present:
        raise ImageNotFound(f"image {service.image} is not here", hint=f"jocker image pull {service.image}")
    road.warn(road.foreign(stack))
    return stack


def _free_name(options: Globals, project: Project, name: str | None) -> str | None:
    taken = {one.name for one in observe(options.paths, project.name).containers}
    if name is not None and name in taken:
        raise UsageError(f"there is a container {name} already", hint="choose another --name, or remove it")
    return name


def _connect(options: Globals, stack: DesiredStack, container: DesiredContainer, new_id: str) -> None:
    """Makes what must be there before the container; before that it looks whether its ports are free.

    Raises `NetworkError`, `ContainerError`.
    """
    from composer.plan.oneoff import plan_oneoff

    has_volumes = any(isinstance(mount, NamedVolume) for mount in container.spec.mounts)
    if container.spec.networks or has_volumes or stack.limits:
        actual = observe_stack(options.paths, container.project, stack.networks)
        found = plan_oneoff(stack, actual, container, new_id)
        if container.spec.ports:
            from composer.execute.published import check
            from composer.plan.plan import Node, Plan
            from composer.plan.steps import CreateContainer

            step = CreateContainer(subject=container.name, because="run", container=container, container_id=new_id)
            check(options.paths, Plan(nodes=(*found.nodes, Node(len(found.nodes) + 1, step))))
        road.warn(found.warnings)
        road.apply(options, found)


def _carry_out(
    options: Globals,
    stack: DesiredStack,
    container: DesiredContainer,
    contents: Contents | None,
    *,
    tty: bool,
    detach: bool,
    remove: bool,
) -> int:
    from composer.execute.machine import Machine
    from composer.host.attach import Attachment, forwarded, raw_terminal
    from composer.host.logs import window_size

    paths = options.paths
    machine = Machine(paths, options.wanted_runtime(), contents=contents)
    new_id = container_id(container)
    with road.stack_lock(options, container.project, "run"):
        _connect(options, stack, container, new_id)
        try:
            told = machine.create_container(container, new_id, replaces="", volumes={}, stdin_once=not detach)
            road.warn((f"{container.name}: {told}",) if told else ())
        except CommandNotStarted as error:
            print(f"jocker: {escape(error.message)}", file=sys.stderr)
            return error.exit_status
    if detach:
        machine.start_container(new_id, None, lambda *_: None)
        print(new_id)
        return 0
    try:
        with closing(Attachment(paths, new_id)) as line:
            stdin = sys.stdin.fileno()
            size = window_size(stdin) if tty else None
            if size is not None:
                line.resize(*size)  # before the program looks
            machine.start_container(new_id, None, lambda *_: None)
            if tty:
                with raw_terminal(stdin, line):
                    line.pump(stdin=stdin)
            else:
                with forwarded(lambda number: machine.lifecycle.kill(new_id, number)):
                    line.pump(stdin=stdin)
            code = machine.lifecycle.wait(new_id)
    finally:
        if remove:
            with road.stack_lock(options, container.project, "run --rm"):
                machine.remove_container(new_id, volumes=True)
                if not observe(paths, container.project).containers:
                    machine.remove_stack(container.project)
    return _UNKNOWN_EXIT if code is None else code
