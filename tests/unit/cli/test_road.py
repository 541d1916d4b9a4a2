"""What of a stack concerns a command."""

from __future__ import annotations

import pytest
from stackcases import load

from composer.cli.road import _about

STACK = """
services:
  a: {image: x, depends_on: [b]}
  b: {image: x, networks: [n], cgroup_parent: /p}
  c.d: {image: x, cgroup_parent: /p}
  c: {image: x}
networks: {n: {driver: macvlan}}
"""
NETWORK, B, C = "networks.n.driver", "services.b.cgroup_parent", "services.c.d.cgroup_parent"


@pytest.mark.parametrize(
    ("services", "refused"),
    [(("a",), [NETWORK, B]), (("b", "c"), [NETWORK, B]), (("c",), [NETWORK]), (("c.d",), [NETWORK, C])],
)
def test_only_what_is_wanted_and_what_that_depends_on_is_refused(services: tuple[str, ...], refused: list[str]) -> None:
    project = load({"stack": STACK})
    assert sorted(one.place.path for one in project.refusals) == [NETWORK, B, C]
    assert sorted(one.place.path for one in _about(project, services).refusals) == refused
