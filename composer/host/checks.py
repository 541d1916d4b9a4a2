"""What `jocker doctor` looks at: each prerequisite really tried, with what was found and how to mend it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib.util import cache_from_source
from typing import Literal, NamedTuple

from composer import errors
from composer.host import advisories, cgroup, kernel, machine_facts, proc
from composer.host.files import read_text
from composer.host.trees import remove_tree
from composer.paths import Paths

Status = Literal["ok", "warning", "missing"]


class Check(NamedTuple):
    """One answer. `missing`: nothing works without it; `warning`: something does not, or is not safe.

    `fix` is a command or a sentence, empty if all is well.
    """

    name: str
    status: Status
    found: str
    fix: str = ""


# What a stack file can no longer ask for without a controller. On v2 `blkio` is called `io` and devices need none.
_CONTROLLERS = {
    "cpu": "cpus, cpu_shares, cpu_quota",
    "memory": "mem_limit, mem_reservation, memswap_limit",
    "pids": "pids_limit",
    "cpuset": "cpuset",
    "blkio": "blkio_config",
    "freezer": "pause",
    "devices": "devices (and no container is kept from a device)",
}

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")

_CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24}

_GIB = 1 << 30


def all_checks(paths: Paths, environ: dict[str, str]) -> tuple[Check, ...]:
    """Every check, in the order in which things depend on one another. Takes about 150 ms; changes nothing for long."""
    from composer.host import network_checks

    checks: tuple[Callable[[], Check], ...] = (
        check_root,
        check_kernel,
        check_openat2,
        check_namespaces,
        lambda: check_overlay(paths.data),
        check_cgroups,
        check_controllers,
        check_sys_resource,
        lambda: check_runtime(environ.get("JOCKER_RUNTIME") or "runc"),
        lambda: check_runtime_holes(environ.get("JOCKER_RUNTIME") or "runc"),
        lambda: check_tool("conmon", "nothing can watch over containers"),
        lambda: check_tool("skopeo", "images cannot be pulled, loaded or saved", version_word=2),
        check_skopeo_policy,
        check_buildah,
        check_seccomp,
        check_init,
        check_nft,
        lambda: check_tool("dnsmasq", "no network can be made: services could not find each other", version_word=2),
        network_checks.check_networking,
        network_checks.check_forwarding,
        network_checks.check_resolvers,
        lambda: network_checks.check_firewall(paths),
        lambda: network_checks.check_address_pool(paths, environ),
        lambda: check_space(paths.data),
        check_bytecode,
    )
    return tuple(check() for check in checks)


def check_root() -> Check:
    """Root, and allowed to mount: a container's root often is not."""
    if os.geteuid() == 0 and _has_capability("CAP_SYS_ADMIN"):
        return Check("root", "ok", "root with CAP_SYS_ADMIN")
    if os.geteuid() == 0:
        return Check("root", "missing", "root without CAP_SYS_ADMIN", "give this container or session CAP_SYS_ADMIN")
    return Check("root", "missing", f"user {os.geteuid()}", "run jocker as root")


def _has_capability(name: str) -> bool:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", read_text("/proc/self/status") or "", re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAPABILITIES[name] & 1)


def check_kernel() -> Check:
    """The oldest kernel that has all calls we make without a fall-back."""
    release = os.uname().release
    if machine_facts.kernel_version(release) >= (5, 10):
        return Check("kernel", "ok", release)
    return Check("kernel", "missing", release, "use Linux 5.10 or later")


def check_openat2() -> Check:
    """openat2(2), really called: container runtimes of old block it."""
    try:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(kernel.open_in_root(root, b"proc"))
        finally:
            os.close(root)
    except OSError as error:
        fix = "use Linux 5.6 or later; inside a container, let its seccomp profile allow openat2"
        return Check("openat2", "missing", str(error.strerror), fix)
    return Check("openat2", "ok", "images can be opened safely")


def check_namespaces() -> Check:
    """All kinds a container is made of, and that making them is not forbidden."""
    lacking = [name for name in _NAMESPACES if not os.path.exists(f"/proc/self/ns/{name}")]
    used_up = [
        name
        for name in _NAMESPACES
        if name not in lacking and (read_text(f"/proc/sys/user/max_{name}_namespaces") or "1").strip() == "0"
    ]
    if lacking or set(used_up) - {"user"}:
        fix = f"use a kernel with them, and set /proc/sys/user/max_*_namespaces above 0 ({', '.join(used_up) or 'is'})"
        return Check("namespaces", "missing", f"no {', '.join(lacking + used_up)}", fix)
    return Check("namespaces", "ok", " ".join(_NAMESPACES))


def check_overlay(data: str) -> Check:
    """Mounts a small overlay of two layers where the containers' would be, and writes into it."""
    directory = ""
    try:
        directory = tempfile.mkdtemp(prefix=".doctor-", dir=_nearest(data))
        for name in ("one", "two", "upper", "work", "root"):
            os.mkdir(f"{directory}/{name}")
        open(f"{directory}/one/hidden", "x").close()
        root = f"{directory}/root"
        kernel.mount_overlay([f"{directory}/two", f"{directory}/one"], f"{directory}/upper", f"{directory}/work", root)
        try:
            os.unlink(f"{root}/hidden")
            open(f"{root}/new", "x").close()
        finally:
            kernel.umount(root, kernel.MNT_DETACH)
    except OSError as error:
        return Check("overlayfs", "missing", f"{error.strerror} below {data}", _overlay_fix(error, data))
    finally:
        if directory:
            remove_tree(directory)
    return Check("overlayfs", "ok", f"works below {data}")


def _nearest(directory: str) -> str:
    """`directory`, or what is there of the way to it."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def _overlay_fix(error: OSError, data: str) -> str:
    if error.errno == errno.ENODEV:
        return "modprobe overlay"
    if error.errno in {errno.EPERM, errno.EACCES}:
        return "run jocker as root with CAP_SYS_ADMIN"
    return f"put {data} (or JOCKER_DATA_DIR) on ext4, xfs, btrfs or tmpfs: an overlay cannot lie on an overlay"


def check_cgroups() -> Check:
    """A cgroup made and removed in every hierarchy, as every stack does."""
    found = cgroup.hierarchies()
    if not found:
        return Check("cgroups", "missing", "none mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    name = f"/jocker-doctor-{os.getpid()}"
    try:
        for hierarchy in found:
            os.mkdir(hierarchy.path + name)
    except OSError as error:
        fix = (
            "mount the cgroup file systems writable (docker run --privileged --cgroupns=host, or a systemd delegation)"
        )
        return Check("cgroups", "missing", f"{cgroup.mode()}, but {error.strerror}: {error.filename}", fix)
    finally:
        for hierarchy in found:
            with contextlib.suppress(OSError):
                os.rmdir(hierarchy.path + name)
    return Check("cgroups", "ok", cgroup.mode())


def check_controllers() -> Check:
    """Which limits this machine can keep, and which keys of a stack file it cannot."""
    present = _controllers()
    lacking = [name for name in _CONTROLLERS if name not in present]
    if not lacking:
        return Check("controllers", "ok", " ".join(sorted(present & set(_CONTROLLERS))))
    keys = "; ".join(f"{name} (so no {_CONTROLLERS[name]})" for name in lacking)
    fix = "enable them on the kernel's command line, or in the cgroup.subtree_control of the parent"
    return Check("controllers", "warning", f"lacking {keys}", fix)


def _controllers() -> set[str]:
    """Names as cgroup v1 has them, whichever the mode: what the v2 kernel always has is added."""
    present: set[str] = set()
    for hierarchy in cgroup.hierarchies():
        if hierarchy.unified:
            present |= set((read_text(f"{hierarchy.path}/cgroup.controllers") or "").split())
        else:
            present |= hierarchy.controllers
    if "io" in present:
        present.add("blkio")
    if cgroup.mode() == "v2":
        present |= {"devices", "freezer"}
    return present


def check_sys_resource() -> Check:
    """Whether limits may be raised."""
    if _has_capability("CAP_SYS_RESOURCE"):
        return Check("limits", "ok", "CAP_SYS_RESOURCE")
    found = "no CAP_SYS_RESOURCE: ulimits cannot be raised above our own, oom_score_adj cannot be lowered"
    return Check("limits", "warning", found, "give this container or session CAP_SYS_RESOURCE")


def check_runtime(name: str) -> Check:
    """`name` as in JOCKER_RUNTIME: a program or its path."""
    return check_tool(name, "no container can run", label="runtime", version_word=2)


def check_tool(tool: str, without: str, *, label: str = "", version_word: int = 2) -> Check:
    """A program of the machine: that it is there, and answers. `version_word` counts from 0 in `--version`'s output."""
    try:
        done = proc.run(proc.Command(argv=(proc.require(tool), "--version"), timeout=10))
    except errors.ToolMissing as error:
        return Check(label or tool, "missing", f"no {tool}: {without}", error.hint)
    except errors.CommandFailed as error:
        fix = f"reinstall it: apt-get install --reinstall {proc.PACKAGES.get(tool, tool)}"
        return Check(label or tool, "missing", error.message, fix)
    words = done.stdout.split()
    version = words[version_word] if len(words) > version_word else "of unknown version"
    return Check(label or tool, "ok", f"{os.path.basename(tool)} {version}".strip(), "")


def check_runtime_holes(name: str) -> Check:
    """Known holes that are open, by the version the runtime tells and the changelog its package came with."""
    label = "runtime holes"
    path = proc.find(name)
    if path is None or os.path.basename(path) != "runc":
        return Check(label, "ok", "none known to jocker for this runtime" if path else "no runtime")
    said = proc.run(proc.Command(argv=(path, "--version"), timeout=10, accept=None)).stdout
    version = advisories.parse_version(said)
    if version is None:
        return Check(label, "warning", "runc does not tell its version", "install a release of runc")
    changelog = _changelog("runc") if path in {"/usr/sbin/runc", "/usr/bin/runc"} else None
    open_ones = advisories.open_advisories(version, changelog)
    if not open_ones:
        return Check(label, "ok", "none known")
    source = "nor does its package's changelog name them" if changelog is not None else "and there is no changelog"
    told = "; ".join(f"{one.cve} {one.what}{f' ({one.ours})' if one.ours else ''}" for one in open_ones)
    return Check(
        label,
        "warning",
        f"older than the fixes, {source}: {told}",
        "apt-get upgrade runc, or install runc 1.3.6 or later; until then run only images you trust",
    )


def _changelog(package: str) -> str | None:
    """The changelog a Debian package was installed with, as text; None if there is none to read."""
    import gzip
    import zlib

    try:
        with gzip.open(f"/usr/share/doc/{package}/changelog.Debian.gz", "rb") as file:
            return file.read(4 << 20).decode(errors="replace")
    except (OSError, EOFError, zlib.error):
        return None


def check_skopeo_policy() -> Check:
    """skopeo pulls nothing without a policy file."""
    places = [f"{os.environ.get('HOME', '/root')}/.config/containers/policy.json", "/etc/containers/policy.json"]
    found = next((place for place in places if os.path.exists(place)), None)
    if found:
        return Check("image policy", "ok", found)
    return Check(
        "image policy",
        "warning",
        "no policy.json: skopeo refuses to pull without one",
        "apt-get install golang-github-containers-common (newer systems: containers-common)",
    )


def check_buildah() -> Check:
    """What builds images: only services with a `build` need it."""
    found = check_tool("buildah", "services with a `build` cannot be built", version_word=2)
    return found._replace(status="warning") if found.status == "missing" else found


def check_seccomp() -> Check:
    """The default profile and a kernel that knows filters."""
    fix = "apt-get install golang-github-containers-common (newer systems: containers-common)"
    try:
        profile = machine_facts.seccomp_default()
    except errors.MachineError as error:
        return Check("seccomp", "missing", error.message, error.hint)
    if profile is None:
        return Check("seccomp", "warning", "no default profile: containers may use every system call", fix)
    if "seccomp" not in (read_text("/proc/self/status") or "").lower():
        return Check(
            "seccomp", "warning", "this kernel has no seccomp filter", "use a kernel with CONFIG_SECCOMP_FILTER"
        )
    return Check("seccomp", "ok", "docker's default profile")


def check_init() -> Check:
    """A static init program for `init: true`."""
    found = machine_facts.find_init(machine_facts.INIT_PROGRAMS)
    if found:
        return Check("init", "ok", found)
    return Check("init", "warning", "no static init program: `init: true` will not work", "apt-get install tini")


def check_nft() -> Check:
    """nft, really asked for the kernel's tables."""
    try:
        done = proc.run(proc.Command(argv=(proc.require("nft"), "list", "tables"), timeout=10, accept=None))
    except errors.ToolMissing as error:
        return Check("nft", "missing", "no nft: no network can be made", error.hint)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        return Check("nft", "missing", f"no network can be made: {said[0]}", "modprobe nf_tables, as root")
    return Check("nft", "ok", "rules can be read")


def check_space(data: str) -> Check:
    """Room and inodes where images and containers lie."""
    stats = os.statvfs(_nearest(data))
    free = stats.f_bavail * stats.f_frsize
    inodes = stats.f_favail if stats.f_files else None
    found = f"{free / _GIB:.1f} GiB" + ("" if inodes is None else f", {inodes} inodes") + f" free below {data}"
    fix = "jocker image prune, or JOCKER_DATA_DIR on a larger disk"
    if free < _GIB // 10 or (inodes is not None and inodes < 1000):
        return Check("space", "missing", found, fix)
    if free < _GIB or (inodes is not None and inodes < 20_000):
        return Check("space", "warning", found, fix)
    return Check("space", "ok", found)


def check_bytecode() -> Check:
    """Without it every start compiles jocker anew: half a second instead of a tenth."""
    package = os.path.dirname(os.path.abspath(errors.__file__))
    compiled = cache_from_source(errors.__file__)
    if os.path.exists(compiled) and os.path.getmtime(compiled) >= os.path.getmtime(errors.__file__):
        return Check("bytecode", "ok", "compiled")
    why = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else "not written"
    return Check("bytecode", "warning", f"{why}: jocker starts slowly", f"{sys.executable} -m compileall -q {package}")
