"""`jocker render`: the config.json a service's container has, or would get."""

from __future__ import annotations

import typer

from composer.actual.observe import observe
from composer.cli import road
from composer.cli.globals import Globals
from composer.cli.options import Index
from composer.desired.build import replica
from composer.desired.hashing import container_id
from composer.errors import ImageNotFound, UsageError


def render(context: typer.Context, service: str, index: Index = 0) -> None:
    """Print the config.json that a service's container gets, byte for byte."""
    from composer.execute.machine import Machine

    options: Globals = context.obj
    project = road.load(options, (service,))
    if service not in project.services:
        raise UsageError(f"no such service: {service}", hint=f"there are: {', '.join(project.services)}")
    paths = options.paths
    if project.providers:
        from composer.cli.providing import settled
        from composer.plan.policy import Policy

        project, _ = settled(paths, project, Policy())
    stack = road.desired(paths, project)
    wanted = stack.services[service]
    if not wanted.image_present:
        raise ImageNotFound(f"image {wanted.spec.image} is not here", hint=f"jocker image pull {wanted.spec.image}")
    found = [
        one
        for one in observe(paths, project.name).containers
        if one.service == service and not one.oneoff and index in {0, one.number}
    ]
    container = replica(stack, wanted, index or (found[0].number if found else 1))
    if found and found[0].config_hash == container.config_hash:
        new_id = found[0].id
    else:
        new_id = container_id(container, replaces=found[0].id if found else "")
    print(Machine(paths, options.wanted_runtime()).render(container, new_id), end="")
