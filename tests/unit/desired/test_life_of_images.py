"""A health check of the service over that of the image; and records that hold neither."""

from __future__ import annotations

from typing import Any

import pytest

from composer.desired.hashing import config_hash, spec_from_json, spec_to_json
from composer.desired.life import check_of
from composer.desired.state import ContainerSpec
from composer.frozen import replace
from composer.image.config import ImageConfig
from composer.model.life import Check, Healthcheck, Life, RestartPolicy

OF_IMAGE = {"Test": ["CMD-SHELL", "curl x"], "Interval": 10**9, "Retries": 7, "StartPeriod": 2 * 10**9}
SPEC = ContainerSpec(image="x", image_id="sha256:1")


def image(healthcheck: dict[str, Any], shell: tuple[str, ...] = ()) -> ImageConfig:
    return ImageConfig(
        reference="x", image_id="", manifest_digest="", chain_ids=(), healthcheck=healthcheck, shell=shell
    )


def check(said: Healthcheck | None, healthcheck: dict[str, Any]) -> Check | None:
    return check_of(Life(healthcheck=said), image(healthcheck))


def test_the_image_alone() -> None:
    found = check_of(None, image(OF_IMAGE))
    assert found == Check(("CMD-SHELL", "curl x"), interval=1.0, retries=7, start_period=2.0)
    assert found.argv == ("/bin/sh", "-c", "curl x")


def test_the_service_over_the_image_field_by_field() -> None:
    found = check(Healthcheck(test=("CMD", "a", "b"), timeout=3.0, retries=0), OF_IMAGE)
    assert found == Check(("CMD", "a", "b"), interval=1.0, timeout=3.0, retries=7, start_period=2.0)
    assert found.argv == ("a", "b")


def test_the_shell_of_the_image() -> None:
    found = check_of(None, image(OF_IMAGE, ("/bin/bash", "-c")))
    assert found is not None
    assert found.argv == ("/bin/bash", "-c", "curl x")


@pytest.mark.parametrize(
    ("said", "of_image"),
    [
        (Healthcheck(disabled=True), OF_IMAGE),
        (Healthcheck(interval=1.0), {}),
        (None, {"Test": ["NONE"]}),
        (None, {"Test": []}),
        (None, {"Test": "curl"}),
        (None, {"Test": ["CMD"]}),
        (None, {"Test": ["CMD", 1]}),
        (None, {"Test": ["CMD", "a\0b"]}),
        (None, {"Test": ["curl", "x"]}),
    ],
)
def test_no_check(said: Healthcheck | None, of_image: dict[str, Any]) -> None:
    assert check(said, of_image) is None


def test_an_image_that_says_nonsense() -> None:
    odd = {"Test": ["CMD", "x"], "Interval": "1s", "Timeout": -1, "Retries": True, "StartPeriod": 1.5}
    assert check(None, odd) == Check(("CMD", "x"))


def test_both_go_to_the_record_and_back_and_count() -> None:
    full = replace(SPEC, healthcheck=Check(("CMD", "x"), interval=1.5), restart=RestartPolicy("on-failure", 3))
    assert spec_from_json(spec_to_json(full)) == full
    assert config_hash(full) != config_hash(SPEC)
    assert spec_from_json({"image": "x", "image_id": "sha256:1"}) == SPEC


@pytest.mark.parametrize(
    "damage",
    [
        {"healthcheck": {"test": "x"}},
        {"healthcheck": {"test": [1]}},
        {"healthcheck": {"test": []}},
        {"healthcheck": {"test": ["CMD", "x"], "interval": "1"}},
        {"healthcheck": {"odd": 1}},
        {"restart": {"condition": 1}},
        {"restart": {"delay": None}},
    ],
)
def test_a_damaged_record(damage: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        spec_from_json({**spec_to_json(SPEC), **damage})
