"""Watched files brought into containers as they change, until Ctrl-C: what `watch` and `up --watch` share."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from composer.actual.observe import observe_stack
from composer.cli import road
from composer.cli.globals import Globals
from composer.cli.text import escape
from composer.errors import Interrupted, JockerError, LockTimeout, StackFileError
from composer.execute.watching import Hands, first_changes, rules_of
from composer.frozen import replace
from composer.image.reference import normalise
from composer.image.store import Store
from composer.model.life import Hook
from composer.model.service import Project
from composer.plan.builds import plan_builds
from composer.plan.order import selected
from composer.plan.policy import Policy
from composer.plan.teardown import plan_restart, plan_stop
from composer.plan.watching import Change, Rule, decide

output = threading.Lock()
"""Held by whoever writes lines: ours and those of containers do not mix."""
_MANY = 1000


class Watching:
    """The rules of the services chosen, and what is done for them. Raises `StackFileError`, `JockerError` if none of
    the services has any.
    """

    def __init__(
        self,
        options: Globals,
        project: Project,
        services: tuple[str, ...],
        *,
        prune: bool = True,
    ) -> None:
        if project.refusals:
            raise StackFileError(project.refusals)
        self._options, self._project, self._prune = options, project, prune
        graph = {name: service.depends_on for name, service in project.services.items()}
        self.services = selected(graph, services, with_dependencies=True)
        rules, warnings = rules_of(one for name, one in project.services.items() if name in self.services)
        self._rules: Sequence[Rule] = rules
        if not rules and not warnings:
            raise JockerError(
                "none of the selected services is configured for watch", hint="give one a `develop:` with a `watch:`"
            )
        road.warn(tuple(warnings))
        self._hands = Hands(options.paths, project.name, options.wanted_runtime())

    def built_first(self) -> Project:
        """The project with `pull_policy: build` for what is watched and built: it begins with what the files are."""
        watched = {rule.service for rule in self._rules}
        services = {
            name: replace(one, pull_policy="build") if name in watched and one.build else one
            for name, one in self._project.services.items()
        }
        return replace(self._project, services=services)

    def go_on(self) -> None:
        """Watches for ever. What fails is told, and watching goes on.

        Raises `LockTimeout` if somebody watches this stack already, `MachineError`, and `KeyboardInterrupt` at the end.
        """
        import gc

        from composer.host.filewatch import Watch

        gc.enable()  # we are to live for long
        with _alone(self._options, self._project.name):
            listening = Watch({rule.path for rule in self._rules}, self._is_wanted)
            for service, changes in first_changes(self._rules).items():
                self._try(lambda service=service, changes=changes: self._sync(service, changes))  # type: ignore[misc]
            say("Watch enabled")
            try:
                for changed in listening.batches():
                    self._work_on(changed)
            finally:
                say("Watch disabled")

    def _is_wanted(self, path: str) -> bool:
        return any(rule.concerns(path) for rule in self._rules)

    def _work_on(self, changed: frozenset[str]) -> None:
        if len(changed) > _MANY:
            say("Large batch of file changes detected. If you just switched branches, this is expected.")
        wanted = decide(changed, self._rules)
        if wanted.rebuild and not self._try(lambda: self._rebuild(wanted.rebuild)):
            return
        for service, changes in wanted.sync.items():
            if not self._try(lambda service=service, changes=changes: self._sync(service, changes)):  # type: ignore[misc]
                return
        if wanted.restart and not self._try(lambda: self._restart(wanted.restart)):
            return
        for service, hook in wanted.hooks:
            self._try(lambda service=service, hook=hook: self._run(service, hook))  # type: ignore[misc]

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Interrupted:
            raise
        except JockerError as error:
            for line in error.message.splitlines():
                road.warn((line,))
            if error.hint:
                print(f"  {escape(error.hint)}", file=sys.stderr)
            return False
        return True

    def _sync(self, service: str, changes: Sequence[Change]) -> None:
        paths = len({change.path for change in changes})
        say(f"Syncing service {quoted(service)} after {paths} changes were detected")
        self._hands.synchronise(service, changes)

    def _restart(self, services: tuple[str, ...]) -> None:
        options, name = self._options, self._project.name
        known = tuple(self._project.services)
        with road.stack_lock(options, name, "watch"):
            found = plan_restart(
                observe_stack(options.paths, name), services=services, known=known, no_deps=False, timeout=None
            )
            road.apply(options, found, road.contents_of(options.paths, self._project))
        say(f"service(s) {quoted(services)} restarted")

    def _run(self, service: str, hook: Hook) -> None:
        sys.stdout.flush()
        self._hands.run(service, hook)

    def _rebuild(self, services: tuple[str, ...]) -> None:
        """Builds these and nothing they depend on, and makes their containers anew."""
        options, project = self._options, self._project
        say(f"Rebuilding service(s) {quoted(services)} after changes were detected...")
        store = Store(options.paths)
        references = [normalise(project.services[name].image) for name in services]
        before = {one.image_id for reference in references if (one := store.find(reference)) is not None}
        try:
            wanted = plan_builds(road.described_images(options.paths, project), services, with_dependencies=False)
            road.apply(options, road.with_bases(wanted))
        except JockerError as error:
            say(f"Build failed. Error: {error.message}")
            raise
        say(f"service(s) {quoted(services)} successfully built")
        policy = Policy(
            services=services, recreate="always", no_deps=True, ignore_orphans=True, pulled=frozenset(references)
        )
        road.up(options, project, policy)
        if self._prune:
            self._forget(store, before)

    def _forget(self, store: Store, before: set[str]) -> None:
        """Removes the images that have been built over, if nobody names or uses them."""
        for image in store.references():
            if image.image_id in before and not image.reference:
                try:
                    store.remove(image.image_id)
                except JockerError:  # in use: `jocker image prune` will have it
                    continue


def say(text: str) -> None:
    """A line of ours, at once: whoever reads a pipe wants it now."""
    with output:
        print(escape(text), flush=True)


def quoted(found: str | tuple[str, ...]) -> str:
    """`"web"`, or `["web" "api"]`: as docker compose writes them."""
    if isinstance(found, str):
        return json.dumps(found)
    return f"[{' '.join(map(json.dumps, found))}]"


@contextmanager
def _alone(options: Globals, project: str) -> Iterator[None]:
    """Nobody else watches this stack meanwhile. By a socket's name, which goes with us however we end."""
    import socket

    from composer.digest import sha256_hex

    key = sha256_hex(f"{options.paths.run}\0{project}".encode())[:32]
    with socket.socket(socket.AF_UNIX) as sign:
        try:
            sign.bind(f"\0jocker-watch-{key}")
        except OSError:
            raise LockTimeout(
                f"stack {project} is watched already", hint="end the other `jocker watch` first"
            ) from None
        yield


def up_and_watch(options: Globals, wanted: Policy) -> None:
    """Makes the machine as the stack file says, shows what containers say, and watches until Ctrl-C; then stops them.

    Raises as `road.up` and `Watching.go_on`; `Interrupted` at the end.
    """
    from composer.cli.following import Following

    project = road.load(options, wanted.services)
    watching = Watching(options, project, wanted.services)
    shown = frozenset(name for name in watching.services if project.services[name].attach)
    following = Following(options, project.name, shown, output)
    following.start()
    try:
        road.up(options, project, wanted)
        watching.go_on()
    except (KeyboardInterrupt, Interrupted):
        _stop(options, project, watching.services)
        raise Interrupted("interrupted") from None
    finally:
        following.stop()


def _stop(options: Globals, project: Project, services: frozenset[str]) -> None:
    with road.stack_lock(options, project.name, "up --watch"):
        actual = observe_stack(options.paths, project.name, faults=False)
        known = tuple(project.services)
        road.apply(options, plan_stop(actual, services=tuple(sorted(services)), known=known, timeout=None))
