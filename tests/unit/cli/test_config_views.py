"""`jocker config` with each flag: what it prints instead of the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from composer.cli import main

STACK = """
name: s
services:
  web: {image: "nginx:${TAG:-1}", depends_on: [db], networks: [n], volumes: ["v:/v"], models: [m]}
  db: {image: db, network_mode: none, profiles: [b, a]}
networks: {n: {driver_opts: {com.docker.network.bridge.enable_icc: "false"}}, unused: null}
volumes: {v: , w: }
models: {m: {model: x}, o: {model: y}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jocker.yml").write_text(STACK)
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JOCKER_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: str, code: int = 0) -> str:
        assert main.run(["--profile", "a", "config", *arguments]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return run


@pytest.mark.parametrize(
    ("flag", "lines"),
    [
        ("--services", ["db", "web"]),
        ("--volumes", ["v"]),
        ("--networks", ["n"]),
        ("--models", ["m"]),
        ("--profiles", ["a", "b"]),
        ("--images", ["db", "nginx:1"]),
        ("--quiet", []),
    ],
)
def test_names(config: object, flag: str, lines: list[str]) -> None:
    assert callable(config)
    assert sorted(config(flag).splitlines()) == lines


def test_images_of_one_service_come_with_what_it_needs(config: object) -> None:
    assert callable(config)
    assert config("--images", "db") == "db\n"
    assert sorted(config("--images", "web").split()) == ["db", "nginx:1"]


def test_the_environment_has_the_project_s_name(config: object) -> None:
    assert callable(config)
    assert "COMPOSE_PROJECT_NAME=s" in config("--environment").splitlines()


def test_hashes_are_sorted_and_the_same_twice(config: object) -> None:
    assert callable(config)
    lines = config("--hash", "*").splitlines()
    assert [line.split()[0] for line in lines] == ["db", "web"]
    assert config("--hash", "web").splitlines() == lines[1:]
    assert "no such service: x" in config("--hash", "x", code=2)


def test_json_has_null_where_the_image_speaks(config: object) -> None:
    assert callable(config)
    tree = json.loads(config("--format", "json"))
    assert tree["services"]["db"]["command"] is None
    assert list(tree) == ["name", "services", "networks", "volumes", "models"]


def test_it_may_go_to_a_file(config: object, tmp_path: Path) -> None:
    assert callable(config)
    assert config("-o", "out.yml") == ""
    assert (tmp_path / "out.yml").read_text() == config()
    assert "no such file or directory" in config("-o", "nowhere/out.yml", code=2)


def test_a_service_alone_comes_with_what_it_needs(config: object) -> None:
    assert callable(config)
    assert "web:" not in config("db")
    assert "db:" in config("web")


RAW = """
name: s
services:
  web: {image: "nginx:${TAG:-1}", stop_grace_period: 90s, env_file: e.env, environment: [A, "B=${B:+b}"]}
  db: {image: "${DB?}", network_mode: none}
volumes: {v: , w: {external: true}}
"""


@pytest.fixture
def raw(config: object, tmp_path: Path) -> object:
    (tmp_path / "jocker.yml").write_text(RAW)
    (tmp_path / "e.env").write_text("E=1\n")
    return config


def test_variables_stay_as_they_are_written(raw: object, tmp_path: Path) -> None:
    assert callable(raw)
    tree = json.loads(raw("--no-interpolate", "--format", "json"))
    assert tree["services"]["web"] == {
        "image": "nginx:${TAG:-1}",
        "stop_grace_period": "1m30s",
        "env_file": [{"path": str(tmp_path / "e.env"), "required": True}],
        "environment": {"A": None, "B": "${B:+b}"},
        "networks": {"default": None},
    }
    assert tree["networks"] == {"default": {"name": "s_default"}}
    assert tree["volumes"] == {"v": {"name": "s_v"}, "w": {"external": True, "name": "w"}}
    assert sorted(raw("--no-interpolate", "--services").split()) == ["db", "web"]
    assert "web" not in raw("--no-interpolate", "db")
    assert raw("--no-interpolate", "-q") == ""
    assert "no such service" in raw("--no-interpolate", "x", code=2)


def test_variables_are_listed(raw: object) -> None:
    assert callable(raw)
    assert [line.split() for line in raw("--variables").splitlines()[1:]] == [
        ["B", "false", "b"],
        ["DB", "true"],
        ["TAG", "false", "1"],
    ]
    assert json.loads(raw("--variables", "--format", "json"))["TAG"] == {
        "Name": "TAG",
        "DefaultValue": "1",
        "PresenceValue": "",
        "Required": False,
    }
    assert "  presencevalue: b\n" in raw("--variables", "--format", "yaml")


def test_what_nobody_wrote_may_be_left_out(raw: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(raw)
    monkeypatch.setenv("DB", "d")
    tree = json.loads(raw("--no-normalize", "--format", "json"))
    assert "networks" not in tree
    assert "networks" not in tree["services"]["web"]
    assert tree["services"]["web"]["environment"]["E"] == "1"
    tree = json.loads(raw("--no-env-resolution", "--format", "json"))
    assert tree["services"]["web"]["environment"] == {"A": None, "B": ""}
    assert [file["path"][-5:] for file in tree["services"]["web"]["env_file"]] == ["e.env"]


@pytest.mark.parametrize("flag", ["--no-path-resolution", "--no-consistency"])
def test_what_cannot_be_left_out_is_refused_with_the_reason(config: object, flag: str) -> None:
    assert callable(config)
    assert f"{flag} is not supported" in config(flag, code=2)
