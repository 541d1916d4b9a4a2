"""`jocker watch`: files that change here are in the containers a moment later, and nowhere else."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scenarios.conftest import Stack

from composer.errors import ContainerError
from composer.host.state import first_process
from composer.host.syncing import Owner, Pair, sync
from composer.host.trees import remove_tree

pytestmark = pytest.mark.real

SLEEP = "    image: demo\n    network_mode: none\n    init: true\n    command: [sleep, '1000']\n"


class Watcher:
    """A `jocker watch` in the background, and what it says."""

    def __init__(self, stack: Stack, *arguments: str) -> None:
        self._stack = stack
        self.said: list[str] = []
        self.process = stack.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.said.extend(line.decode().rstrip("\n") for line in lines)

    def wait_for(self, text: str, count: int = 1) -> None:
        def is_said() -> bool:
            if self.process.poll() is not None:
                self._reader.join()
                return True
            return sum(text in line for line in self.said) >= count

        self._stack.wait_for(is_said, f"{text!r} in {self.said}")
        assert sum(text in line for line in self.said) >= count, self.said

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join()
        return code


@pytest.fixture
def watch(stack: Stack) -> Iterator[Callable[..., Watcher]]:
    begun: list[Watcher] = []

    def begin(*arguments: str) -> Watcher:
        begun.append(Watcher(stack, *(arguments or ("watch",))))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)
    stack("down", "-t", "0")
    remove_tree(stack.paths.builds)  # the builder's cache
    stack.assert_nothing_left()


def inside(stack: Stack, *command: str, service: str = "web") -> str:
    return stack("exec", "-T", service, *command).stdout


def test_changes_are_brought_into_the_container(stack: Stack, watch: Callable[..., Watcher]) -> None:
    """New, changed, removed and renamed files, directories and links; what is ignored stays out."""
    stack.write(f"""
services:
  web:
{SLEEP}    develop:
      watch:
        - {{path: ./src, action: sync, target: /app/src, ignore: ['*.log'], include: ['**/*']}}
        - {{path: ./conf, action: sync, target: /etc/web/}}
""")
    source = stack.directory / "src"
    source.mkdir()
    (source / "old").write_text("was there before")
    (source / "gone").write_text("")
    one = watch()
    one.wait_for("Watch enabled")
    (source / "a").write_text("one")
    (source / "a").chmod(0o751)
    (source / "x.log").write_text("")
    (source / ".git").mkdir()
    (source / ".git/HEAD").write_text("")
    (source / ".a.swp").write_text("")
    (source / "d/e").mkdir(parents=True)
    (source / "d/e/f").write_text("deep")
    (source / "link").symlink_to("d/e")
    (stack.directory / "conf").write_text("first")
    one.wait_for('Syncing service "web" after')
    stack.wait_for(lambda: "first" in stack("exec", "-T", "web", "cat", "/etc/web/conf", code=None).stdout, "conf")
    assert inside(stack, "cat", "/app/src/a", "/app/src/d/e/f", "/app/src/link/f") == "onedeepdeep"
    assert inside(stack, "stat", "-c", "%a %u", "/app/src/a") == "751 0\n"
    assert inside(stack, "ls", "-A", "/app/src").split() == ["a", "d", "link"]

    (source / "a").write_text("two")
    (source / "d").rename(source / "moved")
    (source / "link").unlink()
    (source / "gone").unlink()
    # an editor's way to save: another file in its place
    (stack.directory / "conf.new").write_text("second")
    (stack.directory / "conf.new").rename(stack.directory / "conf")
    stack.wait_for(lambda: inside(stack, "cat", "/etc/web/conf") == "second", "the second conf")
    assert inside(stack, "cat", "/app/src/a", "/app/src/moved/e/f") == "twodeep"
    assert inside(stack, "ls", "-A", "/app/src").split() == ["a", "moved"]
    assert one.end() == 130
    assert one.said[-1] == "Watch disabled"


def test_many_changes_are_one_batch(stack: Stack, watch: Callable[..., Watcher]) -> None:
    stack.write(f"""
services:
  web:
{SLEEP}    scale: 2
    develop:
      watch: [{{path: ., action: sync, target: /app, ignore: [jocker.yml]}}]
""")
    one = watch()
    one.wait_for("Watch enabled")
    for number in range(200):
        (stack.directory / f"f{number}").write_text(str(number))
    one.wait_for("Syncing")
    stack.wait_for(lambda: len(inside(stack, "ls", "/app").split()) == 200, "all files")
    assert stack("exec", "--index", "2", "web", "cat", "/app/f199").stdout == "199"
    assert [line for line in one.said if "Syncing" in line] == ['Syncing service "web" after 200 changes were detected']


def test_initial_sync_user_and_hooks(stack: Stack, watch: Callable[..., Watcher]) -> None:
    """What is there already comes first; files are the container's user's; the command runs after each batch."""
    source = stack.directory / "src"
    (source / "d").mkdir(parents=True)
    (source / "a.txt").write_text("first")
    (source / "d/b.txt").write_text("")
    (source / "c.md").write_text("")
    stack.write(f"""
services:
  web:
{SLEEP}    user: app
    develop:
      watch:
        - path: ./src
          action: sync+exec
          target: /tmp/src
          initial_sync: true
          include: ['**/*.txt']
          exec:
            command: sh -c 'id -u; echo $$GREETING; pwd; cat; cat a.txt; exit 3'
            user: root
            working_dir: /tmp/src
            environment: {{GREETING: hello}}
""")
    one = watch()
    one.wait_for("Watch enabled")
    assert sorted(inside(stack, "find", "/tmp/src", "-type", "f").split()) == ["/tmp/src/a.txt", "/tmp/src/d/b.txt"]
    assert inside(stack, "stat", "-c", "%u %g", "/tmp/src/a.txt") == "1000 1000\n"
    (source / "a.txt").write_text("second\n")
    one.wait_for("ended with 3")
    begin = one.said.index("0")
    assert one.said[begin : begin + 4] == ["0", "hello", "/tmp/src", "second"]
    (source / "a.txt").write_text("third\n")
    one.wait_for("third")  # a command that fails ends nothing


def test_restart_and_sync_restart(stack: Stack, watch: Callable[..., Watcher]) -> None:
    stack.write(f"""
services:
  web:
{SLEEP}    develop:
      watch:
        - {{path: ./conf, action: sync+restart, target: /etc/web.conf}}
        - {{path: ./flag, action: restart}}
  other:
{SLEEP}""")
    (stack.directory / "conf").write_text("old")
    one = watch()
    one.wait_for("Watch enabled")
    ids = stack.ids()

    def lives() -> dict[str, object]:
        return {name: first_process(stack.paths, container) for name, container in stack.ids().items()}

    before = lives()
    (stack.directory / "conf").write_text("new")
    one.wait_for('service(s) ["web"] restarted')
    assert inside(stack, "cat", "/etc/web.conf") == "new"
    (stack.directory / "flag").write_text("")
    one.wait_for('service(s) ["web"] restarted', 2)
    assert stack.ids() == ids
    after = lives()
    assert after["web-other-1"] == before["web-other-1"]
    assert after["web-web-1"] != before["web-web-1"]


def test_rebuild_makes_only_that_service_anew(stack: Stack, watch: Callable[..., Watcher]) -> None:
    stack.write("""
services:
  web:
    build:
      context: ./web
      dockerfile_inline: |
        FROM demo
        COPY page /page
    depends_on: [base]
    network_mode: none
    init: true
    command: [sleep, '1000']
    develop:
      watch: [{path: ./web, action: rebuild}]
  base:
    build: {context: ./web, dockerfile_inline: FROM demo}
    network_mode: none
    init: true
    command: [sleep, '1000']
""")
    context = stack.directory / "web"
    context.mkdir()
    (context / "page").write_text("one")
    (context / ".dockerignore").write_text("*.md\n")
    one = watch()
    one.wait_for("Watch enabled")
    ids = stack.ids()
    assert inside(stack, "cat", "/page") == "one"
    (context / "README.md").write_text("left out by .dockerignore")
    (context / "page").write_text("two")
    one.wait_for('service(s) ["web"] successfully built')
    stack.wait_for(lambda: stack("exec", "-T", "web", "cat", "/page", code=None).stdout == "two", "the new page")
    after = stack.ids()
    assert after["web-base-1"] == ids["web-base-1"]
    assert after["web-web-1"] != ids["web-web-1"]
    assert 'Rebuilding service(s) ["web"] after changes were detected...' in one.said
    stack.wait_for(lambda: "<none>" not in stack("image", "ls").stdout, "the old image to be gone")
    (context / "page").unlink()
    one.wait_for("Build failed.")
    assert stack.ids() == after
    (context / "page").write_text("three")
    one.wait_for("successfully built", 2)


def test_up_watch_shows_output_and_stops_at_the_end(stack: Stack, watch: Callable[..., Watcher]) -> None:
    stack.write(f"""
services:
  web:
{SLEEP.replace("[sleep, '1000']", '[sh, -c, "echo begun; sleep 1000"]')}    develop:
      watch: [{{path: ./conf, action: sync+restart, target: /etc/web.conf}}]
""")
    one = watch("up", "--watch")
    one.wait_for("Watch enabled")
    one.wait_for("web-1  | begun")
    (stack.directory / "conf").write_text("x")
    one.wait_for("web-1  | begun", 2)
    assert one.end() == 130
    assert stack.states() == {"web-web-1": "exited"}


def test_what_cannot_be_watched(stack: Stack, watch: Callable[..., Watcher]) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}")
    assert "none of the selected services is configured for watch" in stack("watch", code=1).stderr
    assert not stack.ps()
    stack.write(f"services:\n  web:\n{SLEEP}    develop: {{watch: [{{path: ., action: rebuild}}]}}\n")
    assert "without a build context" in stack("watch", code=3).stderr
    assert stack("config", "-q").returncode == 0
    assert "exclude each other" in stack("up", "-d", "--watch", code=2).stderr
    assert "exclude each other" in stack("up", "--no-build", "--watch", code=2).stderr


def test_a_bind_mount_is_not_copied_onto_itself(stack: Stack, watch: Callable[..., Watcher]) -> None:
    (stack.directory / "src").mkdir()
    stack.write(f"""
services:
  web:
{SLEEP}    volumes: [.:/app]
    develop:
      watch: [{{path: ./src, action: sync+exec, target: /app/src, exec: {{command: cat /app/src/a}}}}]
""")
    one = watch()
    one.wait_for("Watch enabled")
    one.wait_for("is in a bind mount of service web")
    file = stack.directory / "src/a"
    file.write_text("seen at once\n")
    inode = file.stat().st_ino
    one.wait_for("seen at once")
    assert file.stat().st_ino == inode
    assert not any("Syncing" in line for line in one.said)


def test_one_watch_at_a_time_and_none_leaves_anything(stack: Stack, watch: Callable[..., Watcher]) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    develop: {{watch: [{{path: ., action: sync, target: /app}}]}}\n")
    one = watch()
    one.wait_for("Watch enabled")
    assert "is watched already" in stack("watch", "--no-up", code=1).stderr
    one.end(signal.SIGKILL)
    two = watch("watch", "--no-up")
    two.wait_for("Watch enabled")
    stack("down", "-t", "0")  # nobody is in its way
    (stack.directory / "a").write_text("")
    two.wait_for("no container of service")
    assert two.end(signal.SIGTERM) == 130


class Trap:
    """A container whose files are made to lead us astray."""

    def __init__(self, stack: Stack, *lines: str) -> None:
        stack.write(
            f"services:\n  web:\n{SLEEP}    volumes: [data:/data]\n    tmpfs: [/scratch]\nvolumes: {{data: }}\n"
        )
        stack("up", "-d")
        for line in lines:
            stack("exec", "-T", "web", "sh", "-c", line)
        self._id = stack.ids()["web-web-1"]
        self._paths = stack.paths

    def bring(self, path: Path, target: str, owner: Owner | None = None) -> None:
        first = first_process(self._paths, self._id)
        assert first is not None
        sync(first, [Pair(str(path), target)], owner)


@pytest.fixture
def source(stack: Stack) -> Iterator[Path]:
    directory = stack.directory.parent / "source"
    directory.mkdir()
    (directory / "f").write_text("brought")
    yield directory
    stack("down", "-v", "-t", "0")
    stack.assert_nothing_left()


def test_no_link_leads_out_of_the_container(stack: Stack, source: Path) -> None:
    """Each place is a link to a directory of the machine, by another way; its files there stay as they are."""
    victim = stack.directory.parent / "victim"
    victim.mkdir()
    (victim / "f").write_text("mine")
    out = f"../../../../../../../../..{victim}"
    trap = Trap(
        stack,
        f"mkdir -p /app{victim} && ln -s {victim} /app/absolute && ln -s {out} /app/relative",
        f"ln -s /proc/1/root{victim} /app/magic && ln -s /proc/self/cwd/{out} /app/cwd",
        f"ln -s {victim}/f /app/file",
    )
    for place in ("absolute", "relative"):
        trap.bring(source, f"/app/{place}")
        trap.bring(source / "none", f"/app/{place}/f")
    for place in ("magic", "cwd"):
        with pytest.raises(ContainerError):
            trap.bring(source / "f", f"/app/{place}/f")
    trap.bring(source / "f", "/app/file")
    trap.bring(source / "f", f"/app/../../..{victim}/g")
    assert {path.name: path.read_text() for path in victim.iterdir()} == {"f": "mine"}
    assert inside(stack, "cat", "/app/file", f"{victim}/g") == "broughtbrought"
    assert inside(stack, "stat", "-c", "%F", "/app/file") == "regular file\n"


def test_what_is_in_the_way_gives_way_but_a_mount(stack: Stack, source: Path) -> None:
    trap = Trap(
        stack,
        "mkdir -p /app/dir/full && touch /app/dir/full/x && mknod /app/fifo p && mknod /app/null c 1 3",
        "mkdir -p /app/deep && touch /app/deep/file && ln -s /nowhere/at/all /app/dangling",
    )
    for name in ("dir", "fifo", "null", "dangling"):
        trap.bring(source / "f", f"/app/{name}")
        assert inside(stack, "cat", f"/app/{name}") == "brought"
    trap.bring(source, "/app/deep/file")
    assert inside(stack, "cat", "/app/deep/file/f") == "brought"
    for mounted in ("/data", "/scratch"):
        trap.bring(source / "f", f"{mounted}/sub/f")
        assert inside(stack, "cat", f"{mounted}/sub/f") == "brought"
        with pytest.raises(ContainerError):
            trap.bring(source / "none", mounted)
        with pytest.raises(ContainerError):
            trap.bring(source / "f", mounted)
        assert inside(stack, "cat", f"{mounted}/sub/f") == "brought"
    with pytest.raises(ContainerError):
        trap.bring(source / "none", "/")
    with pytest.raises(ContainerError):
        trap.bring(source / "f", "/proc/sys/kernel/hostname")
    with pytest.raises(ContainerError):
        trap.bring(source / "f", "/sys/kernel/f")
    assert inside(stack, "ls", "/").split()[0] == "app"


def test_a_mounted_file_is_written_in_place(stack: Stack, source: Path) -> None:
    trap = Trap(stack)
    mounts = inside(stack, "cat", "/proc/mounts")
    trap.bring(source / "f", "/etc/hosts")
    assert inside(stack, "cat", "/etc/hosts") == "brought"
    with pytest.raises(ContainerError):
        trap.bring(source / "none", "/etc")
    with pytest.raises(ContainerError):
        trap.bring(source / "f", "/etc")
    assert inside(stack, "cat", "/proc/mounts") == mounts


def test_modes_owners_and_odd_files(stack: Stack, source: Path) -> None:
    """Set-id bits and owners come along; sockets and pipes do not; a name may be any bytes."""
    os.mkfifo(source / "fifo")
    odd = os.fsencode(source) + b"/\xff\xfe new\nline"
    Path(os.fsdecode(odd)).write_bytes(b"odd")
    os.chown(source / "f", 7, 8)
    (source / "f").chmod(0o4755)
    (source / "empty").mkdir(mode=0o700)
    trap = Trap(stack)
    trap.bring(source, "/app")
    assert inside(stack, "stat", "-c", "%a %u %g", "/app/f", "/app/empty") == "4755 7 8\n700 0 0\n"
    assert len(inside(stack, "sh", "-c", "for one in /app/*; do echo x; done").split()) == 3
    trap.bring(source, "/other", Owner(1000, 1000))
    assert inside(stack, "stat", "-c", "%a %u %g", "/other/f") == "4755 1000 1000\n"
    assert not inside(stack, "sh", "-c", "ls -A /app | grep jocker || true")


def test_a_read_only_container_says_so(stack: Stack, source: Path) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    read_only: true\n")
    stack("up", "-d")
    first = first_process(stack.paths, stack.ids()["web-web-1"])
    assert first is not None
    with pytest.raises(ContainerError, match="read-only"):
        sync(first, [Pair(str(source / "f"), "/f")], None)
    with pytest.raises(ContainerError, match="ended"):
        sync(first._replace(started=first.started + 1), [Pair(str(source / "f"), "/f")], None)


def test_files_keep_their_times(stack: Stack, source: Path) -> None:
    os.utime(source / "f", (1_000_000_000, 1_000_000_000))
    assert stat.S_ISREG((source / "f").stat().st_mode)
    Trap(stack).bring(source / "f", "/f")
    assert inside(stack, "stat", "-c", "%Y", "/f") == "1000000000\n"
