"""What `develop.watch` says, made ready for this machine, and what it asks for done in running containers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from composer.actual.observe import observe
from composer.actual.state import ActualContainer
from composer.errors import Complaint, ContainerError, MachineError, StackFileError
from composer.host.execing import Request, execute_in
from composer.host.files import read_json
from composer.host.rootfs import look_up_user
from composer.host.runtime import Runtime
from composer.host.state import first_process
from composer.host.syncing import Owner, Pair, sync
from composer.model.life import Hook
from composer.model.service import BindMount, Service
from composer.paths import Paths
from composer.plan.patterns import lines_of
from composer.plan.watching import COPYING, Change, Rule, below_of

_LARGEST_IGNORE_FILE = 1 << 20


def rules_of(services: Iterable[Service]) -> tuple[list[Rule], list[str]]:
    """The rules of these services in order, and warnings. Paths are followed to where they lead now.

    Raises `StackFileError` for a `rebuild` of what is not built, `MachineError` for a .dockerignore we cannot read.
    """
    rules: list[Rule] = []
    warnings: list[str] = []
    for service in services:
        ignores = _ignores(service)
        context = os.path.realpath(service.build.context) if service.build else ""
        for written in service.life.watch if service.life else ():
            if written.action == "rebuild" and service.build is None:
                message = f'can\'t watch service "{service.name}" with action rebuild without a build context'
                raise StackFileError((Complaint(message, service.place, "write a `build:`, or another action"),))
            path = os.path.realpath(written.path)
            is_mounted = any(_is_within(path, mount) for mount in service.mounts)
            if is_mounted and written.action in COPYING:
                warnings.append(f"{written.path} is in a bind mount of service {service.name}: nothing is copied")
                if written.action == "sync":
                    continue
            rules.append(
                Rule.of(
                    service.name, written, path=path, context=context, context_ignores=ignores, is_mounted=is_mounted
                )
            )
    return rules, warnings


def _is_within(path: str, mount: object) -> bool:
    return isinstance(mount, BindMount) and below_of(os.path.realpath(mount.source), path) is not None


def _ignores(service: Service) -> tuple[str, ...]:
    """What the build of the service leaves out of its context."""
    build = service.build
    if build is None:
        return ()
    own = [] if build.dockerfile_inline else [os.path.join(build.context, f"{build.dockerfile}.dockerignore")]
    for path in (*own, os.path.join(build.context, ".dockerignore")):
        if not os.path.isfile(path):
            continue
        try:
            with open(path, "rb") as file:
                return lines_of(file.read(_LARGEST_IGNORE_FILE).decode(errors="replace"))
        except OSError as error:
            raise MachineError(f"{path} cannot be read: {error.strerror}") from None
    return ()


def first_changes(rules: Iterable[Rule]) -> dict[str, list[Change]]:
    """What `initial_sync` asks to be brought in at once, by service: every file that a later change would."""
    found: dict[str, list[Change]] = {}
    for rule in rules:
        if rule.initial_sync and rule.copies:
            found.setdefault(rule.service, []).extend(Change(path, rule) for path in _files_of(rule))
    return {service: changes for service, changes in found.items() if changes}


def _files_of(rule: Rule) -> Iterator[str]:
    if os.path.isfile(rule.path):
        if rule.concerns(rule.path):
            yield rule.path
        return
    for where, directories, files in os.walk(rule.path):
        links = [name for name in directories if os.path.islink(f"{where}/{name}")]
        directories[:] = sorted(name for name in directories if not os.path.islink(f"{where}/{name}"))
        yield from (path for name in sorted([*files, *links]) if rule.concerns(path := f"{where}/{name}"))


class Hands:
    """Works in the running containers of one stack."""

    def __init__(self, paths: Paths, project: str, runtime: Runtime | None) -> None:
        self._paths, self._project, self._runtime = paths, project, runtime

    def containers(self, service: str) -> list[ActualContainer]:
        """Those that run, of the service itself. Raises `ContainerError` if there are none."""
        found = [
            one
            for one in observe(self._paths, self._project).containers
            if one.service == service and not one.oneoff and one.status.is_alive
        ]
        if not found:
            raise ContainerError(f'no container of service "{service}" is running', hint="jocker up -d")
        return found

    def synchronise(self, service: str, changes: Sequence[Change]) -> None:
        """Makes the paths in all containers of the service as they are here. Raises `ContainerError`."""
        pairs = [_pair(change) for change in changes]
        failures = []
        for one in self.containers(service):
            first = first_process(self._paths, one.id)
            try:
                if first is None:
                    raise ContainerError("the container has ended")
                sync(first, pairs, self._owner(one))
            except ContainerError as error:
                failures.append(f"{one.name}: {error.message}")
        if failures:
            raise ContainerError("\n".join(failures))

    def _owner(self, one: ActualContainer) -> Owner | None:
        """Files belong to the user that the container was given, if it was, else to whom they belong here."""
        config: Any = read_json(f"{self._paths.bundle(one.id)}/config.json")
        if not one.spec.get("user") or not isinstance(config, dict):
            return None
        user = config["process"]["user"]
        return Owner(int(user["uid"]), int(user["gid"]))

    def run(self, service: str, hook: Hook) -> None:
        """Runs a command in each container of the service, with our output. Raises `ContainerError` if one fails."""
        for one in self.containers(service):
            request = Request(
                argv=hook.command or (),
                env={name: value for name, value in hook.environment.items() if value is not None},
                working_dir=hook.working_dir,
                user=look_up_user(self._paths.rootfs(one.id), hook.user) if hook.user else None,
                privileged=hook.privileged,
            )
            own = str(one.spec.get("runtime") or "")
            runtime = Runtime.chosen(self._paths, {"JOCKER_RUNTIME": own}) if own else self._runtime
            code = execute_in(
                self._paths, runtime or Runtime.chosen(self._paths), one.id, one.name, request, detach=False, alone=True
            )
            if code:
                raise ContainerError(f"{one.name}: {' '.join(request.argv)} ended with {code}")


def _pair(change: Change) -> Pair:
    """An `include` holds for what is below a directory, too, unless that directory itself is meant by it."""
    rule = change.rule
    return Pair(change.path, rule.target_of(change.path), rule.ignores)
