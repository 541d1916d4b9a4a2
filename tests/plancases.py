"""Cases of plans as data: a stack file, what is on the machine, what was asked; the plan's own text comes out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import stackcases
from ruamel.yaml import YAML

from composer.actual.parse import actual_of, record_of
from composer.actual.state import ActualContainer, ActualNetwork, ActualStack, Status
from composer.desired.addresses import DEFAULT_POOL
from composer.desired.build import desire, oneoff, replica
from composer.desired.hashing import container_id
from composer.desired.state import DesiredContainer, DesiredNetwork, DesiredStack, Endpoint
from composer.desired.wire import leased, wire
from composer.frozen import replace
from composer.image.config import ImageConfig
from composer.image.reference import normalise
from composer.model.service import AnonymousVolume, Project
from composer.plan.attaching import ends_of
from composer.plan.plan import Plan
from composer.plan.policy import Policy
from composer.plan.reconcile import plan_up
from composer.plan.teardown import plan_down, plan_kill, plan_restart, plan_rm, plan_start, plan_stop

CASES = Path(__file__).parent / "cases" / "plan"
CREATED_AT = 1_700_000_000.0
KEYS = {
    *("name", "stack", "profiles", "images", "absent", "before", "before_images", "actual", "do", "policy"),
    *(
        "plan",
        "unchanged",
        "warnings",
        "differences",
        "steps",
        "error",
        "networks",
        "volumes",
        "others",
        "volume_users",
        "volume_hashes",
    ),
}


def plan_cases() -> list[dict[str, Any]]:
    """Every case under `tests/cases/plan`: the key is its name."""
    found = []
    for path in sorted(CASES.glob("*.yml")):
        for name, case in YAML(typ="safe").load(path.read_text(encoding="utf-8")).items():
            unknown = case.keys() - KEYS
            assert not unknown, f"{path.name}: {name}: {unknown}"
            found.append({**case, "name": f"{path.stem}: {name}"})
    return found


def project(text: str, profiles: Iterable[str] = (), services: Iterable[str] = ()) -> Project:
    """The project `p` of a stack file text. Services without a network get `none`, without image and build an image
    named `app`."""
    tree = YAML(typ="safe").load(text) or {}
    services_of = {name: service or {} for name, service in (tree.get("services") or {}).items()}
    for service in services_of.values():
        if "networks" not in service:
            service.setdefault("network_mode", "none")
        if "build" not in service:
            service.setdefault("image", "app")
    case = {"files": {"jocker.yml": json.dumps({**tree, "services": services_of})}, "project": "p"}
    return stackcases.load({**case, "profiles": tuple(profiles), "with_services": tuple(services)})


def image(reference: str, **fields: Any) -> ImageConfig:
    """An image; its id follows from its name and what is said of it. It runs `serve` unless told otherwise."""
    digest = hashlib.sha256(repr((reference, sorted(fields.items()))).encode()).hexdigest()
    fields.pop("build", None)
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return ImageConfig(
        reference=reference,
        image_id=f"sha256:{digest}",
        manifest_digest=f"sha256:{digest}",
        chain_ids=(digest,),
        **{"cmd": ("serve",), **given},
    )


def desired(
    wanted: Project, *, images: Mapping[str, Mapping[str, Any]] | None = None, absent: Iterable[str] = ()
) -> DesiredStack:
    """What should be there. All images the stack names are present but `absent`; `images` says more of them."""
    details = {normalise(name): dict(fields) for name, fields in (images or {}).items()}
    gone = {normalise(name) for name in absent}
    here = {normalise(service.image) for service in wanted.services.values()} - gone
    return desire(wanted, {name: image(name, **details.get(name, {})) for name in here})


def networks_there(
    described: Mapping[str, Any] | None, before: DesiredStack, found: Mapping[str, ActualContainer]
) -> list[ActualNetwork]:
    """The networks that are there, with leases for all containers on them. If nothing is said, those of the stack as it
    was; `described` maps names to `null`, or to a mapping with

    - `faults`: what is missing of it; `without`: keys of containers that have no lease (any more);
    - `project` and `key`: whose it is; `of_others`: ids of containers of other stacks on it.
    """
    if described is None:
        described = {name: None for name, one in before.networks.items() if not one.external} if found else {}
    made = []
    for name, given in described.items():
        fields = given or {}
        wanted = before.networks.get(name, DesiredNetwork(name=name))
        changed = {key: fields[key] for key in ("project", "key") if key in fields}
        wiring = wire(
            replace(wanted, external=False, **changed), pool=DEFAULT_POOL, taken=(), uplink="jk0", names=True, now=0.0
        )
        for key, container in found.items():
            ends = [end for end in ends_of(container) if end.network == name]
            if ends and key not in fields.get("without", ()):
                wiring = leased(wiring, container.id, ends[0])
        for other in fields.get("of_others", ()):
            wiring = leased(wiring, other, Endpoint(name))
        made.append(ActualNetwork(wiring=wiring, faults=tuple(fields.get("faults", ()))))
    return made


def actual(
    described: Mapping[str, Any],
    now: DesiredStack,
    before: DesiredStack,
    networks: Mapping[str, Any] | None = None,
    named_volumes: Mapping[str, str] | None = None,
    volume_users: Mapping[str, Iterable[str]] | None = None,
    volume_hashes: Mapping[str, str] | None = None,
) -> ActualStack:
    """What is there. `described` maps `SERVICE-NUMBER` to `STATUS [EXIT CODE]`, or to a mapping with `status` and

    - `from: now`: made from the stack as it is now, not as it was `before`;
    - `replaces`: the key of the container it was made to replace;
    - `oneoff: true`: made by `run`, with the key as slug; `name`: of its own.
    """
    found: dict[str, ActualContainer] = {}
    for age, (key, given) in enumerate(described.items()):
        fields = given if isinstance(given, Mapping) else {"status": given}
        source = now if fields.get("from") == "now" else before
        container = _made(source, key, fields)
        old = found[fields["replaces"]] if "replaces" in fields else None
        made_id = container_id(container, replaces=old.id if old else "")
        volumes = {
            mount.target: (old.volumes.get(mount.target) if old else None) or f"{key}:{mount.target}"
            for mount in container.spec.mounts
            if isinstance(mount, AnonymousVolume)
        }
        record = record_of(
            container,
            container_id=made_id,
            replaces=old.id if old else "",
            volumes=volumes,
            created_at=CREATED_AT + age,
        )
        record["published"] = [
            [port.protocol, port.host_ip, int(port.published), port.target]
            for port in container.spec.ports
            if port.published.isdigit()
        ]
        status, _, code = str(fields["status"]).partition(" ")
        found[key] = actual_of(
            record,
            status=Status(status),
            pid=100 + age if Status(status).is_alive else 0,
            exit_code=int(code) if code else None,
            started_at=0.0,
            finished_at=0.0,
        )
    there = ActualStack.of("p", found.values(), networks_there(networks, before, found), named_volumes, volume_users)
    return replace(there, volume_hashes=dict(volume_hashes or {}))


def _made(stack: DesiredStack, key: str, fields: Mapping[str, Any]) -> DesiredContainer:
    match = re.match(r"(\w+)-(\w+)", key)
    assert match, f"{key} is not SERVICE-NUMBER"
    service = stack.services[match[1]]
    if fields.get("oneoff"):
        return oneoff(stack, service, slug=match[2], name=fields.get("name"))
    return replica(stack, service, int(match[2]))


class Situation:
    """Both sides of a case, and the plan between them."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.case = case
        self.asked = {key: tuple(v) if isinstance(v, list) else v for key, v in (case.get("policy") or {}).items()}
        self.project = project(
            case.get("stack", "services: {}"), case.get("profiles", ()), self.asked.get("services", ())
        )
        self.desired = desired(self.project, images=case.get("images"), absent=case.get("absent", ()))
        before = project(case["before"], ["*"]) if "before" in case else self._everything()
        self.before = desired(before, images=case.get("before_images", case.get("images")))
        self.actual = actual(
            case.get("actual") or {},
            self.desired,
            self.before,
            case.get("networks"),
            case.get("volumes"),
            case.get("volume_users"),
            case.get("volume_hashes"),
        )
        self.actual = replace(self.actual, others=case.get("others") or {})

    def _everything(self) -> Project:
        return project(self.case.get("stack", "services: {}"), ["*"])

    def plan(self, found: ActualStack | None = None) -> Plan:
        """What the planner makes of it; `found` stands in for what is there."""
        there = self.actual if found is None else found
        asked = dict(self.asked)
        if self.case.get("do", "up") == "up":
            asked["pulled"] = frozenset(asked.get("pulled", ()))
            asked["stale"] = frozenset(asked.get("stale", ()))
            return plan_up(self.desired, there, Policy(**asked))
        return self._life(there, self.case["do"], asked)

    def _life(self, there: ActualStack, command: str, asked: dict[str, Any]) -> Plan:
        has_file = "stack" in self.case
        services = asked.pop("services", ())
        if command == "down":
            every = frozenset(self.project.services) | frozenset(self.project.disabled)
            return plan_down(
                there,
                services=services,
                known=every if has_file else None,
                disabled=frozenset(self.project.disabled),
                **asked,
            )
        known = tuple(self.project.services) if has_file else None
        if command == "start":
            return plan_start(there, services=services, known=known)
        if command == "stop":
            return plan_stop(there, services=services, known=known, **{"timeout": None, **asked})
        if command == "restart":
            return plan_restart(there, services=services, known=known, **{"timeout": None, "no_deps": False, **asked})
        if command == "kill":
            return plan_kill(there, services=services, known=known, **{"signal": "SIGKILL", **asked})
        assert command == "rm", command
        return plan_rm(there, services=services, known=known, **{"stop": False, "volumes": False, **asked})
