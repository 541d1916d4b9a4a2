"""Frozen classes behave as the dataclasses they stand for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from composer.frozen import field, fields_of, frozen, replace


@frozen
class Base:
    """Named by its creator."""

    name: str

    def shout(self) -> str:
        return self.name.upper()


@frozen
class Child(Base):
    """Has more."""

    size: int = 3
    labels: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=False)
class Pair:
    """Takes its fields in order."""

    left: int
    right: int = 0


@frozen(shown=False)
class Secret:
    """Says nothing."""

    word: str


def test_fields_come_in_order_with_their_defaults() -> None:
    child = Child(name="a")
    assert fields_of(Child) == fields_of(child) == ("name", "size", "labels")
    assert (child.name, child.size, child.labels, child.shout()) == ("a", 3, {}, "A")
    assert child.labels is not Child(name="a").labels
    assert Pair(1).right == 0
    assert Pair(1, right=2) == Pair(1, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Child(), "needs name"),  # type: ignore[call-arg]
        (lambda: Child(name="a", sise=1), "has no sise"),  # type: ignore[call-arg]
        (lambda: Child("a"), "positional"),  # type: ignore[misc]
        (lambda: Pair(1, 2, 3), "has 2 fields, not 3"),  # type: ignore[call-arg]
        (lambda: Pair(1, left=2), "left twice"),  # type: ignore[misc]
        (lambda: replace(Pair(1), middle=2), "has no middle"),
    ],
)
def test_wrong_fields_are_refused(make: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make()  # type: ignore[operator]


def test_nothing_can_be_changed_or_added() -> None:
    child = Child(name="a")
    for name in ("name", "other"):
        with pytest.raises(AttributeError, match="is frozen"):
            setattr(child, name, "b")
    with pytest.raises(AttributeError, match="is frozen"):
        del child.name
    assert not hasattr(child, "__dict__")


def test_equality_and_hash_are_those_of_the_fields_and_the_class() -> None:
    assert Pair(1, 2) == Pair(1, 2) != Pair(2, 1)
    assert hash(Pair(1, 2)) == hash(Pair(1, 2))
    assert Base(name="a") != Child(name="a")
    assert Child(name="a", labels={"x": "y"}) == Child(name="a", labels={"x": "y"})
    assert len({Pair(1), Pair(1), Pair(2)}) == 2


def test_a_copy_differs_only_where_asked() -> None:
    child = Child(name="a", size=4)
    assert replace(child, size=5) == Child(name="a", size=5)
    assert child.size == 4


def test_secrets_are_not_shown() -> None:
    assert repr(Pair(1)) == "Pair(left=1, right=0)"
    assert "hunter2" not in repr(Secret(word="hunter2"))
