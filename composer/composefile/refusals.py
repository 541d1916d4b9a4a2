"""What a stack file says rightly, but jocker cannot do: by the tables, on the merged tree of what is enabled."""

from __future__ import annotations

from collections.abc import Mapping

from composer.composefile.shapes import CHOICES, SHAPES
from composer.composefile.support import Support, keys_of, why_refused
from composer.composefile.tree import Findings, Node, Path, shown

_REFUSALS = frozenset({Support.REFUSED, Support.LATER})


def refuse_by_table(sections: Mapping[str, Mapping[str, Node]], findings: Findings) -> None:
    """Refuses each key whose support says so, and each word that is a `Choice` for later.

    `sections` are the top-level keys with those of their entries that are in use: services that are enabled,
    networks and volumes that these name. A key without a value asks for nothing.
    """
    top = keys_of("")
    for section, entries in sections.items():
        for name, node in entries.items():
            if top.get(section) in _REFUSALS:
                findings.refuse(why_refused(section), node.key or node.mark, (section, name))
            else:
                _walk(node, (section, name), f"{section}.*", findings)


def _walk(node: Node, path: Path, pattern: str, findings: Findings) -> None:
    if isinstance(node.value, list):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), f"{pattern}[]", findings)
        return
    if not isinstance(node.value, dict):
        choice = CHOICES.get(pattern)
        if choice and choice.is_later(node.text):
            why = f": {choice.never}" if choice.never else " yet"
            findings.refuse(f"the {choice.what} {shown(node.text)} is not supported{why}", node.mark, path)
        return
    known = keys_of(pattern)
    for key, child in node.value.items():
        below = f"{pattern}.{key}"
        if known.get(key) not in _REFUSALS:
            if not key.startswith("x-") or below in SHAPES:
                _walk(child, (*path, key), below if below in SHAPES else f"{pattern}.*", findings)
        elif child.value not in (None, {}, [], "", False):
            findings.refuse(why_refused(below), child.key or child.mark, (*path, key))
