"""Secrets and configs, as a container finds them; where their bytes are, and where they must never be."""

from __future__ import annotations

import os
import random
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from leftovers import mounts, processes
from scenarios.conftest import SLEEP, Stack, kill

from composer.host import kernel

pytestmark = pytest.mark.real

MARK = "KNOWN-MARK"
"""Part of every secret below: the bytes that must be nowhere."""

KINDS = f"""
services:
  web:
{SLEEP}
    secrets:
      - plain
      - {{source: plain, target: mine, uid: "1000", gid: "2000", mode: 0400}}
      - {{source: var, target: /etc/var}}
    configs:
      - text
      - {{source: text, target: /usr/local/bin/tool, mode: 0555}}
      - {{source: text, target: below/it}}
      - {{source: plain, target: /home/app/copy}}
secrets:
  plain: {{file: ./plain.txt}}
  var: {{environment: TOKEN}}
configs:
  text: {{content: "#!/bin/sh\\necho ${{WHO:-me}} costs 5$$\\n"}}
  plain: {{file: ./plain.txt}}
"""


def shell(stack: Stack, script: str, *options: str) -> str:
    return stack("exec", *options, "web", "sh", "-c", script).stdout


def test_a_container_gets_what_the_file_says(stack: Stack) -> None:
    (stack.directory / "plain.txt").write_text(f"plain {MARK}")
    stack.write(KINDS)
    stack("up", "-d", env={"TOKEN": f"token {MARK}"})
    names = "/run/secrets/plain /run/secrets/mine /etc/var /text /usr/local/bin/tool /below/it /home/app/copy"
    assert shell(stack, f"stat -c '%a %u %g %n' {names}").splitlines() == [
        "444 0 0 /run/secrets/plain",
        "400 1000 2000 /run/secrets/mine",
        "444 0 0 /etc/var",
        "444 0 0 /text",
        "555 0 0 /usr/local/bin/tool",
        "444 0 0 /below/it",
        "444 0 0 /home/app/copy",
    ]
    assert shell(stack, "cat /run/secrets/plain") == f"plain {MARK}"
    assert shell(stack, "cat /etc/var") == f"token {MARK}"
    assert shell(stack, "cat /home/app/copy") == f"plain {MARK}"
    assert shell(stack, "tool") == "me costs 5$\n"
    assert shell(stack, "cat /run/secrets/mine", "-u", "app") == f"plain {MARK}"
    stack("exec", "-u", "5", "web", "cat", "/run/secrets/mine", code=1)
    assert shell(stack, "echo x > /text || echo no; rm /text || echo no").split() == ["no", "no"]
    stack("down")
    stack.assert_nothing_left()


@pytest.mark.parametrize("extra", ["read_only: true", "user: app", "tmpfs: [/run]", "privileged: true"])
def test_they_are_there_whatever_else_the_service_says(stack: Stack, extra: str) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    secrets: [a]\n    {extra}\nsecrets: {{a: {{environment: A}}}}\n")
    stack("up", "-d", env={"A": "known"})
    assert shell(stack, "cat /run/secrets/a; touch /run/secrets/a 2>/dev/null || echo ' no'") == "known no\n"
    stack("down")
    stack.assert_nothing_left()


BYTES = {"empty": b"", "odd": bytes(range(256)) * 3, "page": b"x" * 4096, "large": os.urandom(3 << 20)}


def test_any_bytes_arrive_as_they_are(stack: Stack) -> None:
    (stack.directory / "out").mkdir()
    for name, data in BYTES.items():
        (stack.directory / name).write_bytes(data)
    definitions = ", ".join(f"{name}: {{file: {name}}}" for name in BYTES)
    service = f"{SLEEP}    secrets: [{', '.join(BYTES)}]\n    volumes: ['./out:/out']\n"
    stack.write(f"services:\n  web:\n{service}secrets: {{{definitions}}}\n")
    stack("up", "-d")
    shell(stack, "cp /run/secrets/* /out")
    for name, data in BYTES.items():
        assert (stack.directory / "out" / name).read_bytes() == data
    stack("down")


def everywhere(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Every file of the store but those in the tmpfs of a container, every command line, every environment of shims."""
    inside = [target for target in mounts() if target.endswith("/given")]
    for top in (stack.paths.data, stack.paths.run):
        for where, directories, files in os.walk(top):
            directories[:] = [name for name in directories if f"{where}/{name}" not in inside]
            for name in files:
                path = Path(where, name)
                if stat.S_ISREG(os.lstat(path).st_mode):
                    yield str(path), path.read_bytes()
    for pid, argv in processes():
        if any(stack.paths.run in word for word in argv):
            yield f"process {pid}", " ".join(argv).encode()
            yield f"environment of {pid}", Path(f"/proc/{pid}/environ").read_bytes()


def test_their_bytes_are_nowhere_else(stack: Stack) -> None:
    """Not on the disk, not in what any command says, not when they change, and not when something fails."""
    first, second, failing = f"a{MARK}", f"b{MARK}", f"c{MARK}"
    file = stack.directory / "plain.txt"
    file.write_text(first)
    stack.write(KINDS.replace("${{WHO:-me}}", "me"))
    said: list[str] = []

    def run(*arguments: str, code: int = 0, token: str = first) -> None:
        done = stack(*arguments, code=code, env={"TOKEN": token})
        said.extend((done.stdout, done.stderr))

    run("up", "-d", "--no-start")
    run("up", "-d")
    for line in (
        *("ps -a --format json", "logs", "render web", "config --hash *", "config", "config --format json"),
        *("plan", "plan --diff", "plan --format json", "--progress json up -d", "port web 80"),
    ):
        run(*line.split(), code=1 if line.startswith("port") else 0)
    found = list(everywhere(stack))
    file.write_text(second)
    run("plan", "--diff", "--format", "json", token=second)
    run("--progress", "json", "up", "-d", token=second)
    run("restart", token=second)
    run("run", "--rm", "-T", "web", "true", token=second)
    found += everywhere(stack)
    stack.write(KINDS.replace("command: [sleep, '1000']", "command: [/not/there]"))
    run("up", "-d", code=1, token=failing)
    found += everywhere(stack)
    run("down", token=second)
    found += everywhere(stack)
    assert len(found) > 100
    assert [where for where, data in found if MARK.encode() in data] == []
    assert [text for text in said if MARK in text] == []
    assert any("b" in text for text in said)


def test_a_short_one_cannot_be_found_by_trying(stack: Stack) -> None:
    """The record of one machine tells nothing that every other machine could work out."""
    stack.write(f"services:\n  web:\n{SLEEP}    secrets: [pin]\nsecrets: {{pin: {{environment: PIN}}}}\n")
    hashes = set()
    for _ in range(2):
        stack("up", "-d", env={"PIN": "1234"})
        hashes.add(stack("config", "--hash", "web", env={"PIN": "1234"}).stdout)
        stack("down")
        os.unlink(stack.paths.key)
    assert len(hashes) == 2
    assert not os.path.exists(stack.paths.key)


def test_the_key_is_private_and_made_by_what_makes_containers_only(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    secrets: [pin]\nsecrets: {{pin: {{environment: PIN}}}}\n")
    for line in ("plan", "config --hash *", "render web", "config"):
        stack(*line.split(), env={"PIN": "1"})
    assert not os.path.exists(stack.paths.key)
    stack("create", env={"PIN": "1"})
    assert stat.S_IMODE(os.stat(stack.paths.key).st_mode) == 0o600
    assert not [name for name in os.listdir(stack.paths.data) if name.startswith("key.")]
    stack("down")


def test_changed_content_is_a_difference_and_is_not_shown(stack: Stack) -> None:
    file = stack.directory / "plain.txt"
    file.write_text("one")
    stack.write(KINDS)
    one = {"TOKEN": "one"}
    stack("up", "-d", env=one)
    assert "nothing to do" in stack("plan", env=one).stdout
    before = stack.ids()
    file.write_text("one")
    os.utime(file, (0, 0))
    assert "nothing to do" in stack("plan", env=one).stdout
    file.write_text("two")
    shown = stack("plan", "--diff", env={"TOKEN": "two", "WHO": "you"}).stdout
    for line in (
        *("secrets[/run/secrets/plain]", "secrets[/run/secrets/mine]", "secrets[/etc/var]"),
        *("configs[/home/app/copy]", "configs[/text]"),
    ):
        assert f"{line}: the content changed (hidden)\n" in shown
    stack("up", "-d", env={"TOKEN": "two", "WHO": "you"})
    assert stack.ids() != before
    assert shell(stack, "cat /run/secrets/plain /etc/var; tool") == "twotwoyou costs 5$\n"
    stack("down")
    stack.assert_nothing_left()


def test_a_running_container_keeps_what_it_was_made_with(stack: Stack) -> None:
    """`restart` and `stop` and `start` are not `up`: what changed in the stack is not applied."""
    file = stack.directory / "plain.txt"
    file.write_text("one")
    stack.write(f"services:\n  web:\n{SLEEP}    secrets: [plain]\nsecrets: {{plain: {{file: plain.txt}}}}\n")
    stack("up", "-d")
    file.unlink()
    stack("restart", "-t", "0")
    assert shell(stack, "cat /run/secrets/plain") == "one"
    stack("stop", "-t", "0")
    stack("-p", "web", "start")
    assert shell(stack, "cat /run/secrets/plain") == "one"
    os.kill(first_process(stack), signal.SIGKILL)
    stack.wait_for(lambda: stack.states() == {"web-web-1": "exited"}, "it dies")
    stack("start")
    assert shell(stack, "cat /run/secrets/plain") == "one"
    stack("down")
    stack.assert_nothing_left()


def first_process(stack: Stack) -> int:
    [container_id] = stack.ids().values()
    return int(Path(f"{stack.paths.conmon(container_id)}/process").read_text().split()[0])


def reboot(stack: Stack) -> None:
    """Nothing runs, and nothing is mounted or in the run directory any more."""
    stack("kill")
    stack.wait_for(lambda: set(stack.states().values()) == {"exited"}, "all die")
    for target in reversed(mounts()):
        if target.startswith(f"{stack.paths.run}/"):
            kernel.umount(target)
    for where, directories, files in os.walk(stack.paths.run, topdown=False):
        for name in files:
            os.unlink(f"{where}/{name}")
        for name in directories:
            os.rmdir(f"{where}/{name}")


def test_after_a_reboot_they_are_read_again(stack: Stack) -> None:
    file = stack.directory / "plain.txt"
    file.write_text("one")
    stack.write(KINDS)
    stack("up", "-d", env={"TOKEN": "token"})
    reboot(stack)
    said = stack("start", env={"TOKEN": "token"}).stderr
    assert "error" not in said.lower()
    assert shell(stack, "cat /run/secrets/plain /etc/var; tool") == "onetokenme costs 5$\n"
    assert shell(stack, "stat -c '%a %u %g' /run/secrets/mine") == "400 1000 2000\n"
    reboot(stack)
    assert "its content stands in the stack file" in stack("-p", "web", "start", code=1).stderr
    said = stack("start", code=1).stderr
    assert "service \"web\": secret var: the variable 'TOKEN' is not set" in said
    file.unlink()
    said = stack("start", code=1, env={"TOKEN": "token"}).stderr
    assert f"the file {file} does not exist" in said
    file.write_text("one")
    stack("up", "-d", env={"TOKEN": "token"})
    assert shell(stack, "cat /run/secrets/plain") == "one"
    stack("down", env={"TOKEN": "token"})
    stack.assert_nothing_left()


def test_run_and_replicas_have_them_too(stack: Stack) -> None:
    service = f"{SLEEP}    secrets: [a]\n    scale: 3\n"
    stack.write(f"services:\n  web:\n{service}secrets: {{a: {{environment: A}}}}\n")
    stack("up", "-d", env={"A": "known"})
    for number in (1, 2, 3):
        assert stack("exec", "--index", str(number), "web", "cat", "/run/secrets/a").stdout == "known"
    assert stack("run", "--rm", "-T", "web", "cat", "/run/secrets/a", env={"A": "other"}).stdout == "other"
    assert len([target for target in mounts() if target.startswith(stack.paths.run) and "/given" in target]) == 3
    stack("down")
    stack.assert_nothing_left()


def test_a_mount_of_the_service_wins_and_a_secret_over_a_config(stack: Stack) -> None:
    (stack.directory / "mine").write_text("mine")
    service = f"{SLEEP}    secrets: [a, b, {{source: b, target: a}}]\n    volumes: ['./mine:/run/secrets/b']\n"
    service += "    configs: [{source: c, target: /run/secrets/a}]\n"
    stack.write(
        f"services:\n  web:\n{service}secrets: {{a: {{environment: A}}, b: {{environment: B}}}}\n"
        "configs: {c: {content: c}}\n"
    )
    said = stack("up", "-d", env={"A": "a", "B": "b"}).stderr
    assert "services.web.secrets[1]: hidden by a mount on /run/secrets/b" in said
    assert "services.web.secrets[0]: hidden by another secret on /run/secrets/a" in said
    assert "services.web.configs[0]: hidden by a secret on /run/secrets/a" in said
    assert shell(stack, "cat /run/secrets/a /run/secrets/b") == "bmine"
    stack("down", env={"A": "a", "B": "b"})


REFUSED = [
    ("{file: ./gone}", "web/gone does not exist"),
    ("{file: .}", "web is a directory, not a file"),
    ("{file: fifo}", "web/fifo is a fifo, not a file"),
    ("{file: /dev/zero}", "/dev/zero is a device, not a file"),
    ("{file: big}", "it has more than 16 MiB, and all of it would be in memory"),
    ("{file: plain/below}", "web/plain/below cannot be read: Not a directory"),
    ("{environment: GONE}", "the variable 'GONE' is not set"),
    ("{external: true}", "external secrets are kept by a swarm, and there is none"),
    ("{file: plain, driver: vault}", "a plugin of a swarm, and there is none"),
    ("{file: plain, template_driver: golang}", "a plugin of a swarm, and there is none"),
]


@pytest.mark.parametrize(("definition", "message"), REFUSED, ids=[one for one, _ in REFUSED])
def test_what_cannot_be_given_is_told_with_its_place(stack: Stack, definition: str, message: str) -> None:
    """`config` has nothing against it: the file is right."""
    os.mkfifo(stack.directory / "fifo")
    (stack.directory / "plain").write_text("plain")
    with (stack.directory / "big").open("wb") as big:
        big.truncate((16 << 20) + 1)
    stack.write(f"services:\n  web:\n{SLEEP}    secrets: [a]\nsecrets:\n  a: {definition}\n")
    stack("config", "-q")
    for command in ("up -d", "plan", "create", "run web true", "render web"):
        said = stack(*command.split(), code=3).stderr
        assert "jocker.yml:8:" in said
        assert message in said
    stack("down")
    stack.assert_nothing_left()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("uid: root", "must be a number from 0 to 4294967294, not 'root'"),
        ("gid: '4294967295'", "must be a number from 0 to 4294967294"),
        ("mode: '10000'", "no file has the mode 010000"),
    ],
)
def test_who_cannot_own_a_file_is_told_with_its_place(stack: Stack, reference: str, message: str) -> None:
    secrets = f"    secrets: [{{source: a, {reference}}}]\nsecrets: {{a: {{environment: A}}}}\n"
    stack.write(f"services:\n  web:\n{SLEEP}{secrets}")
    stack("config", "-q")
    said = stack("up", "-d", code=3, env={"A": "a"}).stderr
    assert "jocker.yml:6:" in said
    assert message in said


def test_other_services_do_not_wait_for_a_secret_that_is_not_there(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}  other:\n{SLEEP}    secrets: [a]\nsecrets: {{a: {{file: ./gone}}}}\n")
    stack("up", "-d", "web")
    stack("up", "-d", code=3)
    assert stack.states() == {"web-web-1": "running"}
    stack("down")


@pytest.mark.parametrize("seed", range(8))
def test_up_killed_at_a_random_moment_leaves_no_mount(stack: Stack, seed: int) -> None:
    services = "".join(f"  s{number}:\n{SLEEP}    secrets: [a]\n" for number in range(4))
    stack.write(f"services:\n{services}secrets: {{a: {{file: ./a}}}}\n")
    (stack.directory / "a").write_text("known")
    process = stack.start("up", "-d")
    time.sleep(random.Random(seed).uniform(0.1, 0.6))
    kill(process)
    if seed % 2:
        stack("up", "-d")
        for number in range(4):
            assert stack("exec", f"s{number}", "cat", "/run/secrets/a").stdout == "known"
    stack("down")
    stack.assert_nothing_left()
