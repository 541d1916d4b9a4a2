"""A stack with its variables left as they are written, and the list of them: nothing of it is fit to be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from composer.composefile.canonical import canonical
from composer.composefile.hostpaths import Base
from composer.composefile.interpolate import BadTemplate, parts_of
from composer.composefile.tree import Findings, Node
from composer.errors import StackFileError

_WORDS: Final = frozenset({"command", "entrypoint", "post_start", "pre_start", "pre_stop", "develop"})
"""What has command lines in it: they are split into words after their variables are known."""


class Variable(NamedTuple):
    """A variable that a stack file uses: what stands in for it if it is not set, and what replaces it if it is.

    `required` says that the file cannot be read without it (`${X?}`).
    """

    name: str
    default: str = ""
    alternate: str = ""
    required: bool = False


class RawStack(NamedTuple):
    """The merged files as plain values, `$` as written; the variables by name, sorted; warnings for stderr."""

    tree: Mapping[str, Any]
    variables: Mapping[str, Variable]
    warnings: tuple[str, ...]


def collect(node: Node, found: dict[str, Variable]) -> None:
    """Adds the variables of every value below `node` to `found`."""
    value = node.value
    if isinstance(value, dict):
        for child in value.values():
            collect(child, found)
    elif isinstance(value, list):
        for child in value:
            collect(child, found)
    elif isinstance(value, str) and "$" in value:
        for variable in variables_of(value):
            earlier = found.get(variable.name, variable)
            found[variable.name] = Variable(
                variable.name,
                earlier.default or variable.default,
                earlier.alternate or variable.alternate,
                earlier.required or variable.required,
            )


def variables_of(text: str) -> Iterator[Variable]:
    """The variables of one text in order, those in default values after the one they stand in for.

    Nothing of what is malformed.
    """
    try:
        parts = list(parts_of(text))
    except BadTemplate:
        return
    for name, operator, word in parts:
        kind = operator.removeprefix(":")
        yield Variable(
            name,
            default=word if kind == "-" else "",
            alternate=word if kind == "+" else "",
            required=kind == "?",
        )
        yield from variables_of(word)


def canonical_where_possible(document: Node, base: Base, findings: Findings) -> Node:
    """As `canonical`; a value that has no long form before its variables are known is left as it is."""
    if not _has_variable(document):
        return canonical(document, base, findings)
    entries: dict[str, Node] = {}
    for section, node in document.items.items():
        if not isinstance(node.value, dict) or section.startswith("x-"):
            entries[section] = node
            continue
        done = {name: _entry(section, name, child, base, findings) for name, child in node.value.items()}
        entries[section] = node.with_value(done)
    return document.with_value(entries)


def _entry(section: str, name: str, node: Node, base: Base, findings: Findings) -> Node:
    def tried(entry: Node) -> Node | None:
        """The entry in long form, None if it has none."""
        own = Findings()
        alone = entry.with_value({section: entry.with_value({name: entry})})
        try:
            done = canonical(alone, base, own).at(section, name)
        except (
            TypeError,
            ValueError,
            AttributeError,
            KeyError,
            StackFileError,
        ):  # rules are written for values, not for variables
            return None
        if own.complaints and _has_variable(entry):
            return None
        if done is not None and _variable_keys(done) - _variable_keys(entry):
            return None  # a list became a mapping, and the keys of a mapping are not expanded
        findings.complaints.extend(own.complaints)
        return done

    if section != "services" or not isinstance(node.value, dict):
        return tried(node) or node
    done: dict[str, Node] = {}
    for key, child in node.value.items():
        if key in _WORDS and _has_variable(child):
            done[key] = child
            continue
        whole = tried(node.with_value({key: child}))
        done[key] = whole.items[key] if whole is not None and key in whole.items else child
    return node.with_value(done)


def _variable_keys(node: Node) -> set[str]:
    below = [*node.items.values(), *node.elements]
    return {key for key in node.items if "$" in key}.union(*map(_variable_keys, below))


def _has_variable(node: Node) -> bool:
    todo = [node]
    while todo:
        value = todo.pop().value
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, str) and "$" in value:
            return True
    return False
