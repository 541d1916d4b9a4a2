"""The road every changing command takes: file → project → desired; machine → actual; both → plan; plan → machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from composer.actual.observe import observe, observe_stack
from composer.actual.state import ActualStack
from composer.cli.globals import Globals
from composer.desired.build import desire, wanted_platform
from composer.desired.state import DesiredStack
from composer.errors import Complaint, StackFileError
from composer.host.files import locked
from composer.host.log_sizes import trim
from composer.image.config import ImageConfig
from composer.image.reference import normalise, parse_platform
from composer.image.store import Store
from composer.model.service import ImageMount, Project, Service
from composer.paths import Paths
from composer.plan.plan import Plan
from composer.plan.policy import Policy
from composer.plan.reconcile import plan_up
from composer.plan.steps import BuildImage, CreateContainer, CreateNetwork, StartContainer

if TYPE_CHECKING:
    from composer.execute.executor import Outcome
    from composer.host.givenfiles import Contents


class View(NamedTuple):
    """Both sides, and the way between them."""

    desired: DesiredStack
    actual: ActualStack
    plan: Plan


def load(options: Globals, services: tuple[str, ...] = ()) -> Project:
    """The project the options mean. Its warnings go to stderr. Of what jocker cannot do there is left what concerns the
    `services` (none: all) and what they depend on.
    """
    from composer.composefile.read import read_project

    project = read_project(options.request(), with_services=services)
    warn(project.warnings)
    if services and project.refusals:
        project = _about(project, services)
    if any(one.life is not None and one.life.provider is not None for one in project.services.values()):
        from composer.desired.providing import split

        return split(project)
    return project


def _about(project: Project, services: tuple[str, ...]) -> Project:
    from composer.frozen import replace
    from composer.plan.order import selected

    graph = {name: service.depends_on for name, service in project.services.items()}
    concerned = selected(graph, [name for name in services if name in graph], with_dependencies=True)

    def concerns(refusal: Complaint) -> bool:
        path = refusal.place.path
        owners = [name for name in project.services if path.startswith(f"services.{name}.")]
        return not owners or max(owners, key=len) in concerned  # a name may have dots

    return replace(project, refusals=tuple(filter(concerns, project.refusals)))


def images(paths: Paths, project: Project) -> dict[str, ImageConfig]:
    """The images of the project that are here, by normalised reference; one for another platform than a service wants
    is not.
    """
    store = Store(paths)
    users: dict[str, list[Service]] = {}
    for service in project.services.values():
        users.setdefault(normalise(service.image), []).append(service)
        for mount in service.mounts:
            if isinstance(mount, ImageMount):
                users.setdefault(mount.image, [])
        for hook in service.life.pre_start if service.life else ():
            if hook.image:
                users.setdefault(normalise(hook.image), [])
    found = {}
    for reference, services in users.items():
        image = store.find(reference)
        platforms = [wanted for one in services if (wanted := wanted_platform(project, one)) is not None]
        if image is not None and all(one.takes(image.architecture, image.variant) for one in platforms):
            found[reference] = image
    return found


def foreign(stack: DesiredStack) -> tuple[str, ...]:
    """A warning for each service whose image is for another machine than this one, though nobody asked for that."""
    mine = parse_platform(os.uname().machine)
    return tuple(
        f'service "{name}": image {one.spec.image} is for {one.image_platform}, this machine is {mine}'
        for name, one in stack.services.items()
        if one.image_platform.count("/") and not one.platform
        and mine is not None and not mine.takes(*f"{one.image_platform}/".split("/")[1:3])
    )  # fmt: skip


def contents_of(paths: Paths, project: Project, *, make_key: bool = False) -> Contents | None:
    """What reads the secrets and configs of a stack that has some. `make_key` for commands that make containers."""
    if not project.file_objects:
        return None
    from composer.host.givenfiles import Contents

    return Contents(paths, project, make_key=make_key)


def desired(
    paths: Paths, project: Project, contents: Contents | None = None, *, services: tuple[str, ...] = ()
) -> DesiredStack:
    """What should be there, as far as the images that are here say. Raises `StackFileError`, also for what the file
    says rightly but jocker cannot do, and for secrets and configs of the `services` (all) that cannot be read.
    """
    if project.refusals:
        raise StackFileError(project.refusals)
    return described(paths, project, contents, services=services)


def described(
    paths: Paths, project: Project, contents: Contents | None = None, *, services: tuple[str, ...] = ()
) -> DesiredStack:
    """As `desired`, even for what jocker cannot do."""
    contents = contents or contents_of(paths, project)
    digests = contents.digests(services or tuple(project.services)) if contents else {}
    return desire(project, images(paths, project), digests)


def described_images(paths: Paths, project: Project) -> DesiredStack:
    """As `desired`, for who asks about images alone: contents of secrets are not read, and commands may be missing."""
    if project.refusals:
        raise StackFileError(project.refusals)
    return desire(project, images(paths, project), need_commands=False)


def stale(paths: Paths, services: Iterable[Service]) -> frozenset[str]:
    """Those of the services whose images are to be pulled again by now (`pull_policy: daily`), by name."""
    limits = [one for one in services if one.refresh_after is not None]
    if not limits:
        return frozenset()
    import time

    now, added = time.time(), {one.reference: one.added_at for one in Store(paths).references()}
    return frozenset(
        one.name for one in limits if now - added.get(normalise(one.image), now) > (one.refresh_after or 0.0)
    )


def view(paths: Paths, project: Project, policy: Policy, contents: Contents | None = None) -> View:
    """What `up` would do now. Writes nothing."""
    if project.providers:
        from composer.cli import providing
        from composer.plan.providing import joined

        first = providing.plan_of(project, policy)
        seen = view(paths, *providing.settled(paths, project, policy), contents)
        return seen._replace(plan=joined(first, seen.plan))
    outdated = stale(paths, project.services.values())
    if outdated:
        from composer.frozen import replace

        policy = replace(policy, stale=outdated)
    wanted = desired(paths, project, contents, services=_concerned(project, policy))
    actual = observe_stack(paths, project.name, wanted.networks)
    plan = with_bases(plan_up(wanted, actual, policy))
    check_ports(paths, plan)
    if any(isinstance(node.step, CreateNetwork) and node.step.network.subnets for node in plan.nodes):
        from composer.execute import subnets

        subnets.check(paths, plan)
    return View(wanted, actual, plan)


def _concerned(project: Project, policy: Policy) -> tuple[str, ...]:
    """The services whose secrets and configs have to be there."""
    if not (project.file_objects and policy.services):
        return ()
    from composer.plan.order import selected

    graph = {name: service.depends_on for name, service in project.services.items()}
    return tuple(selected(graph, policy.services, with_dependencies=not policy.no_deps))


def check_ports(paths: Paths, plan: Plan) -> None:
    """Raises `NetworkError` for a port that is taken, before anything is started."""
    steps = [node.step for node in plan.nodes]
    new = {step.container_id: step.container for step in steps if isinstance(step, CreateContainer)}
    started = {step.container_id for step in steps if isinstance(step, StartContainer)}
    if started - new.keys() or any(container.spec.ports for container in new.values()):
        from composer.execute.published import check

        check(paths, plan)


def with_bases(plan: Plan) -> Plan:
    """The plan with each build after those of the images that its Dockerfile starts from."""
    steps = [node.step for node in plan.nodes if isinstance(node.step, BuildImage)]
    if len(steps) < 2:
        return plan
    from composer.execute.building import bases
    from composer.plan.builds import after_bases

    return after_bases(plan, {step.subject: bases(step.build, step.service) for step in steps})


def up(options: Globals, project: Project, policy: Policy) -> View:
    """Makes the machine as the project says; pulls and builds first, then plans with what the images say. Raises
    `Failed`.
    """
    from composer.frozen import replace
    from composer.plan.steps import PullImage

    paths = options.paths
    contents = contents_of(paths, project, make_key=True)
    with stack_lock(options, project.name, "up"):
        if project.providers:
            from composer.cli import providing

            project, policy = providing.provide(options, project, policy)
        seen = view(paths, project, policy, contents)
        gets = [node for node in seen.plan.nodes if isinstance(node.step, (PullImage, BuildImage))]
        if gets:
            numbers = {node.number for node in gets}
            apply(options, Plan(nodes=tuple(replace(one, after=_among(one.after, numbers)) for one in gets)))
            policy = replace(policy, pulled=frozenset(node.step.subject for node in gets))
            seen = view(paths, project, policy, contents)
        if seen.plan.stale and sys.stdin.isatty():
            from composer.cli.asking import agrees

            if agrees(
                f"volume {', '.join(seen.plan.stale)}: the definition changed; make it anew (what is in it is lost)?"
            ):
                policy = replace(policy, remake_volumes=True)
                seen = view(paths, project, policy, contents)
        warn((*seen.plan.warnings, *foreign(seen.desired)))
        apply(options, seen.plan, contents)
    return seen


def get_image(options: Globals, project: Project, service: str, policy: Policy) -> None:
    """Pulls or builds the image of one service if `up` would. Raises `Failed`, `ImageNotFound`."""
    from composer.plan.builds import plan_image

    apply(options, with_bases(plan_image(described_images(options.paths, project), service, policy)))


def _among(after: tuple[int, ...], numbers: set[int]) -> tuple[int, ...]:
    return tuple(number for number in after if number in numbers)


def apply(options: Globals, plan: Plan, contents: Contents | None = None) -> Outcome | None:
    """Executes a plan and shows it. `contents` are needed to make containers. Raises `Failed`, `Interrupted`."""
    if not plan.nodes:
        return None
    from composer.cli.progress import view_for
    from composer.execute.executor import execute, raise_if_interrupted
    from composer.execute.machine import Machine

    paths = options.paths
    machine = Machine(paths, options.wanted_runtime(), contents=contents)
    if any(isinstance(node.step, CreateNetwork) for node in plan.nodes):
        machine.warm_up()
    display = view_for(options, plan)
    try:
        outcome = execute(
            plan,
            machine,
            on_event=display.show,
            on_interrupt=lambda running: display.note(
                f"interrupted: {running} {'step ends' if running == 1 else 'steps end'} first; again to leave at once"
            ),
            workers=options.parallel,
        )
    finally:
        display.close()
    raise_if_interrupted(outcome)
    if outcome.failed:
        from composer.cli.failure import told

        raise told(paths, outcome, with_builds=not display.told_builds)
    return outcome


@contextmanager
def stack_lock(options: Globals, project: str, command: str) -> Iterator[None]:
    """Nobody else changes this stack meanwhile. The lock file goes when the stack has no containers left."""
    paths = options.paths
    path = paths.stack_lock(project)
    with locked(path, timeout=options.lock_timeout, what=f"jocker {command} (stack {project})"):
        try:
            yield
        finally:
            left = observe(paths, project).containers
            trim(paths, [one.id for one in left])
            if any(one.is_supervised for one in left):
                from composer.host import supervising

                supervising.ensure(paths, project, options.runtime or "")
            if not left:
                if os.path.isdir(paths.supervision(project)):
                    from composer.host import supervising

                    supervising.end(paths, project)
                with suppress(OSError):
                    os.unlink(path)
                    os.rmdir(paths.stack(project))


def warn(lines: tuple[str, ...]) -> None:
    """Warnings, once each, on stderr."""
    from composer.cli.text import escape

    for line in lines:
        print(f"jocker: warning: {escape(line)}", file=sys.stderr)


def known_services(options: Globals) -> tuple[str, Project | None]:
    """Project name, and the project if its file is to be read: with only `-p`, what exists is all there is."""
    if options.is_name_only:
        return options.project(), None
    project = load(options)
    return project.name, project
