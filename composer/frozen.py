"""Frozen classes of values, as `dataclass(frozen=True, slots=True, kw_only=True)` makes them, for a tenth of its price.

`dataclasses` writes and compiles six functions for each class whenever the program starts, and loads `inspect` for it:
25 ms for ours, of the 60 that a command may take. Here all classes share six functions written once.
See docs/decisions/start-up.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, dataclass_transform, overload

T = TypeVar("T")

_set = object.__setattr__
_REQUIRED: Any = object()


class _Factory:
    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, factory: Callable[[], T]) -> T:
    """A default made anew for every instance: `labels: Mapping[str, str] = field(factory=dict)`."""
    return _Factory(factory)  # type: ignore[return-value]


def fields_of(value: object) -> tuple[str, ...]:
    """The names of the fields of a frozen class or instance, inherited ones first."""
    return tuple(value.__fields__)  # type: ignore[attr-defined]


def replace(value: T, **changes: Any) -> T:
    """A copy of a frozen instance with some fields changed. Raises `TypeError` for a field it does not have."""
    return type(value)(**{**{name: getattr(value, name) for name in fields_of(value)}, **changes})


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool = True, shown: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = True, shown: bool = True) -> Any:
    """Makes a class with annotated fields immutable, comparable and hashable by them, without a `__dict__`.

    `shown` False keeps the fields out of tracebacks: for what may hold secrets.
    """
    if cls is None:
        return lambda cls: _frozen(cls, kw_only=kw_only, shown=shown)
    return _frozen(cls, kw_only=kw_only, shown=shown)


def _frozen(cls: type[T], *, kw_only: bool, shown: bool) -> type[T]:
    own = cls.__dict__.get("__annotations__") or cls.__annotations__  # noqa: RUF063  inspect is heavy; 3.14 makes the one by the other
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(base.__dict__.get("__fields__", {}))
    fields.update({name: cls.__dict__.get(name, _REQUIRED) for name in own})
    members = {name: value for name, value in cls.__dict__.items() if name not in {*own, "__dict__", "__weakref__"}}
    shared: Mapping[str, Any] = {
        "__fields__": fields,
        "__slots__": tuple(own),
        "__init__": _init if kw_only else _init_in_order,
        "__eq__": _eq,
        "__hash__": _hash,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        **({"__repr__": _repr} if shown else {}),
    }
    made: Any = type(cls.__name__, cls.__bases__, {**shared, **members})
    made.__qualname__ = cls.__qualname__
    return cast("type[T]", made)


def _init(self: Any, **given: Any) -> None:
    for name, default in self.__fields__.items():
        if name in given:
            _set(self, name, given.pop(name))
        elif default is _REQUIRED:
            raise TypeError(f"{type(self).__name__} needs {name}")
        else:
            _set(self, name, default.make() if type(default) is _Factory else default)
    if given:
        raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")


def _init_in_order(self: Any, *given: Any, **named: Any) -> None:
    if len(given) > len(self.__fields__):
        raise TypeError(f"{type(self).__name__} has {len(self.__fields__)} fields, not {len(given)}")
    ordered = dict(zip(self.__fields__, given, strict=False))
    if twice := ordered.keys() & named:
        raise TypeError(f"{type(self).__name__} got {', '.join(twice)} twice")
    _init(self, **ordered, **named)


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__fields__)


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__fields__)})"


def _refuse(self: Any, name: str, *_value: Any) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be changed")
