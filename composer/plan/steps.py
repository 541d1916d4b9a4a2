"""The closed set of actions on the machine. Each is one thing done, with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from composer.desired.state import DesiredContainer
from composer.model.service import Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`subject` is the name a user knows (of a container, an image reference), `because` the reason."""

    subject: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(Step):
    """Fetches `subject`, a normalised reference. `services` use it."""

    services: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(Step):
    """Makes a container, not started. `volumes` (target to name) are anonymous volumes carried over from `replaces`."""

    container: DesiredContainer
    container_id: str
    replaces: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    """Field by field what differs from the container it replaces: `environment.MODE: "a" → "b"`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(Step):
    """Starts a created container, or an exited one anew."""

    container_id: str
    service: str
    retry: Retry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(Step):
    """Signal, grace, SIGKILL."""

    container_id: str
    signal: str
    grace_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KillContainer(Step):
    """One signal, no waiting (`jocker kill`)."""

    container_id: str
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(Step):
    """Removes a container; `volumes`: its anonymous volumes too."""

    container_id: str
    volumes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCompleted(Step):
    """Waits until `subject` (a container) has exited with code 0; anything else fails."""

    container_id: str
    required: bool = True
    """False: a failure is a warning, what waits goes on (`required: false`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveStack(Step):
    """Removes what is left of a stack without containers: cgroup parents, run directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(Step):
    """Removes the reference `subject`."""


AnyStep = (
    PullImage
    | CreateContainer
    | StartContainer
    | StopContainer
    | KillContainer
    | RemoveContainer
    | WaitCompleted
    | RemoveStack
    | RemoveImage
)
