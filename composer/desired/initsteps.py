"""The container of a `pre_start` hook: the service's own in all but what the hook says."""

from __future__ import annotations

from composer.desired.hashing import config_hash
from composer.desired.names import oneoff_labels
from composer.desired.state import DesiredContainer
from composer.digest import sha256_hex
from composer.frozen import replace
from composer.model.life import InitStep


def hook_id(container_id: str, number: int) -> str:
    """The id of the container of hook `number` (from 1) of a container."""
    return sha256_hex(f"{container_id}\0pre_start\0{number}".encode())


def hook_container(container: DesiredContainer, container_id: str, step: InitStep, number: int) -> DesiredContainer:
    """With the service's mounts, secrets, limits and networks; on these it has addresses of its own and no name. It
    publishes nothing.
    """
    ends = tuple(
        end._replace(aliases=(), ipv4_address="", ipv6_address="", mac_address="") for end in container.spec.networks
    )
    spec = replace(
        container.spec,
        image=step.image,
        image_id=step.image_id,
        entrypoint=step.entrypoint,
        command=step.command,
        environment=step.environment,
        working_dir=step.working_dir,
        user=step.user,
        privileged=step.privileged or container.spec.privileged,
        networks=ends,
        ports=(),
        expose=(),
        tty=False,
        stdin_open=False,
        logging={},
        hooks=None,
        healthcheck=None,
        restart=None,
    )
    return replace(
        container,
        name=f"{container.name}-pre-start-{number}",
        oneoff=True,
        spec=spec,
        config_hash=config_hash(spec),
        labels={**container.labels, **oneoff_labels(hook_id(container_id, number))},
        layers=step.layers,
        depends_on={},
        retry=None,
        hook_of=container_id,
    )
