"""Capabilities, security options and signals: closed vocabularies, checked where the user can still see the place."""

from __future__ import annotations

from composer.composefile.checks import did_you_mean
from composer.composefile.tree import Findings, Node, Path, shown

_CAPABILITIES = frozenset({
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT",
    "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "WAKE_ALARM",
})  # fmt: skip
_SIGNALS = frozenset({
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
})  # fmt: skip
_OPTIONS = ("no-new-privileges", "seccomp", "apparmor", "label", "systempaths")
_BOOLS = frozenset({"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
"""Nothing, or what Go takes for a boolean."""
_LABELS = ("disable", "user", "role", "type", "level")
LAST_SIGNAL = 64


def capability_name(text: str) -> str:
    """`net_admin`, `CAP_NET_ADMIN` → `CAP_NET_ADMIN`; `all` → `ALL`."""
    bare = text.upper().removeprefix("CAP_")
    return bare if bare == "ALL" else f"CAP_{bare}"


def capability(node: Node, path: Path, findings: Findings) -> bool:
    """Is this a capability of Linux, or ALL? Complains if not."""
    bare = node.text.upper().removeprefix("CAP_")
    if bare in _CAPABILITIES or bare == "ALL":
        return True
    hint = (
        did_you_mean(bare, [name.lower() for name in sorted(_CAPABILITIES)])
        .upper()
        .replace("DID YOU MEAN", "did you mean")
    )
    findings.complain(f"unknown capability {shown(node.text)!r}", node.mark, path, hint)
    return False


def stop_signal(node: Node, path: Path, findings: Findings) -> bool:
    """Is this a signal by name (with or without SIG, any case) or number? Complains if not."""
    text = node.text
    bare = text.upper().removeprefix("SIG")
    name, sign, offset = bare.partition("-") if bare.startswith("RTMAX-") else bare.partition("+")
    if text.isascii() and text.isdecimal():
        known = 1 <= int(text) <= LAST_SIGNAL
    elif sign:
        known = name in {"RTMIN", "RTMAX"} and offset.isdecimal() and int(offset) <= 30
    else:
        known = bare in _SIGNALS or not text
    if not known:
        findings.complain(f"unknown signal {shown(text)!r}", node.mark, path, "as in SIGTERM, SIGINT or SIGUSR1")
    return known


def split_security_option(text: str) -> tuple[str, str]:
    """`seccomp=profile.json`, `label:disable`, `no-new-privileges` to name and value."""
    cut = min((at for at in (text.find("="), text.find(":")) if at >= 0), default=len(text))
    return text[:cut], text[cut + 1 :]


def refuse_security_options(node: Node, path: Path, findings: Findings) -> None:
    """Refuses what is no security option; docker compose leaves it to the engine to say so."""
    for index, item in enumerate(node.elements):
        message, hint = _wrong_with(*split_security_option(item.text))
        if message:
            findings.refuse(message, item.mark, (*path, index), hint)


def _wrong_with(name: str, value: str) -> tuple[str, str]:
    """Message and hint, both "" if it is one we act on."""
    if name not in _OPTIONS:
        near = did_you_mean(name, list(_OPTIONS)).replace("_", "-") if name else ""
        return f"unknown security option {shown(name)!r}", near or "known are " + ", ".join(_OPTIONS)
    if name == "no-new-privileges" and value not in _BOOLS:
        return f"must be true or false, not {shown(value)!r}", ""
    if name == "label":
        part, _, text = value.partition(":")
        if part not in _LABELS or (part == "disable") == bool(text):
            return f"no label of SELinux: {shown(value)!r}", "as in label=disable or label=type:container_t"
    if name == "systempaths" and value != "unconfined":
        return f"must be systempaths=unconfined, not {shown(value)!r}", ""
    if name in {"seccomp", "apparmor"} and not value:
        return f"`{name}=` needs a value", ""
    return "", ""
