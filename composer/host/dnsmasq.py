"""Name servers: one dnsmasq for each network, and one for each container that needs answers of its own.

Each has a directory: `servers` (whom it asks about the rest of the world, and which names it never asks about), `state`
(which process it is), `root` (its sandbox). A network's has `hosts`, too: a file for each container on the network.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from composer.digest import sha256_hex
from composer.errors import MachineError
from composer.host import cgroup, net_paths, process
from composer.host.files import read_json, read_text, write_atomic
from composer.host.proc import require
from composer.paths import Paths

_PID_FILE = "/run/pid"
"""In the one directory of its sandbox that it may write to."""
_FIRST_USER = 1879048192
"""Above the numbers that distributions, containers and systemd hand out (systemd.io/UIDS-GIDS); 2^28 are free."""
_USERS = ("dnsmasq", "nobody")
_GONE_WITHIN = 10.0


class NameServer(NamedTuple):
    """What a name server is told. Changing anything but `upstreams` (see `set_upstreams`) means another one.

    `directory` is its own; `netns` the path of the namespace it lives in; `listen` addresses there; `hosts` the
    directories it reads names from; `upstreams` the servers that know the rest (none: there is no rest); `cnames` pairs
    of an alias and what it stands for; `subnets` those whose addresses nobody else is asked about.
    """

    directory: str
    netns: str
    listen: tuple[str, ...]
    port: int
    hosts: tuple[str, ...]
    upstreams: tuple[str, ...] = ()
    cnames: tuple[tuple[str, str], ...] = ()
    subnets: tuple[str, ...] = ()


def start(paths: Paths, server: NameServer) -> None:
    """Starts a name server; it answers when this returns. One that runs for the same directory is ended first.

    Raises `ToolMissing`, `MachineError`, and `CommandFailed` with what dnsmasq says.
    """
    from composer.host.sandbox import Sandbox, run_daemon

    stop(server.directory)
    program = require("dnsmasq")
    uid, gid = _user(server.directory)
    for directory in (server.directory, f"{server.directory}/root", *server.hosts):
        _make_readable(directory)
    state = {"hosts": server.hosts, "upstreams": server.upstreams}
    _write_servers(server.directory, server.upstreams, server.hosts)
    # Before it runs: should nobody live to write down the pid, it is known that there may be a process to look for.
    _write_state(server.directory, state)
    sandbox = Sandbox(server.netns, f"{server.directory}/root", (server.directory, *server.hosts), uid, gid)
    pid = run_daemon(sandbox, _argv(program, server), _PID_FILE)
    started = process.start_time(pid)
    if started is None:
        raise MachineError("dnsmasq has ended as soon as it had begun")
    _write_state(server.directory, {**state, "pid": pid, "started": started})
    cgroup.put(cgroup.make(net_paths.dns_cgroup(paths), for_processes=True), pid)


def alive(directory: str) -> bool:
    """Whether the name server of this directory runs."""
    state = read_json(f"{directory}/state") or {}
    return process.alive(state.get("pid", 0), state.get("started", 0))


def stop(directory: str) -> None:
    """Ends the name server of this directory; none need run."""
    with ending(directory):
        pass


@contextmanager
def ending(directory: str) -> Iterator[None]:
    """Tells the name server of this directory to end, and has waited for that at the end of the block."""
    state = read_json(f"{directory}/state")
    running = []
    for pid in _pids(directory, state):
        started = process.start_time(pid)
        if started is not None and process.send(pid, started, signal.SIGKILL):
            running.append((pid, started))
    yield
    for pid, started in running:
        if not process.wait_gone(pid, started, _GONE_WITHIN):
            raise MachineError(f"dnsmasq (process {pid}) survives SIGKILL", hint="it hangs in the kernel: see dmesg")
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    if state is not None:
        with suppress(FileNotFoundError):
            os.unlink(f"{directory}/state")


def _pids(directory: str, state: dict[str, int] | None) -> tuple[int, ...]:
    if state is None:
        return ()
    if "pid" not in state:  # a crash while it was started: it may run, and nobody knows which process it is
        return process.with_arguments(_servers_argument(directory))
    return (state["pid"],) if process.alive(state["pid"], state["started"]) else ()


def remove(paths: Paths, directory: str) -> None:
    """Ends the name server of this directory and takes away all that was written for it."""
    stop(directory)
    for part in ("hosts", "root", ""):
        _remove_directory(f"{directory}/{part}".rstrip("/"))
    for path in (net_paths.dns_cgroup(paths), paths.cgroup_root):
        cgroup.remove_if_empty(path)


def upstreams(directory: str) -> tuple[str, ...] | None:
    """The servers that the name server of this directory asks for the rest of the world; None if it never ran."""
    state = read_json(f"{directory}/state")
    return tuple(state["upstreams"]) if state else None


def set_upstreams(directory: str, upstreams: tuple[str, ...]) -> None:
    """Other servers for the rest of the world: no query is lost, and what is under way is answered."""
    state = read_json(f"{directory}/state")
    if state is not None and tuple(state["upstreams"]) != upstreams:
        _write_servers(directory, upstreams, state["hosts"])
        _write_state(directory, {**state, "upstreams": upstreams})
        _reload(state)


# names ----------------------------------------------------------------------------------------------------


def knows(paths: Paths, network_name: str, container_id: str, names: Iterable[tuple[str, str]]) -> bool:
    """Whether a network has been told all these names of a container, and no others."""
    found = read_text(f"{net_paths.hosts_dir(paths, network_name)}/{container_id}")
    return found is not None and found == _hosts_text(_by_address(names))


def write_hosts(paths: Paths, network_name: str, container_id: str, names: Iterable[tuple[str, str]]) -> None:
    """Pairs of an address and a name that a container has on a network: known to all its name servers on return.

    An address may stand with several names, and a name with several addresses. The caller holds the network lock.
    """
    _write_hosts_file(paths, network_name, container_id, _by_address(names))


def _by_address(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for address, name in names:
        found.setdefault(address, []).append(name)
    return found


def _hosts_text(names: Mapping[str, list[str]]) -> str:
    return "".join(f"{address} {name}\n" for address, all_names in names.items() for name in all_names)


def clear_hosts(paths: Paths, network_name: str, container_id: str) -> None:
    """Takes a container's names away; there need be none."""
    path = f"{net_paths.hosts_dir(paths, network_name)}/{container_id}"
    if os.path.exists(path):
        # dnsmasq sees at once that a file is empty; one that is gone it goes on answering from.
        _write_hosts_file(paths, network_name, container_id, {})
        with suppress(FileNotFoundError):
            os.unlink(path)


def _write_hosts_file(paths: Paths, network_name: str, container_id: str, names: Mapping[str, list[str]]) -> None:
    directory = net_paths.hosts_dir(paths, network_name)
    _make_readable(directory)
    path = f"{directory}/{container_id}"
    dotted = _dotted(read_text(path) or "")
    text = _hosts_text(names)
    _place(path, text)
    if _dotted(text) != dotted:
        _tell_of_dotted_names(paths, directory)


def _tell_of_dotted_names(paths: Paths, hosts: str) -> None:
    """Every name server that reads `hosts` learns which names it must not ask others about.

    It knows the IPv4 address of `db.internal`, and would ask the world for the IPv6 one.
    """
    root = f"{paths.run}/dns"
    for entry in os.listdir(root):
        state = read_json(f"{root}/{entry}/state")
        if state is not None and hosts in state["hosts"]:
            _write_servers(f"{root}/{entry}", state["upstreams"], state["hosts"])
            _reload(state)


def _write_servers(directory: str, upstreams: Collection[str], hosts: Iterable[str]) -> None:
    if not upstreams:
        # "No such name" for all it does not know. Left to itself it would refuse: musl takes that for no answer, waits
        # for a better one, and never gets to the next name of a search list.
        _place(f"{directory}/servers", "server=/#/\n")
        return
    lines = [f"server={upstream}\n" for upstream in upstreams]
    for name in sorted(_dotted("".join(_all_hosts(hosts)))):
        # Who is called `github.com` here does not hide `api.github.com`: `#` is the servers above.
        lines += [f"server=/{name}/\n", f"server=/*.{name}/#\n"]
    _place(f"{directory}/servers", "".join(lines))


def _all_hosts(directories: Iterable[str]) -> Iterable[str]:
    for directory in directories:
        with suppress(FileNotFoundError):
            for name in os.listdir(directory):
                yield read_text(f"{directory}/{name}") or ""


def _dotted(hosts: str) -> frozenset[str]:
    return frozenset(name for line in hosts.splitlines() for name in line.split()[1:] if "." in name)


# the process ----------------------------------------------------------------------------------------------


def _argv(program: str, server: NameServer) -> list[str]:
    """Defaults that reach out of the sandbox are switched off; names without a dot never leave the network."""
    return [
        program,
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--no-poll",
        "--user=",
        "--group=",
        f"--pid-file={_PID_FILE}",
        "--log-facility=/dev/null",
        "--bind-interfaces",
        f"--port={server.port}",
        *(f"--listen-address={address}" for address in server.listen),
        "--domain-needed",
        "--local=//",
        "--local-ttl=0",
        "--no-negcache",
        "--dns-forward-max=1000",
        _servers_argument(server.directory),
        *(f"--hostsdir={directory}" for directory in server.hosts),
        *(f"--local=/{zone}/" for subnet in server.subnets for zone in reverse_zones(subnet)),
        *(f"--cname={alias},{target}" for alias, target in server.cnames),
    ]


def _servers_argument(directory: str) -> str:
    return f"--servers-file={directory}/servers"


def reverse_zones(subnet: str) -> tuple[str, ...]:
    """The names below which reverse look-ups of a CIDR's addresses are, as few as cover it and nothing else."""
    import ipaddress

    network = ipaddress.ip_network(subnet)
    step = 8 if network.version == 4 else 4
    whole = -(-network.prefixlen // step) * step
    size = network.max_prefixlen // step
    zones = []
    for part in network.subnets(new_prefix=whole):
        labels = part.network_address.reverse_pointer.split(".")
        zones.append(".".join(labels[size - whole // step :]))
    return tuple(zones)


def _reload(state: Mapping[str, object]) -> None:
    pid, started = state.get("pid", 0), state.get("started", 0)
    if isinstance(pid, int) and isinstance(started, int):
        process.send(pid, started, signal.SIGHUP)


def _user(directory: str) -> tuple[int, int]:
    """A user and a group that no other name server has: none can interfere with another, and what Linux allows one user
    (128 inotify instances) is not the limit for all of them. Where such numbers do not exist: dnsmasq's.
    """
    import pwd

    number = _FIRST_USER + int(sha256_hex(os.fsencode(directory))[:7], 16)
    if all(process.has_number(number, kind) for kind in ("uid", "gid")):
        return number, number
    for name in _USERS:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise MachineError("there is no user dnsmasq or nobody for the name servers to run as")


# files ----------------------------------------------------------------------------------------------------


def _write_state(directory: str, state: Mapping[str, object]) -> None:
    write_atomic(f"{directory}/state", json.dumps(state).encode(), sync=False)


def _place(path: str, text: str) -> None:
    """Writes a file for dnsmasq in one move. As it reads all that appears among the hosts, it is made elsewhere."""
    directory, name = os.path.split(path)
    temporary = f"{directory if name == 'servers' else os.path.dirname(directory)}/.{name}.new"
    with open(temporary, "w") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    os.rename(temporary, path)


def _make_readable(directory: str) -> None:
    """A directory that dnsmasq may read. Those above are our own user's alone."""
    from composer.host.files import make_private

    if not os.path.isdir(directory):
        make_private(directory)
    os.chmod(directory, 0o755)  # noqa: S103


def _remove_directory(directory: str) -> None:
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            with suppress(IsADirectoryError, PermissionError):
                os.unlink(f"{directory}/{name}")
        os.rmdir(directory)
