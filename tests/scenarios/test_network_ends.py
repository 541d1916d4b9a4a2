"""Networks when containers end by themselves, commands are killed, and several things are lost at once."""

from __future__ import annotations

import os

import pytest
from netlab import call, listening
from scenarios.conftest import Stack
from scenarios.wires import QUIET, free_ports, machine, wiring

from composer.desired.networks import bridge
from composer.desired.state import Endpoint
from composer.errors import NetworkError
from composer.execute.networking import Networking
from composer.host import kernel, net_paths, networks, records
from composer.model.wiring import Wiring
from composer.paths import Paths
from composer.plan.steps import Member

pytestmark = pytest.mark.real


def lose_router(stack: Stack, network: str) -> None:
    kernel.umount(net_paths.router_netns(stack.paths, network), kernel.MNT_DETACH)


def test_the_port_of_a_container_that_has_ended_goes_to_who_publishes_it_next(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(f"services:\n  web:\n    image: demo\n    command: ['true']\n    ports: ['127.0.0.1:{port}:80']\n")
    stack.write(f"name: next\nservices:\n  web:\n{QUIET}    ports: ['127.0.0.1:{port}:80']\n", "next.yml")
    stack("up", "-d")
    stack.wait_for(lambda: stack.states() == {"web-web-1": "exited"}, "the container ends")
    stack("-f", "next.yml", "up", "-d")
    name = stack("-f", "next.yml", "ps", "-q", "--no-trunc").stdout.strip()
    with listening(net_paths.container_netns(stack.paths, name), 80) as server:
        assert not call(machine(stack), server, "127.0.0.1", port).startswith(("refused", "lost"))
        stack("down")
        assert not call(machine(stack), server, "127.0.0.1", port).startswith(("refused", "lost"))
    stack("-f", "next.yml", "down")
    stack.assert_nothing_left()


def test_rules_of_containers_that_are_gone_go_with_their_addresses(stack: Stack) -> None:
    port = free_ports(stack)
    with_port = f"services:\n  web:\n{QUIET}    ports: ['127.0.0.1:{port}:80']\n"
    stack.write(with_port)
    stack("up", "-d")
    before = wiring(stack, "web_default")
    stack("rm", "-f", "-s", "web")
    networks.write(stack.paths, before)  # as a `down` that is killed between its containers and the network leaves it
    stack.write(f"services:\n  web:\n{QUIET}")
    stack("up", "-d")
    assert wiring(stack, "web_default").publications == ()
    stack("down")
    stack.assert_nothing_left()


def test_a_container_that_has_lost_both_its_networks_gets_both_back(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{QUIET}    networks: [one, two]\nnetworks: {{one: , two: }}\n")
    stack("up", "-d")
    ids = stack.ids()
    lose_router(stack, "web_one")
    lose_router(stack, "web_two")
    stack("up", "-d")
    assert stack("plan").stdout.startswith("nothing to do")
    assert stack.ids() == ids
    stack("down")
    stack.assert_nothing_left()


def test_a_container_whose_network_is_gone_can_be_stopped(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['127.0.0.1::80']\n")
    stack("up", "-d")
    lose_router(stack, "web_default")
    stack("stop")
    assert stack.states() == {"web-web-1": "exited"}
    assert wiring(stack, "web_default").publications == ()
    stack("down")
    stack.assert_nothing_left()


def test_a_network_is_not_removed_under_who_is_just_joining_it(stack: Stack) -> None:
    networking = Networking(stack.paths)
    networking.create(bridge())
    networking.assign("bridge", [Member("a" * 64, Endpoint("bridge"))])
    for for_good in (False, True):
        with pytest.raises(NetworkError, match="in use by a container that is being made"):
            networking.remove("bridge", for_good=for_good)
    networking.detach("a" * 64, ["bridge"])
    networking.remove("bridge")
    stack.assert_nothing_left()


def test_a_container_that_is_removed_at_the_same_time_keeps_no_network(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.write(f"services:\n  web:\n{QUIET}")
    stack("create")
    paths = stack.paths
    record = paths.record(wiring(stack, "web_default").leases.popitem()[0])
    look = networks.without_strays

    def then_it_goes(paths: Paths, found: Wiring) -> Wiring:
        seen = look(paths, found)
        os.rename(record, f"{record}.gone")
        return seen

    monkeypatch.setattr(networks, "without_strays", then_it_goes)
    Networking(paths).remove("web_default")
    os.rename(f"{record}.gone", record)
    stack("down")
    stack.assert_nothing_left()


def test_a_container_that_is_being_removed_keeps_no_network_of_others(stack: Stack) -> None:
    stack.write("services:\n  web: {image: demo, network_mode: bridge}\n")
    stack("create")
    container_id = wiring(stack, "bridge").leases.popitem()[0]
    record = records.read(stack.paths, container_id)
    assert record is not None
    records.write(stack.paths, {**record, "phase": "removing"})
    Networking(stack.paths).remove("bridge")
    stack("down")
    stack.assert_nothing_left()


def test_a_record_that_is_none_stops_no_other_stack(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{QUIET}")
    stack("up", "-d")
    path = stack.paths.network("others_default")
    with open(path, "w") as file:
        file.write('{"name": "others_default", "leases": null}')
    assert stack("plan").stdout.startswith("nothing to do")
    stack("down")
    assert not os.path.exists(stack.paths.network("web_default"))
    os.unlink(path)
