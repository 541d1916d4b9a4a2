"""`provider`: a program makes what a service stands for, and tells those who depend on it where it is."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from scenarios.conftest import Stack

pytestmark = pytest.mark.real

SCRIPT = """#!/bin/sh
[ "$2" = metadata ] && { cat metadata.json 2>/dev/null; exit; }
printf '%s|' "$@" >>calls
echo >>calls
cat "said-$3" 2>/dev/null
echo "broken: $3" >&2
exit "$(cat "code-$3" 2>/dev/null || echo 0)"
"""


def message(kind: str, text: str) -> str:
    return json.dumps({"type": kind, "message": text}) + "\n"


class Cloud:
    """A provider in the stack's directory: what it says is in files there, and what it was called with."""

    def __init__(self, directory: Path, name: str = "cloud") -> None:
        self.directory = directory
        (directory / name).write_text(SCRIPT)
        (directory / name).chmod(0o755)

    def says(self, command: str, *messages: str, code: int = 0) -> None:
        (self.directory / f"said-{command}").write_text("".join(messages))
        (self.directory / f"code-{command}").write_text(str(code))

    def calls(self) -> list[str]:
        file = self.directory / "calls"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return found


@pytest.fixture
def cloud(stack: Stack) -> Cloud:
    return Cloud(stack.directory)


def web(more: str = "", provider: str = "{type: ./cloud, options: {size: [1, two words], name: x}}") -> str:
    return f"""
services:
  web:
    image: demo
    network_mode: none
    init: true
    command: [sleep, '1000']
    depends_on: [data-base]
    environment: {{TOKEN: mine, KEPT: here}}
  data-base:
    provider: {provider}
{more}
"""


def environment(stack: Stack, service: str = "web") -> dict[str, str]:
    text = stack("exec", "-T", service, "env").stdout
    return dict(line.split("=", 1) for line in text.splitlines())


UP = "compose|--project-name=web|up|--size=1|--size=two words|--name=x|data-base|"
DOWN = UP.replace("|up|", "|down|")


def test_it_is_asked_and_what_it_tells_is_passed_on(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    cloud.says(
        "up",
        message("info", "making it\nwith care"),
        message("debug", "nobody sees this"),
        "\n",
        message("setenv", "URL=http://x?a=b"),
        message("setenv", "EMPTY="),
        message("rawsetenv", "TOKEN=theirs"),
    )
    assert "RunProvider data-base" in stack("plan").stdout
    assert cloud.calls() == []
    done = stack("up", "-d")
    assert "Service data-base  Created" in done.stderr
    assert "provider data-base overrides the variable TOKEN of service web" in done.stderr
    assert cloud.calls() == [UP]
    found = environment(stack)
    assert {found["DATA-BASE_URL"], found["DATA-BASE_EMPTY"], found["TOKEN"], found["KEPT"]} == {
        *("http://x?a=b", "", "theirs", "here"),
    }
    assert "unchanged: web-web-1" in stack("plan").stdout
    ids = stack.ids()
    stack("up", "-d")  # it is asked again, and as it says the same, nothing changes
    assert (cloud.calls(), stack.ids()) == ([UP], ids)
    cloud.says("up", message("setenv", "URL=http://y"))
    stack("up", "-d")
    assert environment(stack)["DATA-BASE_URL"] == "http://y"
    assert stack.ids() != ids
    assert "DATA-BASE_URL=http://y" in stack("run", "--rm", "--no-deps", "web", "env").stdout
    assert cloud.calls() == [UP]
    assert "DATA-BASE_URL=http://y" in stack("run", "--rm", "web", "env").stdout
    assert cloud.calls() == [UP]
    assert "DATA-BASE_URL=http://y" in stack("render", "web").stdout
    assert "Service data-base  Removed" in stack("down", "-t", "0").stderr
    assert cloud.calls() == [DOWN]
    stack.assert_nothing_left()
    assert "nothing to remove" in stack("down").stderr
    assert cloud.calls() == []


def test_down_needs_no_file_and_services_can_be_named(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    stack("up", "-d", "data-base")
    assert cloud.calls() == [UP]
    assert not stack.ps()
    stack("up", "-d", "--no-deps", "web")
    assert cloud.calls() == []
    assert list(stack.ps()) == ["web-web-1"]
    stack("down", "-t", "0", "data-base")
    assert cloud.calls() == [DOWN]
    assert list(stack.ps()) == ["web-web-1"]
    stack("up", "-d", "web")
    assert cloud.calls() == [UP]
    stack("-p", "web", "down", "-t", "0")
    assert cloud.calls() == [DOWN]
    stack.assert_nothing_left()


def test_what_it_depends_on_comes_before_it(stack: Stack, cloud: Cloud) -> None:
    """Through a provider, dependencies go on to what it depends on: another provider, a service."""
    stack.write(
        web("    depends_on: [other, base]\n  other: {provider: {type: ./cloud}}\n")
        + "  base: {image: demo, network_mode: none, init: true, command: [sleep, '1000']}\n"
    )
    stack("up", "-d", "web")
    assert cloud.calls() == ["compose|--project-name=web|up|other|", UP]
    assert sorted(stack.states()) == ["web-base-1", "web-web-1"]
    stack("down", "-t", "0")
    assert cloud.calls() == [DOWN, "compose|--project-name=web|down|other|"]
    stack.assert_nothing_left()


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        (message("error", "no quota"), 0, "its provider failed: no quota"),
        ("", 7, "ended `up` with code 7: broken: up"),
        ("hello\n", 0, "which is no message"),
        ("[1]\n", 0, "which is no message"),
        ("[" * 30000 + "\n", 0, "which is no message"),
        ('{"type": "info"}\n', 0, "which is no message"),
        ('{"type": "info", "message": 3}\n', 0, "which is no message"),
        (message("shout", "x"), 0, "a message of an unknown type"),
        (message("setenv", "URL"), 0, "which is no variable"),
        (message("setenv", "=x"), 0, "which is no variable"),
        (message("setenv", "A=\0"), 0, "which is no variable"),
        (message("setenv", "A=" + "x" * 60000) * 20, 0, "which is no variable"),
    ],
)
def test_one_that_fails_stops_its_dependents(stack: Stack, cloud: Cloud, said: str, code: int, told: str) -> None:
    stack.write(web())
    cloud.says("up", said, code=code)
    done = stack("up", "-d", code=1)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not stack.ps()
    stack("down")  # it may have made something before
    assert cloud.calls() == [UP, DOWN]
    stack.assert_nothing_left()


def test_a_failed_down_is_tried_again(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    stack("up", "-d")
    cloud.says("down", code=1)
    assert "with code 1: broken: down" in stack("down", "-t", "0", code=1).stderr
    assert not stack.ps()
    cloud.says("down")
    stack("down")
    assert cloud.calls() == [UP, DOWN, DOWN]
    stack.assert_nothing_left()


def test_its_metadata_say_which_options_it_takes(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    metadata = {"description": "x", "up": {"parameters": [{"name": "size"}]}, "down": {"parameters": []}}
    (stack.directory / "metadata.json").write_text(json.dumps(metadata))
    stack("up", "-d")
    stack("down", "-t", "0")
    assert cloud.calls() == [
        "compose|--project-name=web|up|--size=1|--size=two words|data-base|",
        "compose|--project-name=web|down|data-base|",
    ]
    metadata["up"] = {"parameters": [{"name": "region", "required": True}]}
    (stack.directory / "metadata.json").write_text(json.dumps(metadata))
    assert "needs the option 'region'" in stack("up", "-d", code=1).stderr
    (stack.directory / "metadata.json").unlink()
    stack("down")
    stack.assert_nothing_left()


def test_where_its_program_is_looked_for(stack: Stack, cloud: Cloud) -> None:
    stack.write(web(provider="{type: nowhere}"))
    done = stack("up", "-d", code=4)
    assert "docker-nowhere" in done.stderr
    stack.assert_nothing_left()
    stack.write(web(provider="{type: compose}"))
    assert "not a valid provider type" in stack("up", "-d", code=4).stderr
    home = stack.directory / "home"
    plugins = home / ".docker/cli-plugins"
    plugins.mkdir(parents=True)
    Cloud(plugins, "docker-sky")
    stack.write(web(provider="{type: sky}"))
    stack("up", "-d", env={"HOME": str(home)})
    assert cloud.calls() == ["compose|--project-name=web|up|data-base|"]
    stack.write(web())  # now another makes it: the first takes down what it has made
    stack("up", "-d", env={"HOME": str(home)})
    assert cloud.calls() == ["compose|--project-name=web|down|data-base|", UP]
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_variables_of_env_files_are_its_own_and_ctrl_c_ends_it(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    (stack.directory / ".env").write_text("SECRET=from .env\n")
    (stack.directory / "cloud").write_text(
        '#!/bin/sh\n[ "$2" = metadata ] && exit 1\necho "$3 $SECRET" >>calls\n[ "$3" = down ] || exec sleep 1000\n'
    )
    running = stack.start("up", "-d")
    stack.wait_for((stack.directory / "calls").exists, "the provider")
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    assert not stack.ps()
    stack("down")
    assert cloud.calls() == ["up from .env", "down from .env"]
    stack.assert_nothing_left()


def test_nobody_can_share_what_it_has_not(stack: Stack, cloud: Cloud) -> None:
    stack.write(web().replace("network_mode: none", "network_mode: service:data-base"))
    assert "has a provider, and so no container" in stack("up", "-d", code=3).stderr
    assert cloud.calls() == []


def test_config_and_lists_know_it(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    assert stack("config", "--services").stdout.split() == ["data-base", "web"]
    assert "type: ./cloud" in stack("config").stdout
    assert cloud.calls() == []


def test_a_provider_is_nothing_to_run_a_command_in(stack: Stack, cloud: Cloud) -> None:
    stack.write(web())
    said = stack("run", "--rm", "data-base", "true", code=2).stderr
    assert "data-base comes from a provider: there is no container of it to run a command in" in said
    assert cloud.calls() == []
