"""Image configs: what is kept, what is dropped, what is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from composer.errors import ImageRefused
from composer.image.config import ImageConfig, chain_ids, parse_config

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")


def parsed(top: dict[str, Any]) -> ImageConfig:
    return parse_config(json.dumps(top).encode(), reference="x", manifest_digest="m")


def test_a_chain_id_names_a_layer_with_all_below_it() -> None:
    second = hashlib.sha256(f"{ONE} {TWO}".encode()).hexdigest()
    third = hashlib.sha256(f"sha256:{second} {THREE}".encode()).hexdigest()
    assert chain_ids((ONE, TWO, THREE)) == ("1" * 64, second, third)
    assert chain_ids(()) == ()


def test_the_same_layers_in_another_order_are_another_chain() -> None:
    assert chain_ids((ONE, TWO))[1] != chain_ids((TWO, ONE))[1]


def test_all_that_a_container_is_made_of_is_taken_over() -> None:
    config = {
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["a b"],
        "Env": ["A=1", "B=", "C=x=y"],
        "User": "app:extra",
        "WorkingDir": "/srv",
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
        "Labels": {"a": "b", "empty": ""},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
    }
    top = {"architecture": "arm64", "variant": "v8", "os": "linux", "created": "2024", "author": "me", "config": config}
    raw = json.dumps({**top, "rootfs": {"type": "layers", "diff_ids": [ONE]}}).encode()
    found = parse_config(raw, reference="docker.io/library/x:1", manifest_digest=TWO)
    assert found.image_id == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert (found.reference, found.manifest_digest) == ("docker.io/library/x:1", TWO)
    assert (found.diff_ids, found.chain_ids) == ((ONE,), ("1" * 64,))
    assert (found.entrypoint, found.cmd) == (("/bin/sh", "-c"), ("a b",))
    assert found.env == ("A=1", "B=", "C=x=y")
    assert (found.user, found.working_dir, found.stop_signal) == ("app:extra", "/srv", "SIGQUIT")
    assert (found.volumes, found.exposed_ports) == (("/data",), ("80/tcp",))
    assert (found.labels, found.healthcheck) == ({"a": "b", "empty": ""}, {"Test": ["CMD", "true"], "Interval": 5})
    assert (found.architecture, found.variant, found.os) == ("arm64", "v8", "linux")
    assert (found.created, found.author) == ("2024", "me")


@pytest.mark.parametrize(
    "config", [None, {}, {"Cmd": None, "Env": None, "Labels": None, "Volumes": None, "User": None}]
)
def test_what_is_null_or_missing_is_empty(config: dict[str, Any] | None) -> None:
    found = parsed({"config": config})
    assert (found.cmd, found.entrypoint, found.env, found.labels, found.volumes) == ((), (), (), {}, ())
    assert (found.user, found.chain_ids) == ("", ())


def test_environment_entries_without_a_name_or_a_value_are_dropped() -> None:
    assert parsed({"config": {"Env": ["A=1", "NOTHING", "=x", "", "A=2"]}}).env == ("A=1", "A=2")


@pytest.mark.parametrize(
    ("top", "why"),
    [
        ([], "the image config is not an object"),
        ({"config": []}, "config is not an object"),
        ({"config": {"Cmd": "sh"}}, "config.Cmd is not a list of strings"),
        ({"config": {"Cmd": [1]}}, "config.Cmd is not a list of strings"),
        ({"config": {"Entrypoint": {}}}, "config.Entrypoint is not a list"),
        ({"config": {"Env": {"A": "1"}}}, "config.Env is not a list"),
        ({"config": {"Env": ["A=\0"]}}, "NUL"),
        ({"config": {"Entrypoint": ["a\0b"]}}, "NUL"),
        ({"config": {"Cmd": ["a\0b"]}}, "NUL"),
        ({"config": {"WorkingDir": "/a\0"}}, "NUL"),
        ({"config": {"User": 0}}, "config.User is not a string"),
        ({"config": {"Labels": ["a"]}}, "config.Labels is not an object"),
        ({"config": {"Labels": {"a": 1}}}, "config.Labels.a is not a string"),
        ({"config": {"ExposedPorts": ["80"]}}, "config.ExposedPorts is not an object"),
        ({"config": {"Healthcheck": "true"}}, "config.Healthcheck is not an object"),
        ({"rootfs": {"diff_ids": ["sha256:1"]}}, "diff_ids are not digests"),
        ({"rootfs": {"diff_ids": [ONE.upper()]}}, "diff_ids are not digests"),
        ({"rootfs": {"diff_ids": [ONE + "\n"]}}, "diff_ids are not digests"),
        ({"rootfs": {"type": "foreign"}}, "diff_ids are not digests"),
        ({"rootfs": {"diff_ids": {}}}, "rootfs.diff_ids is not a list"),
        ({"os": 1}, "os is not a string"),
    ],
)
def test_what_is_malformed_is_refused_by_name(top: Any, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        parsed(top)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ImageRefused, match="is not"):
        parse_config(raw, reference="", manifest_digest="")


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(ImageRefused, match="the limit is 4194304"):
        parse_config(b" " * (4 << 20) + b"{}", reference="", manifest_digest="")
