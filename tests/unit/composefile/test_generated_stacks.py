"""Generated stack files: what is wrong is told as such; what is right is valid by the JSON Schema, and is printed as a
file that prints itself.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from stackcases import complaints_of, load
from stackgen import FILES, stacks

from composer.cli.configuring import whole
from composer.composefile.jsonschema import json_schema
from composer.composefile.tree import Findings, plain
from composer.composefile.yaml import parse_yaml

VALIDATOR = Draft202012Validator(json_schema())
MANY = int(os.environ.get("JOCKER_TEST_FUZZ", "0"))


def stack_files(files: dict[str, str]) -> list[str]:
    return [name for name in files if name.endswith(".yml")]


@settings(
    max_examples=MANY or 60,
    derandomize=not MANY,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(stacks())
def test_a_stack_is_refused_in_words_or_prints_itself(files: dict[str, str]) -> None:
    if complaints_of({"files": files}):
        return
    if len(stack_files(files)) == 1:  # an override file may have what is no stack by itself
        [document] = parse_yaml(files["f0.yml"], "f0.yml", Findings())
        assert [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(plain(document))] == []
    printed = whole(load({"files": files}).canonical, "yaml")
    again = {"files": {"f.yml": printed, **FILES}}
    assert complaints_of(again) == []
    assert whole(load(again).canonical, "yaml") == printed
