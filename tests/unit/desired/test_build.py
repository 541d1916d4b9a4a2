"""Service over image, by docker's rules."""

from __future__ import annotations

from typing import Any

import plancases
import pytest

from composer.desired.state import AnonymousVolume, BindMount, ContainerSpec, DesiredStack
from composer.errors import StackFileError


def stack(text: str, **given: Any) -> DesiredStack:
    return plancases.desired(plancases.project(text), **given)


def spec(service: str = "", **image: Any) -> ContainerSpec:
    """What a service and its image make together."""
    return stack(f"services: {{web: {{{service}}}}}", images={"app": image}).services["web"].spec


# Service, image → entrypoint and command.
ARGUMENTS = [
    ("", {"cmd": ["serve"]}, [], ["serve"]),
    ("", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/e"], ["serve"]),
    ("", {"entrypoint": ["/e"], "cmd": []}, ["/e"], []),
    ("command: [other]", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/e"], ["other"]),
    ("command: other 'a b'", {"cmd": ["serve"]}, [], ["other", "a b"]),
    ("command: null", {"cmd": ["serve"]}, [], ["serve"]),
    ("command: []", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/e"], []),
    ("command: ''", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/e"], []),
    ("entrypoint: [/mine]", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/mine"], []),
    ("entrypoint: [/mine], command: [x]", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/mine"], ["x"]),
    ("entrypoint: null", {"entrypoint": ["/e"], "cmd": ["serve"]}, ["/e"], ["serve"]),
    ("entrypoint: [], command: [x]", {"entrypoint": ["/e"], "cmd": ["serve"]}, [], ["x"]),
]


@pytest.mark.parametrize(("service", "image", "entrypoint", "command"), ARGUMENTS, ids=[str(row) for row in ARGUMENTS])
def test_entrypoint_and_command(service: str, image: dict[str, Any], entrypoint: list[str], command: list[str]) -> None:
    found = spec(service, **image)
    assert [*found.entrypoint] == entrypoint
    assert [*found.command] == command


@pytest.mark.parametrize("service", ["", "command: []", "entrypoint: []", "entrypoint: ''"])
def test_no_command_at_all_is_a_mistake_in_the_file(service: str) -> None:
    with pytest.raises(StackFileError, match='service "web" has no command') as caught:
        spec(service, cmd=[])
    assert caught.value.place is not None
    assert caught.value.place.file == "jocker.yml"


def test_every_service_without_a_command_is_told() -> None:
    with pytest.raises(StackFileError) as caught:
        stack("services: {a: {}, b: {}, c: {command: x}}", images={"app": {"cmd": []}})
    assert [complaint.message.split()[1] for complaint in caught.value.complaints] == ['"a"', '"b"']


def test_without_the_image_nobody_knows_whether_there_is_a_command() -> None:
    service = stack("services: {web: {}}", absent=["app"]).services["web"]
    assert not service.image_present
    assert service.layers == ()
    assert service.spec.image_id == ""
    assert service.spec.image == "docker.io/library/app:latest"


# Image, service → what the process gets.
ENVIRONMENT = [
    (["A=1", "B=2"], "", {"A": "1", "B": "2"}),
    (["A=1", "B=2"], "A: x", {"A": "x", "B": "2"}),
    (["A=1"], "C: x", {"A": "1", "C": "x"}),
    (["A=1"], "A: ''", {"A": ""}),
    (["A=1", "B=2"], "A: null", {"B": "2"}),
    (["SET=image"], "SET: null", {"SET": "val"}),  # a bare key takes what interpolation knows
    (["A=b=c"], "", {"A": "b=c"}),
    (["A=1", "A=2"], "", {"A": "2"}),
    ([], "Z: 1, A: 2", {"Z": "1", "A": "2"}),
]


@pytest.mark.parametrize(("image", "service", "expected"), ENVIRONMENT, ids=[str(row) for row in ENVIRONMENT])
def test_environment(image: list[str], service: str, expected: dict[str, str]) -> None:
    found = spec(f"environment: {{{service}}}", env=image).environment
    assert found == expected
    assert list(found) == list(expected)


# Field, what the service says, what the image says, what comes out.
SINGLE = [
    ("user", "", {}, ""),
    ("user", "", {"user": "app"}, "app"),
    ("user", "user: '7:8'", {"user": "app"}, "7:8"),
    ("working_dir", "", {}, "/"),
    ("working_dir", "", {"working_dir": "/srv"}, "/srv"),
    ("working_dir", "working_dir: /mine", {"working_dir": "/srv"}, "/mine"),
    ("stop_signal", "", {}, "SIGTERM"),
    ("stop_signal", "", {"stop_signal": "SIGQUIT"}, "SIGQUIT"),
    ("stop_signal", "stop_signal: SIGINT", {"stop_signal": "SIGQUIT"}, "SIGINT"),
    ("labels", "labels: {a: x}", {"labels": {"a": "1", "b": "2"}}, {"a": "x", "b": "2"}),
    ("shm_size", "", {}, 64 << 20),
    ("shm_size", "shm_size: 1m", {}, 1 << 20),
    ("hostname", "", {}, ""),
    ("hostname", "hostname: me", {}, "me"),
    ("stop_grace_seconds", "", {}, 10.0),
    ("stop_grace_seconds", "stop_grace_period: 1m", {}, 60.0),
]


@pytest.mark.parametrize(("field", "service", "image", "expected"), SINGLE, ids=[str(row) for row in SINGLE])
def test_single_fields(field: str, service: str, image: dict[str, Any], expected: object) -> None:
    assert getattr(spec(service, **image), field) == expected


# Service, volumes of the image → targets in order.
VOLUMES = [
    ("", ["/data"], [AnonymousVolume("/data")]),
    ("", ["/b", "/a"], [AnonymousVolume("/a"), AnonymousVolume("/b")]),
    ("", ["/data/", "data"], [AnonymousVolume("/data")]),
    ("", ["", "/", "/proc", "/sys", "//", "proc/"], []),
    ("volumes: [/data]", ["/data"], [AnonymousVolume("/data")]),
    ("volumes: ['/srv:/data']", ["/data/"], [BindMount("/data", "/srv")]),
    ("volumes: ['/srv:/x']", ["/data"], [BindMount("/x", "/srv"), AnonymousVolume("/data")]),
]


@pytest.mark.parametrize(("service", "volumes", "expected"), VOLUMES, ids=[str(row) for row in VOLUMES])
def test_volumes_of_the_image(service: str, volumes: list[str], expected: list[Any]) -> None:
    assert list(spec(service, volumes=volumes).mounts) == expected


def test_a_tmpfs_stands_in_for_a_volume_of_the_image() -> None:
    found = spec("tmpfs: [/data]", volumes=["/data", "/other"])
    assert [mount.target for mount in found.mounts] == ["/data", "/other"]
    assert not isinstance(found.mounts[0], AnonymousVolume)


def test_image_names_are_normalised_and_share_one_image() -> None:
    found = stack("services: {a: {image: app}, b: {image: 'docker.io/library/app:latest'}}")
    assert found.services["a"].spec.image == found.services["b"].spec.image == "docker.io/library/app:latest"
    assert found.services["a"].config_hash == found.services["b"].config_hash
    assert found.services["a"].layers == found.services["b"].layers != ()


def test_services_of_other_profiles_are_known_and_not_desired() -> None:
    found = plancases.desired(plancases.project("services: {web: {}, debug: {profiles: [debug]}}"))
    assert list(found.services) == ["web"]
    assert found.disabled == {"debug"}


def test_scale_retry_and_pull_policy_are_beside_the_spec() -> None:
    text = "services: {web: {scale: 3, pull_policy: always, x-jocker: {retry: {attempts: 2}}}}"
    service = stack(text).services["web"]
    assert (service.replicas, service.pull_policy) == (3, "always")
    assert service.retry is not None
    assert service.config_hash == stack("services: {web: {}}").services["web"].config_hash
