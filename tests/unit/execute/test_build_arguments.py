"""A build as a command line of buildah: every key, and nothing secret."""

from __future__ import annotations

from typing import Any

import pytest

from composer.errors import ImageError, Place
from composer.execute.build_arguments import Given, call
from composer.frozen import replace
from composer.model.building import Build, BuildSecret

PLAIN = Build(place=Place("f", 1, 1, "services.a.build"), context="/c")
GIVEN = Given("/w/Dockerfile", "/w/ignore", "none", runtime="/runc", runtime_root="/r", cgroup="/jocker/x")


def words(given: Given = GIVEN, **changes: Any) -> list[str]:
    """What is said besides what a plain build says."""
    plain = call(PLAIN, GIVEN).arguments
    return [word for word in call(replace(PLAIN, **changes), given).arguments if word not in plain]


def test_a_plain_build_keeps_health_checks_and_goes_nowhere_for_images() -> None:
    said = " ".join(call(PLAIN, GIVEN).arguments)
    for words in ("--format docker", "--pull=never", "--isolation oci", "--runtime /runc", "--cgroup-parent /jocker/x"):
        assert words in said
    assert said.endswith(" /c")
    assert not call(PLAIN, GIVEN).env


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"no_cache": True}, ["--no-cache"]),
        ({"shm_size": 1024}, ["--shm-size=1024"]),
        ({"labels": {"b": "2", "a": "x y"}}, ["--label=a=x y", "--label=b=2"]),
        ({"ulimits": {"nproc": (1, 2), "nofile": (5, 5)}}, ["--ulimit=nofile=5:5", "--ulimit=nproc=1:2"]),
        ({"extra_hosts": (("a", "1.2.3.4"), ("b", "::1"))}, ["--add-host=a:1.2.3.4", "--add-host=b:::1"]),
        (
            {"contexts": {"x": "/x", "y": "docker-image://y:1"}},
            ["--build-context=x=/x", "--build-context=y=docker-image://y:1"],
        ),
        ({"ssh": {"default": "", "k": "/key"}}, ["--ssh=default", "--ssh=k=/key"]),
        ({"privileged": True}, ["--cap-add=all", "--security-opt=seccomp=unconfined"]),
    ],
)  # fmt: skip
def test_a_key_is_an_option(changes: dict[str, Any], said: list[str]) -> None:
    assert words(**changes) == said


def test_what_is_given_is_an_option() -> None:
    given = GIVEN._replace(network="ns:/n", dns=("1.1.1.1",), platform="linux/arm64", memory=5, gateway="10.0.0.1")
    said = words(given, extra_hosts=(("h", "host-gateway"),))
    assert said == ["ns:/n", "--dns=1.1.1.1", "--platform=linux/arm64", "--memory=5", "--add-host=h:10.0.0.1"]


def test_apparmor_is_switched_off_only_where_it_is_on() -> None:
    said = words(GIVEN._replace(has_apparmor=True), privileged=True)
    assert said[2:] == ["--security-opt=apparmor=unconfined"]


def test_without_a_network_there_is_no_way_to_the_machine() -> None:
    with pytest.raises(ImageError, match="no way to the machine"):
        call(replace(PLAIN, extra_hosts=(("h", "host-gateway"),)), GIVEN)


@pytest.mark.parametrize(
    "name", ["TOKEN", "GITHUB_TOKEN", "DOCKER_PASSWORD", "REGISTRY_PASSWORD", "SSH_PRIVATE_KEY", "RUNNER"]
)
def test_values_of_arguments_stand_in_no_command_line(name: str) -> None:
    found = call(replace(PLAIN, args={name: "hush", "EMPTY": ""}), GIVEN)
    assert "hush" not in " ".join(found.arguments)
    assert {f"--build-arg={name}", "--build-arg=EMPTY"} <= set(found.arguments)
    assert found.env == {name: "hush", "EMPTY": ""}


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "LD_PRELOAD", "TMPDIR", "http_proxy", "CONTAINERS_CONF", "BUILDAH_ISOLATION", "a.b"),
        *("LC_ALL", "GODEBUG", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "GIT_SSH"),
    ],
)
def test_an_argument_that_tools_take_for_a_setting_of_theirs_does_not_reach_them(name: str) -> None:
    found = call(replace(PLAIN, args={name: "x"}), GIVEN)
    assert f"--build-arg={name}=x" in found.arguments
    assert not found.env


def test_a_secret_is_a_file_or_a_variable() -> None:
    found = call(replace(PLAIN, secrets=(BuildSecret(id="f", file="/f"), BuildSecret(id="v", value="hush"))), GIVEN)
    assert {"--secret=id=f,src=/f", "--secret=id=v,env=JOCKER_SECRET_1"} <= set(found.arguments)
    assert found.env == {"JOCKER_SECRET_1": "hush"}


def test_a_secret_with_a_comma_is_refused() -> None:
    with pytest.raises(ImageError, match="comma"):
        call(replace(PLAIN, secrets=(BuildSecret(id="f", file="/a,b"),)), GIVEN)
