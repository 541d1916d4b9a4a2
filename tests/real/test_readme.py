"""What README.md and scripts/quickstart show is what happens: their commands are run, their output compared."""

from __future__ import annotations

import re
import shutil
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
    """`A=b jocker x y` as its environment and its arguments."""
    words = line.split()
    at = words.index("jocker")
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


def test_the_readme_shows_what_happens(jocker: Jocker, demo_image: str, tmp_path: Path) -> None:
    (stack,) = blocks("yaml")
    quickstart, up_ps_plan, mistake = blocks("console")
    assert quickstart.startswith("$ scripts/quickstart ")
    (tmp_path / "jocker.yml").write_text(stack)

    up, ps, plan = shown(up_ps_plan)
    done = jocker(*up.arguments, cwd=tmp_path)
    assert sorted(done.stderr.splitlines()) == sorted(up.lines)  # what is ready at once comes in any order
    done = jocker(*ps.arguments, cwd=tmp_path)
    assert leveled(done.stdout) == leveled("\n".join(ps.lines))
    done = jocker(*plan.arguments, cwd=tmp_path, env=plan.environment)
    cut = plan.lines.index("…")
    lines = done.stdout.splitlines()
    assert lines[:cut] == plan.lines[:cut]
    assert lines[cut - len(plan.lines) + 1 :] == plan.lines[cut + 1 :]

    (refused,) = shown(mistake)
    (tmp_path / "jocker.yml").write_text(stack.replace("mem_limit", "mem_limt"))
    done = jocker(*refused.arguments, cwd=tmp_path, code=3)
    assert done.stderr.splitlines() == refused.lines
    (tmp_path / "jocker.yml").write_text(stack)
    jocker("down", "-t", "0", cwd=tmp_path)


def test_the_readme_shows_the_stack_of_the_quickstart(jocker: Jocker, tmp_path: Path) -> None:
    (stack,) = blocks("yaml")
    (tmp_path / "jocker.yml").write_text(stack)
    ours = jocker("config", "--format", "json", cwd=tmp_path).stdout
    assert ours == jocker("-f", str(REPOSITORY / "jocker.yml"), "config", "--format", "json", cwd=tmp_path).stdout


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


def test_what_the_quickstart_suggests_works(jocker: Jocker, demo_image: str, tmp_path: Path) -> None:
    suggestions = re.findall(r"^  ((?:[A-Z]+=\w+ )?jocker .+?)(?: {2,}.*)$", QUICKSTART, re.MULTILINE)
    assert len(suggestions) == 6
    (tmp_path / "jocker.yml").write_bytes((REPOSITORY / "jocker.yml").read_bytes())
    jocker("up", "-d", cwd=tmp_path)
    for environment, arguments in map(split, suggestions):
        # Without a terminal `exec` has to be told so; nobody waits for `down` here.
        extra = {"exec": ["-T"], "down": ["-t", "0"]}.get(arguments[0], [])
        jocker(arguments[0], *extra, *arguments[1:], cwd=tmp_path, env=environment, stdin="exit\n")
    assert jocker("ps", "-aq", cwd=tmp_path).stdout == ""
