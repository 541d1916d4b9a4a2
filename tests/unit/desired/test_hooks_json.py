"""Hooks as the record keeps them."""

from __future__ import annotations

import pytest

from composer.desired.hashing import config_hash, spec_from_json, spec_to_json
from composer.desired.hooks import hooks_from_json, hooks_to_json
from composer.desired.state import ContainerSpec
from composer.frozen import replace
from composer.model.life import Hook, Hooks, InitStep

HOOKS = Hooks(
    pre_start=(InitStep(image="a:1", image_id="x", layers=("l",), command=("m",), environment={"A": "b"}),),
    post_start=(Hook(command=("a", "b"), user="u", environment={"A": None, "B": "c"}),),
    pre_stop=(Hook(command=("c",), privileged=True, working_dir="/w"),),
)
SPEC = ContainerSpec(image="demo:latest", image_id="i")


def test_there_and_back() -> None:
    assert hooks_from_json(hooks_to_json(HOOKS)) == HOOKS
    spec = replace(SPEC, hooks=HOOKS)
    assert spec_from_json(spec_to_json(spec)) == spec


def test_what_has_none_keeps_its_hash_and_what_has_some_another() -> None:
    assert spec_to_json(SPEC)["hooks"] is None
    hashes = {config_hash(replace(SPEC, hooks=hooks)) for hooks in (None, HOOKS, replace(HOOKS, pre_stop=()))}
    assert len(hashes) == 3


def test_what_later_versions_know_is_left_out() -> None:
    assert hooks_from_json({"post_start": [{"command": ["a"], "novel": 1}], "post_mortem": []}).post_start == (
        Hook(command=("a",)),
    )


@pytest.mark.parametrize("wrong", [{"post_start": [{"user": 3}]}, {"pre_stop": [{"command": 3}]}])
def test_what_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        hooks_from_json(wrong)
