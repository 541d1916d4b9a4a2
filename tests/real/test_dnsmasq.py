"""Name servers as containers see them: answers, changes, the rest of the world, and the sandbox they live in."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from netlab import AAAA, HOST4, MX, NXDOMAIN, OUTSIDE4, PTR, Upstream, ask, times_to_live
from patience import until
from stretches import Stretch, playground

from composer.errors import CommandFailed
from composer.host import cgroup, dnsmasq, net_paths, netns, process
from composer.host.endpoints import Resolver
from composer.host.files import read_json
from composer.paths import Paths

pytestmark = pytest.mark.real

SERVER = "10.101.0.1"


@pytest.fixture
def store(jocker_dirs: Paths) -> Iterator[Stretch]:
    with playground(jocker_dirs) as made:
        made.network("n", 1, v6=True)
        yield made


@pytest.fixture
def inside(store: Stretch) -> str:
    return net_paths.router_netns(store.paths, "n")


def directory(store: Stretch) -> str:
    return net_paths.network_dns(store.paths, "n")


def pid_of(path: str) -> int:
    state = read_json(f"{path}/state")
    assert state is not None
    return int(state["pid"])


def write(store: Stretch, container_id: str, *names: tuple[str, str]) -> None:
    dnsmasq.write_hosts(store.paths, "n", container_id, names)


def test_names_of_every_kind_are_answered(store: Stretch, inside: str) -> None:
    write(
        store,
        "one",
        *(("10.101.0.2", name) for name in ("db", "shop-db-1", "Mixed_Case.x", "_under", "db.internal", "a.b-c.d")),
        ("fd00:1::2", "db"),
    )
    write(store, "two", ("10.101.0.3", "db"))
    for name in ("shop-db-1", "mixed_case.X", "_under", "db.internal", "a.b-c.d"):
        assert ask(inside, name, server=SERVER) == ["10.101.0.2"]
    assert sorted(ask(inside, "DB", server=SERVER)) == ["10.101.0.2", "10.101.0.3"]
    assert sorted(ask(inside, "db", server=SERVER, over="tcp")) == ["10.101.0.2", "10.101.0.3"]
    assert sorted(ask(inside, "db", server="fd00:1::1")) == ["10.101.0.2", "10.101.0.3"]
    assert ask(inside, "db", AAAA, server=SERVER) == ["fd00:1::2"]
    assert ask(inside, "shop-db-1", AAAA, server=SERVER) == []
    assert ask(inside, "3.0.101.10.in-addr.arpa", PTR, server=SERVER) == ["db"]
    assert times_to_live(inside, "db", server=SERVER) == {0}


def test_what_nobody_has_is_denied_at_once_and_in_here(store: Stretch, inside: str) -> None:
    assert store.upstream is not None
    for name, kind in (("nosuch", 1), ("nosuch", AAAA), ("nosuch", MX), ("9.0.101.10.in-addr.arpa", PTR)):
        assert ask(inside, name, kind, server=SERVER) == NXDOMAIN
    nobody6 = "9." + "0." * 19 + "1.0.0.0.0.0.d.f.ip6.arpa"
    assert ask(inside, nobody6, PTR, server=SERVER) == NXDOMAIN
    assert store.upstream.asked == []


def test_the_rest_of_the_world_is_asked_of_the_servers_given(store: Stretch, inside: str) -> None:
    assert store.upstream is not None
    write(store, "one", ("10.101.0.2", "github.com"))
    assert ask(inside, "www.example.org", server=SERVER) == ["198.51.100.7"]
    # Who is called so in here hides neither what is below it nor, as nobody is asked about it, that it has no IPv6.
    assert ask(inside, "github.com", server=SERVER) == ["10.101.0.2"]
    until(lambda: ask(inside, "github.com", AAAA, server=SERVER) == [] and "github.com" not in store.upstream.asked)  # type: ignore[union-attr]
    assert ask(inside, "api.github.com", server=SERVER) == ["198.51.100.7"]


def test_a_change_is_seen_at_once(store: Stretch, inside: str) -> None:
    for number in range(2, 60):
        write(store, "one", (f"10.101.0.{number}", "db"))
        assert ask(inside, "db", server=SERVER) == [f"10.101.0.{number}"]
        dnsmasq.clear_hosts(store.paths, "n", "one")
        assert ask(inside, "db", server=SERVER) == NXDOMAIN
    assert os.listdir(net_paths.hosts_dir(store.paths, "n")) == []
    dnsmasq.clear_hosts(store.paths, "n", "one")


def test_other_servers_lose_no_query(store: Stretch, inside: str) -> None:
    write(store, "one", ("10.101.0.2", "db"))
    answers: list[object] = []
    go_on = threading.Event()

    def keep_asking() -> None:
        while not go_on.is_set():
            answers.append(ask(inside, "db", server=SERVER))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    with Upstream(store.lab.host, HOST4, "198.51.100.8"):
        for upstreams in ((HOST4,), (OUTSIDE4,)) * 10 + ((HOST4,),):
            dnsmasq.set_upstreams(directory(store), upstreams)
        until(lambda: ask(inside, "www.example.org", server=SERVER) == ["198.51.100.8"])
    until(lambda: len(answers) > 20)
    go_on.set()
    asking.join()
    assert all(answer == ["10.101.0.2"] for answer in answers)


def test_it_lives_in_a_sandbox(store: Stretch) -> None:
    pid = pid_of(directory(store))
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert status["NoNewPrivs"] == "1"
    assert status["Groups"].strip() == ""
    for kind in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    mounts = [line.split(" ") for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    points = {fields[4]: fields[5] for fields in mounts}
    hosts = net_paths.hosts_dir(store.paths, "n")
    assert points.keys() >= {"/", "/usr", "/dev/null", "/dev/urandom", directory(store), hosts}
    assert points.keys() <= {"/", "/usr", "/dev/null", "/dev/urandom", directory(store), hosts, "/bin", "/sbin", "/lib"}
    assert all(points[where].startswith("ro,") for where in ("/usr", directory(store), hosts))
    assert not os.path.exists(f"/proc/{pid}/root/etc")
    assert pid in cgroup.processes(net_paths.dns_cgroup(store.paths))


def test_each_runs_as_a_user_of_its_own(store: Stretch) -> None:
    """Linux gives one user 128 inotify instances: that would be all name servers of a machine."""
    store.network("other", 2)
    pids = [pid_of(directory(store)), pid_of(net_paths.network_dns(store.paths, "other"))]
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in pids}) == 2


def test_dead_it_can_be_started_again(store: Stretch, inside: str) -> None:
    write(store, "one", ("10.101.0.2", "db"))
    assert dnsmasq.alive(directory(store))
    process.kill_and_wait(pid_of(directory(store)))
    assert not dnsmasq.alive(directory(store))
    store.make("n")
    assert dnsmasq.alive(directory(store))
    assert ask(net_paths.router_netns(store.paths, "n"), "db", server=SERVER) == ["10.101.0.2"]


def test_one_whose_starter_was_killed_is_found_and_ended(store: Stretch) -> None:
    """A crash after dnsmasq runs and before its pid is written down."""
    pid = pid_of(directory(store))
    state = Path(f"{directory(store)}/state")
    state.write_text('{"hosts": [], "upstreams": []}')
    dnsmasq.stop(directory(store))
    assert process.start_time(pid) is None
    assert not state.exists()


def test_an_address_that_is_not_there_is_an_error_in_its_own_words(store: Stretch) -> None:
    server = dnsmasq.NameServer(
        net_paths.container_dns(store.paths, "x"),
        net_paths.router_netns(store.paths, "n"),
        ("10.77.0.1",),
        53,
        (net_paths.hosts_dir(store.paths, "n"),),
    )
    with pytest.raises(CommandFailed, match="failed to create listening socket"):
        dnsmasq.start(store.paths, server)
    dnsmasq.remove(store.paths, server.directory)
    assert not os.path.exists(server.directory)


def test_a_container_asks_by_the_names_it_gave_to_others(store: Stretch) -> None:
    store.container("db", 5, "n")
    resolver = Resolver(store.upstreams, links=(("database", "db"), ("data.base", "db")))
    web = store.container("web", 6, "n", resolver=resolver)
    assert ask(web, "database", server="127.0.0.11")[-1] == "10.101.0.5"
    assert ask(web, "data.base", AAAA, server="127.0.0.11")[-1] == "fd00:1::5"
    assert ask(web, "www.example.org", server="127.0.0.11") == ["198.51.100.7"]
    # A container's own name server hears of new names with a dot, too.
    write(store, "late", ("10.101.0.9", "late.internal"))
    assert ask(web, "late.internal", server="127.0.0.11") == ["10.101.0.9"]
    own = net_paths.container_dns(store.paths, "web")
    assert "server=/late.internal/\n" in Path(f"{own}/servers").read_text()
    assert netns.exists(web)


@pytest.mark.parametrize(
    ("subnet", "zones"),
    [
        ("10.1.2.0/24", ("2.1.10.in-addr.arpa",)),
        ("10.1.0.0/16", ("1.10.in-addr.arpa",)),
        ("10.1.2.128/25", tuple(f"{n}.2.1.10.in-addr.arpa" for n in range(128, 256))),
        ("10.1.4.0/23", ("4.1.10.in-addr.arpa", "5.1.10.in-addr.arpa")),
        ("fd00:1::/64", ("0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",)),
        ("fd00:1::/63", ("0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", "1.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa")),
    ],
)
def test_reverse_zones_cover_a_subnet_and_nothing_else(subnet: str, zones: tuple[str, ...]) -> None:
    assert dnsmasq.reverse_zones(subnet) == zones
