"""Several documents into one: the later one wins, lists grow, and the specification's exceptions from that.

Both sides are in canonical form, so a list is a list on both. `!reset` and `!override` act here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from composer.composefile.shapes import SHAPES
from composer.composefile.tree import Findings, Node, Path

_REPLACED: Final = frozenset({
    "services.*.command",
    "services.*.entrypoint",
    "services.*.healthcheck.test",
    "services.*.ulimits.*",
})  # fmt: skip
"""The right side stands alone; null too, which means "as the image says"."""

_PAIRS: Final = (
    "networks.*.labels",
    "services.*.annotations",
    "services.*.build.additional_contexts",
    "services.*.build.args",
    "services.*.build.labels",
    "services.*.deploy.labels",
    "services.*.environment",
    "services.*.labels",
    "services.*.sysctls",
    "volumes.*.labels",
)
"""What may be written as a list of `K=V`: there null on the right is a value, as `K` alone is."""

_NULL_WINS: Final = _REPLACED | {f"{pattern}.*" for pattern in _PAIRS}

_SUBNETS: Final = "networks.*.ipam.config"
_LOGGING: Final = "services.*.logging"


def _before_equals(node: Node) -> str:
    return node.text.partition("=")[0]


def _text_at(node: Node, key: str) -> str:
    child = node.items.get(key)
    return child.text if child else ""


def _path_of(node: Node) -> str:
    return _text_at(node, "path")


def _target_of(node: Node) -> str:
    return _text_at(node, "target")


def _whole(node: Node) -> str:
    return node.text


def _port_key(node: Node) -> str:
    from composer.composefile.ports import port_key

    return port_key(node)


def _secret_target(node: Node) -> str:
    from composer.composefile.fileobjects import secret_target

    return secret_target(node)


def _config_target(node: Node) -> str:
    from composer.composefile.fileobjects import config_target

    return config_target(node)


_UNIQUE_BY: Final[Mapping[str, Callable[[Node], str]]] = {
    "services.*.build.extra_hosts": _whole,
    "services.*.build.tags": _before_equals,
    "services.*.cap_add": _before_equals,
    "services.*.cap_drop": _before_equals,
    "services.*.configs": _config_target,
    "services.*.devices": _target_of,
    "services.*.dns": _before_equals,
    "services.*.dns_opt": _before_equals,
    "services.*.dns_search": _before_equals,
    "services.*.env_file": _path_of,
    "services.*.expose": _whole,
    "services.*.extra_hosts": _whole,
    "services.*.links": _before_equals,
    "services.*.networks.*.aliases": _before_equals,
    "services.*.networks.*.link_local_ips": _before_equals,
    "services.*.ports": _port_key,
    "services.*.profiles": _before_equals,
    "services.*.secrets": _secret_target,
    "services.*.tmpfs": _before_equals,
    "services.*.volumes": _target_of,
    "x-jocker.address_pool": _whole,
}
"""Lists in which the later of two equal items takes the earlier one's position."""


def _places() -> frozenset[str]:
    """Every pattern that a rule has, and those above it."""
    found: set[str] = set()
    for pattern in (*_REPLACED, *_NULL_WINS, *_UNIQUE_BY, _SUBNETS, _LOGGING):
        parts = pattern.split(".")
        found.update(".".join(parts[: length + 1]) for length in range(len(parts)))
    return frozenset(found)


_PLACES: Final = _places()


def merged_onto(whole: Node | None, document: Node, findings: Findings) -> Node:
    """A document over all before it, without tags; a value that cannot be merged is complained about."""
    return _settled(document, "") if whole is None else _merge(whole, document, (), "", findings)


def extended_by(base: Node, service: Node, name: str, findings: Findings) -> Node:
    """The service `name` over the one it extends. Its tags act, and are kept for what comes before in other files."""
    return _merge(base, service, ("services", name), "services.*", findings, keep_tags=True)


def settled_service(service: Node) -> Node:
    """A service as the one that others extend: without tags, and without what it resets."""
    return _settled(service, "services.*")


def _merge(left: Node, right: Node, path: Path, pattern: str, findings: Findings, *, keep_tags: bool = False) -> Node:
    if right.tag == "override" or pattern in _REPLACED:
        return right if keep_tags else _settled(right, pattern)
    if right.value is None:
        return right if pattern in _NULL_WINS else left
    if left.value is None:
        return right if keep_tags else _settled(right, pattern)
    if isinstance(left.value, dict) and isinstance(right.value, dict):
        if pattern == _LOGGING and _are_different_drivers(left, right):
            return right if keep_tags else _settled(right, pattern)
        entries = _merged_entries(left.value, right.value, path, pattern, findings, keep_tags)
        return Node(entries, right.mark, right.key, right.tag) if keep_tags else left.with_value(entries)
    if isinstance(left.value, list) and isinstance(right.value, list):
        if pattern == _SUBNETS:
            return Node(_by_subnet(left.value, right.value, path, findings), right.mark, right.key)
        return Node(_unique([*left.value, *right.value], pattern), right.mark, right.key)
    if isinstance(left.value, (dict, list)):
        hint = f"it is {_form(left)} in {left.mark.source.name}:{left.mark.line}; `!override` replaces it"
        findings.complain(f"{_form(right)} cannot override {_form(left)}", right.mark, path, hint)
        return left
    return _settled(right, pattern)


def _merged_entries(
    left: dict[str, Node], right: dict[str, Node], path: Path, pattern: str, findings: Findings, keep_tags: bool
) -> dict[str, Node]:
    entries = dict(left)
    for key, child in right.items():
        below = _below(pattern, key)
        if child.tag == "reset":
            entries.pop(key, None)
            if keep_tags:
                entries[key] = child
        elif key in entries:
            entries[key] = _merge(entries[key], child, (*path, key), below, findings, keep_tags=keep_tags)
        else:
            entries[key] = child if keep_tags else _settled(child, below)
    return entries


def _are_different_drivers(left: Node, right: Node) -> bool:
    """Options of one log driver mean nothing to another; "" is one, too, and no word is none."""
    ours, theirs = left.at("driver"), right.at("driver")
    return ours is not None and theirs is not None and theirs.value is not None and ours.text != theirs.text


def _by_subnet(left: list[Node], right: list[Node], path: Path, findings: Findings) -> list[Node]:
    """Entries of both with one subnet become one; the others stand one after the other."""
    done = list(left)
    for item in right:
        subnet = item.at("subnet")
        at = next((at for at, other in enumerate(done) if subnet and _text_at(other, "subnet") == subnet.text), None)
        if at is None:
            done.append(_settled(item, f"{_SUBNETS}[]"))
        else:
            done[at] = _merge(done[at], item, (*path, at), f"{_SUBNETS}[]", findings)
    return done


def _settled(node: Node, pattern: str) -> Node:
    """The node as the first of its place: nothing to reset, no tags, lists without repetitions."""
    if isinstance(node.value, dict):
        entries = {
            key: _settled(child, _below(pattern, key)) for key, child in node.value.items() if child.tag != "reset"
        }
        return Node(entries, node.mark, node.key)
    if isinstance(node.value, list):
        items = [_settled(item, f"{pattern}[]") for item in node.value if item.tag != "reset"]
        return Node(_unique(items, pattern), node.mark, node.key)
    return Node(node.value, node.mark, node.key)


def _unique(items: list[Node], pattern: str) -> list[Node]:
    key_of = _UNIQUE_BY.get(pattern)
    if key_of is None:
        return items
    found: dict[str, Node] = {}
    by_text = key_of in {_before_equals, _whole}
    for item in items:
        # a short form instead of a mapping is left only where its variables are, too
        found[key_of(item) if by_text or item.items else item.text] = item
    return list(found.values())


def _below(pattern: str, key: str) -> str:
    below = f"{pattern}.{key}" if pattern else key
    return below if below in SHAPES or below in _PLACES else f"{pattern}.*"


def _form(node: Node) -> str:
    return (
        "a mapping" if isinstance(node.value, dict) else "a list" if isinstance(node.value, list) else "a single value"
    )
