"""Pinned network namespaces: made, entered, removed, and what a crash may leave of them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from composer.host import netlink, netns
from composer.host.netlink_wire import Netlink

pytestmark = pytest.mark.real


def here() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_it_is_pinned_with_what_was_made_in_it(tmp_path: Path) -> None:
    path = str(tmp_path / "one")
    before = here()
    number = netns.create(path, here)
    try:
        assert netns.exists(path)
        assert netns.identity(path) == number != before
        assert netns.inside(path, here) == number
        assert here() == before
    finally:
        netns.remove(path)
    assert not netns.exists(path)
    assert os.listdir(tmp_path) == []


def test_what_fails_inside_comes_back_and_leaves_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "one")

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        netns.create(path, fail)
    assert os.listdir(tmp_path) == []
    netns.create(path, lambda: None)
    with pytest.raises(ValueError, match="no"):
        netns.inside(path, fail)
    netns.remove(path)


def test_the_file_that_a_crash_leaves_is_no_namespace(tmp_path: Path) -> None:
    path = str(tmp_path / "one")
    Path(path).touch()
    assert not netns.exists(path)
    with pytest.raises(FileNotFoundError):
        netns.inside(path, here)
    netns.create(path, lambda: None)
    assert netns.exists(path)
    first = netns.identity(path)
    netns.create(path, lambda: None)  # over one that is in use
    assert netns.identity(path) != first
    netns.remove(path)
    netns.remove(path)
    assert os.listdir(tmp_path) == []


def test_settings_are_those_of_the_namespace(tmp_path: Path) -> None:
    path = str(tmp_path / "one")
    name = "net/ipv4/ip_unprivileged_port_start"
    outside = netns.sysctl(name)
    netns.create(path, lambda: netns.set_sysctls({name: "77"}))
    try:
        assert netns.inside(path, lambda: netns.sysctl(name)) == "77"
        assert netns.sysctl(name) == outside
        assert netns.sysctl("net/no/such") is None
    finally:
        netns.remove(path)


def test_a_socket_keeps_to_the_namespace_it_was_made_in(tmp_path: Path) -> None:
    path = str(tmp_path / "one")
    with netns.create(path, Netlink) as inner:
        try:
            assert [link.name for link in netlink.links(inner)] == ["lo"]
            assert netns.inside(path, socket.if_nameindex) == [(1, "lo")]
        finally:
            netns.remove(path)
