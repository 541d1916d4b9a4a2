"""Hostile YAML: bounded work, a complaint, no crash."""

from __future__ import annotations

import pytest

from composer.composefile.tree import Findings, shown
from composer.composefile.yaml import MAX_CHARACTERS, parse_yaml


def complaints(text: str) -> list[str]:
    findings = Findings()
    parse_yaml(text, "a.yml", findings)
    return [f"{found.place.line}: {found.message}" for found in findings.complaints]


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "- " * 100_000, "[" * 200_000 + "]" * 200_000])
def test_deep_nesting_is_refused_and_not_a_crash(text: str) -> None:
    assert complaints(text) == ["1: nested more than 100 levels deep"]


def test_a_hundred_levels_are_enough() -> None:
    assert complaints("[" * 100 + "]" * 100) == []


def test_aliases_are_counted_each_time_they_are_used() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert complaints("\n".join(lines)) == ["4: more than 100000 values once every alias is followed"]


def test_merge_keys_count_too() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: [x, x, x, x, x, x, x, x, x]" for n in range(10)) + "}"]
    lines += [f"a{n}: &a{n} [{', '.join(['{<<: *a' + str(n - 1) + '}'] * 10)}]" for n in range(1, 2)]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(2, 8)]
    assert complaints("\n".join(lines)) == ["3: more than 100000 values once every alias is followed"]


def test_a_huge_file_is_refused() -> None:
    assert complaints("#" * (MAX_CHARACTERS + 1)) == ["1: the file is longer than 8 MiB"]


def test_an_alias_cannot_reach_into_another_document() -> None:
    assert complaints("a: &x 1\n---\nb: *x\n") == ["3: no anchor &x before this alias"]


@pytest.mark.parametrize("text", ["a: \x00", "a: \x07", "\x1b[31m: 1"])
def test_control_characters_are_refused_by_yaml(text: str) -> None:
    assert complaints(text) == ["1: not valid YAML: control characters are not allowed"]


def test_a_message_never_shows_a_raw_control_character() -> None:
    [complaint] = complaints('"a\\e[2J": 1\n"a\\e[2J": 2\n')
    assert complaint.isprintable()
    assert shown("a\x1b\u202eé\n") == "a\\x1b\\u202eé\\n"


@pytest.mark.parametrize("text", ["a: [b:c, http://x/y]", "{a: [80:80]}"])
def test_colons_inside_words_of_flow_lists_are_read(text: str) -> None:
    findings = Findings()
    [document] = parse_yaml(text, "a.yml", findings)
    assert findings.complaints == []
    assert [item.text for item in document.items["a"].elements] in (["b:c", "http://x/y"], ["80:80"])


def test_an_error_after_such_a_colon_has_its_own_place() -> None:
    assert complaints("a: [b:c]\nd: [\n") == [
        "3: not valid YAML: while parsing a flow node: expected the node content, but found '<stream end>'"
    ]


def test_each_value_knows_its_place() -> None:
    [document] = parse_yaml("a:\n  b: [x, 'y z']\n", "a.yml", Findings())
    node = document.items["a"].items["b"].elements[1]
    assert (node.mark.line, node.mark.column, node.mark.width) == (2, 10, 5)
    key = document.items["a"].items["b"].key
    assert key is not None
    assert (key.line, key.column, key.width) == (2, 3, 1)
