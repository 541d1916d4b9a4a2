"""Images built from stack files, as a user builds them: what is in them, what is not, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import registry as registries
from scenarios.conftest import Stack, kill

from composer.host import networks

pytestmark = pytest.mark.real


def write(stack: Stack, build: str, *, dockerfile: str = "", rest: str = "", more: str = "") -> None:
    """One service `a` with this `build`, a mapping in flow style; `rest` follows at the service, `more` at the top."""
    stack.write(f"name: web\nservices:\n  a:\n    network_mode: none\n    build: {build}\n{rest}{more}")
    if dockerfile:
        (stack.directory / "Dockerfile").write_text(dockerfile)


def image(stack: Stack, name: str = "web-a") -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(stack("image", "inspect", name).stdout)
    return found[0]


def output(stack: Stack, *command: str, code: int = 0) -> str:
    return stack("run", "--rm", "a", *command, code=code).stdout


def containers(stack: Stack) -> list[Any]:
    """What buildah was working in, and has not put away."""
    found: list[Any] = json.loads(
        Path(f"{stack.paths.data}/build/storage/overlay-containers/containers.json").read_text() or "[]"
    )
    return found


def assert_no_traces(stack: Stack) -> None:
    """Nothing of a build that has ended runs, is mounted, or is on a network."""
    assert not stack.what_is_left()
    assert not list(networks.every(stack.paths))
    assert not os.path.exists(f"{stack.paths.data}/build/work")
    assert not os.path.exists(f"{stack.paths.run}/build")


def test_a_build_of_two_stages_with_arguments_labels_and_a_health_check(stack: Stack) -> None:
    dockerfile = (
        "ARG TAG=none\nFROM demo:${TAG} AS made\nARG WHAT\nRUN echo made of $WHAT > /made; id -u >> /made\n"
        "FROM demo AS final\nCOPY --from=made /made /made\nHEALTHCHECK CMD true\nONBUILD RUN echo x\n"
        'CMD ["cat", "/made"]\nFROM demo AS never\nRUN false\n'
    )
    write(stack, "{target: final, args: {TAG: latest, WHAT: stone}, labels: {mine: '1'}}", dockerfile=dockerfile)
    said = stack("build").stderr
    assert " Image docker.io/library/web-a:latest  Building\n" in said
    assert "a | [1/2] STEP 1/3: FROM demo:latest AS made\n" in said
    assert " Image docker.io/library/web-a:latest  Built\n" in said
    assert output(stack) == "made of stone\n0\n"
    config = image(stack)["Config"]
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    assert config["OnBuild"] == ["RUN echo x"]
    assert config["Labels"] == {
        "mine": "1",
        "com.docker.compose.project": "web",
        "com.docker.compose.service": "a",
        "com.docker.compose.version": "2.40.3",
    }
    assert_no_traces(stack)


def test_up_builds_what_is_missing_and_recreates_what_was_built_anew(stack: Stack) -> None:
    write(stack, ".", dockerfile='FROM demo\nCOPY file /file\nCMD ["sleep", "1000"]\n')
    (stack.directory / "file").write_text("one")
    assert stack("plan").stdout.startswith("[] -> #1 BuildImage docker.io/library/web-a:latest: it is not here\n")
    stack("up", "-d")
    ids = stack.ids()
    assert stack("plan").stdout == "nothing to do\nunchanged: web-a-1\n"
    assert "Built (unchanged)" in stack("up", "-d", "--build").stderr
    assert stack.ids() == ids
    (stack.directory / "file").write_text("two")
    stack("up", "-d")  # the Dockerfile and what it copies do not count by themselves: as docker compose has it
    assert stack.ids() == ids
    quiet = stack("up", "-d", "--build", "--quiet-build").stderr
    assert "STEP" not in quiet
    assert stack.ids() != ids
    assert stack("exec", "-T", "a", "cat", "/file").stdout == "two"
    assert stack("down", "--rmi", "local").stderr.endswith(" Image docker.io/library/web-a:latest  Removed\n")
    assert stack("image", "inspect", "web-a", code=1).stdout == ""
    assert_no_traces(stack)


def test_who_must_not_build_does_not(stack: Stack) -> None:
    write(stack, ".", dockerfile="FROM demo\n")
    refused = stack("up", "-d", "--no-build", code=1).stderr
    assert "web-a:latest is not here, and it must not be built" in refused
    assert "exclude each other" in stack("up", "-d", "--no-build", "--build", code=2).stderr
    stack("create", "--build")
    assert stack.states() == {"web-a-1": "created"}
    stack("down")


def test_run_builds_too(stack: Stack) -> None:
    write(stack, '{dockerfile_inline: "FROM demo\\nRUN echo 1 > /x"}')
    assert output(stack, "cat", "/x") == "1\n"
    write(stack, '{dockerfile_inline: "FROM demo\\nRUN echo 2 > /x"}')
    assert output(stack, "cat", "/x") == "1\n"
    assert stack("run", "--rm", "--build", "a", "cat", "/x").stdout == "2\n"


def test_one_image_made_from_another_however_it_says_so(stack: Stack) -> None:
    stack.write("""
name: web
services:
  a:
    network_mode: none
    build:
      dockerfile_inline: "FROM web-b\\nCOPY --from=given /c /c"
      additional_contexts: {given: "service:c"}
    command: [cat, /b, /c]
  b:
    network_mode: none
    build: {dockerfile_inline: "FROM demo\\nRUN echo b > /b"}
  c:
    network_mode: none
    image: other:1
    pull_policy: never
    build: {dockerfile_inline: "FROM demo\\nRUN echo c > /c"}
""")
    plan = stack("build", "--dry-run", "a", "b").stdout.splitlines()
    assert plan == [
        "[] -> #1 BuildImage docker.io/library/other:1: a is made from it",
        "[1,3] -> #2 BuildImage docker.io/library/web-a:latest: asked to build",
        "[] -> #3 BuildImage docker.io/library/web-b:latest: asked to build",
    ]
    stack("build", "a", "b")
    assert output(stack) == "b\nc\n"


def test_more_contexts_and_more_names(stack: Stack) -> None:
    (stack.directory / "more").mkdir()
    (stack.directory / "more/file").write_text("more")
    inline = "FROM base\\nCOPY --from=dir file /file\\nRUN test -e /bin/busybox"
    contexts = '{base: "docker-image://demo", dir: ./more}'
    write(stack, f'{{dockerfile_inline: "{inline}", additional_contexts: {contexts}, tags: [x:1, y:2]}}')
    stack("build")
    assert output(stack, "cat", "/file") == "more"
    assert image(stack, "x:1")["Id"] == image(stack, "y:2")["Id"] == image(stack)["Id"]


def test_what_is_ignored_is_not_copied(stack: Stack) -> None:
    write(stack, "{context: app, dockerfile: docker/File}", rest="    command: [find, /app, -type, f]\n")
    for name in ("docker/File", "keep", "drop", "sub/keep", "sub/drop"):
        path = stack.directory / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("FROM demo\nCOPY . /app\n")
    (stack.directory / "app/.dockerignore").write_text("**/drop\n.dockerignore\ndocker\n")
    (stack.directory / "app/.containerignore").write_text("keep\n")
    stack("build")
    assert sorted(output(stack).split()) == ["/app/.containerignore", "/app/keep", "/app/sub/keep"]
    (stack.directory / "app/docker/File.dockerignore").write_text("sub\n**/*ignore\n")
    stack("build")
    assert sorted(output(stack).split()) == ["/app/docker/File", "/app/drop", "/app/keep"]


def test_secrets_are_there_while_they_are_needed_and_nowhere_else(stack: Stack) -> None:
    write(
        stack,
        "{args: {TOKEN: hush-argument}, secrets: [file, {source: variable, target: v}]}",
        dockerfile="FROM demo\nARG TOKEN\nRUN --mount=type=secret,id=file --mount=type=secret,id=v,target=/v,mode=0444 "
        "cat /run/secrets/file /v | wc -c > /sum; cat /proc/*/cmdline > /seen; test ! -s /nothing\n",
        rest="    command: [cat, /sum]\n",
        more="secrets:\n  file: {file: ./secret}\n  variable: {environment: HUSH}\n",
    )
    (stack.directory / "secret").write_text("hush-file")
    said = stack("up", "-d", env={"HUSH": "hush-variable"})
    assert "hush" not in said.stderr + stack("plan", env={"HUSH": "hush-variable"}).stdout
    assert stack("logs", "--no-log-prefix", "a", env={"HUSH": "x"}).stdout == "22\n"
    stack("down", env={"HUSH": "x"})
    for word in (b"hush-file", b"hush-variable"):
        for top in (stack.paths.data, stack.paths.run):
            found = subprocess.run(["grep", "-rl", word.decode(), top], capture_output=True, check=False)
            assert found.stdout == b""
    assert "the variable HUSH is not set" in stack("build", code=3).stderr


def test_the_network_of_a_build(stack: Stack) -> None:
    inline = "FROM demo\\nRUN (ls /sys/class/net; ip route; cat /etc/hosts || true) > /is"
    write(stack, f'{{no_cache: true, dockerfile_inline: "{inline}", extra_hosts: ["db:10.1.2.3", "me:host-gateway"]}}')
    stack("build")
    seen = output(stack, "cat", "/is")
    assert seen.startswith("eth0\nlo\ndefault via 1")
    assert "10.1.2.3\tdb\n" in seen
    assert "\tme\n" in seen
    of_machine = set(os.listdir("/sys/class/net"))
    for network in ("none", "host"):
        write(stack, f'{{no_cache: true, dockerfile_inline: "{inline}", network: {network}}}')
        stack("build")
        seen = output(stack, "cat", "/is")
        links = {"lo"} if network == "none" else of_machine & set(os.listdir("/sys/class/net"))
        assert links <= set(seen.splitlines())
        assert ("eth0" in seen.splitlines()) == ("eth0" in links)
    assert_no_traces(stack)


def test_limits_of_what_runs_in_a_build(stack: Stack) -> None:
    inline = "FROM demo\\nRUN (ulimit -n; df -k /dev/shm | tail -1; grep -iE 'capeff|seccomp:' /proc/self/status) > /is"
    write(stack, f'{{dockerfile_inline: "{inline}", ulimits: {{nofile: 77}}, shm_size: 8m}}')
    stack("build", "--memory", "64m")
    plain = output(stack, "cat", "/is").split()
    assert plain[0] == "77"
    assert plain[2] == "8192"
    assert plain[plain.index("CapEff:") + 1] == "00000000a80425fb"  # docker's
    assert plain[plain.index("Seccomp:") + 1] == "2"
    write(stack, f'{{no_cache: true, dockerfile_inline: "{inline}", privileged: true}}')
    stack("build")
    free = output(stack, "cat", "/is").split()
    assert int(free[free.index("CapEff:") + 1], 16) > 0xA80425FB
    assert free[free.index("Seccomp:") + 1] == "0"


def test_a_build_sees_its_own_processes_alone(stack: Stack) -> None:
    inline = "FROM demo\\nRUN ls -d /proc/[0-9]* | wc -l > /count"
    write(stack, f'{{dockerfile_inline: "{inline}"}}', rest="    command: [cat, /count]\n")
    stack("build")
    assert int(output(stack)) < 10


def test_a_way_out_of_buildah_leads_to_what_cannot_be_written_to(stack: Stack, tmp_path: Path) -> None:
    """CVE-2024-1753: a link in a stage, mounted, was followed to the machine (by some versions still)."""
    target = f"{tmp_path}/written"
    dockerfile = (
        "FROM demo AS bad\nRUN ln -s / /out\nFROM demo\n"
        f"RUN --mount=type=bind,from=bad,source=/out,target=/in,rw mkdir -p /in{tmp_path}; touch /in{target}; true\n"
    )
    write(stack, ".", dockerfile=dockerfile)
    stack("build", code=None)
    assert not os.path.exists(target)
    dockerfile = (
        "FROM demo AS bad\nRUN ln -s / /out\nFROM demo\nRUN --mount=type=bind,from=bad,source=/out,target=/in,rw "
        "for f in /in/proc/sys/kernel/core_pattern /in/sys/fs/cgroup/*/cgroup.procs /in/sys/fs/cgroup/*/release_agent; "
        'do ! test -e $f || ! { cat $f > $f; } 2>/dev/null || { echo "wrote to $f"; exit 9; }; done\n'
    )
    write(stack, ".", dockerfile=dockerfile)
    assert "a | wrote to" not in stack("build", code=None).stderr
    assert_no_traces(stack)


def test_a_failed_build_is_told_and_leaves_nothing(stack: Stack) -> None:
    write(stack, ".", dockerfile="FROM demo\nRUN echo before; exit 3\n")
    failed = stack("--progress", "quiet", "build", code=1).stderr
    assert 'service "a": the build failed: building at STEP "RUN echo before; exit 3"' in failed
    assert "  │ before\n" in failed
    assert "│" not in stack("build", code=1).stderr  # it has been shown as it came
    assert_no_traces(stack)
    assert not json.loads(
        Path(f"{stack.paths.data}/build/storage/overlay-containers/containers.json").read_text() or "[]"
    )


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("nowhere", "the build context '/"),
        ("{dockerfile: Nowhere}", "Nowhere cannot be read: No such file or directory"),
        ("{dockerfile: fifo}", "fifo is not a file"),
        ("{dockerfile: bad}", "'Bad' is not an image name"),
        ("{target: zz}", "has no stage 'zz'"),
        ("{ssh: [default]}", "no agent is running"),
    ],
)
def test_what_cannot_be_built_is_told(stack: Stack, build: str, said: str) -> None:
    write(stack, build, dockerfile="FROM demo AS one\n")
    os.mkfifo(stack.directory / "fifo")
    (stack.directory / "bad").write_text("FROM Bad\n")
    assert said in stack("build", code=1).stderr


def test_a_base_that_nobody_has_is_told(stack: Stack) -> None:
    write(stack, ".", dockerfile="FROM localhost:1/none\n")
    assert "localhost:1/none" in stack("build", code=1).stderr


def test_without_buildah_the_machine_lacks_something(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    from composer.errors import ToolMissing
    from composer.execute.building import Builder
    from composer.host import proc

    monkeypatch.setattr(proc, "PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="buildah"):
        Builder(stack.paths, "/usr/sbin/runc", lambda: False).check()


def begun(stack: Stack) -> subprocess.Popen[bytes]:
    """A build that runs and runs."""
    write(stack, ".", dockerfile="FROM demo\nRUN echo begun; sleep 1000\n")
    running = stack.start("build", stderr=subprocess.PIPE)
    assert running.stderr is not None
    while b"| begun" not in running.stderr.readline():
        pass
    return running


@pytest.mark.parametrize("next_command", ["build", "down"])
def test_a_killed_build_takes_all_along_but_its_network_and_the_next_command_that(
    stack: Stack, next_command: str
) -> None:
    running = begun(stack)
    kill(running)
    assert running.stderr is not None
    running.stderr.close()
    ours = ("/netns/", "dnsmasq")

    def left() -> list[str]:
        """Mounts and processes besides those of the build's network."""
        found = (line for line in stack.what_is_left() if line.startswith(("process", "mount")))
        return [line for line in found if not any(word in line for word in ours)]

    stack.wait_for(lambda: not left(), "all of it is gone")
    write(stack, ".", dockerfile="FROM demo\n")
    stack(next_command)
    assert_no_traces(stack)
    assert not containers(stack)


def test_an_interrupted_build_ends_at_once(stack: Stack) -> None:
    running = begun(stack)
    assert running.stderr is not None
    running.send_signal(signal.SIGINT)
    running.stderr.read()
    running.stderr.close()
    assert running.wait() == 130
    assert_no_traces(stack)


def test_builds_at_once_do_not_disturb_one_another(stack: Stack) -> None:
    services = "".join(
        f'  s{number}: {{network_mode: none, build: {{dockerfile_inline: "FROM demo\\nRUN echo {number} > /n"}}}}\n'
        for number in range(2)
    )
    stack.write(f"name: web\nservices:\n{services}")
    others = [stack.start("build") for _ in range(2)]
    stack("build")
    assert [other.wait() for other in others] == [0, 0]
    for number in range(2):
        assert stack("run", "--rm", f"s{number}", "cat", "/n").stdout == f"{number}\n"
    assert_no_traces(stack)


def test_images_go_to_a_registry_and_come_from_there(stack: Stack, tmp_path: Path) -> None:
    """What a registry has is pulled instead of built, and so is what a Dockerfile starts from."""
    with registries.registry(tmp_path) as address:
        config = tmp_path / "registries.conf"
        config.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
        env = {"CONTAINERS_REGISTRIES_CONF": str(config)}
        rest = f"    image: {address}/a:1\n    command: [cat, /x]\n"
        write(stack, f'{{dockerfile_inline: "FROM demo\\nRUN echo pushed > /x", tags: ["{address}/b:2"]}}', rest=rest)
        assert f"a | pushing {address}/b:2\n" in stack("build", "--push", env=env).stderr
        for name in (f"{address}/a:1", f"{address}/b:2"):
            stack("image", "rm", name)
        stack("image", "prune", "--build-cache")
        write(stack, '{dockerfile_inline: "FROM nowhere"}', rest=rest)
        assert "Built (pulled)" in stack("up", "-d", env=env).stderr
        write(stack, f'{{dockerfile_inline: "FROM {address}/b:2\\nRUN echo more >> /x"}}', rest=rest)
        stack("build", "--pull", env=env)
        assert output(stack) == "pushed\nmore\n"
        stack("down")


def test_the_cache_can_be_dropped(stack: Stack) -> None:
    write(stack, ".", dockerfile="FROM demo\nRUN --mount=type=cache,target=/c echo x >> /c/x; wc -l < /c/x > /n\n")
    stack("build")
    assert "Using cache" in stack("build").stderr
    assert "Using cache" not in stack("build", "--no-cache").stderr
    assert output(stack, "cat", "/n") == "2\n"
    stack("image", "prune", "--build-cache")
    assert not os.path.exists(f"{stack.paths.data}/build")
    assert output(stack, "cat", "/n") == "2\n"
    stack("build")
    assert output(stack, "cat", "/n") == "1\n"


def test_flags_of_build(stack: Stack) -> None:
    write(
        stack,
        "{args: {A: file}}",
        dockerfile="FROM demo\nARG A\nARG B\nRUN echo $A $B > /x\n",
        rest="    command: [cat, /x]\n",
    )
    stack("build", "--build-arg", "A=given", "--build-arg", "B", env={"B": "here"})
    assert output(stack) == "given here\n"
    assert stack("build", "--quiet").stderr == " Image docker.io/library/web-a:latest  Built\n"
    assert "has no such" in stack("build", "--check", code=2).stderr
    assert "no such service: zz" in stack("build", "zz", code=2).stderr
    lines = [json.loads(line) for line in stack("build", "--progress", "json").stderr.splitlines()]
    assert lines[0] == {"id": "Image docker.io/library/web-a:latest", "status": "Building", "event": "started"}
