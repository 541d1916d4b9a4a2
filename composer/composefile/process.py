"""How the process of a service is run: its log, runtime, platform, pulls. Canonical forms, refusals, values.

Docker compose takes any word for most of these; what is not one for this machine is refused where it stands, by what
makes containers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from composer.composefile.checks import did_you_mean
from composer.composefile.security import refuse_security_options
from composer.composefile.tree import Findings, Node, Path, plain, shown
from composer.model.process import FILE_DRIVERS, LOG_DRIVERS, OTHER_LOG_DRIVERS, RUNTIMES, Log, runtime_name
from composer.model.values import parse_bytes, parse_duration

_DAY: Final = 86400.0
_PERIODS: Final[Mapping[str, float]] = {"daily": _DAY, "weekly": 7 * _DAY}
_EVERY: Final = "every_"
_FOR_READERS: Final = frozenset(
    {"tag", "labels", "labels-regex", "env", "env-regex", "compress", "mode", "max-buffer-size"}
)
"""Options of docker's file drivers that say something to other readers of the file, or how it is written."""


# the canonical form -----------------------------------------------------------------------------------
def pull_policy(node: Node, path: Path, findings: Findings) -> Node:
    """`if_not_present` is `missing`; of `every_…` it is seen to that a time follows."""
    if node.text.startswith(_EVERY) and _period(node.text) is None:
        message = f"a time must follow `every_`, not {shown(node.text.removeprefix(_EVERY))!r}"
        findings.complain(message, node.mark, path, "whole numbers and units, as in every_12h or every_1w2d")
    return node.with_value("missing") if node.value == "if_not_present" else node


def _period(text: str) -> float | None:
    """Seconds of `every_1w2d`; None if it says nothing."""
    rest = text.removeprefix(_EVERY)
    if not rest or not set(rest) <= set("0123456789wdhms") or "ms" in rest:
        return None
    try:
        return parse_duration(rest) / 1e9
    except ValueError:
        return None


def canonical_logging(node: Node) -> dict[str, Any]:
    """What `config` prints: options are strings."""
    done: dict[str, Any] = {}
    for key, value in node.items.items():
        if key == "options":
            options = {name: option.text if option.value is not None else "" for name, option in value.items.items()}
            done |= {"options": options} if options else {}
        elif key.startswith("x-") or value.text:
            done[key] = plain(value)
    return done


# what this machine cannot do --------------------------------------------------------------------------
def check_processes(services: Mapping[str, Node], findings: Findings) -> None:
    """Refuses what these services ask for and nobody here can give."""
    images: dict[str, tuple[str, str]] = {}
    for name, service in services.items():
        path: Path = ("services", name)
        _check_word(service, path, "userns_mode", ("host",), "there are no user namespaces: root is root", findings)
        _check_word(service, path, "isolation", ("default",), "a kind of Windows", findings)
        _check_runtime(service, path, findings)
        _check_platform(service, path, findings)
        _check_one_platform(name, service, images, findings)
        options = service.at("security_opt")
        if options is not None:
            refuse_security_options(options, (*path, "security_opt"), findings)
        log = service.at("logging")
        if log is not None:
            _check_log(log, (*path, "logging"), findings)


def _check_word(service: Node, path: Path, key: str, known: tuple[str, ...], why: str, findings: Findings) -> None:
    node = service.at(key)
    if node is not None and node.text and node.text not in known:
        findings.refuse(f"{shown(node.text)}: {why}", node.mark, (*path, key), f"write {known[0]}, or remove it")


def _check_runtime(service: Node, path: Path, findings: Findings) -> None:
    node = service.at("runtime")
    if node is not None and node.text and runtime_name(node.text) is None:
        message = f"unknown runtime {shown(node.text)!r}"
        hint = did_you_mean(node.text, list(RUNTIMES)) or f"{', '.join(RUNTIMES)}, or the path of one: /usr/bin/runc"
        findings.refuse(message, node.mark, (*path, "runtime"), hint)


def _check_platform(service: Node, path: Path, findings: Findings) -> None:
    node = service.at("platform")
    if node is None or not node.text:
        return
    from composer.image.reference import parse_platform

    if parse_platform(node.text) is None:
        message = f"no platform that Linux can run: {shown(node.text)!r}"
        findings.refuse(message, node.mark, (*path, "platform"), "as in linux/amd64 or linux/arm64/v8")


def _check_one_platform(name: str, service: Node, images: dict[str, tuple[str, str]], findings: Findings) -> None:
    """`images`: for which platform each image is wanted, and by which service: a name means one image here."""
    image, node = service.at("image"), service.at("platform")
    if image is None or node is None or not node.text:
        return
    other, platform = images.setdefault(image.text, (name, node.text))
    if platform != node.text:
        message = f"the service {shown(other)} wants {shown(image.text)} for {shown(platform)}"
        hint = "a name is one image here: name them by their digests, as in app@sha256:…"
        findings.refuse(message, node.mark, ("services", name, "platform"), hint)


def _check_log(log: Node, path: Path, findings: Findings) -> None:
    driver, options = log.at("driver"), log.at("options")
    name = driver.text if driver else ""
    if driver is not None and name and name not in LOG_DRIVERS:
        message = f"the log driver {shown(name)} is not supported"
        if name not in OTHER_LOG_DRIVERS:
            message = f"unknown log driver {shown(name)!r}"
        hint = did_you_mean(name, list(LOG_DRIVERS)) or f"there are {', '.join(LOG_DRIVERS)}"
        findings.refuse(message, driver.mark, (*path, "driver"), hint)
        return
    for key, option in options.items.items() if options else ():
        here = (*path, "options", key)
        mark = option.key or option.mark
        if name not in FILE_DRIVERS or (key not in {"max-size", "max-file"} and key not in _FOR_READERS):
            if key == "tag" and name == "journald":
                continue
            findings.refuse(f"{shown(name) or 'json-file'} has no option {shown(key)!r}", mark, here)
        elif key in _FOR_READERS:
            findings.warn("no effect: jocker's log has no room for it", mark, here)
        elif option.value is not None and not _is_limit(key, option.text):
            kind = "a size, as in 10m, or -1" if key == "max-size" else "a number of files, 1 or more"
            findings.refuse(f"must be {kind}, not {shown(option.text)!r}", option.mark, here)


def _is_limit(key: str, text: str) -> bool:
    if key == "max-file":
        return text.isascii() and text.isdecimal() and len(text) < 4 and int(text) > 0
    return text == "-1" or _size(text) > 0


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError:
        return 0


# the model's values -----------------------------------------------------------------------------------
def bind_log(service: Node) -> Log | None:
    """The log a service asks for, None if it says nothing of it."""
    node = service.at("logging")
    if node is None:
        return None
    driver, options = node.at("driver"), node.at("options")
    given = {key: option.text for key, option in options.items.items()} if options else {}
    log = Log.of(driver.text if driver else "")
    size, files = given.get("max-size", ""), given.get("max-file", "")
    return log._replace(
        max_size=log.max_size if not size else -1 if size == "-1" else _size(size),
        max_files=int(files) if _is_limit("max-file", files) else log.max_files,
        tag=given.get("tag", "") if log.driver == "journald" else "",
    )


def bind_refresh(service: Node) -> float | None:
    """Seconds after which an image that is here is pulled again, None for never."""
    node = service.at("pull_policy")
    text = node.text if node else ""
    return _PERIODS[text] if text in _PERIODS else _period(text) if text.startswith(_EVERY) else None
