"""Which files are found and read, and what the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from composer.composefile.read import StackRequest, find_project_name, read_project
from composer.errors import StackFileError, UsageError


def stack(service: str = "a") -> str:
    return f"services: {{{service}: {{image: x, network_mode: none, labels: {{A: '${{A-un}}'}}}}}}\n"


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def request(cwd: Path, *files: str, **environ: str) -> StackRequest:
    return StackRequest(files=files, environ={"HOME": "/home/me", **environ}, cwd=str(cwd))


def services(wanted: StackRequest) -> list[str]:
    return list(read_project(wanted).services)


def label(wanted: StackRequest) -> str:
    return read_project(wanted).services["a"].labels["A"]


def test_jocker_yml_goes_before_compose_s_names(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack("c"), "jocker.yaml": stack("b"), "jocker.yml": stack("a")})
    project = read_project(request(tmp_path))
    assert list(project.services) == ["a"]
    assert project.files == (f"{tmp_path}/jocker.yml",)
    assert project.warnings == (f"{tmp_path}: both jocker.yml and jocker.yaml are there: jocker.yml is used",)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"])
def test_compose_s_names_are_found(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: stack()})
    assert services(request(tmp_path)) == ["a"]


def test_an_override_file_is_added(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack("a"), "compose.override.yml": stack("b"), "jocker.override.yml": stack("c")})
    assert services(request(tmp_path)) == ["a", "b"]


def test_jocker_s_override_file_is_added(tmp_path: Path) -> None:
    write(tmp_path, {"jocker.yml": stack("a"), "compose.override.yml": stack("b"), "jocker.override.yaml": stack("c")})
    assert services(request(tmp_path)) == ["a", "c"]


def test_directories_above_are_searched(tmp_path: Path) -> None:
    write(tmp_path, {"up/compose.yaml": stack(), "up/in/deep/file": ""})
    project = read_project(request(tmp_path / "up/in/deep"))
    assert (project.working_dir, project.name) == (f"{tmp_path}/up", "up")


def test_named_files_are_taken_alone_and_in_order(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack("x"), "s/b.yml": stack("b"), "a.yml": stack("a")})
    project = read_project(request(tmp_path, "s/b.yml", "a.yml"))
    assert list(project.services) == ["b", "a"]
    assert (project.working_dir, project.name) == (f"{tmp_path}/s", "s")


def test_compose_file_names_files_relative_to_the_current_directory(tmp_path: Path) -> None:
    write(tmp_path, {"s/b.yml": stack("b"), "a.yml": stack("a")})
    assert services(request(tmp_path, COMPOSE_FILE="s/b.yml:a.yml")) == ["b", "a"]
    assert services(request(tmp_path, COMPOSE_FILE="s/b.yml,a.yml", COMPOSE_PATH_SEPARATOR=",")) == ["b", "a"]


def test_compose_file_may_stand_in_dot_env(tmp_path: Path) -> None:
    write(tmp_path, {"s/b.yml": stack("a"), ".env": "COMPOSE_FILE=s/b.yml\nA=cwd\n", "s/.env": "A=project\n"})
    assert label(request(tmp_path)) == "cwd"


def test_the_shell_beats_dot_env(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack(), ".env": "A=file\n"})
    assert label(request(tmp_path)) == "file"
    assert label(request(tmp_path, A="shell")) == "shell"
    assert label(request(tmp_path, COMPOSE_DISABLE_ENV_FILE="1")) == "un"


def test_dot_env_of_the_first_file_s_directory(tmp_path: Path) -> None:
    write(tmp_path, {"s/compose.yaml": stack(), ".env": "A=cwd\n", "s/.env": "A=s\n"})
    assert label(request(tmp_path, "s/compose.yaml")) == "s"


def test_env_files_replace_dot_env_and_the_last_wins(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack(), ".env": "A=dot\n", "1.env": "A=1\nB=b\n", "2.env": "A=2$B\n"})
    wanted = StackRequest(env_files=("1.env", "2.env"), environ={}, cwd=str(tmp_path))
    assert label(wanted) == "2b"
    assert label(request(tmp_path, COMPOSE_ENV_FILES="2.env,1.env")) == "1"


def test_a_project_directory_is_the_base_of_paths(tmp_path: Path) -> None:
    write(tmp_path, {"s/compose.yaml": "services: {a: {image: x, network_mode: none, env_file: e}}", "base/e": "K=1\n"})
    wanted = StackRequest(files=("s/compose.yaml",), project_directory="base", environ={}, cwd=str(tmp_path))
    project = read_project(wanted)
    assert (project.working_dir, project.name) == (f"{tmp_path}/base", "base")
    assert project.services["a"].environment == {"K": "1"}


def test_places_are_relative_to_the_current_directory(tmp_path: Path) -> None:
    write(tmp_path, {"s/compose.yaml": "services: {a: {foo: 1}}\n"})
    with pytest.raises(StackFileError) as raised:
        read_project(request(tmp_path, "s/compose.yaml"))
    assert raised.value.complaints[0].place.file == "s/compose.yaml"
    with pytest.raises(StackFileError) as raised:
        read_project(request(tmp_path / "s", f"{tmp_path}/s/compose.yaml"))
    assert raised.value.complaints[0].place.file == "compose.yaml"
    (tmp_path / "t").mkdir()
    with pytest.raises(StackFileError) as raised:
        read_project(request(tmp_path / "t", "../s/compose.yaml"))
    assert raised.value.complaints[0].place.file == f"{tmp_path}/s/compose.yaml"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"files": ("no.yml",)}, "no such stack file: no.yml"),
        ({"files": ("oci://o/stack",)}, "oci://o/stack is an OCI artifact: not fetched"),
        ({"files": ("https://github.com/o/r.git",)}, "https://github.com/o/r.git is a git repository: not fetched"),
        ({"files": ("dir",)}, "a directory, not a stack file: dir"),
        ({"env_files": ("no.env",)}, "no such env file: no.env"),
        ({"project_name": "Bad Name"}, "-p: 'Bad Name' cannot be a project's name"),
    ],
)
def test_what_the_command_line_gets_wrong(tmp_path: Path, wanted: Mapping[str, object], message: str) -> None:
    write(tmp_path, {"compose.yaml": stack(), "dir/x": ""})
    with pytest.raises(UsageError) as raised:
        read_project(StackRequest(**{"environ": {}, "cwd": str(tmp_path), **wanted}))  # type: ignore[arg-type]
    assert raised.value.message == message


def test_no_stack_file_at_all() -> None:
    with pytest.raises(UsageError, match="no stack file in /proc or above it") as raised:
        read_project(request(Path("/proc")))
    assert "jocker.yml" in raised.value.hint


def test_a_bad_dot_env_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack(), ".env": "A=1\nB C=2\n"})
    with pytest.raises(StackFileError) as raised:
        read_project(request(tmp_path))
    assert str(raised.value.complaints[0].place) == ".env:2:1"


def test_a_file_that_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(StackFileError, match="not UTF-8 in line 2"):
        read_project(request(tmp_path))


def test_profiles_by_variable_only_without_the_option(tmp_path: Path) -> None:
    text = "services:\n"
    for name in ("aa", "bb"):
        text += f"  {name}: {{image: x, network_mode: none, profiles: [{name}]}}\n"
    write(tmp_path, {"compose.yaml": text})
    assert services(request(tmp_path, COMPOSE_PROFILES="aa, bb")) == ["aa", "bb"]
    wanted = StackRequest(profiles=("bb",), environ={"COMPOSE_PROFILES": "aa"}, cwd=str(tmp_path))
    assert services(wanted) == ["bb"]


def test_the_name_alone(tmp_path: Path) -> None:
    write(tmp_path, {"My.Dir/compose.yaml": stack(), "My.Dir/named.yml": f"name: '${{A:-n}}x'\n{stack()}"})
    here = tmp_path / "My.Dir"
    assert find_project_name(request(here)) == "mydir"
    assert find_project_name(request(here, "named.yml")) == "nx"
    assert find_project_name(request(here, COMPOSE_PROJECT_NAME="env")) == "env"
    assert find_project_name(StackRequest(project_name="given", environ={}, cwd="/nowhere")) == "given"
    assert find_project_name(request(Path("/proc"))) == "proc"


def test_a_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": stack()})
    with pytest.raises(UsageError, match="COMPOSE_PROJECT_NAME: 'A' cannot be a project's name"):
        find_project_name(request(tmp_path, COMPOSE_PROJECT_NAME="A"))


def test_our_variables_go_before_compose_s(tmp_path: Path) -> None:
    write(
        tmp_path, {"a.yml": stack("a"), "b.yml": stack("b"), ".env": "COMPOSE_FILE=b.yml\nJOCKER_PROJECT_NAME=ours\n"}
    )
    assert services(request(tmp_path, COMPOSE_FILE="b.yml", JOCKER_FILE="a.yml")) == ["a"]
    assert services(request(tmp_path)) == ["b"]
    assert read_project(request(tmp_path)).name == "ours"
    assert read_project(request(tmp_path, COMPOSE_PROJECT_NAME="shell")).name == "shell"
    assert find_project_name(request(tmp_path, JOCKER_PROJECT_NAME="shell", COMPOSE_PROJECT_NAME="no")) == "shell"


def test_our_other_variables(tmp_path: Path) -> None:
    text = "services: {aa: {image: x, network_mode: none, profiles: [p1]}, bb: {image: x, network_mode: none}}\n"
    write(tmp_path, {"compose.yaml": text, "one": "A=1\n", "two": "A=2\n"})
    assert services(request(tmp_path, JOCKER_PROFILES="p1", COMPOSE_PROFILES="p2")) == ["aa", "bb"]
    environment = read_project(request(tmp_path, JOCKER_ENV_FILES="one", COMPOSE_ENV_FILES="two")).environment
    assert environment["A"] == "1"
    write(tmp_path, {".env": "A=dot\n"})
    assert "A" not in read_project(request(tmp_path, JOCKER_DISABLE_ENV_FILE="true")).environment
    assert services(request(tmp_path, JOCKER_FILE="compose.yaml,compose.yaml", JOCKER_PATH_SEPARATOR=",")) == ["bb"]


@pytest.mark.parametrize(("deep", "told"), [(49, ""), (450, "more than 50 includes inside one another")])
def test_includes_go_only_so_deep(tmp_path: Path, deep: int, told: str) -> None:
    chain = {f"{number}.yml": f"include: [{number + 1}.yml]\n" for number in range(deep)}
    write(tmp_path, {**chain, f"{deep}.yml": stack()})
    if not told:
        assert services(request(tmp_path, "0.yml")) == ["a"]
        return
    with pytest.raises(StackFileError) as raised:
        services(request(tmp_path, "0.yml"))
    assert [complaint.message for complaint in raised.value.complaints] == [told]
