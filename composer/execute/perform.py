"""One step, one action: what the executor needs of a machine, and which call each step is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, assert_never

from composer.desired.state import DesiredContainer, DesiredNetwork, DesiredVolume
from composer.execute.retry import OnRetry
from composer.model.resources import StackLimits
from composer.model.service import Retry
from composer.plan.steps import (
    AnyStep,
    AssignAddresses,
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    LimitStack,
    Member,
    PullImage,
    ReleaseProvider,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveStack,
    RemoveVolume,
    RepairNetwork,
    RunProvider,
    StartContainer,
    StopContainer,
    WaitCompleted,
    WaitHealthy,
)

OnProgress = Callable[[str], None]


class Host(Protocol):
    """A machine that can do things. Methods raise `JockerError`; those that return text say something worth showing.

    `interrupt` is called from another thread: what only waits gives up with `Interrupted`.
    """

    def pull_image(self, reference: str, on_progress: OnProgress, platform: str = "") -> None: ...

    def build_image(self, step: BuildImage, on_progress: OnProgress) -> str: ...

    def create_network(self, network: DesiredNetwork) -> None: ...

    def repair_network(self, name: str) -> None: ...

    def remove_network(self, name: str) -> None: ...

    def assign_addresses(self, network: str, members: Sequence[Member]) -> None: ...

    def create_volume(self, volume: DesiredVolume) -> None: ...

    def remove_volume(self, name: str) -> None: ...

    def create_container(
        self, container: DesiredContainer, container_id: str, *, replaces: str, volumes: Mapping[str, str]
    ) -> str: ...

    def start_container(self, container_id: str, retry: Retry | None, on_retry: OnRetry) -> None: ...

    def stop_container(
        self, container_id: str, *, signal: str, grace_seconds: float, removed: bool = False, pre_stop: bool = False
    ) -> str: ...

    def kill_container(self, container_id: str, signal: str) -> None: ...

    def remove_container(self, container_id: str, *, volumes: bool, networks_go: bool = False) -> None: ...

    def wait_completed(self, container_id: str, *, required: bool) -> str: ...

    def wait_healthy(self, container_id: str, *, required: bool) -> str: ...

    def limit_stack(self, project: str, limits: StackLimits | None) -> None: ...

    def remove_stack(self, project: str) -> None: ...

    def remove_image(self, reference: str) -> None: ...

    def run_provider(self, step: RunProvider, on_progress: OnProgress) -> None: ...

    def release_provider(self, step: ReleaseProvider, on_progress: OnProgress) -> None: ...

    def interrupt(self) -> None: ...


def perform(step: AnyStep, host: Host, on_progress: OnProgress, on_retry: OnRetry) -> str:
    """Does it. Returns what is worth telling the user besides "done", mostly nothing."""
    match step:
        case PullImage():
            host.pull_image(step.subject, on_progress, step.platform)
        case BuildImage():
            return host.build_image(step, on_progress)
        case CreateNetwork() | RepairNetwork() | RemoveNetwork() | AssignAddresses() | CreateVolume() | RemoveVolume():
            _perform_around(step, host)
        case CreateContainer():
            return host.create_container(
                step.container, step.container_id, replaces=step.replaces, volumes=step.volumes
            )
        case StartContainer():
            host.start_container(step.container_id, step.retry, on_retry)
        case StopContainer():
            return host.stop_container(
                step.container_id,
                signal=step.signal,
                grace_seconds=step.grace_seconds,
                removed=step.removed,
                pre_stop=step.pre_stop,
            )
        case KillContainer():
            host.kill_container(step.container_id, step.signal)
        case RemoveContainer():
            host.remove_container(step.container_id, volumes=step.volumes, networks_go=step.networks_go)
        case WaitCompleted() | WaitHealthy():
            wait = host.wait_completed if isinstance(step, WaitCompleted) else host.wait_healthy
            return wait(step.container_id, required=step.required)
        case LimitStack() | RemoveStack() | RemoveImage():
            _perform_around(step, host)
        case RunProvider() | ReleaseProvider():
            _perform_provided(step, host, on_progress)
        case _:
            assert_never(step)
    return ""


_Around = (
    CreateNetwork
    | RepairNetwork
    | RemoveNetwork
    | AssignAddresses
    | CreateVolume
    | RemoveVolume
    | LimitStack
    | RemoveStack
    | RemoveImage
)


def _perform_around(step: _Around, host: Host) -> None:
    """What containers need around them."""
    match step:
        case LimitStack():
            host.limit_stack(step.subject, step.limits)
        case RemoveStack():
            host.remove_stack(step.subject)
        case CreateNetwork():
            host.create_network(step.network)
        case RepairNetwork():
            host.repair_network(step.subject)
        case RemoveNetwork():
            host.remove_network(step.subject)
        case AssignAddresses():
            host.assign_addresses(step.subject, step.members)
        case CreateVolume():
            host.create_volume(step.volume)
        case RemoveVolume():
            host.remove_volume(step.subject)
        case RemoveImage():
            host.remove_image(step.subject)
        case _:
            assert_never(step)


def _perform_provided(step: RunProvider | ReleaseProvider, host: Host, on_progress: OnProgress) -> None:
    match step:
        case RunProvider():
            host.run_provider(step, on_progress)
        case ReleaseProvider():
            host.release_provider(step, on_progress)
        case _:
            assert_never(step)
