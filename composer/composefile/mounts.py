"""`volumes:` and `tmpfs:`: short forms to long ones, and what may stand in them."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import isabs
from typing import Final

from composer.composefile.hostpaths import Base, absolute, clean
from composer.composefile.tree import Findings, Mark, Node, Path, shown

_PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_DESKTOP_HINTS = frozenset({"cached", "consistent", "delegated"})
_TMPFS_FLAGS = frozenset({
    "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "mand", "noatime", "nodev",
    "nodiratime", "noexec", "nomand", "norelatime", "nostrictatime", "nosuid", "rbind", "relatime", "ro", "rw",
    "strictatime", "suid", "sync",
})  # fmt: skip
_TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
_BELONGS: Final[Mapping[str, str]] = {"bind": "bind", "image": "image", "tmpfs": "tmpfs", "volume": "volume"}
_BARE: Final = 2
"""An anonymous volume of so few characters is all that docker compose says of it: without an empty `volume`."""


def mount(node: Node, path: Path, base: Base, findings: Findings) -> Node | None:
    """One item of `volumes:` in its long form with absolute, clean paths; None if it is refused."""
    long = _from_short(node, node.value, path, findings) if isinstance(node.value, str) else node
    return _finished(long, path, base, findings) if long is not None else None


def check_tmpfs(node: Node, path: Path, findings: Findings) -> Node | None:
    """One item of `tmpfs:`, `/path[:option,…]`, its path clean; None if it is refused."""
    target, colon, options = node.text.partition(":")
    if not _target_is_usable(target, node.mark, path, findings):
        return None
    for option in filter(None, options.split(",")):
        name, equals, _ = option.partition("=")
        if (name not in _TMPFS_VALUES) if equals else (option not in _TMPFS_FLAGS):
            findings.complain(
                f"unknown tmpfs option {shown(option)!r}", node.mark, path, "as in /run:size=64m,mode=1777,exec"
            )
            return None
    return node.with_value(clean(target) + colon + options)


def _from_short(node: Node, text: str, path: Path, findings: Findings) -> Node | None:
    parts = text.split(":")
    if not all(parts):
        what = "an empty mount" if not text else "an empty part between colons"
        findings.complain(what, node.mark, path, "write SOURCE:TARGET or SOURCE:TARGET:ro")
        return None
    if len(parts) > 3:
        findings.complain("too many colons", node.mark, path, "options stand in one list: ./data:/data:ro,rslave")
        return None
    if len(parts) == 1:
        anonymous = {"type": _new("volume", node), "target": _new(text, node)}
        return node.with_value(anonymous if len(text) <= _BARE else {**anonymous, "volume": _new({}, node)})
    source, target, *options = parts
    named = not source.startswith((".", "/", "~"))
    kind = "volume" if named else "bind"
    entries = {"type": _new(kind, node), "source": _new(source, node), "target": _new(target, node)}
    parts_of = {"": entries, "bind": {} if named else {"create_host_path": _new(True, node)}, "volume": {}}
    for option in options[0].split(",") if options else ():
        if option in _DESKTOP_HINTS:
            continue
        found = _meaning(option, named=named)
        if found is None:
            _complain_of_option(option, node.mark, path, findings, named=named)
            return None
        part, key, value = found
        parts_of[part][key] = _new(value, node)
    if entries.get("read_only") == _new(False, node):
        del entries["read_only"]
    if parts_of["bind"]:
        entries["bind"] = _new(parts_of["bind"], node)
    if named:
        entries["volume"] = _new(parts_of["volume"], node)
    return node.with_value(entries)


def _meaning(option: str, *, named: bool) -> tuple[str, str, str | bool] | None:
    """An option of the short form in the long one: where it goes ("" is the mount itself), key, value."""
    if option in {"ro", "rw"}:
        return "", "read_only", option == "ro"
    if option in {"z", "Z"}:
        return "bind", "selinux", option
    if option in _PROPAGATIONS and not named:
        return "bind", "propagation", option
    return ("volume", "nocopy", True) if option == "nocopy" and named else None


def _complain_of_option(option: str, mark: Mark, path: Path, findings: Findings, *, named: bool) -> None:
    if option in _PROPAGATIONS:
        findings.complain(f"a volume has no propagation: {option}", mark, path, "only a directory of the host has one")
    elif option == "nocopy":
        findings.complain("nothing is copied into a directory of the host", mark, path, "remove nocopy")
    else:
        known = "nocopy" if named else "the propagations private, shared, slave with or without a leading r"
        hint = f"known are ro, rw, z, Z and {known}"
        findings.complain(f"unknown mount option {shown(option)!r}", mark, path, hint)


def _finished(node: Node, path: Path, base: Base, findings: Findings) -> Node | None:
    entries = dict(node.items)
    kind, target, source = (entries.get(key) for key in ("type", "target", "source"))
    if findings.touches(path):
        return None
    if kind is None or target is None:
        findings.complain(f"`{'type' if kind is None else 'target'}` is missing", node.mark, path)
        return None
    for key, owner in _BELONGS.items():
        if key in entries and kind.text != owner and not _is_relabelling(kind, key, entries[key]):
            mark = entries[key].key or entries[key].mark
            findings.complain(f"`{key}` goes with `type: {owner}`", mark, (*path, key))
            return None
    if not _target_is_usable(target.text, target.mark, path, findings):
        return None
    entries["target"] = target.with_value(clean(target.text))
    if kind.text == "bind":
        if source is None or not source.text:
            findings.complain("`source` is missing", node.mark, path, "a bind mount needs the path of the host")
            return None
        if source.text.startswith("~") and source.text[1:2] not in {"", "/"}:
            findings.complain("the home of another user is not looked up", source.mark, path, "write the whole path")
            return None
        if "\0" in source.text:
            findings.complain("a path cannot contain a NUL", source.mark, path)
            return None
        entries["source"] = source.with_value(absolute(source.text, base))
    elif source is not None and source.text and kind.text == "tmpfs":
        findings.complain("a tmpfs has no source", source.key or source.mark, path)
        return None
    elif kind.text == "volume" and "volume" in entries:
        entries["volume"] = _with_labels(entries["volume"], (*path, "volume"), base, findings)
    return node.with_value(entries)


def _with_labels(volume: Node, path: Path, base: Base, findings: Findings) -> Node:
    labels = volume.at("labels")
    if labels is None or labels.tag == "reset":
        return volume
    from composer.composefile.canonical import labelled

    return volume.with_value({**volume.items, "labels": labelled(labels, (*path, "labels"), base, findings)})


def _is_relabelling(kind: Node, key: str, options: Node) -> bool:
    """The one thing of `bind` that a volume may have: `data:/data:z` in its long form."""
    return kind.text == "volume" and key == "bind" and options.items.keys() <= {"selinux"}


def _target_is_usable(target: str, mark: Mark, path: Path, findings: Findings) -> bool:
    if not isabs(target):
        message = f"the path in the container must be absolute: {shown(target)!r}"
    elif clean(target) == "/":
        message = "nothing can be mounted on / of the container"
    elif "\0" in target:
        message = "a path cannot contain a NUL"
    else:
        return True
    findings.complain(message, mark, path)
    return False


def _new(value: str | bool | dict[str, Node], origin: Node) -> Node:
    return Node(value, origin.mark)
