"""`jocker config`: the stack file, checked and in its canonical form; or one thing out of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from composer.cli import road
from composer.cli.globals import Globals, one_of
from composer.cli.options import Services
from composer.cli.text import write_to
from composer.errors import UsageError
from composer.model.service import Project

_Flag = Callable[[Globals, Project], str]


def config(
    context: typer.Context,
    services: Services = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only check")] = False,
    names: Annotated[bool, typer.Option("--services", help="Service names, in dependency order")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", help="Volume keys")] = False,
    networks: Annotated[bool, typer.Option("--networks", help="Network keys")] = False,
    models: Annotated[bool, typer.Option("--models", help="Model keys")] = False,
    hashes: Annotated[str, typer.Option("--hash", help="Config hashes of services: * or a comma list")] = "",
    profiles: Annotated[bool, typer.Option("--profiles", help="Profile names")] = False,
    images: Annotated[bool, typer.Option("--images", help="Image names")] = False,
    environment: Annotated[bool, typer.Option("--environment", help="The variables interpolation sees")] = False,
    support: Annotated[bool, typer.Option("--support", help="What works of the Compose Specification")] = False,
    digests: Annotated[
        bool, typer.Option("--resolve-image-digests", help="Images by the digests that their registries have now")
    ] = False,
    lock: Annotated[
        bool, typer.Option("--lock-image-digests", help="Only these images by digest: an override file")
    ] = False,
    output: Annotated[str, typer.Option("--format", help="yaml or json")] = "yaml",
    target: Annotated[str, typer.Option("--output", "-o", help="Write to a file")] = "",
) -> None:
    """Check the stack file and print what it means."""
    options: Globals = context.obj
    one_of("--format", output, ("yaml", "json"))
    if support:
        _tell(_support(output), target)
        return
    project = road.load(options, () if names or hashes else tuple(services or ()))
    if quiet:
        return
    views: tuple[tuple[object, _Flag], ...] = (
        (names, _services),
        (volumes, lambda _, project: _lines(project.canonical.get("volumes", ()))),
        (networks, lambda _, project: _lines(project.canonical.get("networks", ()))),
        (models, lambda _, project: _lines(project.canonical.get("models", ()))),
        (hashes, lambda options, project: _hashes(options, project, hashes)),
        (profiles, _profiles),
        (images, lambda _, project: _images(project, services)),
        (environment, _environment),
    )
    for wanted, view in views:
        if wanted:
            _tell(view(options, project), target)
            return
    tree = _chosen(project, services)
    if digests or lock:
        tree = _pinned(tree, only_images=lock)
    _tell(whole(tree, output), target)


def _tell(text: str, target: str) -> None:
    if target:
        write_to(target, text)
    else:
        sys.stdout.write(text)


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _services(_: Globals, project: Project) -> str:
    from composer.plan.order import ordered

    return _lines(ordered({name: one.depends_on for name, one in project.services.items()}))


def _profiles(_: Globals, project: Project) -> str:
    everyone = [*project.services.values(), *project.disabled.values()]
    return _lines(sorted({name for one in everyone for name in one.profiles}))


def _environment(_: Globals, project: Project) -> str:
    return _lines(f"{name}={value}" for name, value in sorted(project.environment.items()))


def _images(project: Project, services: list[str] | None) -> str:
    named = (project.services[name].image for name in _chosen(project, services)["services"])
    return _lines(dict.fromkeys(filter(None, named)))


def _hashes(options: Globals, project: Project, wanted: str) -> str:
    from composer.desired.build import desire
    from composer.frozen import replace

    names = list(project.services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in project.services:
            raise UsageError(f"no such service: {name}", hint=f"there are: {', '.join(project.services)}")
    # a provider's service is no container, so it has no hash of one
    ours = replace(project, services={name: one for name, one in project.services.items() if one.image})
    stack = desire(ours, road.images(options.paths, ours))
    return _lines(f"{name} {stack.services[name].config_hash}" for name in sorted(names) if name in stack.services)


# the whole ---------------------------------------------------------------------------------------------
def _chosen(project: Project, services: list[str] | None) -> dict[str, Any]:
    """The canonical tree, of these services and what they depend on: what is printed is a stack file again."""
    tree = dict(project.canonical)
    if not services:
        return tree
    from composer.plan.order import selected

    needs = {name: one.depends_on for name, one in project.services.items()}
    shown = selected(needs, services, with_dependencies=True)
    tree["services"] = {name: one for name, one in tree["services"].items() if name in shown}
    return tree


def _pinned(tree: dict[str, Any], *, only_images: bool) -> dict[str, Any]:
    from composer.image.digests import pinned

    names = {name: one["image"] for name, one in tree["services"].items() if "image" in one}
    digests = {image: pinned(image) for image in dict.fromkeys(names.values())}
    images = {name: {"image": digests[image]} for name, image in names.items()}
    if only_images:
        return {"services": images}
    return {**tree, "services": {name: one | images.get(name, {}) for name, one in tree["services"].items()}}


def whole(tree: Mapping[str, Any], output: str) -> str:
    """The canonical tree as text: `output` is yaml or json. It is a stack file again."""
    from composer.cli.keyorder import in_order

    tree = in_order(_with_doubled_dollars(tree))
    if output == "json":
        for service in tree["services"].values():
            # As docker compose does in JSON, and only there: null stands for what the image says.
            service.setdefault("command", None)
            service.setdefault("entrypoint", None)
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    from composer.cli.yamltext import yaml_text

    for network in tree.get("networks", {}).values():
        if not network.get("ipam", True):
            del network["ipam"]
    return yaml_text(tree)


def _with_doubled_dollars(value: Any) -> Any:
    """As docker compose prints it: what comes out can go in again. Keys are not expanded: a dollar there stays one."""
    if isinstance(value, str):
        return value.replace("$", "$$") if "$" in value else value
    if isinstance(value, dict):
        return {key: _with_doubled_dollars(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_doubled_dollars(item) for item in value]
    return value


def _support(output: str) -> str:
    from composer.composefile.support import support_table

    rows = support_table()
    if output == "json":
        keys = [{"Key": key, "Support": state.value, "Note": note} for key, state, note in rows]
        return json.dumps(keys, indent=2, ensure_ascii=False) + "\n"
    from composer.cli.text import table

    return table(("KEY", "SUPPORT", "NOTE"), [(key, state.value, note) for key, state, note in rows])
