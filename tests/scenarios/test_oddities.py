"""Names, values and output that break careless tools."""

from __future__ import annotations

import subprocess

import pytest
from scenarios.conftest import SLEEP, Stack

pytestmark = pytest.mark.real


def test_names_with_dots_dashes_and_underscores(stack: Stack) -> None:
    stack.write(f"name: a-b_c\nservices:\n  x.y-z_0:\n{SLEEP}  0-9:\n{SLEEP}    container_name: My.Own_name-1\n")
    stack("up", "-d")
    assert sorted(stack.states()) == ["My.Own_name-1", "a-b_c-x.y-z_0-1"]
    assert stack("exec", "-T", "x.y-z_0", "echo", "hi").stdout == "hi\n"
    assert stack("logs", "0-9").stdout == ""
    stack("down")
    stack.assert_nothing_left()


def test_values_come_through_as_they_are(stack: Stack) -> None:
    odd = "ä ☃ $HOME ${X} `id` \"q\" 'q' \\n {{ x }} {% y %} a=b #c"
    written = odd.replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    stack.write(
        f'services:\n  web:\n{SLEEP}    environment:\n      ODD: "{written}"\n      "NAME.WITH-DOTS": "1"\n'
        f'    labels: {{"odd.label": "{written}"}}\n    hostname: h-1\n    working_dir: "/tmp/ä b"\n'
    )
    stack("up", "-d")
    assert stack("exec", "-T", "web", "sh", "-c", 'printf %s "$ODD"').stdout == odd
    assert stack("exec", "-T", "web", "pwd").stdout == "/tmp/ä b\n"
    assert stack("exec", "-T", "web", "hostname").stdout == "h-1\n"
    assert "NAME.WITH-DOTS=1" in stack("exec", "-T", "web", "env").stdout
    assert "nothing to do" in stack("plan").stdout
    stack("down")


def test_a_stack_in_a_directory_of_an_odd_name(stack: Stack) -> None:
    odd = stack.directory / "Ünï ,: $x"
    (odd / "data,1").mkdir(parents=True)
    stack.directory = odd
    stack.write(
        f"name: odd\nservices:\n  web:\n{SLEEP}"
        "    volumes:\n      - {type: bind, source: './data,1', target: '/d a'}\n"
    )
    stack("up", "-d")
    stack("exec", "-T", "web", "touch", "/d a/f")
    assert (odd / "data,1/f").exists()
    stack("down")
    stack.assert_nothing_left()


def test_control_characters_of_others_do_not_reach_the_terminal(stack: Stack) -> None:
    stack.write('services:\n  web:\n    image: "demo\\e[31m"\n    network_mode: none\n')
    said = stack("up", "-d", code=None)
    assert "\x1b" not in said.stderr + said.stdout


def test_a_line_of_64_mib_comes_out_whole(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n"
        "    command: [sh, -c, 'dd if=/dev/zero bs=1M count=64 2>/dev/null | tr \"\\\\0\" x; echo; echo end']\n"
    )
    stack("up", "-d")
    stack.wait_for(lambda: stack.states() == {"web-web-1": "exited"}, "it has written all", seconds=60)
    out = stack.start("logs", "--no-log-prefix", stdout=subprocess.PIPE).communicate()[0]
    assert len(out) == (64 << 20) + len("\nend\n")
    assert out.endswith(b"x\nend\n")
    assert stack("logs", "--tail", "1", "--no-log-prefix").stdout == "end\n"
    stack("down")


def test_output_that_is_no_text_comes_through(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n"
        "    command: [sh, -c, 'printf \"\\\\377\\\\000\\\\033[31m\\\\303\\\\244\\\\n\"']\n"
    )
    stack("up", "-d")
    stack.wait_for(lambda: stack.states() == {"web-web-1": "exited"}, "it has ended")
    out = stack.start("logs", "--no-log-prefix", stdout=subprocess.PIPE).communicate()[0]
    assert out == b"\xff\x00\x1b[31m\xc3\xa4\n"
    stack("down")
