"""What must hold for a config.json before a runtime sees it: a list of checks, as runc's own validator has one.

They run on whatever a template produced, so nothing about its shape is taken for granted. The rules are those of
the OCI runtime-spec (as its `oci-runtime-tool validate` reads it), plus what jocker itself relies on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from composer.bundle import defaults
from composer.model.kernelwords import LIMITS, sysctl_namespace

Config = Mapping[str, Any]

_MAX_ID = 2**32 - 2
_LIMITS = frozenset(f"RLIMIT_{name.upper()}" for name in LIMITS)
_CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


class Mine(NamedTuple):
    """What jocker relies on: values a template must leave alone, and the capabilities this machine can give."""

    rootfs: str
    cgroup_path: str
    terminal: bool
    capabilities: frozenset[str]


class Fault(NamedTuple):
    """One thing that is wrong: where in config.json (`process.rlimits[1]`), and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the path as a template would write them, innermost first."""
        names = [part.partition("[")[0] for part in self.path.split(".")]
        return tuple(word for name in reversed(names) for word in (f'"{name}"', f"block {name} "))


class NotJson(ValueError):
    """The text is not JSON; `line` of it counts from 1, 0 = unknown; `word` is what to look for then."""

    def __init__(self, message: str, line: int = 0, *, word: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.word = word


def parse(text: str) -> Any:
    """JSON to values. Raises `NotJson`, also for a doubled key: the runtime would take the last one silently."""
    try:
        text.encode()
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno} of the result", error.lineno) from None
    except UnicodeEncodeError as error:
        # Up to a `=`: what comes after it may be a secret.
        before = text[text.rfind('"', 0, error.start) + 1 : error.start].partition("=")[0]
        raise NotJson(f"it has text that is not UTF-8, beginning with {before[:60]!r}") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None


def check(config: Any, mine: Mine) -> tuple[Fault, ...]:
    """All faults of a parsed config.json."""
    if not isinstance(config, dict):
        return (Fault("", "config.json must be an object"),)
    return (
        *(fault for check_one in CHECKS for fault in check_one(config)),
        *(fault for check_one in CHECKS_OF_MINE for fault in check_one(config, mine)),
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the key {doubled!r} stands twice in one object", word=f'"{doubled}"')
    return result


def _refuse_constant(name: str) -> Any:
    raise NotJson(f"{name} is not a JSON number", word=name)


# Readers that take any shape ----------------------------------------------------------------------------


def _map(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _list(parent: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = parent.get(key)
    return value if isinstance(value, list) else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _is_number(value: object, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest


# The checks ---------------------------------------------------------------------------------------------


def _shapes(config: Config) -> Iterator[Fault]:
    """Members that are there must be of their kind, or every other check would pass over them."""
    wanted: tuple[tuple[str, type, str], ...] = (
        ("ociVersion", str, "a string"),
        ("process", dict, "an object"),
        ("root", dict, "an object"),
        ("linux", dict, "an object"),
        ("mounts", list, "a list"),
    )
    for key, kind, words in wanted:
        if not isinstance(config.get(key), kind):
            yield Fault(key, f"must be {words}" if key in config else "is missing")
    inner: tuple[tuple[str, str, type, str], ...] = (
        ("process", "args", list, "a list"),
        ("process", "env", list, "a list"),
        ("process", "rlimits", list, "a list"),
        ("process", "capabilities", dict, "an object"),
        ("process", "user", dict, "an object"),
        ("linux", "namespaces", list, "a list"),
        ("linux", "sysctl", dict, "an object"),
        ("linux", "resources", dict, "an object"),
        ("linux", "devices", list, "a list"),
        ("linux", "maskedPaths", list, "a list"),
        ("linux", "readonlyPaths", list, "a list"),
    )
    for outer, key, kind, words in inner:
        value = _map(config, outer).get(key)
        if value is not None and not isinstance(value, kind):
            yield Fault(f"{outer}.{key}", f"must be {words}")


def _process(config: Config) -> Iterator[Fault]:
    process = _map(config, "process")
    args = _list(process, "args")
    if not args or args[0] == "":
        yield Fault("process.args", "there is no command")
    for index, arg in enumerate(args):
        if not _is_text(arg):
            yield Fault(f"process.args[{index}]", "must be a string without NUL")
    for index, entry in enumerate(_list(process, "env")):
        if not _is_text(entry) or entry.find("=") < 1:
            yield Fault(f"process.env[{index}]", f"must be NAME=VALUE, not {entry!r:.80}")
    if not _is_path(process.get("cwd")):
        yield Fault("process.cwd", "must be an absolute path")
    user = _map(process, "user")
    for key in ("uid", "gid"):
        if not _is_number(user.get(key), _MAX_ID):
            yield Fault(f"process.user.{key}", f"must be a number from 0 to {_MAX_ID}")
    for index, gid in enumerate(_list(user, "additionalGids")):
        if not _is_number(gid, _MAX_ID):
            yield Fault(f"process.user.additionalGids[{index}]", f"must be a number from 0 to {_MAX_ID}")


def _capabilities(config: Config, mine: Mine) -> Iterator[Fault]:
    capabilities = _map(_map(config, "process"), "capabilities")
    sets: dict[str, set[Any]] = {}
    for name in _CAPABILITY_SETS:
        path = f"process.capabilities.{name}"
        members = _list(capabilities, name)
        for member in members:
            if member not in defaults.ALL_CAPABILITIES:
                yield Fault(path, f"{member!r} is not a capability")
            elif member not in mine.capabilities:
                yield Fault(path, f"{member} cannot be given: jocker itself does not have it here")
        sets[name] = {member for member in members if isinstance(member, str)}
    for inner, outer in (
        ("effective", "permitted"),
        ("permitted", "bounding"),
        ("ambient", "permitted"),
        ("ambient", "inheritable"),
    ):
        missing = sorted(sets[inner] - sets[outer])
        if missing:
            yield Fault(f"process.capabilities.{inner}", f"has {', '.join(missing)}, which {outer} has not")


def _rlimits(config: Config) -> Iterator[Fault]:
    seen = set()
    for index, limit in enumerate(_list(_map(config, "process"), "rlimits")):
        path = f"process.rlimits[{index}]"
        kind = limit.get("type") if isinstance(limit, dict) else None
        if not isinstance(kind, str) or kind not in _LIMITS:
            yield Fault(path, f"{kind!r} is not a resource limit")
            continue
        if kind in seen:
            yield Fault(path, f"{kind} stands twice")
        seen.add(kind)
        soft, hard = limit.get("soft"), limit.get("hard")
        if not _is_number(soft, defaults.UNLIMITED) or not _is_number(hard, defaults.UNLIMITED):
            yield Fault(path, f"{kind}: soft and hard must be numbers")
        elif soft > hard:
            yield Fault(path, f"{kind}: soft limit {soft} is above hard limit {hard}")


def _mounts(config: Config) -> Iterator[Fault]:
    for index, mount in enumerate(_list(config, "mounts")):
        path = f"mounts[{index}]"
        if not isinstance(mount, dict):
            yield Fault(path, "must be an object")
            continue
        if not _is_path(mount.get("destination")):
            yield Fault(f"{path}.destination", f"must be an absolute path, not {mount.get('destination')!r}")
        options = mount.get("options", [])
        if not isinstance(options, list) or not all(map(_is_text, options)):
            yield Fault(f"{path}.options", "must be a list of strings")
        elif (mount.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(options)) and not _is_text(
            mount.get("source")
        ):
            yield Fault(f"{path}.source", "a bind mount needs one")


def _namespaces(config: Config) -> Iterator[Fault]:
    linux = _map(config, "linux")
    kinds: list[Any] = []
    for index, namespace in enumerate(_list(linux, "namespaces")):
        path = f"linux.namespaces[{index}]"
        kind = namespace.get("type") if isinstance(namespace, dict) else None
        if not isinstance(kind, str) or kind not in defaults.NAMESPACES:
            yield Fault(path, f"{kind!r} is not a namespace")
        elif kind in kinds:
            yield Fault(path, f"{kind} stands twice")
        elif "path" in namespace and not _is_path(namespace["path"]):
            yield Fault(f"{path}.path", "must be absolute")
        kinds.append(kind)
    if config.get("hostname") and "uts" not in kinds:
        yield Fault("hostname", "needs a uts namespace of its own")
    if (linux.get("uidMappings") or linux.get("gidMappings")) and "user" not in kinds:
        yield Fault("linux.uidMappings", "need a user namespace")
    if "mount" not in kinds:
        yield Fault("linux.namespaces", "a container without a mount namespace would mount on the machine")
    yield from _sysctls(_map(linux, "sysctl"), kinds)


def _sysctls(sysctls: Mapping[str, Any], kinds: Sequence[Any]) -> Iterator[Fault]:
    """runc refuses the same ones, but only once the container is half made."""
    for name, value in sysctls.items():
        path = f"linux.sysctl.{name}"
        if not isinstance(value, str):
            yield Fault(path, "must be a string")
        needs = sysctl_namespace(name)
        if needs is None:
            yield Fault(path, "is not a setting of a container: it would change the whole machine")
        elif needs not in kinds:
            article = "an" if needs == "ipc" else "a"
            yield Fault(path, f"needs {article} {needs} namespace of its own, it would change the whole machine")


def _paths(config: Config) -> Iterator[Fault]:
    linux = _map(config, "linux")
    for key in ("maskedPaths", "readonlyPaths"):
        for index, value in enumerate(_list(linux, key)):
            if not _is_path(value):
                yield Fault(f"linux.{key}[{index}]", "must be an absolute path")
    for stage, hooks in _map(config, "hooks").items():
        for index, hook in enumerate(hooks if isinstance(hooks, list) else ()):
            if not isinstance(hook, dict) or not _is_path(hook.get("path")):
                yield Fault(f"hooks.{stage}[{index}].path", "must be an absolute path")
    for index, device in enumerate(_list(linux, "devices")):
        if not isinstance(device, dict) or not _is_path(device.get("path")):
            yield Fault(f"linux.devices[{index}].path", "must be an absolute path")
    for name, value in _map(config, "annotations").items():
        if not name or not isinstance(value, str):
            yield Fault(f"annotations.{name}", "must be a string with a name")


def _what_jocker_relies_on(config: Config, mine: Mine) -> Iterator[Fault]:
    """A container elsewhere than where jocker looks could not be stopped, counted or removed."""
    owned: tuple[tuple[str, str, Any], ...] = (
        ("root", "path", mine.rootfs),
        ("linux", "cgroupsPath", mine.cgroup_path),
    )
    for outer, key, value in owned:
        if _map(config, outer).get(key) != value:
            yield Fault(f"{outer}.{key}", f"must stay {value!r}: jocker finds the container by it")
    if _map(config, "process").get("terminal", False) is not mine.terminal:
        yield Fault("process.terminal", "must be what `tty:` says")


CHECKS: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    _shapes,
    _process,
    _rlimits,
    _mounts,
    _namespaces,
    _paths,
)

CHECKS_OF_MINE: tuple[Callable[[Config, Mine], Iterator[Fault]], ...] = (
    _capabilities,
    _what_jocker_relies_on,
)
