"""What may stand where: unknown keys and wrong types. All complaints, each with its place.

Runs on each document by itself. What is wrong is complained about and left out, so that the passes after
this one meet nothing they do not know.
"""

from __future__ import annotations

from composer.composefile.kinds import KINDS, Shape, WrongKind, is_yaml_1_1_bool
from composer.composefile.shapes import CHOICES, NULL_HERE, ONCE, SHAPES, Choice
from composer.composefile.support import NO_EXTENSIONS, Support, keys_of
from composer.composefile.tree import Findings, Mark, Node, Path, Scalar, shown

_REFUSALS = frozenset({Support.REFUSED, Support.LATER})
_NAMED = {
    "configs": "config",
    "networks": "network",
    "secrets": "secret",
    "services": "service",
    "services.*.networks": "network",
    "volumes": "volume",
}
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def checked(document: Node, findings: Findings, *, expanded: bool = True) -> Node:
    """The document without what is wrong in it, single values turned into their kind. Complaints go to `findings`.

    If it is not `expanded`, a value with a `$` in it may be of any kind.
    """
    if not isinstance(document.value, dict):
        findings.complain("a stack file is a mapping, with `services:` at the top", document.mark, ())
        return document.with_value({})
    return _Checker(findings, expanded=expanded).node(document, (), "") or document.with_value({})


def check_nulls(node: Node, findings: Findings, path: Path = (), pattern: str = "") -> None:
    """Complains about each null of the merged tree that nothing stands behind."""
    if node.value is None:
        if pattern not in NULL_HERE:
            wanted = str(SHAPES.get(pattern, "")) or "a value"
            findings.complain(
                f"must be {wanted}, not null", node.key or node.mark, path, "remove the key, or give it a value"
            )
        return
    for key, child in node.items.items():
        if not key.startswith("x-"):
            below = f"{pattern}.{key}" if pattern else key
            check_nulls(child, findings, (*path, key), below if below in SHAPES else f"{pattern}.*")
    for index, item in enumerate(node.elements):
        check_nulls(item, findings, (*path, index), f"{pattern}[]")


def did_you_mean(word: str, known: list[str]) -> str:
    """The hint with the nearest known word, or ""."""
    import difflib  # 5 ms: only when something is wrong

    near = difflib.get_close_matches(word.lower().replace("-", "_"), known, 1, 0.6)
    return f"did you mean `{near[0]}`?" if near else ""


class _Checker:
    """Walks one document; methods return the checked node, or None if nothing usable is left of it."""

    def __init__(self, findings: Findings, *, expanded: bool) -> None:
        self.findings = findings
        self.expanded = expanded

    def node(self, node: Node, path: Path, pattern: str) -> Node | None:
        if node.tag == "reset" or node.value is None:
            return node
        shape = SHAPES[pattern]
        if isinstance(node.value, dict):
            if not shape.entries:
                self._wrong_form(node, path, shape, "a mapping")
                return None
            return node.with_value(self._entries(node.value, path, pattern, shape.entries))
        if isinstance(node.value, list):
            if not shape.items:
                self._wrong_form(node, path, shape, "a list")
                return None
            items = (
                self._item(item, (*path, index), pattern, shape.items)
                for index, item in enumerate(node.value)
            )  # fmt: skip
            kept = [item for item in items if item is not None]
            if pattern in ONCE:
                self._check_once(kept, path)
            return node.with_value(kept)
        if not shape.scalar:
            self._wrong_form(node, path, shape, _form_of(node.value))
            return None
        return self._leaf(node, path, shape.scalar, pattern)

    def _entries(self, entries: dict[str, Node], path: Path, pattern: str, kind: str) -> dict[str, Node]:
        kept: dict[str, Node] = {}
        for key, child in entries.items():
            here = (*path, key)
            if kind == "keys":
                done = self._known_key(key, child, here, pattern)
            elif kind == "*":
                done = self._named(key, child, here, pattern)
            elif child.value is None or child.tag == "reset":
                done = child
            elif isinstance(child.value, (dict, list)):
                self._wrong_form(child, here, Shape(scalar=kind), _form_of(child.value))
                done = None
            else:
                done = self._leaf(child, here, kind, "")
            if done is not None:
                kept[key] = done
        return kept

    def _known_key(self, key: str, child: Node, path: Path, parent: str) -> Node | None:
        keys = keys_of(parent)
        support = keys.get(key)
        mark = child.key or child.mark
        if support is not None:
            below = f"{parent}.{key}" if parent else key
            if support in _REFUSALS:
                self.findings.may_refuse = True
                if below not in SHAPES:  # we cannot read it yet, either
                    if child.tag != "reset":
                        self.findings.complain("not supported yet", mark, path)
                    return None
            return self.node(child, path, below)
        if key.startswith("x-") and parent not in NO_EXTENSIONS:
            return child
        self.findings.complain("unknown key", mark, path, did_you_mean(key, list(keys)))
        return None

    def _named(self, key: str, child: Node, path: Path, parent: str) -> Node | None:
        what = _NAMED.get(parent)
        if what:
            if not key or not _NAME_CHARACTERS.issuperset(key):
                message = f"{shown(key)!r} cannot be a {what}'s name"
                hint = "a name has letters a-z, A-Z, digits, dots, dashes and underscores"
                self.findings.complain(message, child.key or child.mark, path, hint)
                return None
        elif parent == "services.*.ulimits" and not (key.isascii() and key.isalpha() and key.islower()):
            self.findings.complain("unknown limit", child.key or child.mark, path)
            return None
        return self.node(child, path, f"{parent}.*")

    def _item(self, item: Node, path: Path, parent: str, kind: str) -> Node | None:
        if item.value is None:
            self.findings.complain("an empty item", item.mark, path, 'remove it, or write "" for an empty string')
            return None
        if kind == "*":
            return self.node(item, path, f"{parent}[]")
        if isinstance(item.value, (dict, list)):
            self._wrong_form(item, path, Shape(scalar=kind), _form_of(item.value))
            return None
        return self._leaf(item, path, kind, "")

    def _leaf(self, node: Node, path: Path, kind: str, pattern: str) -> Node | None:
        value = node.value
        if isinstance(value, (dict, list)):
            return None
        if not self.expanded and isinstance(value, str) and "$" in value:
            return node
        try:
            typed = KINDS[kind](value)
        except WrongKind as error:
            self.findings.complain(shown(error.message), node.mark, path, shown(error.hint))
            return None
        if kind == "bool" and is_yaml_1_1_bool(value):
            self.findings.warn(f"write {'true' if typed else 'false'} instead of {value}", node.mark, path)
        choice = CHOICES.get(pattern)
        if choice and not self._is_choice(str(typed), choice, node.mark, path):
            return None
        return node.with_value(typed)

    def _is_choice(self, word: str, choice: Choice, mark: Mark, path: Path) -> bool:
        if word in choice.accepted or word.startswith(choice.prefixes or ("\0",)):
            return True
        if choice.is_later(word):
            self.findings.may_refuse = True
            return True
        words = [*choice.accepted, *choice.later]
        hint = did_you_mean(word, words) or "write one of " + ", ".join(filter(None, words))
        self.findings.complain(f"unknown {choice.what} {shown(word)!r}", mark, path, hint)
        return False

    def _check_once(self, items: list[Node], path: Path) -> None:
        seen: set[object] = set()
        for index, item in enumerate(items):
            if isinstance(item.value, (dict, list)):
                continue
            if (key := (type(item.value), item.value)) in seen:
                self.findings.complain(f"{shown(item.text)!r} is written twice", item.mark, (*path, index))
            seen.add(key)

    def _wrong_form(self, node: Node, path: Path, shape: Shape, found: str) -> None:
        self.findings.complain(f"must be {shape}, not {found}", node.mark, path)


def _form_of(value: Scalar | dict[str, Node] | list[Node]) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "a boolean"
    return "a string" if isinstance(value, str) else "a number" if isinstance(value, (int, float)) else "a date"
