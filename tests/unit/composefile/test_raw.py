"""A stack with its variables as written, and the list of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from stackcases import sources_of

from composer.composefile.passes import load_raw
from composer.composefile.raw import RawStack, Variable, variables_of
from composer.errors import StackFileError


def raw(text: str, files: Mapping[str, str] | None = None) -> RawStack:
    return load_raw(*sources_of({"files": {"jocker.yml": text, **(files or {})}}))


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("$A and ${B}", [Variable("A"), Variable("B")]),
        ("$$A ${C:-c$D}", [Variable("C", default="c$D"), Variable("D")]),
        (
            "${A-a}${B+b}${C:+c}",
            [Variable("A", default="a"), Variable("B", alternate="b"), Variable("C", alternate="c")],
        ),
        ("${A?a}${B:?}", [Variable("A", required=True), Variable("B", required=True)]),
        ("${A:-${B:-${C?x}}}", [Variable("A", "${B:-${C?x}}"), Variable("B", "${C?x}"), Variable("C", required=True)]),
        ("$1 $ ${1}", []),
    ],
)
def test_the_variables_of_a_text(text: str, variables: list[Variable]) -> None:
    assert list(variables_of(text)) == variables


def test_variables_come_from_every_file_and_from_names_that_lists_give() -> None:
    stack = raw(
        "name: ${NAME:-n}\ninclude: [c.yaml]\n"
        "services:\n  a: {extends: {file: d.yaml, service: d}, networks: ['$N']}\n",
        {"c.yaml": "services: {c: {image: $C}}\n", "d.yaml": "services: {d: {image: $D}, e: {image: $E}}\n"},
    )
    assert list(stack.variables) == ["C", "D", "E", "N", "NAME"]


def test_what_one_place_says_of_a_variable_is_not_lost_by_another() -> None:
    stack = raw("services: {a: {image: '${A?}', user: '${A:-u}', hostname: $A}}\n")
    assert stack.variables == {"A": Variable("A", default="u", required=True)}


def test_variables_stand_as_they_are_written() -> None:
    service = {
        "image": "x:${TAG:-1}",
        "init": "${INIT:-true}",
        "mem_limit": "${MEM}",
        "ports": ["80:80", "${PORT}:80", "${MORE}"],
        "command": "echo ${X:-a b} $$y",
        "environment": ["${ALL}", "A=$A"],
        "depends_on": ["$DEP"],
        "scale": "$S",
        "stop_grace_period": "$G",
        "pull_policy": "$P",
        "healthcheck": {"test": "curl $H", "interval": "$I"},
        "volumes": ["$V", "./d:/d"],
        "networks": {"n": {"ipv4_address": "$IP"}},
    }
    text = f"services: {{a: {service}}}\nnetworks: {{n: {{ipam: {{config: [{{subnet: $SUB}}]}}}}}}\n"
    done = raw(text).tree
    healthcheck = {"test": ["CMD-SHELL", "curl $H"], "interval": "$I"}
    assert done["services"]["a"] == {**service, "healthcheck": healthcheck}
    assert done["networks"]["n"] == {"ipam": {"config": [{"subnet": "$SUB"}]}}


def test_what_has_no_variables_is_in_long_form_and_files_are_merged() -> None:
    files = {"two.yml": "services: {a: {user: $U, environment: [B=2], tmpfs: /b}}\n"}
    stack = raw("services: {a: {image: x, command: a b, environment: {A: 1}, tmpfs: '/a:size=$S'}}\n", files)
    assert stack.tree["services"]["a"] == {
        "image": "x",
        "command": ["a", "b"],
        "environment": {"A": "1", "B": "2"},
        "tmpfs": ["/a:size=$S", "/b"],
        "user": "$U",
    }
    assert stack.tree["name"] == "stack"


def test_the_name_is_as_it_is_written() -> None:
    assert raw("name: ${X:-demo}\nservices: {a: {image: x}}\n").tree["name"] == "${X:-demo}"


def test_what_is_wrong_whatever_the_variables_are_is_told() -> None:
    with pytest.raises(StackFileError) as raised:
        raw("services: {a: {image: $X, comand: $Y, init: 5, ports: ['a:b']}}\n")
    assert [complaint.message for complaint in raised.value.complaints] == [
        "unknown key",
        "must be true or false, not the number 5",
        "not a port: 'a:b'",
    ]
