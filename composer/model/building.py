"""How the image of a service is made: its `build:`, typed, paths absolute, variables resolved."""

from __future__ import annotations

from collections.abc import Mapping

from composer.errors import Place
from composer.frozen import field, frozen


@frozen(shown=False)
class BuildSecret:
    """What `RUN --mount=type=secret,id=…` finds: the content of a file of the host, or `value`."""

    id: str
    file: str = ""
    value: str = ""


@frozen(shown=False)
class Build:
    """One `build:`. `dockerfile` is relative to `context`, and unused if there is a `dockerfile_inline`.

    `contexts` are additional ones: name to path, `docker-image://NAME` or `service:NAME`. `platforms` are `os/arch`:
    one of them is built for, this machine's if it is among them.
    `ssh` maps ids to a socket or key, "" being that of the agent. `shm_size` is in bytes, 0 "not set"; `ulimits` are
    soft and hard limits. `network` is "" (one of its own), `none` or `host`. `tags` are more names for the result.
    """

    place: Place
    context: str
    dockerfile: str = "Dockerfile"
    dockerfile_inline: str = ""
    args: Mapping[str, str] = field(factory=dict)
    contexts: Mapping[str, str] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    target: str = ""
    network: str = ""
    no_cache: bool = False
    pull: bool = False
    privileged: bool = False
    platforms: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    ulimits: Mapping[str, tuple[int, int]] = field(factory=dict)
    secrets: tuple[BuildSecret, ...] = ()
    ssh: Mapping[str, str] = field(factory=dict)
    tags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """The services whose images must be there first, once `contexts` names these by reference."""

    @property
    def services(self) -> tuple[str, ...]:
        """The services whose images this build takes from."""
        return tuple(
            dict.fromkeys(
                value.removeprefix("service:") for value in self.contexts.values() if value.startswith("service:")
            )
        )
