"""What holds for every rendered config."""

from __future__ import annotations

import json
import re
from pathlib import Path

import bundles
import pytest

from composer.bundle.render import (
    container_resolv_conf,
    render_hosts,
    render_resolv_conf,
    tidy,
    to_json,
)
from composer.errors import ContainerError
from composer.paths import templates_dir


def test_the_same_container_gives_the_same_bytes() -> None:
    first = bundles.render_text(bundles.container(environment={"B": "1", "A": "2"}))
    assert first == bundles.render_text(bundles.container(environment={"B": "1", "A": "2"}))
    assert first.startswith('{\n  "ociVersion": "1.0.2",\n  "process": {\n')
    assert first.endswith("\n}\n")


def test_the_text_has_no_empty_lines_and_no_lost_commas() -> None:
    text = bundles.render_text(bundles.container())
    assert not re.search(r"\n\s*\n|,\s*[\]},]|[\[{]\s*,", text)


def test_a_console_has_the_size_given() -> None:
    config = bundles.render(bundles.container(tty=True), console_size=(24, 80))
    assert config["process"]["consoleSize"] == {"height": 24, "width": 80}


@pytest.mark.parametrize("name", ["config.json.j2", "parts/resources.j2", "parts/devices.j2"])
def test_every_value_of_our_templates_passes_through_tojson(name: str) -> None:
    text = (Path(templates_dir()) / name).read_text()
    values = re.findall(r"\{\{(.*?)\}\}", re.sub(r"\{%\s*raw.*?endraw\s*%\}", "", text))
    assert values
    assert [value for value in values if not value.strip().endswith("| tojson")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1,, 2,\n]", "[1, 2\n]\n"),
        ("[ , 1]", "[ 1]\n"),
        ("{,}", "{}\n"),
        ("[1\n  ,\n  ,2]", "[1,2]\n"),
        ('["a,]", ",,", "\\",}"]', '["a,]", ",,", "\\",}"]\n'),
        ("{\n\n  \n}\n\n", "{\n}\n"),
        ("[[1,],]", "[[1]]\n"),
        ("[1 2]", "[1 2]\n"),
    ],
)
def test_tidy_takes_out_what_json_has_no_use_for(text: str, expected: str) -> None:
    assert tidy(text) == expected


def test_tojson_writes_what_json_reads() -> None:
    value = {"a": ["é", "<&>", "\u2028", '"'], "b": (1, None, True)}
    assert json.loads(to_json(value)) == {"a": ["é", "<&>", "\u2028", '"'], "b": [1, None, True]}
    assert to_json(frozenset({"b", "a"})) == '["a", "b"]'


def test_hosts_has_dockers_lines_then_extra_ones_then_its_own() -> None:
    desired = bundles.container(extra_hosts=[["db", "10.0.0.9"], ["v6", "fd00::1"]])
    text = render_hosts(desired, addresses=(("10.1.0.2", ("0123456789ab", "web")),))
    lines = text.splitlines()
    assert lines[:2] == ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    assert lines[6:] == ["10.0.0.9\tdb", "fd00::1\tv6", "10.1.0.2\t0123456789ab web"]
    assert text.endswith("\n")


def test_the_machine_is_found_by_host_gateway_where_its_network_is_shared() -> None:
    text = render_hosts(bundles.container(network_mode="host", extra_hosts=[["up", "host-gateway"]]))
    assert text.endswith("127.0.0.1\tup\n")


def test_on_the_machines_network_its_own_names_are_known() -> None:
    machine = "127.0.0.1 localhost\n10.9.8.7 vm\n\n"
    extra = [["db", "10.0.0.9"]]
    shared = render_hosts(bundles.container(network_mode="host", extra_hosts=extra), machine=machine)
    assert shared == "127.0.0.1 localhost\n10.9.8.7 vm\n10.0.0.9\tdb\n"
    assert "vm" not in render_hosts(bundles.container(extra_hosts=extra), machine=machine)
    assert render_hosts(bundles.container(network_mode="host")).startswith("127.0.0.1\tlocalhost\n")


def test_host_gateway_without_a_network_is_refused() -> None:
    with pytest.raises(ContainerError, match=r"extra_hosts\.up: host-gateway needs a network"):
        render_hosts(bundles.container(extra_hosts=[["up", "host-gateway"]]))


def test_resolv_conf() -> None:
    assert render_resolv_conf(("10.0.0.1", "10.0.0.2"), search=("a", "b"), options=("ndots:0",)) == (
        "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a b\noptions ndots:0\n"
    )
    assert render_resolv_conf(()) == ""


def test_resolv_conf_follows_the_machines_as_far_as_it_is_of_use() -> None:
    servers = "nameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver ::1\nnameserver\n"
    machine = f"# made by hand\n{servers}search a b\noptions x\n"
    assert container_resolv_conf(bundles.container(network_mode="host"), machine) == machine
    assert container_resolv_conf(bundles.container(), machine) == "nameserver 10.0.0.1\nsearch a b\noptions x\n"
    assert container_resolv_conf(bundles.container(), "") == ""


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ContainerError, match="not UTF-8"):
        bundles.render_text(bundles.container(environment={"A": "\udcff"}))
