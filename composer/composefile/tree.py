"""The untyped tree of a stack file: every value knows where it stands, so that every complaint can say so.

Nodes are never changed in place: a pass builds new ones. Aliases of YAML may share a node; that is harmless then.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from composer.errors import Complaint, Place, StackFileError

Path = tuple[str | int, ...]


class Source(NamedTuple):
    """One stack file: its name as the user would write it, and its lines for showing.

    `via` says how it came to be read, innermost first: `included from jocker.yml:3:5`.
    """

    name: str
    lines: tuple[str, ...] = ()
    via: tuple[str, ...] = ()


class Mark(NamedTuple):
    """A place in a source; line and column count from 1, 0 means "no file". `width` is in characters."""

    source: Source
    line: int = 0
    column: int = 0
    width: int = 1


class Date(NamedTuple):
    """A plain scalar that YAML reads as a point in time; Compose accepts it under `x-` only."""

    text: str


OWN_VARIABLES = "\0variables"
"""The key of no file: variables of a secret or config that only the project knows that it is included from."""

Scalar = str | int | float | bool | Date | None


class Node(NamedTuple):
    """A value, where it stands, where its key stands (in a mapping), and its `!reset` or `!override` tag."""

    value: Scalar | dict[str, Node] | list[Node]
    mark: Mark
    key: Mark | None = None
    tag: str = ""

    def with_value(self, value: Scalar | dict[str, Node] | list[Node]) -> Node:
        return Node(value, self.mark, self.key, self.tag)

    @property
    def items(self) -> dict[str, Node]:
        """The entries of a mapping; of anything else none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def elements(self) -> list[Node]:
        """The items of a list; of anything else none."""
        return self.value if isinstance(self.value, list) else []

    def at(self, *keys: str) -> Node | None:
        """The node below by mapping keys, or None."""
        node: Node | None = self
        for key in keys:
            node = node.items.get(key) if node else None
        return node

    @property
    def text(self) -> str:
        """A scalar as a string, the way Compose makes one; of a list or mapping nothing."""
        return "" if isinstance(self.value, (dict, list)) else go_text(self.value)


MAX_COMPLAINTS = 200
"""Nobody mends more at once, and telling a million takes longer than reading them."""
MAX_EXPANDED = 16 << 20
"""Characters of all values with variables in them, once these are replaced: a short file can ask for any number."""


class Findings:
    """What the passes found: complaints and warnings, in the order found."""

    def __init__(self) -> None:
        self._warned: set[str] = set()
        self._touched: set[str] = set()
        self._looked_at = 0
        self.unset: set[str] = set()
        """Variables without a value that somebody has been warned of."""
        self.expanded = 0
        """How many characters the values with variables have become."""
        self.complaints: list[Complaint] = []
        self.refusals: list[Complaint] = []
        """What is right, but cannot be run: no reason to refuse the file, only to refuse to run it."""
        self.may_refuse = False
        """A key or a word was seen that `refusals` has to look at once the files are merged."""
        self.warnings: list[str] = []
        self.ports = 0
        """How many ports the short forms have become: a range is short to write, so somebody must count."""

    def complain(self, message: str, mark: Mark, path: Path, hint: str = "") -> None:
        complaint = Complaint(_cut(message), place_of(mark, path), _cut(hint), mark.source.via)
        if complaint in self.complaints:
            return
        self.complaints.append(complaint)
        if len(self.complaints) >= MAX_COMPLAINTS:
            self.complaints.append(Complaint(f"{MAX_COMPLAINTS} complaints: the rest is not told", complaint.place))
            self.raise_if_any()

    def fail(self, message: str, mark: Mark, path: Path, hint: str = "") -> NoReturn:
        """For what is too much to go on with: raises `StackFileError` with it and all complaints before."""
        self.complain(message, mark, path, hint)
        self.raise_if_any()
        raise AssertionError("a complaint that is none")

    def refuse(self, message: str, mark: Mark, path: Path, hint: str = "") -> None:
        """For what the merged tree of enabled services says, only: what is merged away is not run."""
        refusal = Complaint(message, place_of(mark, path), hint)
        if refusal not in self.refusals:
            self.refusals.append(refusal)

    def warn(self, message: str, mark: Mark, path: Path) -> None:
        warning = f"{place_of(mark, path)}: {message}"
        if warning not in self._warned:
            self._warned.add(warning)
            self.warnings.append(warning)

    def touches(self, path: Path) -> bool:
        """Is there a complaint about this place or one below it?"""
        for found in self.complaints[self._looked_at :]:
            text = found.place.path
            self._touched.update(text[:at] for at, char in enumerate(text) if char in ".[")
            self._touched.add(text)
        self._looked_at = len(self.complaints)
        return path_text(path) in self._touched

    def raise_if_any(self) -> None:
        """Raises `StackFileError` with all complaints, sorted by file (in order of reading), line and column. What
        several services have by one anchor is told once.
        """
        if not self.complaints:
            return
        order: dict[str, int] = {}
        for found in self.complaints:
            order.setdefault(found.place.file, len(order))
        self.complaints.sort(key=lambda found: (order[found.place.file], found.place.line, found.place.column))
        told = {(found.message, *found.place[:3]): found for found in reversed(self.complaints)}
        raise StackFileError(tuple(reversed(told.values())))


def place_of(mark: Mark, path: Path) -> Place:
    """The place an error shows."""
    source = mark.source
    text = source.lines[mark.line - 1] if 0 < mark.line <= len(source.lines) else ""
    if len(text) > 500:  # a minified file: the caret would be off the screen anyhow
        text = ""
    text = shown(text.replace("\t", " "))  # a tab would shift the caret below
    return Place(shown(source.name), mark.line, mark.column, path_text(path), text, mark.width)


_LONGEST = 500


def _cut(text: str) -> str:
    """What nobody reads to its end is shown without it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def path_text(path: Path) -> str:
    """`services.web.ports[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            part = _cut(part)
            text += f".{shown(part)}" if text else shown(part)
    return text


def shown(text: str) -> str:
    """The text with control and other unprintable characters escaped: it may come from a hostile file."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def go_text(value: Scalar) -> str:
    """A scalar as Compose turns it into a string: `true`, `1.5`, `1e+08`; null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, Date):
        return value.text
    return str(value)


def _go_float(value: float) -> str:
    """Go's `%v`: the shortest digits that read back, with an exponent below -4 and from 6 on."""
    if value != value:  # the only value that is not itself
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    sign = "-" if text.startswith("-") else ""
    mantissa, _, shift = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    all_digits = whole + fraction
    digits = all_digits.lstrip("0")
    power = len(whole) - 1 - (len(all_digits) - len(digits)) + int(shift or 0)
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0"
    if power < -4 or power >= 6:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    digits = digits.ljust(power + 1, "0")
    return f"{sign}{digits[: power + 1]}" + (f".{digits[power + 1 :]}" if len(digits) > power + 1 else "")


def plain(node: Node) -> Any:
    """The tree as dicts, lists and scalars."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value.text if isinstance(value, Date) else value
