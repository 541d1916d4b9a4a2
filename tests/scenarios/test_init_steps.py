"""`pre_start` hooks: containers that must end well before the service's own is started."""

from __future__ import annotations

import json
import signal

import pytest
from patience import until
from scenarios.conftest import Stack
from scenarios.telling import WAITS, says, tidy, told

pytestmark = pytest.mark.real
__all__ = ["tidy"]


def service(name: str, hooks: list[dict[str, object]], **more: object) -> str:
    value = {
        "image": "demo",
        "network_mode": "none",
        "command": ["sh", "-c", f"echo main >> /shared/told; {WAITS}"],
        "volumes": ["./shared:/shared"],
        "pre_start": hooks,
        **more,
    }
    return f"  {name}: {json.dumps({key: one for key, one in value.items() if one is not None})}\n"


def wait_told(stack: Stack, *lines: str) -> None:
    until(lambda: len(told(stack)) >= len(lines))
    assert told(stack) == [*lines]


def test_they_run_once_for_a_container_and_before_it(tidy: Stack) -> None:
    """In order; again only for a container that is made anew; and nothing of them stays."""
    tidy.write("services:\n" + service("web", [says("one"), says("two")]))
    tidy("up", "-d")
    wait_told(tidy, "one", "two", "main")
    assert tidy.states() == {"web-web-1": "running"}
    tidy("restart")
    wait_told(tidy, "one", "two", "main", "main")
    tidy("up", "-d", "--force-recreate")
    wait_told(tidy, "one", "two", "main", "main", "one", "two", "main")


def test_one_that_fails_keeps_its_service_from_starting_and_stays(tidy: Stack) -> None:
    """Its dependents, too. The next `up` runs it again and not those before it; `down` removes it."""
    failing = {"command": ["sh", "-c", "echo no schema >&2; test -e /shared/schema || exit 3; echo ok >> /shared/told"]}
    tidy.write(
        "services:\n" + service("web", [says("one"), failing, says("three")]) + service("front", [], depends_on=["web"])
    )
    done = tidy("up", "-d", code=1)
    assert "pre_start hook 2 of web-web-1 (sh -c " in done.stderr
    assert "exited with code 3" in done.stderr
    assert "  │ no schema\n" in done.stderr
    assert told(tidy) == ["one"]
    kept = {"web-web-1": "created", "web-web-1-pre-start-2": "exited", "web-front-1": "created"}
    assert tidy.states() == kept
    assert "no schema" in tidy("logs", "web").stdout
    tidy("up", "-d", code=1)
    assert tidy.states() == kept
    tidy("down")
    tidy.assert_nothing_left()
    tidy("up", "-d", code=1)
    (tidy.directory / "shared" / "schema").touch()
    tidy("up", "-d")
    until(lambda: told(tidy).count("main") == 2)
    assert [line for line in told(tidy) if line != "main"] == ["one", "one", "ok", "three"]
    assert tidy.states() == {"web-web-1": "running", "web-front-1": "running"}


def test_what_is_kept_goes_with_the_container_it_was_for(tidy: Stack) -> None:
    tidy.write("services:\n" + service("web", [{"command": ["false"]}]))
    tidy("up", "-d", code=1)
    assert "web-web-1-pre-start-1" in tidy.states()
    tidy.write("services:\n" + service("web", [says("one")]))
    tidy("up", "-d")
    assert tidy.states() == {"web-web-1": "running"}
    tidy.write("services:\n" + service("web", [{"command": ["false"]}]))
    tidy("up", "-d", code=1)
    tidy("rm", "-f", "-s")
    assert tidy.states() == {}


def test_once_for_all_replicas_or_once_for_each(tidy: Stack) -> None:
    tidy.write("services:\n" + service("web", [says("all"), says("each", per_replica=True)], scale=3))
    tidy("up", "-d")
    until(lambda: told(tidy).count("main") == 3)
    assert told(tidy)[0] == "all"
    assert sorted(told(tidy)) == ["all", *["each"] * 3, *["main"] * 3]
    tidy("up", "-d", "--scale", "web=4")
    until(lambda: told(tidy).count("main") == 4)
    assert (told(tidy).count("all"), told(tidy).count("each")) == (1, 4)


def test_they_have_what_the_service_has(tidy: Stack) -> None:
    """Its volumes, named and anonymous, its variables, its networks; and what they say themselves."""
    script = "echo $A $B $(id -u) $(pwd) >> /shared/told; echo kept > /data/file; echo anonymous > /anonymous/file"
    hook = {
        "command": ["sh", "-c", script],
        "environment": {"A": "hook"},
        "working_dir": "/tmp",
        "user": "0:0",
    }
    reach = "test -e /sys/class/net/eth0 && ping -c 1 -w 5 db && echo there >> /shared/told"
    main = "cat /data/file /anonymous/file >> /shared/told; " + WAITS
    text = "services:\n" + service(
        "web",
        [
            hook,
            {"command": ["sh", "-c", reach]},
        ],
        command=["sh", "-c", main],
        environment={"A": "service", "B": "service"},
        volumes=["./shared:/shared", "data:/data", "/anonymous"],
        network_mode=None,
        depends_on=["db"],
    )
    text += service("db", [], network_mode=None, command=["sleep", "1000"])
    tidy.write(text.replace("$", "$$") + "volumes: {data: {}}\n")
    tidy("up", "-d")
    wait_told(tidy, "hook", "service", "0", "/tmp", "there", "kept", "anonymous")


def test_one_with_an_image_of_its_own(tidy: Stack) -> None:
    """One that is not here is told before anything is made."""
    tidy("image", "tag", "demo", "other:1")
    tidy.write("services:\n" + service("web", [says("one", image="other:1")]))
    tidy("up", "-d")
    wait_told(tidy, "one", "main")
    tidy.write("services:\n" + service("web", [says("one", image="nowhere:1")], pull_policy="never"))
    assert "nowhere:1, which it needs, is not here" in tidy("up", "-d", code=1).stderr


def test_one_that_hangs_can_be_interrupted_or_killed(tidy: Stack) -> None:
    """Nothing of it stays after Ctrl-C; after a crash it is the next command that tidies."""
    hangs = {"command": ["sh", "-c", "echo in >> /shared/told; exec sleep 1000"]}
    tidy.write("services:\n" + service("web", [hangs]))
    process = tidy.start("up", "-d")
    until(lambda: told(tidy))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert tidy.states() == {"web-web-1": "created"}
    process = tidy.start("up", "-d")
    until(lambda: len(told(tidy)) == 2)
    process.kill()
    process.wait()
    assert tidy.states()["web-web-1-pre-start-1"] == "running"
    tidy("stop", "-t", "0")
    assert tidy.states()["web-web-1-pre-start-1"] == "exited"
