"""Secrets and configs: the top-level ones, and what a service is given of them. What they hold never prints itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, NoReturn

from composer.errors import Place
from composer.frozen import field, frozen

Kind = Literal["secret", "config"]
MODE = 0o444
"""Of a file whose reference says nothing else."""


class Secret:
    """Bytes that are nobody's business: `reveal` is the one way to them. No text, no traceback, no pickle has them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")


class Origin(NamedTuple):
    """Where the bytes come from: the path of a `file` (absolute), the name of a variable of the `environment`, or
    `content`, whose `value` is the key of the config that the stack file has it in.
    """

    kind: Kind
    key: str
    source: Literal["file", "environment", "content"]
    value: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@frozen(shown=False)
class FileObject:
    """One top-level secret or config that an enabled service uses. `content` is what the stack file has of it."""

    kind: Kind
    key: str
    origin: Origin
    place: Place
    content: Secret | None = None
    labels: Mapping[str, str] = field(factory=dict)


class FileReference(NamedTuple):
    """A secret or config that a service is given. `target` is absolute; `mode` has no bits to write by."""

    kind: Kind
    key: str
    target: str
    uid: int = 0
    gid: int = 0
    mode: int = MODE


class GivenFile(NamedTuple):
    """A file that a container is given. `digest` stands for its bytes without telling them; "" = not known."""

    kind: Kind
    target: str
    uid: int = 0
    gid: int = 0
    mode: int = MODE
    digest: str = ""
