"""The closed set of actions on the machine. Each is one thing done, with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from composer.desired.state import DesiredContainer, DesiredNetwork, DesiredVolume, Endpoint
from composer.frozen import field, frozen
from composer.model.service import Retry

if TYPE_CHECKING:
    from composer.model.building import Build
    from composer.model.life import Provider
    from composer.model.resources import StackLimits


@frozen
class Step:
    """`subject` is the name a user knows (of a container, an image reference), `because` the reason."""

    subject: str
    because: str


@frozen
class PullImage(Step):
    """Fetches `subject`, a normalised reference, for a `platform` ("" = this machine's). `services` use it."""

    services: tuple[str, ...]
    platform: str = ""


@frozen
class BuildImage(Step):
    """Makes `subject`, a normalised reference, for `service`. `pull_first`: a registry may have it, so it is asked.
    `siblings` are the images that this stack builds: no registry has those. `push`: the result goes to its registry.
    """

    service: str
    build: Build
    pull_first: bool = False
    siblings: tuple[str, ...] = ()
    push: bool = False
    memory: int = 0
    """Bytes that what runs in the build may use; 0 is no limit."""


@frozen
class CreateNetwork(Step):
    """Makes a network: namespace, bridge, way out, rules, name server."""

    network: DesiredNetwork
    differences: tuple[str, ...] = ()
    """Field by field what differs from the one that was there."""


@frozen
class RepairNetwork(Step):
    """Makes anew what is missing of a network, and connects those on it again, with the addresses they had."""


@frozen
class RemoveNetwork(Step):
    """Removes a network that nobody is on."""


@frozen
class CreateVolume(Step):
    """Makes an empty named volume."""

    volume: DesiredVolume


@frozen
class RemoveVolume(Step):
    """Removes a named volume with all that is in it."""


class Member(NamedTuple):
    """A container to be: its end on a network, and the names it has there (none: it is not to be found yet)."""

    container_id: str
    end: Endpoint
    names: tuple[str, ...] = ()


@frozen
class AssignAddresses(Step):
    """Gives containers their addresses on a network, and the network their names, before the first of them runs."""

    members: tuple[Member, ...]


@frozen
class CreateContainer(Step):
    """Makes a container, not started. `volumes` (target to name) are anonymous volumes carried over from `replaces`."""

    container: DesiredContainer
    container_id: str
    replaces: str = ""
    volumes: Mapping[str, str] = field(factory=dict)
    differences: tuple[str, ...] = ()
    """Field by field what differs from the container it replaces: `environment.MODE: "a" → "b"`."""


@frozen
class StartContainer(Step):
    """Starts a created container, or an exited one anew."""

    container_id: str
    service: str
    retry: Retry | None = None


@frozen
class StopContainer(Step):
    """Signal, grace, SIGKILL. `removed`: it is removed next, so its ports are closed only then. `pre_stop`: first the
    hooks that it has for that.
    """

    container_id: str
    signal: str
    grace_seconds: float
    removed: bool = False
    pre_stop: bool = False


@frozen
class KillContainer(Step):
    """One signal, no waiting (`jocker kill`)."""

    container_id: str
    signal: str


@frozen
class RemoveContainer(Step):
    """Removes a container; `volumes`: its anonymous volumes too. `networks_go`: all networks it is on are removed next,
    with its addresses, names and ports.
    """

    container_id: str
    volumes: bool = False
    networks_go: bool = False


@frozen
class WaitCompleted(Step):
    """Waits until `subject` (a container) has exited with code 0; anything else fails."""

    container_id: str
    required: bool = True
    """False: a failure is a warning, what waits goes on (`required: false`)."""


@frozen
class WaitHealthy(Step):
    """Waits until `subject` (a container) is healthy; that it is unhealthy, or has ended, fails."""

    container_id: str
    required: bool = True
    """As for `WaitCompleted`."""


@frozen
class RemoveStack(Step):
    """Removes what is left of a stack without containers: cgroup parents, run directory."""


@frozen
class LimitStack(Step):
    """Sets what the containers of a stack may use together, for those that run, too; None: whatever is there."""

    limits: StackLimits | None
    differences: tuple[str, ...] = ()
    """`limits.memory: 1073741824 → (none)`."""


@frozen
class RemoveImage(Step):
    """Removes the reference `subject`."""


@frozen(shown=False)
class RunProvider(Step):
    """Has a provider make what the service `subject` stands for. `environment` is all it gets."""

    project: str
    provider: Provider
    directory: str
    environment: Mapping[str, str]


@frozen(shown=False)
class ReleaseProvider(Step):
    """Has a provider take down what it has made for `subject`, as its record says."""

    project: str
    environment: Mapping[str, str]


AnyStep = (
    PullImage
    | BuildImage
    | CreateNetwork
    | RepairNetwork
    | RemoveNetwork
    | AssignAddresses
    | CreateVolume
    | RemoveVolume
    | CreateContainer
    | StartContainer
    | StopContainer
    | KillContainer
    | RemoveContainer
    | WaitCompleted
    | WaitHealthy
    | LimitStack
    | RemoveStack
    | RemoveImage
    | RunProvider
    | ReleaseProvider
)
