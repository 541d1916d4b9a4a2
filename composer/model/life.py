"""What a service says about its life: checks, restarts, hooks, watched files, models, an outside provider.

Loaded only for services that say any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from composer.frozen import field, frozen

RestartCondition = Literal["no", "always", "unless-stopped", "on-failure"]
WatchAction = Literal["rebuild", "sync", "restart", "sync+restart", "sync+exec"]


class RestartPolicy(NamedTuple):
    """When a container that has ended is started again. Seconds.

    From `deploy.restart_policy` if that names a condition (`any` is `always`), else from `restart`.
    """

    condition: RestartCondition = "no"
    max_attempts: int = 0
    """0 = without end."""
    delay: float = 0.0
    window: float = 0.0
    """How long it must have run for the start to count as a success."""


class Healthcheck(NamedTuple):
    """How to tell whether a container is well. Seconds; None = as the image says, else docker's default.

    `test` is as the image format has it, `CMD` or `CMD-SHELL` first; empty = the image's.
    """

    disabled: bool = False
    """`disable: true` or a test of `NONE`: the image's own check is off, too."""
    test: tuple[str, ...] = ()
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None


class Check(NamedTuple):
    """A health check with everything resolved: service over image over docker's defaults. Seconds."""

    test: tuple[str, ...]
    """`CMD` and a command line, or `CMD-SHELL` and a line for the `shell`."""
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3
    shell: tuple[str, ...] = ("/bin/sh", "-c")

    @property
    def argv(self) -> tuple[str, ...]:
        """What is run in the container."""
        words = self.test[1:]
        return words if self.test[0] == "CMD" else (*self.shell, *words)


@frozen(shown=False)
class Hook:
    """One command run in (`pre_start`: before) a container. None or "" = as the service says.

    `environment` goes on top of the service's; None removes a variable. `image` and `per_replica` are `pre_start`'s.
    """

    command: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    privileged: bool = False
    environment: Mapping[str, str | None] = field(factory=dict)
    image: str = ""
    per_replica: bool = False


@frozen(shown=False)
class InitStep:
    """A `pre_start` hook with every default resolved: a container of its own, that runs before the service's own.

    `image_id` and `layers` are empty while its image is still to be pulled; `environment` is final.
    """

    image: str
    image_id: str = ""
    layers: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    working_dir: str = "/"
    user: str = ""
    privileged: bool = False
    per_replica: bool = False


@frozen(shown=False)
class Hooks:
    """What is run before and after the start of a container, and before its stop; in order."""

    pre_start: tuple[InitStep, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()


class WatchRule(NamedTuple):
    """One entry of `develop.watch`. `path` is absolute, symbolic links as written; `target` is in the container.

    `include` and `ignore` are patterns of .dockerignore, relative to `path`.
    """

    path: str
    action: WatchAction
    target: str = ""
    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    hook: Hook | None = None
    """`exec`: after `sync+exec`."""
    initial_sync: bool = False


class ModelUse(NamedTuple):
    """A model that a service uses, by its key, and the variables that tell the service where it is."""

    model: str
    endpoint_var: str
    model_var: str


class Provider(NamedTuple):
    """Somebody else makes what this service stands for: a program, and its options, each with its values."""

    type: str
    options: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Provided(NamedTuple):
    """A service that a provider stands for: what it depends on, and the services that depend on it."""

    provider: Provider
    depends_on: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@frozen(shown=False)
class Life:
    """All of it for one service."""

    restart: RestartPolicy = RestartPolicy()
    healthcheck: Healthcheck | None = None
    """None = what the image says."""
    pre_start: tuple[Hook, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    watch: tuple[WatchRule, ...] = ()
    models: tuple[ModelUse, ...] = ()
    provider: Provider | None = None
