"""From desired and actual to the plan of `up` and `create`. Behaviour as docker compose 2.40, deviations on purpose:

- a service starts as soon as what it depends on has, without waiting until every other container is made;
- the new container is made before the old one is stopped: what cannot be made leaves the old one running.
"""

from __future__ import annotations

from collections.abc import Mapping

from composer.actual.state import ActualContainer, ActualStack, Status
from composer.desired.state import DesiredContainer, DesiredService, DesiredStack
from composer.errors import ContainerError, ImageNotFound, UsageError
from composer.model.service import Dependency
from composer.plan.attaching import Attaching, needs_port_of, networks_of
from composer.plan.networks import judge_networks
from composer.plan.order import dependents, ordered, selected
from composer.plan.plan import Draft, Plan
from composer.plan.policy import Policy
from composer.plan.steps import (
    CreateContainer,
    CreateVolume,
    PullImage,
    RemoveContainer,
    RemoveVolume,
    StartContainer,
    StopContainer,
    WaitCompleted,
    WaitHealthy,
)
from composer.plan.verdicts import Removal, Replacement, Verdict, judge
from composer.plan.volumes import (
    REMADE,
    create_volume,
    lenders,
    missing_images,
    stale_volumes,
    stale_warning,
    users_to_remove,
    volume_names,
    volumes_of,
)


def plan_up(desired: DesiredStack, actual: ActualStack, policy: Policy) -> Plan:
    """The steps that make `actual` into `desired`. Raises `UsageError` (unknown service, a scale that cannot be),
    `ImageNotFound` (a missing image that must not be pulled), `ContainerError` (a name that is taken).
    """
    graph = {name: service.depends_on for name, service in desired.services.items()}
    chosen = selected(graph, policy.services, with_dependencies=not policy.no_deps)
    _check_scale(desired, policy)
    writer = _Writer(desired, actual, policy, chosen)
    for name in ordered(graph):
        if name in chosen:
            writer.judge(desired.services[name])
    writer.settle_orphans()
    writer.check_names()
    writer.prepare()
    if not policy.no_deps:
        writer.stop_dependents(dependents(graph))
    for name in ordered(graph):
        if name in chosen:
            writer.write(desired.services[name])
    writer.start_bystanders()
    return writer.finish()


def _check_scale(desired: DesiredStack, policy: Policy) -> None:
    for name, replicas in policy.scale.items():
        if name not in desired.services:
            there = ", ".join(desired.services) or "none"
            raise UsageError(f"--scale {name}={replicas}: no such service", hint=f"there are: {there}")
        container_name = desired.services[name].container_name
        if container_name and replicas > 1:
            raise UsageError(
                f"--scale {name}={replicas}: {replicas} containers cannot share the name {container_name}",
                hint="remove container_name from the stack file",
            )


class _Writer:
    """One plan in the making; lives inside one call of `plan_up`."""

    def __init__(self, desired: DesiredStack, actual: ActualStack, policy: Policy, chosen: frozenset[str]) -> None:
        self._desired, self._actual, self._policy, self._chosen = desired, actual, policy, chosen
        self._draft = Draft()
        self._verdicts: dict[str, Verdict] = {}
        networks, warnings = judge_networks(desired, actual, networks_of(desired.services, chosen))
        self._attaching = Attaching(self._draft, desired, actual, networks, no_start=policy.no_start)
        self._volumes: dict[str, int] = {}
        self._stale = stale_volumes(desired, actual, chosen)
        remade = self._stale if policy.remake_volumes else ()
        self._remade = {name: users_to_remove(name, desired, actual, chosen) for name in remade}
        self._leaving = {one.id for users in self._remade.values() for one in users}
        self._pulls: dict[str, int] = {}
        self._has_builds = any(service.build is not None for service in desired.services.values())
        if self._has_builds:
            from composer.plan.builds import Builds

            self._builds = Builds(self._draft, desired, policy)
        self._creates: dict[str, list[int]] = {}
        self._stops: dict[str, int] = {}
        """Container id to the step that stops it: written once, whoever asks."""
        self._starts: dict[str, list[int]] = {}
        self._stopped_for: dict[str, tuple[ActualContainer, int, str]] = {}
        """Containers stopped because what they depend on is replaced: id to (container, stop step, dependency)."""
        self._dependent_stops: dict[str, list[int]] = {}
        self._containers: dict[str, list[tuple[str, str]]] = {}
        """Service to its containers after this plan: id and name."""
        self._removals: dict[str, tuple[str, int]] = {}
        """Containers removed without a successor: id to name and step."""
        self._unchanged: list[str] = []
        self._warnings = list(warnings)

    def judge(self, service: DesiredService) -> None:
        """First round: what becomes of whom."""
        policy = self._policy
        named = not policy.services or service.name in policy.services
        found = [one for one in self._actual.containers if one.service == service.name and not one.oneoff]
        found = [one for one in found if one.id not in self._leaving]
        self._verdicts[service.name] = judge(
            self._desired,
            service,
            found,
            replicas=policy.scale.get(service.name, service.replicas),
            recreate=policy.recreate if named else policy.recreate_dependencies,
            renew_volumes=policy.renew_volumes,
            lenders=lenders(service, self._verdicts, self._actual),
        )

    def prepare(self) -> None:
        """Volumes and networks come before the containers; who is in the way of a network leaves it for a while."""
        for name, users in self._remade.items():
            for one in users:
                self._remove(Removal(one, f"volume {name}, which it uses, is made anew", volumes=False))
            gone = tuple(self._removals[one.id][1] for one in users)
            remove = self._draft.add(RemoveVolume(subject=name, because=REMADE), after=gone)
            create = CreateVolume(subject=name, because=REMADE, volume=self._desired.volumes[name])
            self._volumes[name] = self._draft.add(create, after=(remove,))
        for name in volumes_of(self._desired, self._chosen):
            step = None if name in self._remade else create_volume(self._desired.volumes[name], self._actual)
            if step is not None:
                self._volumes[name] = self._draft.add(step)
        self._attaching.prepare(self._verdicts, self._stop_once)
        self._stopped_for.update(self._attaching.stopped)

    def start_bystanders(self) -> None:
        """Those the command is not about, stopped because a network of theirs was made anew."""
        kept = {one.id for verdict in self._verdicts.values() for one in verdict.kept}
        for one, stop, cause in self._attaching.stopped.values():
            if one.id not in kept and not self._policy.no_start:
                step = StartContainer(
                    subject=one.name,
                    because=f"{cause} was made anew",
                    container_id=one.id,
                    service=one.service,
                    retry=one.retry,
                )
                self._draft.add(step, after=(stop, *self._attaching.before_start(one)))

    def stop_dependents(self, graph: Mapping[str, tuple[str, ...]]) -> None:
        """`depends_on: {x: {restart: true}}`: stopped before x is replaced, started again after."""
        for name, verdict in self._verdicts.items():
            if not verdict.replaced:
                continue
            for dependent in graph[name]:
                dependency = self._desired.services[dependent].depends_on[name]
                if not dependency.restart or dependent not in self._verdicts:
                    continue
                for one in self._verdicts[dependent].kept:
                    if one.status.is_alive and one.id not in self._stopped_for:
                        stop = self._stop_once(one, f"{name}, which it depends on, is recreated")
                        self._stopped_for[one.id] = (one, stop, name)
                    if one.id in self._stopped_for:
                        self._dependent_stops.setdefault(name, []).append(self._stopped_for[one.id][1])

    def write(self, service: DesiredService) -> None:
        """Second round: the steps of one service; what it depends on has been written."""
        verdict = self._verdicts[service.name]
        self._containers[service.name] = []
        self._starts[service.name] = []
        self._creates[service.name] = []
        pull = self._pull(service) + self._pull_mounted(service)
        before_start = self._before_start(service, verdict)
        for removal in verdict.removed:
            self._remove(removal)
        for replacement in verdict.replaced:
            self._replace(service, replacement, pull, before_start)
        for one in verdict.kept:
            self._keep(service, one, before_start)
        for container, new_id, because in verdict.made:
            create = self._draft.add(
                CreateContainer(subject=container.name, because=because, container=container, container_id=new_id),
                after=pull
                + self._making_room(container)
                + self._attaching.before_create(container, new_id, self._wreck(new_id))
                + self._before_sharing(service)
                + self._volume_steps(service),
            )
            self._creates[service.name].append(create)
            self._start(service, new_id, container.name, "it is new", (create,), before_start)
        if not self._starts[service.name]:
            # Whoever depends on a service that stays as it is still waits for what that one depends on.
            self._starts[service.name] += before_start

    def _volume_steps(self, service: DesiredService) -> tuple[int, ...]:
        return tuple(self._volumes[name] for name in volume_names(service) if name in self._volumes)

    def _before_sharing(self, service: DesiredService) -> tuple[int, ...]:
        """Whose namespaces a container shares must be there before it is made."""
        spec = service.spec
        after: list[int] = []
        for mode in (spec.network_mode, spec.pid, spec.ipc, *(one.removesuffix(":ro") for one in spec.volumes_from)):
            kind, _, name = mode.partition(":")
            for target in [name] if kind == "service" else self._services_of(name) if kind == "container" else []:
                after += [*self._creates.get(target, ()), *self._starts.get(target, ())]
        return tuple(after)

    def _services_of(self, container: str) -> list[str]:
        """The services, of those written so far, that have a container of this name."""
        return [service for service, found in self._containers.items() if any(name == container for _, name in found)]

    def _making_room(self, new: DesiredContainer, old: ActualContainer | None = None) -> tuple[int, ...]:
        """The removals a new container must wait for: who goes, or gives way to its own successor, may have its name or
        a port it wants. `old` is the one it replaces.
        """
        for verdict in self._verdicts.values():
            for removal in verdict.removed:
                if needs_port_of(new, old, removal.container):
                    self._remove(removal)
        has_port = {one.id for one in self._actual.containers if needs_port_of(new, old, one)}
        gone = [step for one_id, (name, step) in self._removals.items() if name == new.name or one_id in has_port]
        return (*gone, *(step for one_id, step in self._attaching.removed.items() if one_id in has_port))

    def _wreck(self, new_id: str) -> tuple[int, ...]:
        """The removal of what a crash has left of the very container that is to be made."""
        return (self._removals[new_id][1],) if new_id in self._removals else ()

    def _pull(self, service: DesiredService) -> tuple[int, ...]:
        reference = service.spec.image
        if self._has_builds:
            built = self._builds.before(service)
            if built is not None:
                return built
        wanted = self._policy.pull or service.pull_policy
        is_stale = self._policy.pull is None and service.name in self._policy.stale
        if reference in self._policy.pulled or (service.image_present and wanted != "always" and not is_stale):
            return ()
        if wanted == "never":
            raise ImageNotFound(
                f'service "{service.name}": image {reference} is not here, and it must not be pulled',
                hint=f"jocker image pull {reference}, or jocker image load -i FILE",
            )
        if reference not in self._pulls:
            users = tuple(
                name
                for name, other in self._desired.services.items()
                if other.spec.image == reference and name in self._chosen
            )
            platform = next(filter(None, (self._desired.services[name].platform for name in users)), "")
            because = "asked to pull always" if not is_stale else "it was pulled too long ago"
            because = because if service.image_present else f"it is not here{platform and f' for {platform}'}"
            step = PullImage(subject=reference, because=because, services=users, platform=platform)
            self._pulls[reference] = self._draft.add(step)
        return (self._pulls[reference],)

    def _pull_mounted(self, service: DesiredService) -> tuple[int, ...]:
        """The images that the service has mounted, as far as they are not here."""
        missing = missing_images(service)
        if missing and (self._policy.pull or service.pull_policy) == "never":
            raise ImageNotFound(
                f'service "{service.name}": image {missing[0]}, which it needs, is not here, and must not be pulled',
                hint=f"jocker image pull {missing[0]}",
            )
        for reference in missing:
            if reference not in self._pulls and reference not in self._policy.pulled:
                step = PullImage(subject=reference, because="it is not here", services=(service.name,))
                self._pulls[reference] = self._draft.add(step)
        return tuple(self._pulls[reference] for reference in missing if reference in self._pulls)

    def _before_start(self, service: DesiredService, verdict: Verdict) -> tuple[int, ...]:
        """The steps after which containers of the service may start. Waits are written only if one will start, or if
        what they wait for will be run again.
        """
        if self._policy.no_deps or self._policy.no_start:
            return ()
        will_start = self._will_start(verdict)
        after: list[int] = []
        for name, dependency in service.depends_on.items():
            starts = self._starts.get(name, [])
            after += starts
            if dependency.condition == "service_started":
                continue
            # What runs needs no wait; but that it is run again and fails must not pass for a success.
            runs_again = bool(verdict.kept) and name in self._verdicts and self._will_start(self._verdicts[name])
            runs_again &= dependency.condition == "service_completed_successfully"
            if will_start or runs_again:
                for container_id, container_name in self._containers.get(name, ()):
                    wait = wait_step(service.name, container_id, container_name, dependency, is_first=will_start)
                    after.append(self._draft.add(wait, after=tuple(starts)))
        return tuple(after)

    def _will_start(self, verdict: Verdict) -> bool:
        return (
            bool(verdict.made or verdict.replaced)
            or any(not one.status.is_alive for one in verdict.kept)
            or any(one.id in self._stopped_for for one in verdict.kept)
        )

    def _remove(self, removal: Removal) -> None:
        one = removal.container
        if one.id in self._removals:
            return  # a service written before waits for it
        after: tuple[int, ...] = ()
        if one.status.is_alive:
            is_known = one.service in self._desired.services
            after = (self._stop_once(one, removal.because, removed=True, hooks=is_known),)
        step = RemoveContainer(subject=one.name, because=removal.because, container_id=one.id, volumes=removal.volumes)
        self._removals[one.id] = (one.name, self._draft.add(step, after=after))

    def _replace(
        self, service: DesiredService, change: Replacement, pull: tuple[int, ...], before_start: tuple[int, ...]
    ) -> None:
        create = CreateContainer(
            subject=change.new.name,
            because=change.because,
            container=change.new,
            container_id=change.new_id,
            replaces=change.old.id,
            volumes=change.volumes,
            differences=change.differences,
        )
        gone = self._attaching.removed.get(change.old.id)
        first_gone = () if gone is None else (gone,)
        first = (
            pull
            + self._making_room(change.new, change.old)
            + self._attaching.before_create(change.new, change.new_id, first_gone + self._wreck(change.new_id))
            + self._before_sharing(service)
            + self._volume_steps(service)
        )
        if first_gone:
            made = done = self._draft.add(create, after=first)
        else:
            made = self._draft.add(create, after=first)
            after: tuple[int, ...] = (made, *self._dependent_stops.get(service.name, ()))
            if change.old.status.is_alive:
                after = (self._stop_once(change.old, change.because, after, removed=True, hooks=False),)
            remove = RemoveContainer(subject=change.old.name, because=change.because, container_id=change.old.id)
            done = self._draft.add(remove, after=after)
        self._creates[service.name].append(made)
        self._start(service, change.new_id, change.new.name, "it is new", (done,), before_start)

    def _keep(self, service: DesiredService, one: ActualContainer, before_start: tuple[int, ...]) -> None:
        if one.id in self._stopped_for:
            _, stop, dependency = self._stopped_for[one.id]
            after = (stop, *self._attaching.before_start(one), *self._before_sharing(service))
            self._start(service, one.id, one.name, f"{dependency} was recreated", after, before_start)
        elif one.status.is_alive:
            self._unchanged.append(one.name)
            self._containers[service.name].append((one.id, one.name))
        elif self._policy.no_start:
            self._unchanged.append(one.name)
        else:
            # The one it replaces may still run, on the same volumes.
            after = (self._removals[one.replaces][1],) if one.replaces in self._removals else ()
            after += self._attaching.before_start(one) + self._before_sharing(service)
            self._start(service, one.id, one.name, _why_not_running(one), after, before_start)

    def _start(
        self,
        service: DesiredService,
        container_id: str,
        name: str,
        because: str,
        after: tuple[int, ...],
        before_start: tuple[int, ...],
    ) -> None:
        if self._policy.no_start:
            return
        step = StartContainer(
            subject=name, because=because, container_id=container_id, service=service.name, retry=service.retry
        )
        if service.spec.hooks and service.spec.hooks.pre_start:
            after += tuple(self._starts[service.name][:1])  # the first replica runs them for all
        self._starts[service.name].append(self._draft.add(step, after=(*after, *before_start)))
        self._containers[service.name].append((container_id, name))

    def _stop_once(
        self,
        one: ActualContainer,
        because: str,
        after: tuple[int, ...] = (),
        *,
        removed: bool = False,
        hooks: bool = True,
    ) -> int:
        if one.id not in self._stops:
            step = stop_step(one, because, self._policy.timeout, removed=removed, hooks=hooks)
            self._stops[one.id] = self._draft.add(step, after=after)
        return self._stops[one.id]

    def settle_orphans(self) -> None:
        """Removes those nobody wants any more, or says that they are there."""
        known = {*self._desired.services, *self._desired.disabled}
        there = {one.id for one in self._actual.containers} - self._leaving
        for verdict in self._verdicts.values():
            there -= {change.old.id for change in verdict.replaced} | {gone.container.id for gone in verdict.removed}
        orphans = []
        for one in self._actual.containers:
            if one.service not in known:
                orphans.append(Removal(one, f'no service "{one.service}" in the stack file any more', volumes=False))
            elif one.hook_of:
                if one.hook_of not in there:
                    self._remove(Removal(one, "the container that it was to go before goes", volumes=False))
            elif one.oneoff and not one.status.can_signal:
                orphans.append(Removal(one, "a one-off that has ended", volumes=False))
        if self._policy.remove_orphans:
            for removal in orphans:
                self._remove(removal)
        elif orphans and not self._policy.ignore_orphans:
            names = ", ".join(removal.container.name for removal in orphans)
            self._warnings.append(
                f"found orphan containers ({names}): their services are not in the stack file, or they are one-offs "
                "that have ended; --remove-orphans removes them"
            )

    def check_names(self) -> None:
        """A name is given once. Raises `ContainerError` if a container that stays, of this stack or another, has that
        of a new one.
        """
        leaving = set(self._removals) | self._leaving
        for verdict in self._verdicts.values():
            leaving |= {change.old.id for change in verdict.replaced} | {gone.container.id for gone in verdict.removed}
        owners = {one.name: one.service for one in self._actual.containers if one.id not in leaving}
        for verdict in self._verdicts.values():
            for new in (*(change.new for change in verdict.replaced), *(made[0] for made in verdict.made)):
                if new.name in self._actual.others:
                    raise ContainerError(
                        f'service "{new.service}": the name {new.name} is taken by a container of '
                        f'stack "{self._actual.others[new.name]}"',
                        hint="another container_name, or another project name (-p)",
                    )
                if new.name in owners:
                    raise ContainerError(
                        f'service "{new.service}": the name {new.name} is taken by a container of '
                        f'service "{owners[new.name]}"',
                        hint="another container_name, or --remove-orphans if that service is gone from the file",
                    )
                owners[new.name] = new.service

    def finish(self) -> Plan:
        if self._desired.limits != self._actual.limits:
            from composer.plan.limits import limit_stack

            self._draft.put_first(limit_stack(self._desired, self._actual), before=(CreateContainer, StartContainer))
        stale = tuple(name for name in self._stale if name not in self._remade)
        warnings = (*self._warnings, *map(stale_warning, stale))
        return self._draft.finish(unchanged=tuple(self._unchanged), warnings=warnings, stale=stale)


def wait_step(
    service: str, container_id: str, name: str, dependency: Dependency, *, is_first: bool = True
) -> WaitCompleted | WaitHealthy:
    """How `service` waits for a container of what it depends on; `is_first` if it is to start itself."""
    if dependency.condition == "service_healthy":
        because = f"{service} starts only when it is healthy"
        return WaitHealthy(subject=name, because=because, container_id=container_id, required=dependency.required)
    because = f"{service} starts only after it has completed" if is_first else f"{service} depends on its success"
    return WaitCompleted(subject=name, because=because, container_id=container_id, required=dependency.required)


def stop_step(
    one: ActualContainer, because: str, timeout: float | None, *, removed: bool = False, hooks: bool = True
) -> StopContainer:
    """How a container is stopped: its own signal and grace, unless `timeout` (seconds) says otherwise; first, with
    `hooks`, those that it has for that.
    """
    own, runs = one.spec.get("hooks"), one.status.is_alive and not one.oneoff
    return StopContainer(
        subject=one.name,
        because=because,
        container_id=one.id,
        signal=one.stop_signal,
        grace_seconds=one.stop_grace_seconds if timeout is None else timeout,
        removed=removed,
        pre_stop=hooks and runs and isinstance(own, Mapping) and bool(own.get("pre_stop")),
    )


def _why_not_running(one: ActualContainer) -> str:
    if one.status is Status.CREATED:
        return "it was created and never started"
    if one.exit_code is None:
        return "it is not running (the machine was restarted, or its shim was killed)"
    return f"it exited with code {one.exit_code}"
