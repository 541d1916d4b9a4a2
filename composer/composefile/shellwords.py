"""A `command:` string to words. No shell runs: quotes and backslashes group, nothing else is special.

The rules are those of the splitter docker compose uses, which differ from `shlex`: no comments, `$( )` and
back quotes stay in one word, and an unquoted `;`, `&`, `|`, `<` or `>` ends the command.
"""

from __future__ import annotations

_ENDS = frozenset(";&|<>")
_SPACES = frozenset(" \t\r\n")


class _Words:
    """The state while reading one command line."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.has_word = False
        self.quote = ""

    def add(self, char: str) -> None:
        self.word += char
        self.has_word = True

    def end_word(self) -> None:
        if self.has_word:
            self.words.append(self.word)
        self.word = ""
        self.has_word = False


def split_words(line: str) -> tuple[tuple[str, ...], str]:
    """The words, and what was cut off because a shell operator stands before it ("" = nothing).

    Raises ValueError for an open quote, a lone backslash at the end, or an unquoted bracket.
    """
    state = _Words()
    escaped = False
    for at, char in enumerate(line):
        if escaped:
            state.add(char)
            escaped = False
        elif char == "\\" and state.quote != "'":
            escaped = True
        elif state.quote:
            _inside(state, char)
        elif char in _SPACES:
            state.end_word()
        elif char in _ENDS:
            if char == ">" and state.word[:1].isdecimal():  # `2>`: the number belongs to the redirection
                state.has_word = False
            state.end_word()
            return tuple(state.words), line[at:]
        else:
            _outside(state, char)
    if escaped or state.quote:
        raise ValueError("a quote or backslash is left open" if state.quote != ")" else "`$(` is left open")
    state.end_word()
    return tuple(state.words), ""


def _inside(state: _Words, char: str) -> None:
    """Within quotes, back quotes or `$( )`."""
    closes = char == state.quote
    if closes:
        state.quote = ""
    if closes and char in {'"', "'"}:
        state.has_word = True
    else:
        state.add(char)


def _outside(state: _Words, char: str) -> None:
    if char in {'"', "'"}:
        state.quote = char
    elif char == "`":
        state.quote = char
        state.add(char)
    elif char == "(" and state.word.endswith("$"):
        state.quote = ")"
        state.add(char)
    elif char in {"(", ")"}:
        raise ValueError(f"an unquoted {char!r}: no shell reads this line")
    else:
        state.add(char)
