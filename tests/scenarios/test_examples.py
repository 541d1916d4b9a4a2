"""The demo and the examples do what their READMEs say; examples/custom-template is tested with the templates."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from scenarios.conftest import REPOSITORY, Jocker, Stack

from composer.paths import Paths

pytestmark = pytest.mark.real

EXAMPLES = sorted(path.parent.name for path in (REPOSITORY / "examples").glob("*/jocker.yml"))
Copy = Callable[[str], Stack]


def free_ports(number: int = 1) -> int:
    """The first of so many ports in a row that nobody has."""
    while True:
        with ExitStack() as all_of_them, suppress(OSError, OverflowError):
            first = all_of_them.enter_context(socket.socket())
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            for one in range(port + 1, port + number):
                all_of_them.enter_context(socket.socket()).bind(("", one))
            return port


def ask(port: int, path: str = "/", form: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and text; status 0 while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        if form is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, urlencode(form))
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


@pytest.fixture
def example(jocker_dirs: Paths, jocker: Jocker, tmp_path: Path) -> Copy:
    """A copy of an example, or of the demo (""), and the image that it needs, made as a user makes it."""

    def copy(name: str) -> Stack:
        directory = tmp_path / "stack"
        if name:
            shutil.copytree(REPOSITORY / "examples" / name, directory)
        else:
            directory.mkdir()
            shutil.copy(REPOSITORY / "jocker.yml", directory)
            shutil.copytree(REPOSITORY / "examples/demo", directory / "examples/demo")
        make = [str(REPOSITORY / "scripts/demo-image"), "busybox" if name else "demo"]
        subprocess.run(make, check=True, capture_output=True, timeout=60)
        return Stack(jocker_dirs, directory, jocker)

    return copy


def down(stack: Stack, env: dict[str, str] | None = None) -> None:
    """Everything goes, and by itself: whatever had to be killed would say so."""
    assert "killed" not in stack("down", "-v", env=env).stderr
    stack.assert_nothing_left()


def test_the_demo(example: Copy) -> None:
    demo = example("")
    port = free_ports()
    demo("up", "-d", env={"PORT": str(port)})
    demo.wait_for(lambda: "http://api/" in ask(port)[1], "the page is there")

    replicas: set[str] = set()
    visits: list[int] = []

    def both_answered() -> bool:
        status, text = ask(port, "/cgi-bin/api")
        if status == 200:
            found = json.loads(text)
            replicas.add(found["replica"])
            visits.append(found["visits"])
        return len(replicas) == 2

    demo.wait_for(both_answered, "both replicas answer")
    assert replicas == {"demo-api-1", "demo-api-2"}
    assert visits == sorted(set(visits))  # one counter for both
    demo.wait_for(lambda: '"visits": ' in demo("logs", "worker").stdout, "the worker gets answers")

    # Behind the wall: no way out, and the page's own network does not know who is there.
    assert "default" not in demo("exec", "-T", "worker", "ip", "route").stdout
    networks = {name: one["Networks"] for name, one in demo.ps().items()}
    assert networks["demo-api-1"] == networks["demo-worker-1"] == "demo_back"
    demo("stop", "api")
    assert ask(port, "/cgi-bin/api") == (502, '{"error": "no API answers"}\n')

    # The count outlives the containers, until -v.
    demo("down")
    demo("up", "-d", env={"PORT": str(port)})
    demo.wait_for(lambda: ask(port, "/cgi-bin/api")[0] == 200, "the API is back")
    assert json.loads(ask(port, "/cgi-bin/api")[1])["visits"] > visits[-1]
    down(demo)


def test_guestbook(example: Copy) -> None:
    guestbook = example("guestbook")
    env = {"PORT": str(free_ports())}
    port = int(env["PORT"])
    guestbook("up", "-d", env=env)
    guestbook.wait_for(lambda: ask(port)[0] == 200, "the page is there")

    def sign(name: str, text: str) -> bool:
        return ask(port, "/cgi-bin/sign", {"name": name, "text": text})[0] == 303

    guestbook.wait_for(lambda: sign("Ada", "hello there"), "the first entry is taken")
    assert sign("<b>Bob</b>", "100 % & more\nlines, ä")
    bob = "<li><b>&#60;b&#62;Bob&#60;&#47;b&#62;</b> 100&#32;&#37;&#32;&#38;&#32;more"
    assert re.search(rf"{re.escape(bob)}.*<li><b>Ada</b> hello&#32;there</li>", ask(port)[1], re.DOTALL)
    assert "<b>Bob" not in ask(port)[1]
    guestbook("down")
    guestbook("up", "-d", env=env)
    guestbook.wait_for(lambda: bob in ask(port)[1], "the entries outlive the containers")
    guestbook("stop", "book")
    assert "book does not answer" in ask(port)[1]
    down(guestbook, env)


def test_a_ci_job_gives_its_exit_code(example: Copy) -> None:
    ci = example("ci-service-container")
    assert ci("run", "--rm", "job").stdout == "db says 42, expected 42\n"
    assert ci("run", "--rm", "job", env={"EXPECT": "43"}, code=1).stdout == "db says 42, expected 43\n"
    assert ci.states() == {"ci-db-1": "running"}
    down(ci)


def test_two_networks_are_walls(example: Copy) -> None:
    stack = example("two-networks")
    port = free_ports()
    stack("up", "-d", env={"PORT": str(port)})
    stack.wait_for(lambda: ask(port) == (200, "web\n"), "web answers")

    def asks(who: str, whom: str) -> str:
        return stack("exec", "-T", who, "timeout", "1", "wget", "-qO-", f"http://{whom}/", code=None).stdout

    stack.wait_for(lambda: asks("web", "app") == "app\n", "web reaches app")
    stack.wait_for(lambda: asks("app", "db") == "db\n", "app reaches db")
    refused = stack("exec", "-T", "web", "wget", "-qO-", "http://db/", code=1)
    assert refused.stderr == "wget: bad address 'db'\n"
    address = stack("exec", "-T", "db", "hostname", "-i").stdout.strip()
    assert asks("app", address) == "db\n"
    assert "db" not in asks("web", address)
    down(stack)


def test_a_scaled_service_is_one_name(example: Copy) -> None:
    stack = example("scaled")
    first = free_ports(3)
    env = {"PORTS": f"{first}-{first + 2}"}
    stack("up", "-d", env=env)

    def known() -> set[str]:
        said = stack("exec", "-T", "client", "nslookup", "-type=a", "web").stdout
        return set(re.findall(r"^Address: ([0-9.]+)$", said, re.MULTILINE))

    def own() -> set[str]:
        running = len([name for name in stack.states() if name.startswith("scaled-web-")])
        return {
            stack("exec", "-T", "--index", str(one), "web", "hostname", "-i").stdout.strip()
            for one in range(1, running + 1)
        }

    assert len(known()) == 3
    assert known() == own()
    ids = stack.ids()
    for index in (1, 2, 3):
        where = stack("port", "--index", str(index), "web", "80").stdout.strip()
        port = int(where.rpartition(":")[2])
        assert port in range(first, first + 3)
        told = f"{ids[f'scaled-web-{index}'][:12]}\n"
        stack.wait_for(lambda port=port, told=told: ask(port) == (200, told), "each answers at a port of its own")  # type: ignore[misc]
    stack("up", "-d", "--scale", "web=2", env=env)
    assert len(known()) == 2
    assert known() == own()
    down(stack, env)


def test_images_of_ones_own(example: Copy) -> None:
    stack = example("build")
    env = {"PORT": str(free_ports()), "SIGNATURE": "mine"}
    port = int(env["PORT"])
    plan = stack("plan", env=env).stdout
    assert plan.index("BuildImage docker.io/library/build-server") < plan.index(
        "BuildImage docker.io/library/build-page"
    )
    stack("up", "-d", env=env)
    stack.wait_for(lambda: ask(port)[0] == 200, "the page is there")
    assert "<title>Built by jocker</title>" in ask(port)[1]
    assert hashlib.md5(b"mine", usedforsecurity=False).hexdigest() in ask(port)[1]
    stack("up", "-d", "--build", env={**env, "TITLE": "Another"})
    stack.wait_for(lambda: "<h1>Another</h1>" in ask(port)[1], "the page has changed")
    assert "killed" not in stack("down", "--rmi", "local", env=env).stderr
    assert "build-" not in stack("image", "ls").stdout
    stack.assert_nothing_left()


def test_every_example_has_a_short_readme() -> None:
    assert {"build", "ci-service-container", "guestbook", "scaled", "two-networks"} <= set(EXAMPLES)
    for name in EXAMPLES:
        lines = (REPOSITORY / "examples" / name / "README.md").read_text().splitlines()
        assert len(lines) <= 40, name
