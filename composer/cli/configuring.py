"""What `jocker config` prints. Loaded without typer: see `quick`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from composer.cli.globals import Globals
from composer.cli.text import write_to
from composer.composefile.read import read_project
from composer.errors import UsageError
from composer.frozen import replace
from composer.model.service import Project

_NOT_HERE: Final = {
    "--no-path-resolution": "the output is made after all files are read, and by then their paths are absolute",
    "--no-consistency": "what does not fit together has no canonical form here",
}
_AS_WRITTEN: Final = {"--no-normalize": "normal", "--no-env-resolution": "env"}


class Wanted(NamedTuple):
    """What to print of which services. `flags` in their long form; `hashes` are service names, `*` or a comma list."""

    services: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    hashes: str = ""
    output: str = ""
    target: str = ""


def show_config(options: Globals, wanted: Wanted) -> None:
    """Checks the stack file, prints what is wanted. Raises `StackFileError`, `UsageError`, and what registries do."""
    for flag, why in _NOT_HERE.items():
        if flag in wanted.flags:
            raise UsageError(f"{flag} is not supported", hint=why)
    if "--support" in wanted.flags:
        _tell(_support(wanted.output), wanted.target)
        return
    if "--variables" in wanted.flags or "--no-interpolate" in wanted.flags:
        from composer.cli.rawconfig import show_raw

        _tell(show_raw(options, wanted), wanted.target)
        return
    request = options.request()
    as_written = frozenset(word for flag, word in _AS_WRITTEN.items() if flag in wanted.flags)
    if as_written:
        request = replace(request, as_written=as_written)
    project = read_project(request, with_services=() if "--services" in wanted.flags else wanted.services)
    if project.warnings:
        from composer.cli.road import warn

        warn(project.warnings)
    if "--quiet" in wanted.flags:
        return
    for flag, view in VIEWS.items():
        if flag in wanted.flags:
            _tell(view(options, project, wanted), wanted.target)
            return
    tree = _chosen(project, wanted.services)
    if "--resolve-image-digests" in wanted.flags or "--lock-image-digests" in wanted.flags:
        tree = _pinned(tree, only_images="--lock-image-digests" in wanted.flags)
    _tell(whole(tree, wanted.output), wanted.target)


def _tell(text: str, target: str) -> None:
    if target:
        write_to(target, text)
    else:
        sys.stdout.write(text)


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _keys(section: str) -> View:
    return lambda _options, project, _wanted: _lines(project.canonical.get(section, ()))


def _services(_options: Globals, project: Project, _wanted: Wanted) -> str:
    from composer.plan.order import ordered

    return _lines(ordered({name: one.depends_on for name, one in project.services.items()}))


def _profiles(_options: Globals, project: Project, _wanted: Wanted) -> str:
    everyone = [*project.services.values(), *project.disabled.values()]
    return _lines(sorted({name for one in everyone for name in one.profiles}))


def _environment(_options: Globals, project: Project, _wanted: Wanted) -> str:
    return _lines(f"{name}={value}" for name, value in sorted(project.environment.items()))


def _images(_options: Globals, project: Project, wanted: Wanted) -> str:
    named = (project.services[name].image for name in _chosen(project, wanted.services)["services"])
    return _lines(dict.fromkeys(filter(None, named)))


def _hashes(options: Globals, project: Project, wanted: Wanted) -> str:
    from composer.cli import road

    names = list(project.services) if wanted.hashes == "*" else wanted.hashes.split(",")
    for name in names:
        if name not in project.services:
            raise UsageError(f"no such service: {name}", hint=f"there are: {', '.join(project.services)}")
    # a provider's service is no container, so it has no hash of one
    ours = replace(project, services={name: one for name, one in project.services.items() if one.image})
    stack = road.described(options.paths, ours, services=tuple(name for name in names if name in ours.services))
    return _lines(f"{name} {stack.services[name].config_hash}" for name in sorted(names) if name in stack.services)


View = Callable[[Globals, Project, Wanted], str]
VIEWS: Final[Mapping[str, View]] = {
    "--services": _services,
    "--volumes": _keys("volumes"),
    "--networks": _keys("networks"),
    "--models": _keys("models"),
    "--hash": _hashes,
    "--profiles": _profiles,
    "--images": _images,
    "--environment": _environment,
}
"""Instead of the whole: the first that is wanted, as docker compose has it."""


# the whole ---------------------------------------------------------------------------------------------
def _chosen(project: Project, services: tuple[str, ...]) -> dict[str, Any]:
    """The canonical tree, of these services and what they depend on: what is printed is a stack file again."""
    tree = dict(project.canonical)
    if not services:
        return tree
    from composer.plan.order import selected

    needs = {name: one.depends_on for name, one in project.services.items()}
    shown = selected(needs, list(services), with_dependencies=True)
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
