"""What files say of one another, seen in containers: includes, extends, label files, variables, profiles."""

from __future__ import annotations

import json

import pytest
from scenarios.conftest import SLEEP, Stack

pytestmark = pytest.mark.real


def variables(stack: Stack, service: str) -> dict[str, str]:
    """What a program in the service's container sees."""
    lines = stack("exec", service, "env").stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


def labels(stack: Stack, container: str) -> dict[str, str]:
    text = stack.ps()[container]["Labels"]
    found = (pair.split("=", 1) for pair in text.split(","))
    return {name: value for name, value in found if not name.startswith("com.docker.compose")}


def test_an_included_project_keeps_its_directory_and_its_variables(stack: Stack) -> None:
    """What the parent's `.env` does not say comes from the included one; paths start where the file is."""
    (stack.directory / "part").mkdir()
    (stack.directory / ".env").write_text("BOTH=parent\n")
    (stack.directory / "part/.env").write_text("BOTH=part\nOWN=part\n")
    (stack.directory / "part/data").write_text("of the part\n")
    stack.write(
        f"services:\n  p:\n{SLEEP}    environment: [OWN, 'BOTH=$BOTH']\n    volumes: ['./data:/data:ro']\n",
        "part/c.yaml",
    )
    stack.write(f"include: [part/c.yaml]\nservices:\n  web:\n{SLEEP}    depends_on: [p]\n")
    stack("up", "-d")
    assert stack.states() == {"web-p-1": "running", "web-web-1": "running"}
    seen = variables(stack, "p")
    assert (seen["OWN"], seen["BOTH"]) == ("part", "parent")
    assert stack("exec", "p", "cat", "/data").stdout == "of the part\n"
    stack("up", "-d")
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_a_service_that_extends_another_has_what_that_has(stack: Stack) -> None:
    """A change of what is extended recreates who extends it, and nobody else."""
    stack.write(f"services:\n  base:\n{SLEEP}    environment: {{A: base, B: base}}\n", "base.yaml")
    own = "  web:\n    extends: {file: base.yaml, service: base}\n    environment: {B: own}\n"
    stack.write(f"services:\n{own}  other:\n{SLEEP}")
    stack("up", "-d")
    seen = variables(stack, "web")
    assert (seen["A"], seen["B"]) == ("base", "own")
    before = stack.ids()
    stack.write(f"services:\n  base:\n{SLEEP}    environment: {{A: new, B: base}}\n", "base.yaml")
    stack("up", "-d", "-t", "0")
    after = stack.ids()
    assert variables(stack, "web")["A"] == "new"
    assert before["web-web-1"] != after["web-web-1"]
    assert before["web-other-1"] == after["web-other-1"]
    stack("down", "-t", "0")


def test_label_files_give_labels_below_those_of_the_service(stack: Stack) -> None:
    (stack.directory / "one").write_text("a=1\nb=1\nc=${a}2\n")
    (stack.directory / "two").write_text("b=2\n")
    stack.write(f"services:\n  web:\n{SLEEP}    label_file: [one, two]\n    labels: {{a: own}}\n")
    stack("up", "-d")
    found = labels(stack, "web-web-1")
    assert {name: found[name] for name in "abc"} == {"a": "own", "b": "2", "c": "12"}
    (stack.directory / "two").write_text("b=3\n")
    stack("up", "-d", "-t", "0")
    assert labels(stack, "web-web-1")["b"] == "3"
    stack("down", "-t", "0")


def test_variables_of_a_container_by_precedence(stack: Stack) -> None:
    """`run -e`, then `environment`, then the later env file, then the earlier one; a name alone takes the shell's."""
    (stack.directory / "one").write_text("A=one\nB=one\nC=one\nSHELL_ONLY=one\nUNSET=one\n")
    (stack.directory / "two").write_text("B=two\nC=two\nD=${A}+${E:-none}\n")
    stack.write(
        f"services:\n  web:\n{SLEEP}    env_file: [one, two]\n    environment: [C=own, E=own, SHELL_ONLY, UNSET]\n"
    )
    stack("up", "-d", env={"SHELL_ONLY": "shell"})
    seen = variables(stack, "web")
    assert [seen[name] for name in "ABCD"] == ["one", "two", "own", "one+own"]
    assert seen["SHELL_ONLY"] == "shell"
    assert "UNSET" not in seen
    done = stack("run", "--rm", "-e", "C=run", "web", "env", env={"SHELL_ONLY": "shell"})
    assert "C=run" in done.stdout.splitlines()
    stack("down", "-t", "0")


def test_profiles_decide_who_is_started(stack: Stack) -> None:
    """A service of an inactive profile is neither started nor an orphan; to name it starts it with what it needs."""
    stack.write(
        f"services:\n  web:\n{SLEEP}  db:\n{SLEEP}    profiles: [tools]\n"
        f"  tool:\n{SLEEP}    profiles: [tools]\n    depends_on: [db]\n  other:\n{SLEEP}    profiles: [tools]\n"
    )
    stack("up", "-d")
    assert stack.states() == {"web-web-1": "running"}
    stack("up", "-d", "tool")
    assert stack.states().keys() == {"web-web-1", "web-db-1", "web-tool-1"}
    done = stack("up", "-d")
    assert "orphan" not in done.stderr
    stack("--profile", "tools", "up", "-d")
    assert stack.states().keys() == {"web-web-1", "web-db-1", "web-tool-1", "web-other-1"}
    stack("down", "-t", "0", env={"JOCKER_PROFILES": "*"})
    stack.assert_nothing_left()


def test_a_stack_from_standard_input(stack: Stack) -> None:
    text = f"name: piped\nservices:\n  web:\n{SLEEP}"
    stack("-f", "-", "up", "-d", stdin=text)
    assert stack("-p", "piped", "ps", "-q").stdout.strip()
    stack("-f", "-", "down", "-t", "0", stdin=text)
    stack.assert_nothing_left()


def test_progress_on_standard_output_if_a_variable_says_so(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}")
    done = stack("up", "-d", env={"COMPOSE_STATUS_STDOUT": "1"})
    assert "Container web-web-1  Started" in done.stdout
    assert "Started" not in done.stderr
    (stack.directory / ".env").write_text("COMPOSE_STATUS_STDOUT=true\nCOMPOSE_PROGRESS=json\n")
    done = stack("down", "-t", "0")
    assert {json.loads(line)["event"] for line in done.stdout.splitlines()} >= {"done"}


def test_github_gets_an_annotation_beside_the_text(stack: Stack) -> None:
    stack.write("services:\n  base: {image: demo, comand: x}\n", "base.yaml")
    stack.write("services:\n  web: {extends: {file: base.yaml, service: base}}\n")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(stack.directory.parent)}
    done = stack("up", "-d", code=3, env=environment)
    assert "did you mean `command`?" in done.stderr
    assert "  extended by services.web in jocker.yml:2:25" in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("::error ")]
    assert line.startswith(
        "::error title=jocker%3A services.base.comand,file=web/base.yaml,line=2,col=23,endColumn=29::"
    )
