"""`include`: files of other projects, with their own directory and their own defaults for variables.

As docker compose 2.40 does it: per document, after `extends`; what both define must be the same; the parent's variables
win over those of the included project's `.env`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from composer.composefile.dotenv import BadLine, parse_dotenv
from composer.composefile.hostpaths import absolute, display_path
from composer.composefile.loading import Context, Loading, Parsed, via
from composer.composefile.remote import HINT, remote_kind
from composer.composefile.tree import OWN_VARIABLES, Mark, Node, Path, Source, plain, shown

_SECTIONS: Final = ("services", "volumes", "networks", "secrets", "configs", "models")
_HOW: Final = "included from"
_NO_FILE: Final = "/dev/null"
_DEEPEST: Final = 50
"""Each costs some of the interpreter's stack."""


def included(document: Node, context: Context, trail: tuple[str, ...], loading: Loading) -> Node:
    """The document with what its `include` names, and without `include`. `trail` are the files that led here."""
    entries = dict(document.items)
    listed = entries.pop("include")
    for index, item in enumerate(listed.elements if listed.tag != "reset" else ()):
        model = _model(item, ("include", index), context, trail, loading)
        if model is not None:
            _import(model, entries, item, ("include", index), context)
    return document.with_value(entries)


def _model(item: Node, path: Path, context: Context, trail: tuple[str, ...], loading: Loading) -> Node | None:
    """What one item of `include` names, as one tree."""
    findings = context.findings
    if isinstance(item.value, dict):
        written = item.items.get("path")
        names = _texts(written)
        here: Path = (*path, "path")
    else:
        names, here = [item], path
    if not names:
        if not findings.touches(path):
            findings.complain("`path` is missing", item.mark, path, "write {path: FILE}")
        return None
    files = _opened(names, here, context, trail, loading)
    if files is None:
        return None
    directory = item.items.get("project_directory")
    where = absolute(directory.text, context.base) if directory is not None and directory.text else ""
    base = context.base._replace(directory=where or files[0].path.rpartition("/")[0] or "/")
    own = _variables(item, path, base.directory, context, loading)
    environment = {**own, **context.environment}
    model = loading.model(files, context._replace(environment=environment, base=base), trail)
    model = _with_contexts(model, base.directory)
    ours = {name: value for name, value in own.items() if name not in context.environment}
    return _with_variables(model, ours) if ours else model


def _opened(
    names: list[Node], path: Path, context: Context, trail: tuple[str, ...], loading: Loading
) -> list[Parsed] | None:
    files: list[Parsed] = []
    complain = context.findings.complain
    for name in names:
        kind = remote_kind(name.text)
        if kind:
            complain(f"{shown(name.text)!r} is {kind}: not fetched", name.mark, path, HINT)
            return None
        location = absolute(name.text, context.base)
        if location in trail:
            circle = (*trail[trail.index(location) :], location)
            drawing = " → ".join(shown(display_path(one, loading.cwd)) for one in circle)
            complain(f"a circle of includes: {drawing}", name.mark, path)
            return None
        if len(trail) > _DEEPEST:
            complain(f"more than {_DEEPEST} includes inside one another", name.mark, path)
            return None
        file = loading.open(location, name, path, _HOW)
        if file is None:
            return None
        files.append(file)
    return files


def _variables(item: Node, path: Path, directory: str, context: Context, loading: Loading) -> dict[str, str]:
    """The defaults of the included project: its `env_file`s, later ones win, else the `.env` of its directory."""
    written = _texts(item.items.get("env_file"))
    found: dict[str, str] = {}
    named = [(absolute(one.text, context.base), one, (*path, "env_file")) for one in written]
    for file, node, here in named or [(f"{directory.rstrip('/')}/.env", item, path)]:
        if file == _NO_FILE:
            continue
        text = loading.text(file, node, here, "env file", optional=not named)
        if text is None:
            continue
        try:
            found.update(parse_dotenv(text, context.environment.get, found))
        except BadLine as error:
            source = Source(display_path(file, loading.cwd), tuple(text.split("\n")), via(node.mark, _HOW))
            context.findings.complain(error.message, Mark(source, error.line, 1), here)
    return found


def _with_contexts(model: Node, directory: str) -> Node:
    """Services that say how they are built but not of what are built of the included project's directory."""
    services = model.at("services")
    done: dict[str, Node] = {}
    for name, service in services.items.items() if services else ():
        build = service.at("build")
        if build is not None and isinstance(build.value, dict) and "context" not in build.items:
            whole = build.with_value({"context": Node(directory, build.mark), **build.items})
            done[name] = service.with_value({**service.items, "build": whole})
    if services is None or not done:
        return model
    return model.with_value({**model.items, "services": services.with_value({**services.items, **done})})


def _with_variables(model: Node, own: Mapping[str, str]) -> Node:
    """Variables that only the included project knows are its secrets' and configs', and those of its services that
    have no value.
    """
    entries = dict(model.items)
    for section, fill in (("services", _service), ("secrets", _file_object), ("configs", _file_object)):
        written = entries.get(section)
        if written is not None and written.items:
            done = {name: fill(node, own) for name, node in written.items.items()}
            entries[section] = written.with_value(done)
    return model.with_value(entries)


def _service(node: Node, own: Mapping[str, str]) -> Node:
    environment = node.items.get("environment")
    if environment is None:
        return node
    done = {key: one.with_value(own.get(key)) if one.value is None else one for key, one in environment.items.items()}
    return node.with_value({**node.items, "environment": environment.with_value(done)})


def _file_object(node: Node, own: Mapping[str, str]) -> Node:
    variable = node.items.get("environment")
    if variable is None or variable.text not in own:
        return node
    value = variable.with_value({variable.text: variable.with_value(own[variable.text])})
    return node.with_value({**node.items, OWN_VARIABLES: value})


def _import(model: Node, entries: dict[str, Node], item: Node, path: Path, context: Context) -> None:
    """Puts what the included model defines into `entries`."""
    for section in _SECTIONS:
        theirs = model.items.get(section)
        if theirs is None or not theirs.items:
            continue
        ours = entries.get(section)
        if ours is not None and ours.value is not None and not isinstance(ours.value, dict):
            continue  # complained about
        both = dict(ours.items) if ours is not None else {}
        for name, node in theirs.items.items():
            other = both.get(name)
            if other is None or other.tag == "reset":
                both[name] = node
            elif plain(other) != plain(node):
                _conflict(section, name, other, node, item, path, context)
        entries[section] = ours.with_value(both) if ours is not None else Node(both, item.mark)


def _conflict(section: str, name: str, ours: Node, theirs: Node, item: Node, path: Path, context: Context) -> None:
    here, there = ours.key or ours.mark, theirs.key or theirs.mark
    message = f"is defined here and in {shown(there.source.name)}:{there.line}"
    hint = "an override file (-f) may change what is included; a second definition must be the same"
    if here.source.name == item.mark.source.name:
        context.findings.complain(message, here, (section, name), hint)
    else:  # by another include
        message = f"{section}.{shown(name)} is defined in {shown(here.source.name)}:{here.line}, too"
        context.findings.complain(message, item.mark, path, hint)


def _texts(node: Node | None) -> list[Node]:
    """A single value or a list of them, as a list."""
    if node is None or node.value is None:
        return []
    return node.elements if isinstance(node.value, list) else [node]
