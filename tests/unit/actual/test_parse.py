"""Records and back; whatever stands in a record, the container is found and can be planned for."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import plancases
import pytest

from composer.actual.parse import RECORD_VERSION, actual_of, desired_of, record_of
from composer.actual.state import ActualContainer, ActualStack, PublishedPort, Status
from composer.desired.build import oneoff, replica
from composer.desired.state import DesiredContainer, DesiredStack
from composer.errors import ContainerError
from composer.model.service import Dependency
from composer.plan.policy import Policy
from composer.plan.reconcile import plan_up
from composer.plan.teardown import plan_down, plan_kill, plan_restart, plan_rm, plan_start, plan_stop

ID = "a1" * 32
TEXT = """
services:
  web:
    environment: {A: b}
    stop_signal: SIGINT
    stop_grace_period: 3s
    volumes: [/data, '/srv:/s:ro', {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
    ulimits: {nofile: {soft: 1, hard: 2}}
    extra_hosts: {db: 10.0.0.1}
    depends_on: {db: {condition: service_started, restart: true, required: false}}
    x-jocker: {retry: {attempts: 3, wait: 2s, max_wait: 9s, on: [1, 2]}}
  db: {}
"""


@cache
def stack() -> DesiredStack:
    return plancases.desired(plancases.project(TEXT))


def web() -> DesiredContainer:
    found = stack()
    return replica(found, found.services["web"], 2)


def record(**changes: Any) -> dict[str, Any]:
    """The record of `web` as it comes back from the disk, with some fields changed."""
    made = record_of(web(), container_id=ID, replaces="b2" * 32, volumes={"/data": "v1"}, created_at=1.5)
    back = json.loads(json.dumps({**made, "phase": "created", **changes}))
    assert isinstance(back, dict)
    return back


def actual(found: dict[str, Any], status: Status = Status.RUNNING, exit_code: int | None = None) -> ActualContainer:
    return actual_of(found, status=status, pid=7, exit_code=exit_code, started_at=2.0, finished_at=3.0)


def test_a_record_begins_as_that_of_a_container_being_made() -> None:
    made = record_of(web(), container_id=ID, replaces="", volumes={}, created_at=1.5)
    assert made["phase"] == "creating"
    assert made["version"] == RECORD_VERSION
    assert json.dumps(json.loads(json.dumps(made))) == json.dumps(made)


def test_what_was_desired_comes_back_from_the_record() -> None:
    again, wanted = desired_of(record()), web()
    for name in DesiredContainer.__slots__:
        assert getattr(again, name) == getattr(wanted, name), name


def test_a_one_off_comes_back_too() -> None:
    found = stack()
    wanted = oneoff(found, found.services["web"], slug="cd" * 32, name=None)
    made = record_of(wanted, container_id=ID, replaces="", volumes={}, created_at=1.0)
    again = desired_of(json.loads(json.dumps(made)))
    assert (again.oneoff, again.number, again.name, again.retry) == (True, 0, "p-web-run-cdcdcdcdcdcd", None)
    assert actual(made).oneoff


def test_a_record_and_what_was_seen_make_an_actual_container() -> None:
    one = actual(record())
    assert (one.id, one.name, one.project, one.service, one.number, one.oneoff) == (
        ID,
        "p-web-2",
        "p",
        "web",
        2,
        False,
    )
    assert (one.status, one.pid, one.exit_code, one.started_at, one.finished_at) == (Status.RUNNING, 7, None, 2.0, 3.0)
    assert (one.created_at, one.replaces) == (1.5, "b2" * 32)
    assert (one.stop_signal, one.stop_grace_seconds) == ("SIGINT", 3.0)
    assert one.config_hash == web().config_hash
    assert one.volumes == {"/data": "v1"}
    assert one.depends_on == {"db": Dependency("service_started", restart=True, required=False)}
    assert one.retry == web().retry
    assert one.labels["com.docker.compose.service"] == "web"


def test_ports_are_read_entry_by_entry() -> None:
    good = ["tcp", "", 8080, 80]
    assert actual(record(published=[good, ["udp", "127.0.0.1", 53, 53]])).published == (
        PublishedPort("tcp", "", 8080, 80),
        PublishedPort("udp", "127.0.0.1", 53, 53),
    )
    for damaged in (None, [], {}, ["tcp"], [*good, 1], ["tcp", None, 1, 2], ["tcp", "", True, 2], ["tcp", "", "1", 2]):
        assert actual(record(published=[damaged, good])).published == (PublishedPort("tcp", "", 8080, 80),)
    for damaged in NOBODYS:
        assert actual(record(published=damaged)).published == ()
    assert actual(record()).published == ()


NOBODYS = (None, 0, -1, True, "", "text", [], [1], {}, {"a": None}, [[]], 1e300)
FIELDS = [*record_of(web(), container_id=ID, replaces="", volumes={}, created_at=0.0)]


@pytest.mark.parametrize("field", [name for name in FIELDS if name not in {"id", "project"}])
def test_a_damaged_field_neither_hides_the_container_nor_stops_a_command(field: str) -> None:
    """The id is that of the directory, the project is what the record was found by; anything else may be anything."""
    damaged = record()
    del damaged[field]
    for found in (damaged, *(record(**{field: value}) for value in NOBODYS)):
        for status in Status:
            there = ActualStack.of("p", [actual(found, status), actual(record(id="c3" * 32, number=1))])
            plan_up(stack(), there, Policy(remove_orphans=True))
            for known in (None, ("web", "db")):
                plan_stop(there, services=(), known=known, timeout=None)
                plan_restart(there, services=(), known=known, no_deps=False, timeout=None)
                plan_kill(there, services=(), known=known, signal="SIGKILL")
                plan_rm(there, services=(), known=known, stop=True, volumes=True)
            plan_start(there, services=("web",), known=("web", "db"))
            down = plan_down(there, known=None, remove_orphans=True)
            assert {ID, "c3" * 32} <= {getattr(node.step, "container_id", "") for node in down.nodes}


def test_a_record_of_nothing_but_an_id_can_be_removed() -> None:
    there = ActualStack.of("p", [actual({"id": ID, "project": "p"})])
    assert there.containers[0].status is Status.DEAD
    assert there.containers[0].name == ID[:12]
    assert str(plan_down(there, known=frozenset({"web"}))) == (
        f"[] -> #1 RemoveContainer {ID[:12]}: down\n[1] -> #2 RemoveStack p: nothing of it is left\n"
    )


@pytest.mark.parametrize("field", ["service", "number"])
def test_who_has_no_place_in_the_stack_counts_as_half_made(field: str) -> None:
    assert actual(record(**{field: None})).status is Status.DEAD
    assert actual(record(**{field: None}), Status.EXITED).status is Status.DEAD


def test_a_record_without_a_hash_is_out_of_date_and_keeps_its_volumes() -> None:
    there = ActualStack.of("p", [actual(record(config_hash=None))])
    plan = plan_up(stack(), there, Policy(services=("web",), no_deps=True))
    assert [type(node.step).__name__ for node in plan.nodes] == [
        *("CreateContainer", "StopContainer", "RemoveContainer", "StartContainer")
    ]
    assert getattr(plan.nodes[0].step, "volumes", None) == {"/data": "v1"}


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": None},
        {"spec": {}},
        {"spec": {"image": "x", "image_id": "y", "surprise": 1}},
        {"spec": []},
        {"layers": None},
    ],
    ids=str,
)
def test_a_damaged_record_cannot_be_started_from_and_says_so(broken: dict[str, Any]) -> None:
    with pytest.raises(ContainerError, match="the record of container p-web-2 is damaged") as caught:
        desired_of(record(**broken))
    assert "--force-recreate" in caught.value.hint


def test_a_record_without_a_name_is_damaged_and_told_by_its_id() -> None:
    damaged = record()
    del damaged["name"]
    with pytest.raises(ContainerError, match="container a1a1a1a1a1a1 is damaged"):
        desired_of(damaged)


@pytest.mark.parametrize(
    ("status", "alive", "signal"),
    [
        (Status.CREATED, False, True),
        (Status.RUNNING, True, True),
        (Status.PAUSED, True, True),
        (Status.EXITED, False, False),
        (Status.DEAD, False, False),
    ],
)
def test_a_status_knows_what_it_allows(status: Status, alive: bool, signal: bool) -> None:
    assert (status.is_alive, status.can_signal) == (alive, signal)
