"""Name servers that listen on nothing but the machine's loopback answer containers, too."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from netlab import AAAA, HOST4, NXDOMAIN, A, Upstream, ask, lab
from patience import until
from stretches import Stretch, stretch

from composer.host import net_paths, process, router
from composer.host.endpoints import Resolver
from composer.host.files import read_json
from composer.host.forwarder import asked_instead
from composer.paths import Paths

pytestmark = pytest.mark.real

LOCAL = "127.0.0.77"


@pytest.fixture
def store(jocker_dirs: Paths, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stretch]:
    with lab(str(tmp_path_factory.mktemp("lab"))) as where, stretch(jocker_dirs, where, (LOCAL,)) as made:
        yield made


def forwarder(store: Stretch, name: str) -> int:
    state = read_json(net_paths.network_dns(store.paths, name) + "-world/state") or {}
    return int(state.get("pid", 0))


def mend(store: Stretch, name: str) -> None:
    store.lab.on_host(lambda: router.mend(store.paths, store.wirings[name], store.upstreams, store.all_wirings))


def test_a_server_on_the_loopback_is_asked(store: Stretch) -> None:
    with Upstream(store.lab.host, LOCAL) as world:
        store.network("one", 1)
        web = store.container("web", 5, "one")
        asked = Resolver(asked_instead(store.wirings["one"], store.upstreams), links=(("database", "db"),))
        own = store.container("own", 6, "one", resolver=asked)
        for path in (web, own):
            assert ask(path, "www.example.org", A, server="127.0.0.11") == ["198.51.100.7"]
            assert ask(path, "www.example.org", AAAA, server="127.0.0.11") == NXDOMAIN
            assert ask(path, "unknown", A, server="127.0.0.11") == NXDOMAIN
        assert "unknown" not in world.asked
        assert store.faults("one") == ()


def test_an_internal_network_asks_nobody(store: Stretch) -> None:
    with Upstream(store.lab.host, LOCAL) as world:
        store.network("inner", 2, internal=True)
        path = store.container("x", 5, "inner")
        assert ask(path, "www.example.org", A, server="127.0.0.11") == NXDOMAIN
        assert not world.asked
        assert not forwarder(store, "inner")
        assert store.faults("inner") == ()


def test_a_forwarder_that_died_is_a_fault_and_mended(store: Stretch) -> None:
    with Upstream(store.lab.host, LOCAL):
        store.network("one", 1)
        web = store.container("web", 5, "one")
        os.kill(forwarder(store, "one"), signal.SIGKILL)
        until(lambda: store.faults("one") == ("its way to the name server on the machine's loopback is gone",))
        mend(store, "one")
        assert store.faults("one") == ()
        assert ask(web, "www.example.org", A, server="127.0.0.11") == ["198.51.100.7"]


def test_a_machine_that_asks_others_by_now_has_no_forwarder(store: Stretch) -> None:
    with Upstream(store.lab.host, LOCAL), Upstream(store.lab.host, HOST4, "198.51.100.8"):
        store.network("one", 1)
        web = store.container("web", 5, "one")
        before = forwarder(store, "one")
        started = process.start_time(before)
        assert started
        store.upstreams = (HOST4,)
        assert store.faults("one") == ("its name server asks others than the machine does by now",)
        mend(store, "one")
        assert store.faults("one") == ()
        assert not process.alive(before, started)
        until(lambda: ask(web, "www.example.org", A, server="127.0.0.11") == ["198.51.100.8"])
        store.upstreams = (LOCAL,)
        mend(store, "one")
        until(lambda: ask(web, "www.example.org", A, server="127.0.0.11") == ["198.51.100.7"])


def test_nothing_is_left_of_it(store: Stretch) -> None:
    store.network("one", 1)
    pid = forwarder(store, "one")
    started = process.start_time(pid)
    assert started
    store.remove("one")
    assert not process.alive(pid, started)
    assert not os.path.exists(net_paths.network_dns(store.paths, "one") + "-world")
