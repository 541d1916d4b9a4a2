"""Named volumes: made before the containers that use them, removed when asked."""

from __future__ import annotations

from collections.abc import Mapping

from composer.actual.state import ActualContainer, ActualStack, named_volumes
from composer.desired.state import DesiredService, DesiredStack, DesiredVolume, ImageMount, NamedVolume
from composer.errors import ContainerError
from composer.plan.steps import CreateVolume
from composer.plan.verdicts import Verdict

REMADE = "the stack file says something else of it now"


def volume_names(service: DesiredService) -> tuple[str, ...]:
    """The real names of the volumes a service uses."""
    return tuple(dict.fromkeys(mount.volume for mount in service.spec.mounts if isinstance(mount, NamedVolume)))


def volumes_of(desired: DesiredStack, chosen: frozenset[str]) -> tuple[str, ...]:
    """The real names of the volumes that the chosen services use, in the order in which they are met."""
    names = (name for key, service in desired.services.items() if key in chosen for name in volume_names(service))
    return tuple(dict.fromkeys(names))


def stale_volumes(desired: DesiredStack, actual: ActualStack, chosen: frozenset[str]) -> tuple[str, ...]:
    """The stack's own volumes of which its file said something else when they were made."""
    return tuple(
        name
        for name in volumes_of(desired, chosen)
        if not desired.volumes[name].external
        and actual.volumes.get(name) == desired.project
        and actual.volume_hashes.get(name, desired.volumes[name].config_hash) != desired.volumes[name].config_hash
    )


def users_to_remove(
    name: str, desired: DesiredStack, actual: ActualStack, chosen: frozenset[str]
) -> tuple[ActualContainer, ...]:
    """The containers that must go before a volume is made anew. Raises `ContainerError` if others use it, too."""
    mine = [one for one in actual.containers if name in named_volumes(one.spec)]
    others = [*actual.volume_users.get(name, ())]
    others += [one.name for one in mine if one.oneoff or one.service not in chosen]
    if others:
        raise ContainerError(
            f"volume {name} cannot be made anew: {', '.join(others)} would lose it",
            hint=f"remove these first, or leave the volume as it is (volumes.{desired.volumes[name].key})",
        )
    return tuple(mine)


def stale_warning(name: str) -> str:
    """What to say of a volume that is left as it is."""
    return (
        f"volume {name} was made by what the stack file said of it before, and stays as it is; "
        "`jocker up -y` makes it anew, without what is in it"
    )


def missing_images(service: DesiredService) -> tuple[str, ...]:
    """The images, besides its own, that a service needs and that are not here, by reference: it has them mounted, or
    runs them before its start.
    """
    wanted = [(one.image, one.layers) for one in service.spec.mounts if isinstance(one, ImageMount)]
    hooks = service.spec.hooks
    wanted += [(one.image, one.layers) for one in (hooks.pre_start if hooks else ())]
    return tuple(dict.fromkeys(image for image, layers in wanted if not layers and image != service.spec.image))


def lenders(service: DesiredService, verdicts: Mapping[str, Verdict], actual: ActualStack) -> dict[str, str]:
    """The containers whose mounts a service will have (`volumes_from`), by id: of a service the first by name. Left out
    where nobody knows yet.
    """
    found = {}
    for entry in service.spec.volumes_from:
        kind, _, name = entry.removesuffix(":ro").partition(":")
        if kind != "service":
            continue
        verdict = verdicts.get(name)
        if verdict is None:
            there = [(one.name, one.id) for one in actual.containers if one.service == name and not one.oneoff]
        else:
            there = [(one.name, one.id) for one in verdict.kept]
            there += [(change.new.name, change.new_id) for change in verdict.replaced]
            there += [(new.name, new_id) for new, new_id, _ in verdict.made]
        if there:
            found[entry] = min(there)[1]
    return found


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
