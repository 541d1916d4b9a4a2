"""Patterns of .dockerignore: what they mean, and what not."""

from __future__ import annotations

import pytest

from composer.plan.patterns import Patterns, lines_of


@pytest.mark.parametrize(
    ("patterns", "meant", "not_meant"),
    [
        (["a"], ["a", "a/b", "a/b/c"], ["b/a", "ab", "b"]),
        (["*.log"], ["x.log", ".log", "x.log/inside"], ["d/x.log", "x.logs"]),
        (["**/*.log"], ["x.log", "d/x.log", "d/e/x.log"], ["x.log2"]),
        (["d/*"], ["d/x", "d/x/y"], ["d", "dd/x"]),
        (["d/**"], ["d/x", "d/x/y"], ["d", "e"]),
        (["**/a/**/b"], ["a/b", "x/a/y/b", "a/a/b/b", "a/b/c/a"], ["a", "b", "b/a", "a/c"]),
        (["**/a/b/**/c"], ["a/b/c", "a/a/b/x/c", "a/b/a/b/c"], ["a/c", "a/x/b/c"]),
        (["*a*b*c"], ["abc", "xaxbxc", "aabbcc", "abcabc"], ["acb", "abcx", "ab/c"]),
        (["a**b"], ["ab", "axb", "a/x/b"], ["a", "b"]),
        (["**a"], ["a", "x/ya"], ["ab"]),
        (["d/**/x"], ["d/x", "d/e/x", "d/e/f/x"], ["d/xx", "x"]),
        (["**"], ["a", "a/b"], []),
        (["."], ["a", "a/b"], []),
        (["?.c"], ["a.c"], [".c", "ab.c", "/.c"]),
        (["[a-c].c"], ["a.c", "b.c"], ["d.c", "-.c"]),
        (["[^a-c].c"], ["d.c"], ["a.c"]),
        (["[z-a]x"], [], ["zx", "ax"]),
        (["[ab"], ["[ab"], ["a", "b"]),
        (["[]a]"], ["]", "a"], ["b"]),
        (["a\\*b"], ["a*b"], ["axb"]),
        (["a\\"], ["a\\"], ["a"]),
        (["a.b", "a+b", "(a|b)", "a$"], ["a.b", "a+b", "(a|b)", "a$"], ["axb", "aab", "a"]),
        (["/a"], ["a"], ["b/a"]),
        (["./a/../b"], ["b"], ["a"]),
        ([" a "], ["a"], []),
        (["", "  ", "!"], [], ["a", ""]),
        (["*", "!keep"], ["x", "x/keep"], ["keep", "keep/x"]),
        (["!keep", "*"], ["keep", "x"], []),
        (["*.md", "!README*.md", "README-secret.md"], ["a.md", "README-secret.md"], ["README.md"]),
        (["d", "!d/keep"], ["d", "d/x"], ["d/keep", "d/keep/x"]),
        (["**/.git"], [".git", ".git/config", "a/.git/x"], [".gitignore", "a.git"]),
        (["a\nb"], ["a\nb"], ["a"]),
        (["*"], ["a\nb"], []),
    ],
)
def test_patterns(patterns: list[str], meant: list[str], not_meant: list[str]) -> None:
    found = Patterns(patterns)
    assert [path for path in meant + not_meant if found.match(path)] == meant


def test_a_pattern_made_to_hurt_is_done_in_time() -> None:
    """As regular expressions are usually made of them, the sun would go out before these are done."""
    assert not Patterns(["**/" * 20 + "x"]).match("/".join("a" * 100))
    assert not Patterns(["**/a/" * 20 + "x"]).match("/".join("a" * 100))
    assert not Patterns(["*a" * 30 + "b"]).match("a" * 250)
    assert not Patterns(["**/*a*a/" * 10 + "x"]).match("/".join(["aaaa"] * 60))


def test_a_file_of_patterns() -> None:
    text = "\ufeff# all logs\n*.log\r\n\n  spaced  \n!keep.log\n #no comment\n"
    assert lines_of(text) == ("*.log", "spaced", "!keep.log", "#no comment")
