"""`${VAR:-default}` and friends, in values only (the specification, "Interpolation").

```text
text := ( literal | '$$' | '$' NAME | '${' NAME [op word] '}' )*     NAME := [_A-Za-z][_A-Za-z0-9]*
op   := ':-' '-' ':+' '+' ':?' '?'                                   word := text, braces balanced
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from composer.composefile.tree import MAX_EXPANDED, Findings, Node, Path, shown

Lookup = Callable[[str], str | None]
_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_NAME = _START | frozenset("0123456789")
_MAX_NESTING = 50


class BadTemplate(ValueError):
    """The text cannot be expanded: `message` says why, `hint` what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def interpolated(node: Node, path: Path, environment: Mapping[str, str], findings: Findings) -> Node:
    """The tree with every string expanded. A string that cannot be is complained about and left out."""

    def expanded(node: Node, path: Path) -> Node | None:
        value = node.value
        if isinstance(value, str):
            return node if "$" not in value else _expanded_string(node, value, path)
        if isinstance(value, dict):
            entries = ((key, expanded(child, (*path, key))) for key, child in value.items())
            return node.with_value({key: child for key, child in entries if child is not None})
        if isinstance(value, list):
            items = (expanded(child, (*path, index)) for index, child in enumerate(value))
            return node.with_value([child for child in items if child is not None])
        return node

    def _expanded_string(node: Node, value: str, path: Path) -> Node | None:
        unset: list[str] = []
        try:
            text = expand(value, environment.get, unset.append)
        except BadTemplate as error:
            findings.complain(error.message, node.mark, path, error.hint)
            return None
        for name in unset:
            if name not in findings.unset:
                findings.unset.add(name)
                findings.warn(f"the variable {name} is not set: an empty string stands in for it", node.mark, path)
        findings.expanded += len(text)
        if findings.expanded > MAX_EXPANDED:
            message = f"more than {MAX_EXPANDED >> 20} MiB once all variables are replaced"
            findings.fail(message, node.mark, path)
        return node.with_value(text)

    return expanded(node, path) or node.with_value(None)


def expand(text: str, lookup: Lookup, on_unset: Callable[[str], object] = str, depth: int = 0) -> str:
    """`text` with its variables replaced. `on_unset` hears the name of each unset variable without a default.

    Raises `BadTemplate` for a malformed `${…}`, for `${VAR:?message}` without a value, and for what becomes too long.
    """
    if depth > _MAX_NESTING:
        raise BadTemplate(f"more than {_MAX_NESTING} variables inside one another")
    done: list[str] = []
    at = length = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0 or dollar + 1 == len(text):
            done.append(text[at:])
            return "".join(done)
        if (length := length + (len(done[-1]) if done else 0)) > MAX_EXPANDED:
            raise BadTemplate(f"more than {MAX_EXPANDED >> 20} MiB once the variables are replaced")
        done.append(text[at:dollar])
        following = text[dollar + 1]
        if following == "$":
            done.append("$")
            at = dollar + 2
        elif following == "{":
            end = _closing_brace(text, dollar + 1)
            done.append(_braced(text[dollar + 2 : end], lookup, on_unset, depth))
            at = end + 1
        elif following in _START:
            at = _name_end(text, dollar + 1)
            done.append(_value(text[dollar + 1 : at], lookup, on_unset))
        else:
            done.append("$")
            at = dollar + 1


def parts_of(text: str) -> Iterator[tuple[str, str, str]]:
    """Each variable of `text`: its name, its operator ("" if none) and the word after that, not expanded.

    Raises `BadTemplate` for a malformed `${…}`.
    """
    at = text.find("$")
    while 0 <= at < len(text) - 1:
        following = text[at + 1]
        if following == "{":
            end = _closing_brace(text, at + 1)
            yield split_braced(text[at + 2 : end])
            at = end + 1
        elif following in _START:
            end = _name_end(text, at + 1)
            yield text[at + 1 : end], "", ""
            at = end
        else:
            at += 2 if following == "$" else 1
        at = text.find("$", at)


def _closing_brace(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise _malformed(text[opening - 1 :])


def _name_end(text: str, at: int) -> int:
    while at < len(text) and text[at] in _NAME:
        at += 1
    return at


def _value(name: str, lookup: Lookup, on_unset: Callable[[str], object]) -> str:
    value = lookup(name)
    if value is None:
        on_unset(name)
        return ""
    return value


def _braced(inner: str, lookup: Lookup, on_unset: Callable[[str], object], depth: int) -> str:
    name, operator, word = split_braced(inner)
    if not operator:
        return _value(name, lookup, on_unset)
    colon = operator.startswith(":")
    operator = operator.removeprefix(":")
    value = lookup(name)
    is_set = value is not None and (value != "" or not colon)
    uses_word = is_set == (operator == "+")
    # the word is expanded even where it is not used: an error in it is an error (as in docker compose)
    word = expand(word, lookup, on_unset if uses_word else str, depth + 1)
    if operator == "?":
        if not is_set:
            reason = f": {shown(word)}" if word else ""
            raise BadTemplate(
                f"the required variable {name} is missing a value{reason}", f"set {name}, or put it in .env"
            )
        return value or ""
    if uses_word:
        return word
    return value or "" if operator == "-" else ""


def split_braced(inner: str) -> tuple[str, str, str]:
    """What stands between the braces: name, operator (`:-`, `+` …; "" if none), word. Raises `BadTemplate`."""
    end = _name_end(inner, 0)
    name, rest = inner[:end], inner[end:]
    if not name or name[0] not in _START:
        raise _malformed(f"${{{inner}}}")
    if not rest:
        return name, "", ""
    length = 2 if rest.startswith(":") else 1
    operator = rest[:length]
    if operator.removeprefix(":") not in {"-", "+", "?"}:
        raise _malformed(f"${{{inner}}}")
    return name, operator, rest[length:]


def _malformed(part: str) -> BadTemplate:
    return BadTemplate(f"invalid interpolation format: {shown(part)!r}", "write `$$` for a dollar sign")
