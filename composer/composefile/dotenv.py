"""`.env` and `env_file` text to variables (docker compose's dotenv dialect).

`KEY=VALUE` or `KEY: VALUE`, optionally after `export`; `KEY` alone takes the value from the environment. Single quotes
are literal, double quotes know escapes, both may span lines; unquoted and double quoted values are interpolated.
"""

from __future__ import annotations

from composer.composefile.interpolate import BadTemplate, Lookup, expand
from composer.composefile.tree import MAX_EXPANDED, shown

_SPACES = " \t\v\f\r\x85\xa0"
_KEY_EXTRA = frozenset("_.-[]")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}


class BadLine(ValueError):
    """A line of an environment file cannot be read; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse_dotenv(text: str, lookup: Lookup, earlier: dict[str, str] | None = None) -> dict[str, str]:
    """The variables of `text`, in order. `${X}` asks `lookup`, then `earlier`, then the lines above.

    Raises `BadLine`.
    """
    known = dict(earlier or {})
    found: dict[str, str] = {}

    def value_of(name: str) -> str | None:
        value = lookup(name)
        return known.get(name) if value is None else value

    text = text.removeprefix("\ufeff")
    at = length = 0
    while True:
        at = _statement(text, at)
        if at >= len(text):
            return found
        line = text.count("\n", 0, at) + 1
        key, at, bare = _key(text, at, line)
        if bare:
            inherited = lookup(key)
            if inherited is not None:
                found[key] = known[key] = inherited
            continue
        try:
            value, at = _value(text, at, line, value_of)
        except BadTemplate as error:
            raise BadLine(error.message, line) from None
        found[key] = known[key] = value
        length += len(value)
        if length > MAX_EXPANDED:
            raise BadLine(f"more than {MAX_EXPANDED >> 20} MiB once all variables are replaced", line)


def parse_raw(text: str, lookup: Lookup) -> dict[str, str]:
    """`format: raw`: `KEY=VALUE` to the end of the line, verbatim; `KEY` alone from the environment.

    Raises `BadLine`.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        statement = line.removesuffix("\r").lstrip(_SPACES)
        if not statement or statement.startswith("#"):
            continue
        key, equals, value = statement.partition("=")
        if not key:
            raise BadLine("no variable name before `=`", number)
        if any(space in key for space in _SPACES):
            raise BadLine(f"the variable name {shown(key)!r} contains white space", number)
        inherited = value if equals else lookup(key)
        if inherited is not None:
            found[key] = inherited
    return found


def _statement(text: str, at: int) -> int:
    """Where the next statement starts: white space, blank lines and comment lines skipped."""
    while at < len(text):
        if text[at] == "#":
            end = text.find("\n", at)
            if end < 0:
                return len(text)
            at = end
        elif not text[at].isspace():
            return at
        at += 1
    return at


def _key(text: str, at: int, line: int) -> tuple[str, int, bool]:
    """The key, where its value starts, and whether it stands alone."""
    if text.startswith("export", at) and text[at + 6 : at + 7].isspace():
        after = at + 6
        while text[after : after + 1].isspace():
            after += 1
        at = after
    for end in range(at, len(text) + 1):
        char = text[end] if end < len(text) else "\n"
        if char in {"=", ":", "\n"}:
            key = text[at:end].rstrip()
            if " " in key or "\t" in key:
                raise BadLine(f"the variable name {shown(key)!r} contains a space", line)
            if not key and char != "\n":
                raise BadLine(f"no variable name before `{char}`", line)
            start = min(end + 1, len(text))
            if char != "\n":
                start += len(text[start:]) - len(text[start:].lstrip(_SPACES))
            return key, start, char == "\n"
        if char not in _SPACES and char not in _KEY_EXTRA and not char.isalnum():
            raise BadLine(f"unexpected character {char!r} in a variable name", line)
    raise BadLine("no variable name", line)


def _value(text: str, at: int, line: int, lookup: Lookup) -> tuple[str, int]:
    """The value that starts at `at`, and where the rest goes on."""
    quote = text[at : at + 1]
    if quote not in {'"', "'"}:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        value = text[at:end].partition(" #")[0].rstrip()
        return expand(value, lookup), end
    body: list[str] = []
    index = at + 1
    while index < len(text):
        char = text[index]
        if char == "\\" and index + 1 < len(text):
            following = text[index + 1]
            body.append(following if following == quote else char + following)
            index += 2
            continue
        if char == quote:
            value = "".join(body)
            return (value if quote == "'" else expand(_unescaped(value), lookup)), index + 1
        body.append(char)
        index += 1
    raise BadLine(f"a quote {quote} is left open", line)


def _unescaped(text: str) -> str:
    r"""`\n` and friends decoded, `\$` as `$$`, `\0NNN` as the octal code; any other backslash is kept."""
    if "\\" not in text:
        return text
    done: list[str] = []
    at = 0
    while at < len(text):
        char, following = text[at], text[at + 1 : at + 2]
        if char != "\\" or not following:
            done.append(char)
            at += 1
        elif following in _ESCAPES:
            done.append(_ESCAPES[following])
            at += 2
        elif following == "$":
            done.append("$$")
            at += 2
        elif following == "0" and _is_octal(text[at + 2 : at + 5]):
            done.append(chr(int(text[at + 2 : at + 5], 8)))
            at += 5
        else:
            done.append(char + following)
            at += 2
    return "".join(done)


def _is_octal(text: str) -> bool:
    return len(text) == 3 and all(char in "01234567" for char in text) and int(text, 8) < 256
