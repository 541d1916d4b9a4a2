"""A machine that only remembers: what was asked of it, in which order, and how many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from composer.desired.state import DesiredContainer, DesiredNetwork, DesiredVolume
from composer.execute.perform import OnProgress
from composer.execute.retry import OnRetry
from composer.model.resources import StackLimits
from composer.model.service import Retry
from composer.plan.steps import BuildImage, Member, ReleaseProvider, RunProvider

DEADLINE = 20.0
"""Seconds after which a test that waits for a thread gives up."""


class Recorder:
    """Implements `execute.perform.Host`. A call is known by its text: `start c1`, `remove c1 volumes`.

    `fails` maps a call to the errors it raises, one after the other (then it succeeds); `during` maps a call to what
    happens while it runs; `says` to what it returns.
    """

    def __init__(
        self,
        *,
        fails: Mapping[str, list[Exception]] | None = None,
        during: Mapping[str, Callable[[], object]] | None = None,
        says: Mapping[str, str] | None = None,
    ) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most_at_once = 0
        self.interrupted = threading.Event()
        self._fails = {call: list(errors) for call, errors in (fails or {}).items()}
        self.during = dict(during or {})
        self._says = dict(says or {})
        self._running = 0
        self._lock = threading.Lock()

    def pull_image(self, reference: str, on_progress: OnProgress, platform: str = "") -> None:
        on_progress("1/2 MB")
        self._do(f"pull {reference}")

    def run_provider(self, step: RunProvider, on_progress: OnProgress) -> None:
        self._do(f"run provider {step.subject}")

    def release_provider(self, step: ReleaseProvider, on_progress: OnProgress) -> None:
        self._do(f"release provider {step.subject}")

    def build_image(self, step: BuildImage, on_progress: OnProgress) -> str:
        on_progress("STEP 1/1: FROM x")
        return self._do(f"build {step.subject}")

    def create_network(self, network: DesiredNetwork) -> None:
        self._do(f"create network {network.name}")

    def repair_network(self, name: str) -> None:
        self._do(f"repair network {name}")

    def remove_network(self, name: str) -> None:
        self._do(f"remove network {name}")

    def assign_addresses(self, network: str, members: Sequence[Member]) -> None:
        self._do(f"assign {network} {' '.join(member.container_id for member in members)}")

    def create_volume(self, volume: DesiredVolume) -> None:
        self._do(f"create volume {volume.name}")

    def remove_volume(self, name: str) -> None:
        self._do(f"remove volume {name}")

    def create_container(
        self, container: DesiredContainer, container_id: str, *, replaces: str, volumes: Mapping[str, str]
    ) -> str:
        carried = "".join(f" {target}={name}" for target, name in volumes.items())
        return self._do(f"create {container.name} {container_id}{f' for {replaces}' if replaces else ''}{carried}")

    def start_container(self, container_id: str, retry: Retry | None, on_retry: OnRetry) -> None:
        if retry is not None:
            on_retry(2, retry.attempts, "it died")
        self._do(f"start {container_id}")

    def stop_container(
        self, container_id: str, *, signal: str, grace_seconds: float, removed: bool = False, pre_stop: bool = False
    ) -> str:
        return self._do(f"stop {container_id} {signal} {grace_seconds:g}{' after its hooks' if pre_stop else ''}")

    def kill_container(self, container_id: str, signal: str) -> None:
        self._do(f"kill {container_id} {signal}")

    def remove_container(self, container_id: str, *, volumes: bool, networks_go: bool = False) -> None:
        self._do(f"remove {container_id}{' volumes' if volumes else ''}")

    def wait_completed(self, container_id: str, *, required: bool) -> str:
        return self._do(f"wait {container_id}{'' if required else ' optional'}")

    def wait_healthy(self, container_id: str, *, required: bool) -> str:
        return self._do(f"wait healthy {container_id}{'' if required else ' optional'}")

    def limit_stack(self, project: str, limits: StackLimits | None) -> None:
        self._do(f"limit stack {project}{' ' if limits else ''}{limits or ''}")

    def remove_stack(self, project: str) -> None:
        self._do(f"remove stack {project}")

    def remove_image(self, reference: str) -> None:
        self._do(f"remove image {reference}")

    def interrupt(self) -> None:
        self.interrupted.set()

    def _do(self, call: str) -> str:
        with self._inside(call):
            if call in self.during:
                self.during[call]()
            with self._lock:
                errors = self._fails.get(call)
                error = errors.pop(0) if errors else None
            if error is not None:
                raise error
        with self._lock:
            self.ended.append(call)
        return self._says.get(call, "")

    @contextmanager
    def _inside(self, call: str) -> Iterator[None]:
        with self._lock:
            self.begun.append(call)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
