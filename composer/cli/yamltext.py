"""Plain values to YAML text: the same text that docker compose prints, so that the two can be compared line by line.

Written here because the libraries' writers are slow (two seconds for 500 services) and quote by other rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from composer.composefile.scalars import plain_scalar
from composer.composefile.tree import go_text

_SAFE: Final = re.compile(r"(?:[A-Za-z_/][\w./@+$=-]*)(?::[\w./@+$=-]+)*", re.ASCII)
"""Text that needs no look: no blank, no indicator. What is a word of YAML is told apart by `_WORDS`."""
_WORDS: Final = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_SEXAGESIMAL: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_FIRST: Final = frozenset("#,[]{}&*!|>'\"%@`")
_SIMPLE_ESCAPES: Final = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e",
    '"': '"', "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip


def yaml_text(tree: Mapping[str, Any]) -> str:
    """The mapping as a YAML document. Keys stay in the order in which they are."""
    lines: list[str] = []
    _mapping(tree, "", "", lines)
    lines.append("")
    return "\n".join(lines)


def natural(key: str) -> tuple[Any, ...]:
    """A sort key: numbers inside names by their value, punctuation before letters, as docker compose sorts names."""
    done: list[tuple[int, int, int]] = []
    at = 0
    while at < len(key):
        char = key[at]
        end = at + 1
        if char.isdecimal():
            while end < len(key) and key[end].isdecimal():
                end += 1
            done.append((2, int(key[at:end]), end - at))
        elif char.isalpha():
            done.append((1 if at and key[at - 1].isdecimal() else 4, ord(char), 0))
        else:
            done.append((2 if at and key[at - 1].isdecimal() else 1, 0, ord(char)))
        at = end
    return tuple(done)


def _mapping(value: Mapping[str, Any], first: str, indent: str, lines: list[str]) -> None:
    """`first` stands before the first key, `indent` before the others."""
    lead = first
    for key, item in value.items():
        head = f"{lead}{_key(key, indent, lines)}:"
        lead = indent
        if isinstance(item, dict) and item:
            lines.append(head)
            _mapping(item, indent + "  ", indent + "  ", lines)
        elif isinstance(item, (list, tuple)) and item:
            lines.append(head)
            _sequence(item, indent + "  ", indent + "  ", lines)
        else:
            lines.append(f"{head} {_leaf(item, indent)}")


def _sequence(value: list[Any] | tuple[Any, ...], first: str, indent: str, lines: list[str]) -> None:
    lead = first
    for item in value:
        if isinstance(item, dict) and item:
            _mapping(item, f"{lead}- ", f"{indent}  ", lines)
        elif isinstance(item, (list, tuple)) and item:
            _sequence(item, f"{lead}- ", f"{indent}  ", lines)
        else:
            lines.append(f"{lead}- {_leaf(item, indent)}")
        lead = indent


def _key(key: str, _indent: str, _lines: list[str]) -> str:
    return _double(key) if "\n" in key else _text(key)


def _leaf(value: Any, indent: str) -> str:
    if isinstance(value, str):
        return _block(value, indent) if "\n" in value else _text(value)
    if value is None:
        return "null"
    if isinstance(value, (dict, list, tuple)):
        return "{}" if isinstance(value, dict) else "[]"
    return go_text(value)


def _text(text: str) -> str:
    """One line: plain if it reads as itself, else in quotes."""
    if _SAFE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if not isinstance(plain_scalar(text), str) or text.lower() in _WORDS or text == "=" or _SEXAGESIMAL.fullmatch(text):
        return _double(text)
    if _needs_escapes(text):
        return _double(text)
    if (
        text[0] in _FIRST
        or text[0] == " "
        or text[-1] in " :"
        or text.startswith(("- ", "? ", ": ", "---", "..."))
        or text in {"-", "?"}
        or ": " in text
        or " #" in text
    ):
        return "'" + text.replace("'", "''") + "'"
    return text


def _needs_escapes(text: str) -> bool:
    return any(not (" " <= char <= "~" or "\xa0" <= char <= "\ufffd") or char in "\ufeff\u2028\u2029" for char in text)


def _double(text: str) -> str:
    done = []
    for char in text:
        if char in _SIMPLE_ESCAPES and (char < " " or char in '"\\\x85\u2028\u2029'):
            done.append("\\" + _SIMPLE_ESCAPES[char])
        elif _needs_escapes(char):
            code = ord(char)
            done.append(f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}")
        else:
            done.append(char)
    return '"' + "".join(done) + '"'


def _block(text: str, indent: str) -> str:
    """Several lines as they are, if they can stand so."""
    body = text.replace("\n", "")
    if _needs_escapes(body) or " \n" in text or text.endswith(" "):
        return _double(text)
    hint = "2" if text[0] in " \n" else ""
    stripped = text.rstrip("\n")
    ends = len(text) - len(stripped)
    chomp = "-" if ends == 0 else "" if ends == 1 and stripped else "+"
    whole = stripped.split("\n") if stripped else []
    whole += [""] * (ends - 1 if stripped else ends)
    return f"|{hint}{chomp}\n" + "\n".join(f"{indent}  {line}" if line else "" for line in whole)
