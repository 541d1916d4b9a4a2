"""Networks over their lives: made, changed, shared, damaged, repaired."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from leftovers import sweep
from netlab import HOST4, NXDOMAIN, call, listening
from scenarios.conftest import Stack
from scenarios.wires import (
    QUIET,
    address,
    addresses,
    asked,
    free_ports,
    inside,
    machine,
    on_machine,
    small_machine,
    wiring,
)

from composer.host import net_paths, netlink, netns, nftables
from composer.host.netlink_wire import Netlink

pytestmark = pytest.mark.real


def is_well(stack: Stack, port: int = 0, *, lab: bool = False) -> bool:
    """Whether web and db find and reach each other, and the machine the port of web."""
    web, db = inside(stack, "web-web-1"), inside(stack, "web-db-1")
    at = address(stack, "web_default", "web-web-1")
    assert asked(db, "web") == asked(db, "shop") == [at]
    assert at in asked(db, "w")
    with listening(web, 80) as server:
        assert not call(db, server, at, 80).startswith(("lost", "refused"))
        if port:
            assert not call(machine(stack), server, HOST4 if lab else "127.0.0.1", port).startswith(("lost", "refused"))
            assert not call(machine(stack), server, "127.0.0.1", port).startswith(("lost", "refused"))
    return True


def two(port: int, more: str = "") -> str:
    return (
        f"services:\n  web:\n{QUIET}    ports: ['{port}:80']\n    networks: {{default: {{aliases: [shop]}}}}\n"
        f"  db:\n{QUIET}    links: ['web:w']\n  apart:\n{QUIET}    network_mode: none\n{more}"
    )


# changes --------------------------------------------------------------------------------------------------


def test_a_changed_network_is_made_anew_and_its_containers_stay_who_they_are(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(two(port))
    stack("up", "-d")
    ids = stack.ids()
    for definition, difference in (
        ("ipam: {config: [{subnet: 10.213.7.0/24}]}", "ipam"),
        ("enable_ipv6: true, labels: {tier: front}", "enable_ipv6: false → true"),
    ):
        stack.write(two(port, f"networks: {{default: {{{definition}}}}}\n"))
        plan = json.loads(stack("plan", "--format", "json").stdout)
        assert any(difference in line for step in plan["steps"] for line in step.get("differences", ())), plan
        stack("up", "-d")
        assert stack.ids() == ids
        assert set(stack.states().values()) == {"running"}
        assert is_well(stack, port)
        assert "nothing to do" in stack("plan").stdout
    stack("down")
    stack.assert_nothing_left()


def test_a_service_that_joins_or_leaves_a_network_finds_who_is_there(stack: Stack) -> None:
    text = (
        f"services:\n  web:\n{QUIET}    networks: [%s]\n  db:\n{QUIET}    networks: [back]\n"
        "networks: {front: , back: }\n"
    )
    stack.write(text % "front")
    stack("up", "-d")
    db = stack.ids()["web-db-1"]
    assert asked(inside(stack, "web-web-1"), "db") == NXDOMAIN
    stack.write(text % "front, back")
    stack("up", "-d")
    assert asked(inside(stack, "web-web-1"), "db") == [address(stack, "web_back", "web-db-1")]
    assert asked(inside(stack, "web-db-1"), "web") == [address(stack, "web_back", "web-web-1")]
    stack.write(text % "back")
    stack("up", "-d")
    assert asked(inside(stack, "web-db-1"), "web") == [address(stack, "web_back", "web-web-1")]
    assert stack.ids()["web-db-1"] == db
    stack("down")
    stack("network", "prune", "-f")
    stack.assert_nothing_left()


# others ---------------------------------------------------------------------------------------------------


def test_stacks_meet_on_an_external_network_even_if_they_come_up_at_once(stack: Stack) -> None:
    other = stack.another("other")
    for one, name in ((stack, "web"), (other, "db")):
        one.write(
            f"services:\n  {name}:\n{QUIET}    scale: 3\n    networks: [default, shared]\n"
            "networks: {shared: {external: true}}\n"
        )
    stack("network", "create", "shared")
    several = [one.start("up", "-d") for one in (stack, other)]
    assert [process.wait(60) for process in several] == [0, 0]
    web, db = addresses(stack, "shared"), addresses(other, "shared")
    assert len({*web.values(), *db.values()}) == 6
    assert asked(inside(other, "other-db-1"), "web") == sorted(web.values())
    assert set(db.values()) <= set(asked(inside(stack, "web-web-2"), "db"))
    assert "in use by" in stack("network", "rm", "shared", code=1).stderr
    several = [one.start("down") for one in (stack, other)]
    assert [process.wait(60) for process in several] == [0, 0]
    stack("network", "rm", "shared")
    stack.assert_nothing_left()


def test_a_network_that_somebody_else_has_made_is_not_taken(stack: Stack) -> None:
    """Under another key: refused. Under the same: used with a warning, and never removed or made anew."""
    other = stack.another("other")
    other.write(f"services:\n  db:\n{QUIET}    networks: [mine]\nnetworks: {{mine: {{name: common}}}}\n")
    other("up", "-d")
    text = f"services:\n  web:\n{QUIET}    networks: [%s]\nnetworks: {{%s: {{name: common, labels: {{a: b}}}}}}\n"
    stack.write(text % ("ours", "ours"))
    assert "the name of network common is taken: that one was made by stack other" in stack("up", "-d", code=1).stderr
    assert stack.states() == {}
    stack.write(text % ("mine", "mine"))
    assert "network common was made for stack other" in stack("up", "-d").stderr
    assert asked(inside(stack, "web-web-1"), "db") == [address(other, "common", "other-db-1")]
    stack("down")
    assert asked(inside(other, "other-db-1"), "web") == NXDOMAIN
    assert other.states() == {"other-db-1": "running"}
    other("down")
    stack("network", "create", "common")
    said = stack("up", "-d", code=1).stderr
    assert "was made by `jocker network create`" in said
    stack("network", "rm", "common")
    stack.assert_nothing_left()


def test_run_and_up_at_the_same_time(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{QUIET}    scale: 3\n")
    several = [stack.start("up", "-d"), *(stack.start("run", "--rm", "-T", "web", "nslookup", "web") for _ in range(2))]
    assert several[0].wait(60) == 0
    for one in several[1:]:
        assert one.wait(60) in {0, 1}  # whether web is there already is open
    assert set(stack.states().values()) == {"running"}
    stack("down", "--remove-orphans")
    stack.assert_nothing_left()


# addresses ------------------------------------------------------------------------------------------------


def test_addresses_stay_while_a_container_is_there_and_are_free_when_it_is_gone(stack: Stack) -> None:
    stack.write(
        f"services:\n  fixed:\n{QUIET}    environment: {{V: '${{V:-0}}'}}\n"
        "    networks: {default: {ipv4_address: 10.213.8.77, ipv6_address: 'fd00:8::77',\n"
        "      mac_address: 02:00:00:00:00:77}}\n"
        f"  web:\n{QUIET}    scale: 2\n"
        "networks: {default: {enable_ipv6: true, ipam: {config: [{subnet: 10.213.8.0/24, gateway: 10.213.8.9}, "
        "{subnet: 'fd00:8::/64'}]}}}\n"
    )
    stack("up", "-d")
    found = addresses(stack, "web_default")
    assert found["web-fixed-1"] == "10.213.8.77"
    for words in (("stop",), ("start",), ("restart",)):
        stack(*words)
        assert addresses(stack, "web_default") == found
    stack("up", "-d", env={"V": "1"})
    assert addresses(stack, "web_default") == found
    shown = stack("exec", "-T", "fixed", "ip", "address", "show", "dev", "eth0").stdout
    for part in ("10.213.8.77/24", "fd00:8::77/64", "02:00:00:00:00:77"):
        assert part in shown
    stack("rm", "-sf", "web")
    assert addresses(stack, "web_default") == {"web-fixed-1": "10.213.8.77"}
    stack("down", "--remove-orphans")
    stack.assert_nothing_left()


def test_a_pool_that_is_used_up_is_told_and_one_that_the_machine_needs_is_avoided(stack: Stack) -> None:
    pool = {"JOCKER_ADDRESS_POOL": "10.214.0.0/23"}
    stack.write(f"services:\n  web:\n{QUIET}    networks: [a, b, c]\nnetworks: {{a: , b: {{internal: true}}, c: }}\n")
    said = stack("up", "-d", env=pool, code=1).stderr
    assert "no address left for another" in said
    assert "10.214.0.0/23 is used up" in said
    stack("down")
    stack.assert_nothing_left()
    with small_machine(stack):

        def need() -> None:
            with Netlink() as here:
                here.do(netlink.route("10.214.0.0/16", "192.0.2.9"))

        on_machine(stack, need)
        stack.write(f"x-jocker: {{address_pool: [10.214.0.0/16, 10.215.0.0/16]}}\nservices:\n  web:\n{QUIET}")
        stack("up", "-d")
        assert wiring(stack, "web_default").subnet4 == "10.215.0.0/24"
        stack("down")
        stack.assert_nothing_left()


# damage ---------------------------------------------------------------------------------------------------


def kill_name_server(stack: Stack) -> None:
    with open(f"{net_paths.network_dns(stack.paths, 'web_default')}/state") as file:
        os.kill(json.load(file)["pid"], signal.SIGKILL)


def delete_table(stack: Stack) -> None:
    on_machine(stack, lambda: nftables.apply(f"delete table inet {net_paths.host_table(stack.paths)}"))


def flush_everything(stack: Stack) -> None:
    on_machine(stack, lambda: nftables.apply("flush ruleset"))


def delete_link(stack: Stack) -> None:
    def work() -> None:
        with Netlink() as here:
            here.do(netlink.delete(wiring(stack, "web_default").uplink))

    on_machine(stack, work)


def unpin_router(stack: Stack) -> None:
    netns.remove(net_paths.router_netns(stack.paths, "web_default"))


def stop_forwarding(stack: Stack) -> None:
    on_machine(stack, lambda: netns.set_sysctls({"net/ipv4/ip_forward": "0"}))


def fill_record_with_garbage(stack: Stack) -> None:
    Path(stack.paths.network("web_default")).write_bytes(b"\0{]")


def kill_own_name_server(stack: Stack) -> None:
    with open(f"{net_paths.container_dns(stack.paths, stack.ids()['web-db-1'])}/state") as file:
        os.kill(json.load(file)["pid"], signal.SIGKILL)


def unpin_container(stack: Stack) -> None:
    netns.remove(inside(stack, "web-web-1"))


def unpin_all_and_forget(stack: Stack) -> None:
    """What was in the run directory's part for namespaces, as if somebody had tidied it."""
    directory = net_paths.netns_dir(stack.paths)
    for name in os.listdir(directory):
        if name.endswith(".json"):
            os.unlink(f"{directory}/{name}")
        else:
            netns.remove(f"{directory}/{name}")


DAMAGE = {
    "name server": (kill_name_server, "its name server is not running"),
    "table": (delete_table, "its rules are gone"),
    "ruleset": (flush_everything, "its rules are gone"),
    "link": (delete_link, "link"),
    "namespace": (unpin_router, "its namespace is gone"),
    "forwarding": (stop_forwarding, "ip_forward is 0"),
    "own name server": (kill_own_name_server, "web-db-1: its name server is not running"),
    "container": (unpin_container, "web-web-1: its network namespace is gone"),
    "all namespaces": (unpin_all_and_forget, "its namespace is gone"),
    "record": (fill_record_with_garbage, "web_default"),
}


def test_damage_is_seen_by_plan_and_repaired_by_up_without_a_restart(stack: Stack) -> None:
    stack.write(two(8080))
    with small_machine(stack):
        stack("up", "-d")
        ids = stack.ids()
        starts = {name: started(stack, one) for name, one in ids.items()}
        for name, (damage, said) in DAMAGE.items():
            damage(stack)
            assert said in stack("plan").stdout, name
            stack("up", "-d")
            assert "nothing to do" in stack("plan").stdout, name
            assert is_well(stack, 8080, lab=True), name
            assert stack.ids() == ids, name
            if name != "record":
                assert {name: started(stack, one) for name, one in ids.items()} == starts, name
        stack("down")
        stack.assert_nothing_left()


def started(stack: Stack, container_id: str) -> str:
    """Which process is the container's first: another after each start."""
    return Path(f"{stack.paths.conmon(container_id)}/process").read_text()


def test_after_a_reboot_up_makes_all_of_it_anew(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(two(port))
    stack("up", "-d")
    ids, at = stack.ids(), addresses(stack, "web_default")
    shutil.copytree(stack.paths.data, f"{stack.paths.data}.kept", symlinks=True)
    sweep(stack.paths)
    os.rename(f"{stack.paths.data}.kept", stack.paths.data)
    assert set(stack.states().values()) == {"exited"}
    stack("up", "-d")
    assert stack.ids() == ids
    assert addresses(stack, "web_default") == at
    assert is_well(stack, port)
    stack("down")
    stack.assert_nothing_left()


# subnets of two stacks ------------------------------------------------------------------------------------


def test_a_subnet_that_another_network_has_is_refused_before_anything_is_changed(stack: Stack) -> None:
    def on(subnet: str) -> str:
        return f"services:\n  web:\n{QUIET}networks: {{default: {{ipam: {{config: [{{subnet: {subnet}}}]}}}}}}\n"

    stack.write(on("10.201.77.0/24"))
    stack("up", "-d")
    other = stack.another("other")
    other.write(on("10.201.77.128/25"))
    for command in (("plan",), ("up", "-d")):
        said = other(*command, code=1).stderr
        assert "network other_default: the subnet 10.201.77.128/25 overlaps with 10.201.77.0/24 of network" in said
    assert other.states() == {}
    other.write(on("10.201.78.0/24"))
    other("up", "-d")
    stack("down", "-t", "0")
    other.write(on("10.201.77.0/24"))
    other("up", "-d", "-t", "0")
    assert wiring(other, "other_default").subnet4 == "10.201.77.0/24"
    other("down", "-t", "0")
