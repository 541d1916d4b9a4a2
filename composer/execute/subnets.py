"""Subnets that a plan's networks name, and who has them, before anything is changed."""

from __future__ import annotations

from composer.desired.wire import check_apart
from composer.host import networks
from composer.paths import Paths
from composer.plan.plan import Plan
from composer.plan.steps import CreateNetwork, RemoveNetwork


def check(paths: Paths, plan: Plan) -> None:
    """Raises `NetworkError` for a subnet that is another network's, unless that one goes with the same plan."""
    steps = [node.step for node in plan.nodes]
    made = {step.network.name: step.network for step in steps if isinstance(step, CreateNetwork)}
    going = {step.subject for step in steps if isinstance(step, RemoveNetwork)}
    staying = [wiring for wiring in networks.every(paths) if wiring.name not in made.keys() | going]
    for network in made.values():
        check_apart(network, staying)
