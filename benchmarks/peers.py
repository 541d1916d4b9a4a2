"""The tools that are compared, each with the same five verbs, each in directories of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import hosts
import inputs
import machine

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Failed(Exception):
    """A tool said no: its command and what it printed."""


def unpacked(tools: Path) -> dict[str, str]:
    """The environment in which programs of packages that were unpacked, not installed, find each other."""
    libraries = [str(path) for path in (tools / "usr/lib").glob("*-linux-gnu")]
    env = {"PATH": f"{tools}/usr/bin:{tools}/usr/sbin:{PATH}"}
    if libraries and tools != Path("/"):
        env["LD_LIBRARY_PATH"] = ":".join(libraries)
        for path in libraries:
            if os.path.exists(f"{path}/xtables"):
                env["XTABLES_LIBDIR"] = f"{path}/xtables"
    return env


def _find(program: str, env: dict[str, str]) -> str:
    found = shutil.which(program, path=env["PATH"])
    if found is None:
        raise Failed(f"{program}: not found; scripts/bench brings it along")
    return found


class Peer(Protocol):
    """One tool. `up` takes a stack file; every verb returns seconds."""

    name: str
    version: str

    def start(self) -> None: ...
    def up(self, stack: Path) -> float: ...
    def ps(self, stack: Path, /) -> float: ...
    def down(self, stack: Path, /) -> float: ...
    def load(self, archive: Path, /) -> float | None: ...
    def resident(self) -> list[int]: ...
    def stop(self) -> None: ...


def timed(argv: Sequence[str], env: dict[str, str], cwd: Path, output: Path) -> float:
    """Runs a command to its end and returns the seconds it took. Its output goes to a file: a pipe kept open by a
    container would keep us waiting for ever. Raises `Failed`."""
    with output.open("wb") as file:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        # Not `wait(timeout)`: that looks every 50 ms, and so would our clock.
        guard = threading.Timer(600, process.kill)
        guard.start()
        try:
            code = process.wait()
            seconds = time.perf_counter() - begin
        except BaseException:  # told to end: the command shall not go on while what it works on is removed
            process.kill()
            raise
        finally:
            guard.cancel()
    if code:
        raise Failed(f"{' '.join(argv)} ended with {code}:\n{output.read_text(errors='replace')[-2000:]}")
    return seconds


class Command:
    """A peer that is a command, on a host of its own: how to call it is all that differs."""

    name = ""
    version = ""
    argv: tuple[str, ...] = ()
    loader: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    """Programs that it leaves running on its host whose command lines do not tell whose they are."""
    own_run = False
    """Whether it must have a /run of its own, because not all that it puts there can be put elsewhere."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        home.mkdir()
        self.home = home
        self.env = {"PATH": PATH, "HOME": str(home), "LANG": "C.UTF-8", **env}
        self.hosts = hosts.Hosts(home, own_run=self.own_run)
        self.standing: set[Path] = set()

    def start(self) -> None:
        """Makes the hosts. Raises `Failed`."""
        try:
            self.hosts.make()
        except subprocess.CalledProcessError as error:
            raise Failed(f"{self.name}: no host for it: {error}") from error

    def stop(self) -> None:
        """Takes down what a run that went wrong left up."""
        for stack in tuple(self.standing):
            with contextlib.suppress(Failed):
                self.down(stack)

    def _run(self, *argv: str, cwd: Path | None = None) -> float:
        return timed([*self.hosts.on_host, *argv], self.env, cwd or self.home, self.home / "output")

    def up(self, stack: Path) -> float:
        self.standing.add(stack)
        return self._run(*self.argv, "-f", str(stack), "up", "-d", cwd=stack.parent)

    def ps(self, stack: Path) -> float:
        return self._run(*self.argv, "-f", str(stack), "ps", cwd=stack.parent)

    def config(self, stack: Path) -> float:
        return self._run(*self.argv, "-f", str(stack), "config", cwd=stack.parent)

    def down(self, stack: Path) -> float:
        seconds = self._run(*self.argv, "-f", str(stack), "down", cwd=stack.parent)
        self.standing.discard(stack)
        return seconds

    def execute(self, stack: Path, service: str, *argv: str) -> str:
        """Runs a command in a container and returns what it printed."""
        self._run(*self.argv, "-f", str(stack), "exec", "-T", service, *argv, cwd=stack.parent)
        return (self.home / "output").read_text(errors="replace")

    def load(self, archive: Path) -> float | None:
        return self._run(*self.loader, "load", "-i", str(archive))

    def resident(self) -> list[int]:
        pids = machine.mentioning(str(self.home))
        if not self.helpers:
            return pids
        ours = machine.living_in(machine.namespaces_below(str(self.home)))
        return sorted({*pids, *machine.named(self.helpers, ours)})


class Jocker(Command):
    """jocker, as installed in the virtual environment of the checkout."""

    name = "jocker"

    def __init__(self, home: Path, binary: str) -> None:
        # runc keeps a socket below here: the path must stay short.
        super().__init__(home, {"JOCKER_DATA_DIR": f"{home}/data", "JOCKER_RUN_DIR": f"{home}/run"})
        self.argv = (binary,)
        self.loader = (binary, "image")

    def start(self) -> None:
        super().start()
        self.version = _said([*self.argv, "--version"], self.env).removeprefix("jocker ")


class DockerCompose(Command):
    """docker compose v2 on a dockerd of our own, whose network is as a fresh installation has it, unless told to leave
    127.0.0.1 to firewall rules instead of `docker-proxy`, a program per published port."""

    name = "docker compose"
    helpers = ("docker-proxy",)
    own_run = True

    def __init__(self, home: Path, tools: Path, compose: str, *, proxy: bool = True) -> None:
        super().__init__(
            home,
            {
                **unpacked(tools),
                "DOCKER_HOST": f"unix://{home}/sock",
                "DOCKER_CONFIG": f"{home}/config",
            },
        )
        self.argv = (os.path.abspath(_find(compose, self.env)),)
        self.loader = (_find("docker", self.env),)
        self.proxy = proxy
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        super().start()
        log = (self.home / "dockerd.log").open("wb")
        self.daemon = subprocess.Popen(
            [
                *self.hosts.on_host,
                *(_find("dockerd", self.env), "-H", f"unix://{self.home}/sock", "--pidfile", f"{self.home}/pid"),
                *("--data-root", f"{self.home}/data", "--exec-root", f"{self.home}/exec"),
                *("--storage-driver=overlay2", "--cgroup-parent=/jkbench-docker"),
                f"--userland-proxy={str(self.proxy).lower()}",
            ],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        for _ in range(300):
            if self.daemon.poll() is not None:
                break
            if subprocess.run([*self.loader, "info"], env=self.env, capture_output=True, check=False).returncode == 0:
                engine = _said([*self.loader, "version", "--format", "{{.Server.Version}}"], self.env)
                self.version = f"{_said([*self.argv, 'version', '--short'], self.env)}, engine {engine}"
                return
            time.sleep(0.1)
        raise Failed(f"dockerd does not answer:\n{(self.home / 'dockerd.log').read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        if self.daemon is None:
            return
        super().stop()
        self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()


class PodmanCompose(Command):
    """podman-compose on podman with a store and a configuration of its own, and netavark for its networks."""

    name = "podman-compose"
    helpers = ("aardvark-dns",)
    own_run = True

    def __init__(self, home: Path, tools: Path, compose: str) -> None:
        super().__init__(
            home,
            {
                **unpacked(tools),
                "CONTAINERS_CONF": f"{home}/containers.conf",
                "CONTAINERS_STORAGE_CONF": f"{home}/storage.conf",
            },
        )
        self.argv = (os.path.abspath(_find(compose, self.env)),)
        self.loader = (_find("podman", self.env),)
        self.helper_programs = f"{tools}/usr/lib/podman"

    def start(self) -> None:
        super().start()
        (self.home / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.home}/data"\nrunroot = "{self.home}/run"\n'
        )
        (self.home / "containers.conf").write_text(
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            f'tmp_dir = "{self.home}/tmp"\nstatic_dir = "{self.home}/static"\nvolume_path = "{self.home}/volumes"\n'
            f'helper_binaries_dir = ["{self.helper_programs}"]\n'
            '[containers]\nlog_driver = "k8s-file"\n'
            '[network]\nnetwork_backend = "netavark"\n'
            f'network_config_dir = "{self.home}/networks"\n'
        )
        engine = _said([*self.hosts.on_host, *self.loader, "--version"], self.env).removeprefix("podman version ")
        said = _said([*self.hosts.on_host, *self.argv, "--version"], self.env).partition("podman-compose version ")[2]
        self.version = f"{said.splitlines()[0] if said else 'unknown'}, podman {engine}"

    def stop(self) -> None:
        super().stop()
        self._run(*self.loader, "rm", "--all", "--force", "--time", "0")
        self._run(*self.loader, "system", "prune", "--all", "--force", "--volumes")


class Floor:
    """What the runtime alone costs: `runc run -d` for all bundles, several at a time. No logs, exit codes or images.

    The bundles have the config.json that jocker renders, seccomp profile and all: the same containers.
    """

    name = "runc alone"
    version = ""

    def __init__(self, home: Path, jocker: Jocker) -> None:
        home.mkdir()
        self.home = home
        self.jocker = jocker
        self.env = {"PATH": PATH}
        self.workers = (os.cpu_count() or 1) + 2
        self.ids: list[str] = []

    def start(self) -> None:
        self.version = _said(["runc", "--version"], self.env).splitlines()[0].removeprefix("runc version ")
        rootfs = self.home / "rootfs"
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            (rootfs / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", rootfs / "bin/busybox")
        for applet in ("sh", "sleep", "true"):
            (rootfs / "bin" / applet).symlink_to("busybox")

    def up(self, stack: Path) -> float:
        wanted = [f"jkbench{number}" for number in range(stack.read_text().count("image:"))]
        for number, one in enumerate(wanted):
            self._bundle(one, stack, f"s{number}")
        begin = time.perf_counter()
        self._each(
            [["run", "-d", "--pid-file", f"{self.home}/{one}/pid", "-b", f"{self.home}/{one}", one] for one in wanted]
        )
        self.ids = wanted
        return time.perf_counter() - begin

    def ps(self, _stack: Path) -> float:
        return self._runc("list")

    def down(self, _stack: Path) -> float:
        begin = time.perf_counter()
        pids = [int((self.home / one / "pid").read_text()) for one in self.ids]
        handles = [os.pidfd_open(pid) for pid in pids]
        for handle in handles:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        for handle in handles:
            select.select([handle], [], [], 30)
            os.close(handle)
        self._each([["delete", "--force", one] for one in self.ids])
        seconds = time.perf_counter() - begin
        self.ids = []
        return seconds

    def load(self, _archive: Path) -> float | None:
        return None

    def resident(self) -> list[int]:
        return []

    def stop(self) -> None:
        """Nothing stays."""

    def _bundle(self, name: str, stack: Path, service: str) -> None:
        bundle = self.home / name
        if bundle.exists():
            return
        rendered = _said([*self.jocker.argv, "-f", str(stack), "render", service], self.jocker.env)
        try:
            config = json.loads(rendered)
        except ValueError:
            raise Failed(f"jocker renders no config.json: {rendered[:2000]}") from None
        bundle.mkdir()
        config["root"]["path"] = str(self.home / "rootfs")
        config["linux"]["cgroupsPath"] = f"/jkbench-runc/{name}"
        # /etc/hosts and its like are made with the container, which is not there.
        config["mounts"] = [mount for mount in config["mounts"] if not mount["destination"].startswith("/etc/")]
        (bundle / "config.json").write_text(json.dumps(config))

    def _each(self, calls: list[list[str]]) -> None:
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(lambda call: self._runc(*call), calls))

    def _runc(self, *arguments: str) -> float:
        output = self.home / f"output-{'-'.join(arguments).replace('/', '_')[-60:]}"
        return timed(["runc", "--root", f"{self.home}/state", *arguments], self.env, self.home, output)


def _said(argv: Sequence[str], env: dict[str, str]) -> str:
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return (done.stdout or done.stderr).strip()


def end_all(home: Path) -> None:
    """Ends whatever a peer left running below its directory, and unmounts it: for runs that went wrong."""
    for _ in range(100):
        inside = machine.living_in(machine.namespaces_below(str(home)))
        pids = {*machine.mentioning(f"{home}/"), *machine.with_argument(inputs.MARK), *inside}
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    machine.unmount_below(str(home))
