"""Scalars, interpolation, env files, command lines: tables of input and output."""

from __future__ import annotations

from typing import Any

import pytest
from stackcases import ENVIRONMENT, read_cases

from composer.composefile.dotenv import BadLine, parse_dotenv, parse_raw
from composer.composefile.interpolate import BadTemplate, expand
from composer.composefile.scalars import plain_scalar
from composer.composefile.shellwords import split_words
from composer.composefile.tree import Date, Findings, go_text
from composer.composefile.yaml import parse_yaml


@pytest.mark.parametrize(("literal", "text"), read_cases("scalars.yml"), ids=str)
def test_a_scalar_is_what_compose_reads(literal: str, text: str | None) -> None:
    findings = Findings()
    [document] = parse_yaml(f"a: {literal}", "a.yml", findings)
    node = document.items["a"]
    assert findings.complaints == []
    assert (None if node.value is None else node.text) == text


@pytest.mark.parametrize(
    "text", ["2020-01-01", "2020-1-2", "2020-01-01T10:00:00Z", "2020-01-01t1:2:3.5+01:00", "2020-01-01 10:00:00"]
)
def test_a_date_is_told_apart(text: str) -> None:
    assert plain_scalar(text) == Date(text)


@pytest.mark.parametrize("text", ["2020-02-30", "2020-01-01T10:00:00", "2020-01-01 25:00:00", "20200101", "2020-1"])
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    assert not isinstance(plain_scalar(text), Date)


@pytest.mark.parametrize(
    ("value", "text"), [(1e6, "1e+06"), (0.1 + 0.2, "0.30000000000000004"), (-1.5e-7, "-1.5e-07"), (5e-324, "5e-324")]
)
def test_a_float_prints_as_go_prints_it(value: float, text: str) -> None:
    assert go_text(value) == text


@pytest.mark.parametrize("case", read_cases("interpolation.yml"), ids=lambda case: case["text"])
def test_variables_are_expanded(case: dict[str, Any]) -> None:
    unset: list[str] = []
    if "error" in case:
        with pytest.raises(BadTemplate) as raised:
            expand(case["text"], ENVIRONMENT.get)
        assert case["error"] in raised.value.message
    else:
        assert expand(case["text"], ENVIRONMENT.get, unset.append) == case["reads"]
        assert unset == case.get("unset", [])


def test_deeply_nested_defaults_are_refused_and_not_a_crash() -> None:
    with pytest.raises(BadTemplate, match="more than 50 variables"):
        expand("${A:-" * 5000 + "}" * 5000, ENVIRONMENT.get)


@pytest.mark.parametrize("case", read_cases("dotenv.yml"), ids=lambda case: case["text"])
def test_an_env_file_is_read(case: dict[str, Any]) -> None:
    parse = parse_raw if case.get("format") == "raw" else parse_dotenv
    if "error" in case:
        with pytest.raises(BadLine) as raised:
            parse(case["text"], ENVIRONMENT.get)
        assert raised.value.line == case["error"][0]
        assert case["error"][1] in raised.value.message
    else:
        assert parse(case["text"], ENVIRONMENT.get) == case["reads"]


@pytest.mark.parametrize("case", read_cases("words.yml"), ids=lambda case: case["line"])
def test_a_command_line_is_split(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ValueError, match=case["error"]):
            split_words(case["line"])
    else:
        assert split_words(case["line"]) == (tuple(case["words"]), case.get("rest", ""))
