"""Named volumes: made before the containers that use them, removed when asked."""

from __future__ import annotations

from composer.actual.state import ActualStack
from composer.desired.state import DesiredService, DesiredStack, DesiredVolume, NamedVolume
from composer.errors import ContainerError
from composer.plan.steps import CreateVolume


def volume_names(service: DesiredService) -> tuple[str, ...]:
    """The real names of the volumes a service uses."""
    return tuple(dict.fromkeys(mount.volume for mount in service.spec.mounts if isinstance(mount, NamedVolume)))


def volumes_of(desired: DesiredStack, chosen: frozenset[str]) -> tuple[str, ...]:
    """The real names of the volumes that the chosen services use, in the order in which they are met."""
    names = (name for key, service in desired.services.items() if key in chosen for name in volume_names(service))
    return tuple(dict.fromkeys(names))


def create_volume(volume: DesiredVolume, actual: ActualStack) -> CreateVolume | None:
    """The step that makes a volume, None if it is there. Raises `ContainerError` for an external one that is not."""
    if volume.name in actual.volumes:
        return None
    if volume.external:
        raise ContainerError(
            f"volume {volume.name} is declared external, and it is not there",
            hint=f"leave `external` out to have it made (volumes.{volume.key})",
        )
    return CreateVolume(subject=volume.name, because="it does not exist", volume=volume)
