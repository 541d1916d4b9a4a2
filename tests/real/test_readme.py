"""What README.md and scripts/quickstart show is what happens: their commands are run, their output compared."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from patience import until
from scenarios.conftest import Jocker

from composer.cli.app import COMMANDS

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()
QUICKSTART = (REPOSITORY / "scripts/quickstart").read_text()


class Shown(NamedTuple):
    """One command line of a console block, and the lines below it."""

    environment: dict[str, str]
    arguments: list[str]
    lines: list[str]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def split(line: str) -> tuple[dict[str, str], list[str]]:
    """`A=b jocker x y` (or `curl x`) as its environment and its arguments."""
    words = line.split()
    at = next(number for number, word in enumerate(words) if word in {"jocker", "curl"})
    return dict(word.split("=", 1) for word in words[:at]), words[at + 1 :]


def shown(block: str) -> list[Shown]:
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, *lines = part.rstrip("\n").split("\n")
        found.append(Shown(*split(line), [one for one in lines if one]))
    return found


def leveled(text: str) -> list[str]:
    """Lines without what differs from one run to the next: times, and the width of their columns."""
    text = re.sub(r"Less than a second|[0-9]+ seconds?", "TIME", text)
    return [re.sub(" {2,}", "  ", line.rstrip()) for line in text.splitlines() if line.strip()]


@pytest.fixture
def demo(jocker: Jocker, tmp_path: Path) -> Path:
    """A copy of the demo, with its image in the store as scripts/quickstart puts it there."""
    subprocess.run([REPOSITORY / "scripts/demo-image"], check=True, capture_output=True)
    shutil.copy(REPOSITORY / "jocker.yml", tmp_path)
    shutil.copytree(REPOSITORY / "examples/demo", tmp_path / "examples/demo")
    # The port that is shown may be anybody's here.
    with socket.socket() as free:
        free.bind(("", 0))
        (tmp_path / ".env").write_text(f"PORT={free.getsockname()[1]}\n")
    return tmp_path


def asked(demo: Path, shown_url: str) -> str:
    """What the demo answers at a URL that is shown, once its web server does."""
    port = int((demo / ".env").read_text().removeprefix("PORT="))
    _, _, path = shown_url.partition(":8080")

    def answer() -> str:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                text = response.read().decode()
            except (OSError, http.client.HTTPException):
                return ""
            return text if response.status == 200 else ""

    return until(answer)


def numberless(text: str) -> str:
    return re.sub("[0-9]+", "N", text)


def test_the_readme_shows_what_happens(jocker: Jocker, demo: Path) -> None:
    quickstart, session, mistake = blocks("console")
    assert quickstart.startswith("$ scripts/quickstart ")

    up, ps, *curls, plan = shown(session)
    done = jocker(*up.arguments, cwd=demo)
    assert sorted(done.stderr.splitlines()) == sorted(up.lines)  # what is ready at once comes in any order
    done = jocker(*ps.arguments, cwd=demo)
    port = (demo / ".env").read_text().removeprefix("PORT=").strip()
    assert leveled(done.stdout.replace(port, "8080")) == leveled("\n".join(ps.lines))
    assert len(curls) == 2
    for curl in curls:
        (line,) = curl.lines
        assert numberless(asked(demo, curl.arguments[0])) == numberless(f"{line}\n")
    done = jocker(*plan.arguments, cwd=demo, env=plan.environment)
    assert done.stdout.splitlines() == plan.lines

    (refused,) = shown(mistake)
    stack = (demo / "jocker.yml").read_text()
    (demo / "jocker.yml").write_text(stack.replace("scale", "scal"))
    done = jocker(*refused.arguments, cwd=demo, code=3)
    assert done.stderr.splitlines() == refused.lines
    (demo / "jocker.yml").write_text(stack)
    jocker("down", "-v", "-t", "0", cwd=demo)


def test_the_readme_shows_the_stack_of_the_quickstart() -> None:
    (parts,) = blocks("yaml")
    stack = (REPOSITORY / "jocker.yml").read_text()
    at = 0
    for part in parts.split("…\n"):
        at = stack.index(part, at) + len(part)
    assert at == len(stack)


def test_the_readme_s_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link


def test_the_example_of_a_template_shows_what_happens(jocker: Jocker, demo_image: str, tmp_path: Path) -> None:
    example = tmp_path / "custom-template"
    shutil.copytree(REPOSITORY / "examples/custom-template", example)
    up, logs = shown(blocks("console", (example / "README.md").read_text())[0])
    jocker(*up.arguments, cwd=example)

    def said() -> list[str]:
        return sorted(jocker(*logs.arguments, cwd=example).stdout.splitlines())

    until(lambda: len(said()) == len(logs.lines))
    assert leveled("\n".join(said())) == leveled("\n".join(sorted(logs.lines)))
    jocker("down", "-t", "0", cwd=example)


def test_the_readme_names_all_commands_and_no_other() -> None:
    (line,) = re.findall(r"^\| commands \| `([a-z ]+)` \|$", README, re.MULTILINE)
    assert sorted(line.split()) == sorted(COMMANDS)


def test_what_the_quickstart_suggests_works(jocker: Jocker, demo: Path) -> None:
    suggestions = re.findall(r"^  ((?:[A-Z]+=\w+ )?jocker .+?)(?: {2,}.*)$", QUICKSTART, re.MULTILINE)
    assert len(suggestions) == 8
    (url,) = re.findall(r"^  curl (\S+)", QUICKSTART, re.MULTILINE)
    jocker("up", "-d", cwd=demo)
    assert '"visits"' in asked(demo, url.replace("$PORT", "8080"))
    for environment, arguments in map(split, suggestions):
        # Without a terminal `exec` has to be told so; nobody waits for `down` here.
        extra = {"exec": ["-T"], "down": ["-t", "0"]}.get(arguments[0], [])
        jocker(arguments[0], *extra, *arguments[1:], cwd=demo, env=environment, stdin="exit\n")
    assert jocker("ps", "-aq", cwd=demo).stdout == ""
