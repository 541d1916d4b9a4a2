"""The real machine: composes the store, the bundle and the host's doors into what a plan's steps ask for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from composer.actual.parse import desired_of, record_of
from composer.desired.state import DesiredContainer, DesiredNetwork, DesiredVolume
from composer.errors import ContainerError, DiedAtOnce, JockerError, MachineError
from composer.execute import devicing, etcfiles, restarting
from composer.execute.endings import ending
from composer.execute.giving import give_files, given_files
from composer.execute.perform import OnProgress
from composer.execute.retry import OnRetry, with_patience
from composer.host import cgroup, net_paths, networks, overlay, process, records, state, volumes
from composer.host.files import read_text
from composer.host.lifecycle import Lifecycle, StopOutcome
from composer.host.runtime import Runtime
from composer.image.store import Store
from composer.model.process import Log
from composer.model.service import AnonymousVolume, Retry
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.bundle.context import MachineFacts, Namespaces, ProcessUser
    from composer.execute.networking import Networking
    from composer.host.givenfiles import Contents
    from composer.model.resources import StackLimits
    from composer.plan.steps import BuildImage, Member, ReleaseProvider, RunProvider

_DIES_WITHIN = 2.0
"""Seconds that a killed container gets to be gone before `kill` returns."""
LIVES_FOR = 1.0
"""Seconds a container must live to count as started, where `x-jocker.retry` asks us to look."""


def _user(container: DesiredContainer, root: str) -> ProcessUser:
    from composer.host import rootfs

    try:
        return rootfs.look_up_user(root, container.spec.user, container.spec.group_add)
    except ContainerError as error:
        raise ContainerError(f'service "{container.service}": {error.message}', hint=error.hint) from None


def _warning(problem: str, *, required: bool) -> str:
    if problem and required:
        raise ContainerError(problem)
    return problem


def _runtime_of(record: Mapping[str, Any] | None) -> str:
    spec = (record or {}).get("spec")
    return str(spec.get("runtime") or "") if isinstance(spec, dict) else ""


class Machine:
    """Implements `execute.perform.Host`. Safe to use from several threads, one container each."""

    def __init__(
        self,
        paths: Paths,
        runtime: Runtime | None = None,
        *,
        tls_verify: bool | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._paths = paths
        self._given_runtime = runtime
        self._runtime_binary = runtime.binary if runtime else ""
        self._tls_verify = tls_verify
        self._contents = contents
        self._store = Store(paths)
        self._interrupted = threading.Event()

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """The runtime is looked up only by what needs it: `down` of nothing works without runc."""
        return Lifecycle(self._paths, self._given_runtime or Runtime.chosen(self._paths))

    def _through(self, runtime: str, *, if_there: bool = False) -> Lifecycle:
        """Containers of the runtime that their service asks for ("" = none). With `if_there` it may be gone, and what
        is left of them is removed without it.
        """
        try:
            if runtime:
                return Lifecycle(self._paths, Runtime.chosen(self._paths, {"JOCKER_RUNTIME": runtime}))
        except MachineError:
            if not if_there:
                raise
        return self.lifecycle

    @cached_property
    def facts(self) -> MachineFacts:
        from composer.host.machine_facts import machine_facts

        return machine_facts()

    def warm_up(self) -> None:
        """Begins to load what making containers takes, while a network is made: that is mostly waiting."""
        threading.Thread(target=self.load, name="warm-up", daemon=True).start()

    def load(self) -> None:
        """Loads what making containers takes."""
        from composer.bundle.render import load_templates
        from composer.host import conmon

        with suppress(JockerError):  # whoever needs it will say so
            load_templates()
            _ = self.facts, conmon.create

    @cached_property
    def networking(self) -> Networking:
        from composer.execute.networking import Networking

        return Networking(self._paths)

    def create_network(self, network: DesiredNetwork) -> None:
        self.networking.create(network)

    def repair_network(self, name: str) -> None:
        self.networking.repair(name)

    def remove_network(self, name: str) -> None:
        self.networking.remove(name)

    def assign_addresses(self, network: str, members: Sequence[Member]) -> None:
        self.networking.assign(network, members)

    def create_volume(self, volume: DesiredVolume) -> None:
        volumes.create_named(
            self._paths,
            volume.name,
            project=volume.project,
            key=volume.key,
            labels=volume.labels,
            driver_opts=volume.driver_opts,
            config_hash=volume.config_hash,
        )

    def remove_volume(self, name: str) -> None:
        volumes.remove_named(self._paths, name)

    def pull_image(self, reference: str, on_progress: OnProgress, platform: str = "") -> None:
        """See `image.transfer.pull`."""
        from composer.image.transfer import pull

        pull(self._store, reference, tls_verify=self._tls_verify, progress=on_progress, wanted=platform)

    def build_image(self, step: BuildImage, on_progress: OnProgress) -> str:
        """See `execute.building`."""
        from composer.execute.building import Builder

        runtime = self._given_runtime or Runtime.chosen(self._paths)
        return Builder(self._paths, runtime.binary, self._interrupted.is_set).build(step, on_progress)

    def run_provider(self, step: RunProvider, on_progress: OnProgress) -> None:
        """See `execute.providing`."""
        from composer.execute.providing import run

        run(self._paths, step, on_progress, self._interrupted.is_set)

    def release_provider(self, step: ReleaseProvider, on_progress: OnProgress) -> None:
        """See `execute.providing`."""
        from composer.execute.providing import release

        release(self._paths, step, on_progress, self._interrupted.is_set)

    def create_container(
        self,
        container: DesiredContainer,
        container_id: str,
        *,
        replaces: str,
        volumes: Mapping[str, str],
        stdin_once: bool = False,
    ) -> str:
        """Record, rootfs, volumes, bundle, runtime: in this order, so that a crash leaves what can be found again.

        If it fails nothing of it is left; volumes that were carried over are kept. `stdin_once`: its input ends when
        the first who attached leaves.
        """
        record = record_of(
            container, container_id=container_id, replaces=replaces, volumes=volumes, created_at=time.time()
        )
        records.write(self._paths, record)
        try:
            self._make(container, record, stdin_once=stdin_once)
            records.write(self._paths, {**record, "phase": "created"})
        except BaseException:
            self._discard(container_id, container.project, keep=frozenset(volumes.values()))
            raise
        return devicing.left_out(container, self.facts) if container.spec.resources else ""

    def _make(self, container: DesiredContainer, record: dict[str, Any], *, stdin_once: bool = False) -> None:
        from composer.execute import storing
        from composer.host import rootfs
        from composer.host.conmon import Shim

        container_id = record["id"]
        container = storing.complete(self._paths, container, record)
        root = self.lifecycle.mount_rootfs(container_id, self._layers(container))
        rootfs.check_rootfs(root)
        user = _user(container, root)
        rootfs.ensure_directory(root, container.spec.working_dir)
        storing.make_bind_sources(container)
        storing.make_volumes(self._paths, self._store, container, record, root)
        give_files(self._paths, container, container_id, self._contents)
        attached = self.networking.attach(container, container_id) if container.spec.networks else None
        namespaces = self._namespaces(container, container_id)
        etcfiles.write(self._paths, container, container_id, namespaces, attached, lambda: self.facts.hostname)
        config = self._config(container, container_id, user=user, named=record["volumes"], namespaces=namespaces)
        with self._kept_ports(container, record) as keeps:
            shim = Shim(
                container_id=container_id,
                project=container.project,
                name=container.name,
                tty=container.spec.tty,
                stdin=container.spec.stdin_open,
                stdin_once=stdin_once,
                at_end=self.networking.at_end(attached, container_id) if attached else (),
                keeps=keeps,
                log=Log.from_texts(container.spec.logging),
            )
            with devicing.real_time(self._paths, container):
                self._through(container.spec.runtime).create(shim, config)

    def _namespaces(self, container: DesiredContainer, container_id: str) -> Namespaces:
        from composer.execute import sharing

        return sharing.namespaces(self._paths, container, container_id)

    @contextmanager
    def _kept_ports(self, container: DesiredContainer, record: dict[str, Any]) -> Iterator[tuple[int, ...]]:
        """Takes the container's ports on the machine and notes them in the record; yields descriptors that keep them
        for whoever inherits these.
        """
        if not (container.spec.ports and container.spec.networks):
            yield ()
            return
        kept = self.networking.keep_ports(container, record)
        try:
            yield tuple(one.fileno() for port in kept for one in port.sockets)
        finally:
            for port in kept:
                port.close()

    def _config(
        self,
        container: DesiredContainer,
        container_id: str,
        *,
        user: ProcessUser,
        named: Mapping[str, str],
        namespaces: Namespaces,
    ) -> str:
        """The text of config.json. `named` maps targets to anonymous volumes."""
        from composer.bundle.render import render_config
        from composer.execute import storing

        return render_config(
            container,
            container_id=container_id,
            rootfs=self._paths.rootfs(container_id),
            cgroup_path=f"{self._paths.stack_cgroup(container.project)}/{container_id}",
            user=user,
            facts=self.facts,
            files=etcfiles.sources(self._paths, container_id),
            namespaces=namespaces,
            given_files=given_files(self._paths, container, container_id),
            found=devicing.found(container, self.facts),
            volumes=storing.sources(self._paths, container, container_id, named),
        )

    def render(self, container: DesiredContainer, container_id: str) -> str:
        """The config.json of a container: as it lies in the bundle, or as it would if it were made now."""
        record = records.read(self._paths, container_id)
        if record is not None and record["phase"] == "created":
            text = read_text(f"{self._paths.bundle(container_id)}/config.json")
            if text is not None:
                return text
        from composer.execute import storing

        named = dict(record["volumes"]) if record else {}
        container = storing.with_borrowed(container, storing.borrowed(self._paths, container)[0])
        for mount in container.spec.mounts:
            if isinstance(mount, AnonymousVolume) and mount.target not in named:
                named[mount.target] = volumes.next_name(self._paths, container_id, mount.target)
        from composer.host import rootfs

        with overlay.looked_at(self._paths, self._layers(container)) as root:
            rootfs.check_rootfs(root)
            user = _user(container, root)
        namespaces = self._namespaces(container, container_id)
        return self._config(container, container_id, user=user, named=named, namespaces=namespaces)

    def _layers(self, container: DesiredContainer) -> list[str]:
        return [self._store.layer_dir(chain_id) for chain_id in container.layers]

    def _discard(
        self,
        container_id: str,
        project: str,
        *,
        keep: frozenset[str],
        networks_go: bool = False,
        others: Sequence[str] = (),
    ) -> None:
        record = records.read(self._paths, container_id)
        mine = (record or {}).get("volumes", {}).values()
        ends = () if networks_go else records.networks_of(record or {})
        if ends or os.path.exists(net_paths.container_netns(self._paths, container_id)):
            self.networking.detach(container_id, ends)
        self._through(_runtime_of(record), if_there=True).remove(
            container_id, project, with_volumes=[*(name for name in mine if name not in keep), *others]
        )

    def start_container(self, container_id: str, retry: Retry | None, on_retry: OnRetry) -> None:
        """Starts a created container; one that has run before (or lost its bundle) is made anew from its record."""
        if retry is None or retry.attempts < 2:
            self._start(container_id)
        else:
            with_patience(
                lambda: self._start_and_watch(container_id),
                on_retry,
                attempts=retry.attempts,
                first_wait=retry.wait,
                longest_wait=retry.max_wait,
                is_worth_it=lambda error: (
                    isinstance(error, DiedAtOnce) and (not retry.on or error.died_with in retry.on)
                ),
            )
        record = self._record(container_id)
        if record["spec"].get("hooks"):
            from composer.execute import hooks

            hooks.post_start(self._paths, self._runtime_for(record), record, self._interrupted.is_set)

    def _runtime_for(self, record: Mapping[str, Any]) -> Runtime:
        own = _runtime_of(record)
        if own:
            return Runtime.chosen(self._paths, {"JOCKER_RUNTIME": own})
        return self._given_runtime or Runtime.chosen(self._paths)

    def restart_container(self, container_id: str) -> None:
        """Starts one that has ended once more, by its policy: nothing of that is forgotten."""
        self._start(container_id, by_user=False)

    def _start(self, container_id: str, *, by_user: bool = True) -> None:
        record = self._record(container_id)
        container = desired_of(record)
        lifecycle = self._through(container.spec.runtime)
        if container.spec.restart and by_user:
            if state.snapshot(self._paths, record).status.is_alive:
                return  # its policy was quicker
            restarting.begin(self._paths, container.project, container_id)
        if container.spec.hooks and container.spec.hooks.pre_start:
            from composer.execute import initsteps

            initsteps.run_pending(self, self._paths, container, record)
        if not lifecycle.is_created(container_id):
            lifecycle.delete_runtime(container_id, record["project"])
            before = dict(record)
            self._make(container, record)
            if record != before:
                records.write(self._paths, record)
        if container.spec.networks:
            self.networking.show(container, container_id, record.get("published", ()))
        lifecycle.start(container_id, record["name"])
        if container.spec.healthcheck or container.spec.restart:
            from composer.host import supervising

            supervising.notice(self._paths, container.project, container_id, self._runtime_binary)

    def _start_and_watch(self, container_id: str) -> None:
        self._start(container_id)
        try:
            code = self.lifecycle.wait(container_id, LIVES_FOR)
        except TimeoutError:
            return
        if code != 0:
            record = self._record(container_id)
            raise DiedAtOnce(f"{record['name']} {ending(self._paths, record, code)}, at once", code)

    def _record(self, container_id: str) -> dict[str, Any]:
        record = records.read(self._paths, container_id)
        if record is None:
            raise ContainerError(f"container {container_id[:12]} is gone", hint="run the command again")
        return record

    def stop_container(
        self, container_id: str, *, signal: str, grace_seconds: float, removed: bool = False, pre_stop: bool = False
    ) -> str:
        """Stops it; returns how, where that is worth a word. With `removed` its ports are left to the removal, with
        `pre_stop` its hooks come first: what fails of these is told, and stops nobody.
        """
        record = self._record(container_id)
        restarting.mark_stopped(self._paths, record)
        told = ""
        if pre_stop:
            from composer.execute import hooks

            told = hooks.pre_stop(self._paths, self._runtime_for(record), record, self._interrupted.is_set)
        outcome = self.lifecycle.stop(
            container_id,
            signal_name=signal,
            grace_seconds=grace_seconds,
            cgroup_path=f"{self._paths.stack_cgroup(record['project'])}/{container_id}",
        )
        self._has_ended(record, removed=removed)
        how = str(outcome) if outcome in {StopOutcome.DEAF, StopOutcome.KILLED} else ""
        return "; ".join(filter(None, (told, how)))

    def _has_ended(self, record: dict[str, Any], *, removed: bool = False) -> None:
        """Nobody finds it any more; and with the first process of somebody else's pid namespace the others live on."""
        if record["spec"].get("pid"):
            cgroup.kill(f"{self._paths.stack_cgroup(record['project'])}/{record['id']}")
        volumes.release(self._paths, record)
        ends = records.networks_of(record)
        if ends and not removed:
            self.networking.hide(record["id"], ends, has_ports=bool(record.get("published")))

    def kill_container(self, container_id: str, signal: str) -> None:
        """One signal. After SIGKILL nobody finds the container any more when this returns."""
        record = self._record(container_id)
        cgroup_path = f"{self._paths.stack_cgroup(record['project'])}/{container_id}"
        number = process.signal_number(signal)
        restarting.mark_killed(self._paths, record, number)
        if self.lifecycle.kill(container_id, number, cgroup_path=cgroup_path) and number == process.signal_number(
            "SIGKILL"
        ):
            with suppress(TimeoutError):
                self.lifecycle.wait(container_id, _DIES_WITHIN)
                self._has_ended(record)

    def remove_container(self, container_id: str, *, volumes: bool, networks_go: bool = False) -> None:
        """Removes it, from whatever state; with `volumes` its anonymous volumes too. With `networks_go` its networks
        are left with what they know of it.
        """
        record = self._record(container_id)
        kept = () if volumes else record.get("volumes", {}).values()
        others: list[str] = []
        if volumes and record.get("borrowed"):
            from composer.execute.storing import lent_anonymous

            others = lent_anonymous(self._paths, record)
        self._discard(container_id, record["project"], keep=frozenset(kept), networks_go=networks_go, others=others)

    def wait_completed(self, container_id: str, *, required: bool) -> str:
        """Waits for the end; anything but 0 is a `ContainerError`, or a word of warning if not `required`."""
        record, code = self._record(container_id), self.wait_ended(container_id)
        if code == 0:
            return ""
        message = f'service "{record["service"]}" did not complete successfully: it {ending(self._paths, record, code)}'
        return _warning(message, required=required)

    def wait_healthy(self, container_id: str, *, required: bool) -> str:
        """Waits until it is healthy; raises `ContainerError`, or returns a word of warning if not `required`."""
        from composer.execute.goals import wait_healthy

        record = self._record(container_id)
        problem = wait_healthy(self._paths, record, self._runtime_binary, self._interrupted.is_set)
        return _warning(problem and f"dependency failed to start: {problem}", required=required)

    def wait_ended(self, container_id: str) -> int | None:
        """The exit code of a container at its end, the last one if it is started again. Raises `Interrupted`."""
        from composer.execute.goals import wait_ended

        record = self._record(container_id)
        return wait_ended(self._paths, record, self.lifecycle, self._runtime_binary, self._interrupted.is_set)

    def interrupt(self) -> None:
        """Ends the waiting in `wait_completed`, in whatever thread."""
        self._interrupted.set()

    def limit_stack(self, project: str, limits: StackLimits | None) -> None:
        """See `host.stack_limits.apply`."""
        from composer.host import stack_limits

        stack_limits.apply(self._paths, project, limits)

    def remove_stack(self, project: str) -> None:
        if os.path.isdir(self._paths.supervision(project)):
            from composer.host import supervising

            supervising.end(self._paths, project)
        self.lifecycle.remove_stack(project)
        if not networks.is_swept(self._paths):
            networks.sweep(self._paths)

    def remove_image(self, reference: str) -> None:
        self._store.remove(reference)
