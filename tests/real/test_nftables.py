"""Changes of the firewall and questions to it, in a namespace of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from composer.errors import CommandFailed
from composer.host import netns, nfnetlink, nftables

pytestmark = pytest.mark.real

T = TypeVar("T")
Inside = Callable[[Callable[[], T]], T]

TABLE = """table inet ours {
  set uplinks { type ifname; elements = { "jk0", "jk1" }; }
  set nobody { type ipv4_addr; }
  chain c_fwd { type filter hook forward priority filter; policy drop; }
  chain c_sub { accept; }
}
"""


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside[object]]:
    path = str(tmp_path / "one")
    netns.create(path, lambda: None)
    yield lambda work: netns.inside(path, work)
    netns.remove(path)


@pytest.fixture(params=["library", "program"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to nft: the second is for machines without the library."""
    if request.param == "program":
        monkeypatch.setattr(nftables, "_library", [None])
    return str(request.param)


def test_a_text_is_carried_out_whole_or_not_at_all(inside: Inside[object], way: str) -> None:
    inside(lambda: nftables.apply(TABLE))
    assert inside(lambda: nfnetlink.has_table("ours"))
    assert not nfnetlink.has_table("ours")
    bad = 'add element inet ours uplinks { "jk2" }\nadd element inet ours nothing { 1 }\n'
    with pytest.raises(CommandFailed, match="Error: No such file or directory"):
        inside(lambda: nftables.apply(bad))
    assert not inside(lambda: nftables.try_apply(bad))
    assert not inside(lambda: nfnetlink.has_link("ours", "uplinks", "jk2"))
    inside(lambda: nftables.apply("delete table inet ours"))
    assert not inside(lambda: nfnetlink.has_table("ours"))


def test_a_syntax_error_is_shown_in_the_words_of_nft(inside: Inside[object], way: str) -> None:
    with pytest.raises(CommandFailed, match="syntax error"):
        inside(lambda: nftables.apply("table inet ours { chain dnat { } }"))


def test_questions_are_answered_without_nft(inside: Inside[object]) -> None:
    inside(lambda: nftables.apply(TABLE))
    assert inside(lambda: nfnetlink.has_link("ours", "uplinks", "jk1"))
    assert not inside(lambda: nfnetlink.has_link("ours", "uplinks", "jk"))
    assert not inside(lambda: nfnetlink.has_link("ours", "links", "jk1"))
    assert not inside(lambda: nfnetlink.has_link("theirs", "uplinks", "jk1"))
    assert inside(lambda: nfnetlink.links_in("ours", "uplinks")) == {"jk0", "jk1"}
    assert inside(lambda: nfnetlink.links_in("ours", "nobody")) == frozenset()
    assert inside(lambda: nfnetlink.links_in("theirs", "uplinks")) is None
    assert inside(nfnetlink.chains) == (
        nfnetlink.Chain("inet", "ours", "c_fwd", 2, drops=True),
        nfnetlink.Chain("inet", "ours", "c_sub", -1, drops=False),
    )
