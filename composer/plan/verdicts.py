"""What becomes of each container of one service: kept, replaced, removed; and which are to be made. No order yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from composer.actual.state import ActualContainer, Status
from composer.desired.build import replica
from composer.desired.hashing import completed, container_id, spec_to_json
from composer.desired.state import DesiredContainer, DesiredService, DesiredStack
from composer.frozen import frozen
from composer.model.service import AnonymousVolume
from composer.plan.diff import differences, summary
from composer.plan.policy import Recreate


@frozen(kw_only=False)
class Replacement:
    """A container that gives way to a new one. `volumes` (target to name) go over to it."""

    old: ActualContainer
    new: DesiredContainer
    new_id: str
    because: str
    differences: tuple[str, ...]
    volumes: Mapping[str, str]


@frozen(kw_only=False)
class Removal:
    """A container that is one too many. `volumes`: its anonymous volumes go too."""

    container: ActualContainer
    because: str
    volumes: bool


@frozen(kw_only=False)
class Verdict:
    """All of one service."""

    kept: tuple[ActualContainer, ...]
    replaced: tuple[Replacement, ...]
    removed: tuple[Removal, ...]
    made: tuple[tuple[DesiredContainer, str, str], ...]
    """Container, id, reason."""


def judge(
    stack: DesiredStack,
    service: DesiredService,
    found: Sequence[ActualContainer],
    *,
    replicas: int,
    recreate: Recreate,
    renew_volumes: bool,
    lenders: Mapping[str, str] | None = None,
) -> Verdict:
    """Decides about the containers of one service. `found` are its replicas, no one-offs, in any order. `lenders` are
    the ids of the containers that its `volumes_from` will mean, as far as that is known.
    """
    whole, removed = _without_wrecks(service, found)
    by_worth = sorted(whole, key=lambda one: (one.config_hash != service.config_hash, one.number, one.created_at))
    staying, extra = by_worth[:replicas], by_worth[replicas:]
    removed += [Removal(one, f"scaled down from {len(whole)} to {replicas}", volumes=False) for one in extra]
    kept, replaced = [], []
    for one in sorted(staying, key=lambda one: one.number):
        replacement = _replacement(stack, service, one, recreate, renew_volumes=renew_volumes, lenders=lenders or {})
        if replacement is None:
            kept.append(one)
        else:
            replaced.append(replacement)
    return Verdict(tuple(kept), tuple(replaced), tuple(removed), _missing(stack, service, whole, replicas))


def _without_wrecks(
    service: DesiredService, found: Sequence[ActualContainer]
) -> tuple[list[ActualContainer], list[Removal]]:
    """Sets aside what a crash left: half-made containers, and of an unfinished replacement the wrong half."""
    ids = {one.id for one in found}
    in_use = {volume for one in found if one.status is not Status.DEAD for volume in one.volumes.values()}
    removed = [
        Removal(
            one,
            "a command was interrupted while making or removing it",
            # What it carried over, or has handed on already, belongs to the other one.
            volumes=one.replaces not in ids and in_use.isdisjoint(one.volumes.values()),
        )
        for one in found
        if one.status is Status.DEAD
    ]
    gone = {one.container.id for one in removed}
    for one in found:
        if one.id in gone or one.replaces not in ids - gone:
            continue
        if one.config_hash == service.config_hash:
            old = next(other for other in found if other.id == one.replaces)
            removed.append(Removal(old, "its replacement was made by an interrupted command", volumes=False))
        else:
            removed.append(Removal(one, "made by an interrupted command and out of date", volumes=False))
        gone.add(removed[-1].container.id)
    return [one for one in found if one.id not in gone], removed


def _replacement(
    stack: DesiredStack,
    service: DesiredService,
    old: ActualContainer,
    recreate: Recreate,
    *,
    renew_volumes: bool,
    lenders: Mapping[str, str],
) -> Replacement | None:
    if recreate == "never":
        return None
    new = replica(stack, service, old.number)
    changed: tuple[str, ...] = ()
    if not service.image_present:
        # What the container will be is not known yet, but for another image or another name it will be another.
        changed = differences({"image": old.image}, {"image": new.spec.image})
    elif old.config_hash != new.config_hash:
        changed = differences(completed(old.spec), spec_to_json(new.spec))
    if changed or (service.image_present and old.config_hash != new.config_hash):
        because = summary(changed)
    elif old.name != new.name:
        because = f'container_name: "{old.name}" → "{new.name}"'
    elif other := [entry for entry, one in lenders.items() if old.borrowed_from.get(entry, one) != one]:
        because = f"volumes_from: {other[0]} is another container now"
    elif recreate == "always":
        because = "asked for"
    else:
        return None
    wanted = {mount.target for mount in new.spec.mounts if isinstance(mount, AnonymousVolume)}
    carried = {} if renew_volumes else {target: name for target, name in old.volumes.items() if target in wanted}
    new_id = container_id(new, replaces=old.id)
    return Replacement(old, new, new_id, because, changed, carried)


def _missing(
    stack: DesiredStack, service: DesiredService, whole: Sequence[ActualContainer], replicas: int
) -> tuple[tuple[DesiredContainer, str, str], ...]:
    """New numbers go on from the highest there is; holes are not filled (as docker compose)."""
    first = max((one.number for one in whole), default=0) + 1
    because = f"scaled up from {len(whole)} to {replicas}" if whole else "it does not exist"
    made = []
    for number in range(first, first + replicas - len(whole)):
        new = replica(stack, service, number)
        made.append((new, container_id(new), because))
    return tuple(made)
