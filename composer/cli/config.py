"""`jocker config`: the stack file, checked and in its canonical form."""

from __future__ import annotations

import json
import re
import sys
from typing import Annotated, Any

import typer

from composer.cli import road
from composer.cli.globals import Globals, one_of
from composer.cli.options import Services
from composer.desired.build import desire
from composer.errors import UsageError
from composer.model.service import Project

_ODD = re.compile(r"y|n|yes|no|on|off|=|[-+]?\.?[0-9].*", re.IGNORECASE)
"""Text that some reader of YAML takes for something else: 1.1 has more words and kinds of numbers than 1.2."""


def config(
    context: typer.Context,
    services: Services = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only check")] = False,
    names: Annotated[bool, typer.Option("--services", help="Service names, in dependency order")] = False,
    images: Annotated[bool, typer.Option("--images", help="Image names")] = False,
    profiles: Annotated[bool, typer.Option("--profiles", help="Profile names")] = False,
    environment: Annotated[bool, typer.Option("--environment", help="The variables interpolation sees")] = False,
    hashes: Annotated[str | None, typer.Option("--hash", help="Config hashes of services: * or a comma list")] = None,
    support: Annotated[bool, typer.Option("--support", help="What works of the Compose Specification")] = False,
    output: Annotated[str, typer.Option("--format", help="yaml or json")] = "yaml",
    target: Annotated[str | None, typer.Option("--output", "-o", help="Write to a file")] = None,
) -> None:
    """Check the stack file and print what it means."""
    options: Globals = context.obj
    one_of("--format", output, ("yaml", "json"))
    if support:
        print(_support(), end="")
        return
    project = road.load(options, tuple(services or ()))
    if quiet:
        return
    if names:
        from composer.plan.order import ordered

        text = _lines(ordered({name: one.depends_on for name, one in project.services.items()}))
    elif images:
        text = _lines(dict.fromkeys(one.image for one in project.services.values()))
    elif profiles:
        everyone = [*project.services.values(), *project.disabled.values()]
        text = _lines(sorted({name for one in everyone for name in one.profiles}))
    elif environment:
        text = _lines(f"{name}={value}" for name, value in sorted(project.environment.items()))
    elif hashes is not None:
        text = _hashes(options, project, hashes)
    else:
        text = _whole(project, output, services)
    if target:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


def _lines(items: Any) -> str:
    return "".join(f"{item}\n" for item in items)


def _hashes(options: Globals, project: Project, wanted: str) -> str:
    stack = desire(project, road.images(options.paths, project))
    names = stack.services if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in stack.services:
            raise UsageError(f"no such service: {name}", hint=f"there are: {', '.join(stack.services)}")
    return _lines(f"{name} {stack.services[name].config_hash}" for name in sorted(names))


def _whole(project: Project, output: str, services: list[str] | None) -> str:
    tree = dict(project.canonical)
    if services:
        from composer.plan.order import selected

        # With what they depend on: what is printed is a stack file again.
        shown = selected(
            {name: one.depends_on for name, one in project.services.items()}, services, with_dependencies=True
        )
        tree["services"] = {name: one for name, one in tree["services"].items() if name in shown}
    tree = _with_doubled_dollars(tree)
    if output == "json":
        # As docker compose does in JSON, and only there: null stands for what the image says.
        said = {"command": None, "entrypoint": None}
        tree["services"] = {name: said | one for name, one in tree["services"].items()}
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Careful(SafeRepresenter):
        """Quotes more than YAML 1.2 asks for: docker compose, podman-compose and others read the same text."""

    def text(representer: SafeRepresenter, value: str) -> Any:
        style = "'" if _ODD.fullmatch(value) else None
        return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Careful.add_representer(str, text)
    writer = YAML(typ="safe", pure=True)
    writer.Representer = Careful
    writer.default_flow_style = False
    writer.allow_unicode = True
    writer.width = 4096
    out = StringIO()
    writer.dump(tree, out)
    return out.getvalue()


def _with_doubled_dollars(value: Any) -> Any:
    """As docker compose prints it: what comes out can go in again."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _with_doubled_dollars(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_doubled_dollars(item) for item in value]
    return value


def _support() -> str:
    from composer.cli.text import table
    from composer.composefile.support import support_table

    return table(("KEY", "SUPPORT", "NOTE"), [(key, state.value, note) for key, state, note in support_table()])
