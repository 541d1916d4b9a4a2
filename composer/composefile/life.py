"""Health checks, hooks, watched files, models and providers: short to long, and what must hold of each.

The canonical rules here run on one document; `check_life` on the merged services.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from composer.composefile.canonical import paired, words
from composer.composefile.hostpaths import Base, absolute
from composer.composefile.tree import Findings, Node, Path, shown

HOOKS: Final = ("pre_start", "post_start", "pre_stop")
_TESTS: Final = ("CMD", "CMD-SHELL", "NONE")
_WITHOUT_TARGET: Final = frozenset({"rebuild", "restart"})


def healthcheck(node: Node, _path: Path, _base: Base, _findings: Findings) -> Node:
    """A `test` of one string is a line for the shell."""
    test = node.at("test")
    if test is None or not isinstance(test.value, str):
        return node
    line = [Node("CMD-SHELL", test.mark), Node(test.value, test.mark)]
    return node.with_value({**node.items, "test": test.with_value(line)})


def restart(node: Node, path: Path, _base: Base, findings: Findings) -> Node | None:
    """`on-failure:` takes a number."""
    _, colon, attempts = node.text.partition(":")
    if colon and not (attempts.isascii() and attempts.isdecimal()):
        hint = "write on-failure, or on-failure:3"
        findings.complain(f"not a number of attempts: {shown(attempts)!r}", node.mark, path, hint)
        return None
    return node


def hooks(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """A list of hooks, each with a list of words and a mapping of variables."""
    done = (hook(item, (*path, index), base, findings) for index, item in enumerate(node.elements))
    return node.with_value([item for item in done if item is not None])


def hook(node: Node, path: Path, base: Base, findings: Findings) -> Node | None:
    """One hook; None after a complaint."""
    entries = dict(node.items)
    command = entries.get("command")
    if command is None:
        if not path[-2:-1] or path[-2] != "pre_start":
            _missing(node, path, "command", findings)
            return None
    elif isinstance(command.value, str):
        split = words(command, (*path, "command"), base, findings)
        if split is None:
            return None
        entries["command"] = split
    environment = entries.get("environment")
    if environment is not None and environment.value is not None:
        entries["environment"] = paired(environment, (*path, "environment"), base, findings)
    return node.with_value(entries)


def develop(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """Absolute paths; lists of patterns."""
    watch = node.at("watch")
    if watch is None or not isinstance(watch.value, list):
        return node
    done = (_watched(item, (*path, "watch", index), base, findings) for index, item in enumerate(watch.value))
    rules = watch.with_value([rule for rule in done if rule is not None])
    return node.with_value({**node.items, "watch": rules})


def _watched(node: Node, path: Path, base: Base, findings: Findings) -> Node | None:
    entries = dict(node.items)
    for key in ("path", "action"):
        if key not in entries:
            _missing(node, path, key, findings)
            return None
    where = entries["path"]
    if not where.text:
        findings.complain("must not be empty", where.mark, (*path, "path"), 'write "." for the whole directory')
        return None
    entries["path"] = where.with_value(absolute(where.text, base))
    for key in ("ignore", "include"):
        patterns = entries.get(key)
        if patterns is not None and patterns.value is not None:
            listed = patterns.elements or (
                [] if isinstance(patterns.value, list) else [Node(patterns.value, patterns.mark)]
            )
            entries[key] = patterns.with_value(listed)
    after = entries.get("exec")
    if after is not None and after.value is not None:
        done = hook(after, (*path, "exec"), base, findings)
        if done is None:
            return None
        entries["exec"] = done
    return node.with_value(entries)


def models(node: Node, _path: Path, _base: Base, _findings: Findings) -> Node:
    """A list of keys as a mapping of them to nothing."""
    if not isinstance(node.value, list):
        return node
    return node.with_value({item.text: Node(None, item.mark, item.mark) for item in node.value})


def check_life(services: Mapping[str, Node], defined: Mapping[str, Node], findings: Findings) -> None:
    """Complains about what does not fit together in the merged services. `defined` are the top-level models."""
    for name, service in services.items():
        path: Path = ("services", name)
        _check_test(service, path, findings)
        _check_targets(service, path, findings)
        provider = service.at("provider")
        if provider is not None and provider.at("type") is None:
            _missing(provider, (*path, "provider"), "type", findings)
        used = service.at("models")
        for key, use in used.items.items() if used else ():
            if key not in defined:
                message = f"the undefined model {shown(key)!r}"
                hint = f"define it at the top level: models: {{{shown(key)}: {{model: …}}}}"
                findings.complain(message, use.key or use.mark, (*path, "models", key), hint)


def check_models(defined: Mapping[str, Node], findings: Findings) -> None:
    """Complains about top-level models that do not say which model they are."""
    for key, node in defined.items():
        if node.at("model") is None:
            _missing(node, ("models", key), "model", findings)


def _check_test(service: Node, path: Path, findings: Findings) -> None:
    test = service.at("healthcheck", "test")
    if test is None or not test.elements:
        return
    first = test.elements[0]
    if first.text not in _TESTS:
        hint = 'write ["CMD", …], ["CMD-SHELL", "…"], ["NONE"], or one string for the shell'
        findings.complain(
            f"must begin with CMD, CMD-SHELL or NONE, not {shown(first.text)!r}",
            first.mark,
            (*path, "healthcheck", "test"),
            hint,
        )


def _check_targets(service: Node, path: Path, findings: Findings) -> None:
    watch = service.at("develop", "watch")
    for index, rule in enumerate(watch.elements if watch else ()):
        action, target = rule.at("action"), rule.at("target")
        if action is not None and action.text not in _WITHOUT_TARGET and (target is None or not target.text):
            here = (*path, "develop", "watch", index)
            _missing(rule, here, "target", findings, "the path in the container that is kept the same")


def _missing(node: Node, path: Path, key: str, findings: Findings, hint: str = "") -> None:
    if not findings.touches(path):
        findings.complain(f"`{key}` is missing", node.mark, path, hint)
