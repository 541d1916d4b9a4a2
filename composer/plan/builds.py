"""Which images are built, in what order, and why. Rules: docker compose 2.40 (`build.go`, `pull.go`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from composer.desired.state import DesiredService, DesiredStack
from composer.errors import ImageNotFound
from composer.frozen import replace
from composer.plan.order import selected
from composer.plan.plan import Draft, Node, Plan
from composer.plan.policy import Policy
from composer.plan.steps import BuildImage, PullImage


def builder_of(desired: DesiredStack, service: DesiredService) -> DesiredService | None:
    """The service whose `build` makes the image of this one: mostly itself; None if nobody's does."""
    if service.build is not None:
        return service
    image = service.spec.image
    return next(
        (other for other in desired.services.values() if other.build is not None and other.spec.image == image), None
    )


class Builds:
    """The build steps of one plan in the making: each image is built once, after those it is made from."""

    def __init__(self, draft: Draft, desired: DesiredStack, policy: Policy) -> None:
        self._draft, self._desired, self._policy = draft, desired, policy
        self._steps: dict[str, int] = {}
        self._siblings = tuple(
            dict.fromkeys(one.spec.image for one in desired.services.values() if one.build is not None)
        )

    def before(self, service: DesiredService) -> tuple[int, ...] | None:
        """The step that builds the service's image, () if it is to stay as it is, None if it is not for a build to get.

        Raises `ImageNotFound` for one that may neither be built nor pulled.
        """
        builder = builder_of(self._desired, service)
        if builder is None:
            return None
        if service.spec.image in self._policy.pulled:
            return ()
        because, pull_first = self._why(service, builder)
        if because is None:
            return ()
        if because:
            return (self.add(builder, because, pull_first=pull_first),)
        if service.image_is_named:
            return None
        raise ImageNotFound(
            f'service "{service.name}": image {service.spec.image} is not here, and it must not be built',
            hint="leave out --no-build",
        )

    def _why(self, service: DesiredService, builder: DesiredService) -> tuple[str | None, bool]:
        """Why it is built, and whether a registry is asked first; None if it is not needed, "" if it must not be."""
        wanted = self._policy.pull or service.pull_policy
        is_forced = self._policy.build == "always"
        if self._policy.build == "never":
            return (None if service.image_present and wanted != "always" else ""), False
        if is_forced or wanted == "build":
            return ("asked to build" if is_forced else "pull_policy is build"), False
        if wanted == "always" and service.image_is_named:
            return "asked to pull always", True
        if self._policy.pull is None and service.name in self._policy.stale and service.image_is_named:
            return "it was pulled too long ago", True
        if service.image_present:
            return None, False
        return "it is not here", builder.image_is_named and wanted != "never"

    def add(self, builder: DesiredService, because: str, *, pull_first: bool = False) -> int:
        """The step that builds the image of `builder`, written once, after the steps for what it is made from."""
        image = builder.spec.image
        if image not in self._steps and builder.build is not None:
            after: list[int] = []
            for name in builder.build.needs:
                other = self._desired.services[name]
                is_wanted = self._policy.build == "always" or not other.image_present
                if is_wanted and other.spec.image != image and other.spec.image not in self._policy.pulled:
                    after.append(self.add(other, f"{builder.name} is made from it"))
            step = BuildImage(
                subject=image,
                because=because,
                service=builder.name,
                build=builder.build,
                pull_first=pull_first,
                siblings=self._siblings,
            )
            self._steps[image] = self._draft.add(step, after=tuple(after))
        return self._steps[image]


def plan_image(desired: DesiredStack, name: str, policy: Policy) -> Plan:
    """What gets the image of one service: nothing, a pull, or a build and those it is made from. Raises
    `ImageNotFound`.
    """
    draft = Draft()
    service = desired.services[name]
    if Builds(draft, desired, policy).before(service) is None:
        wanted = policy.pull or service.pull_policy
        if not service.image_present and wanted == "never":
            raise ImageNotFound(
                f'service "{name}": image {service.spec.image} is not here, and it must not be pulled',
                hint=f"jocker image pull {service.spec.image}",
            )
        if not service.image_present or wanted == "always":
            image, platform = service.spec.image, service.platform
            draft.add(PullImage(subject=image, because="it is not here", services=(name,), platform=platform))
    return draft.finish()


def plan_builds(
    desired: DesiredStack,
    services: Collection[str],
    *,
    with_dependencies: bool,
    change: Callable[[BuildImage], BuildImage] = lambda step: step,
) -> Plan:
    """The plan of `jocker build`: the services named (none: all) that have a `build`, and what these are made from.
    `change` gives each step what the command line wants. Raises `UsageError` for a service that is not there.
    """
    graph = {name: service.depends_on for name, service in desired.services.items()}
    chosen = selected(graph, tuple(services), with_dependencies=with_dependencies)
    draft = Draft()
    builds = Builds(draft, desired, Policy(build="always"))
    for name, service in desired.services.items():
        if name in chosen and service.build is not None:
            builds.add(service, "asked to build")
    idle = [name for name in services if desired.services[name].build is None]
    plan = draft.finish(warnings=tuple(f"service {name} has no `build`: nothing to do for it" for name in idle))
    nodes = tuple(
        Node(node.number, change(node.step), node.after) for node in plan.nodes if isinstance(node.step, BuildImage)
    )
    return replace(plan, nodes=nodes)


def after_bases(plan: Plan, bases: Mapping[str, Collection[str]]) -> Plan:
    """The plan with each build after those of the images it starts from. `bases`: reference to references, as the
    Dockerfiles have them. An edge that would close a circle is left out: the build itself will say what is missing.
    """
    number = {node.step.subject: node.number for node in plan.nodes if isinstance(node.step, BuildImage)}
    after = {node.number: set(node.after) for node in plan.nodes}
    for reference, others in bases.items():
        for other in others:
            if other in number and reference in number and not _leads_to(number[other], number[reference], after):
                after[number[reference]].add(number[other])
    return replace(
        plan, nodes=tuple(Node(one.number, one.step, tuple(sorted(after[one.number]))) for one in plan.nodes)
    )


def _leads_to(start: int, goal: int, after: Mapping[int, Collection[int]]) -> bool:
    pending, seen = [start], set[int]()
    while pending:
        one = pending.pop()
        if one == goal:
            return True
        if one not in seen:
            seen.add(one)
            pending += after[one]
    return False
