"""Short forms to long ones, one rule per attribute: after this pass each attribute has one form only.

Runs on each document before merging, on values that passed `checks`. Rules that few stacks need import their
vocabulary when they are used: start-up time is a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from composer.composefile.hostpaths import Base, absolute
from composer.composefile.tree import Findings, Node, Path, shown

Rule = Callable[[Node, Path, Base, Findings], Node | None]


def canonical(document: Node, base: Base, findings: Findings) -> Node:
    """The document in long form; `base` is what relative paths start from. What is malformed is complained about."""
    entries = dict(document.items)
    services, networks, volumes = (entries.get(key) for key in ("services", "networks", "volumes"))
    if services is not None and services.items:
        entries["services"] = services.with_value({
            name: _service(service, ("services", name), base, findings) for name, service in services.items.items()
        })  # fmt: skip
    if networks is not None and networks.items:
        entries["networks"] = networks.with_value({
            key: _network(network, ("networks", key), base, findings) for key, network in networks.items.items()
        })  # fmt: skip
    if volumes is not None and volumes.items:
        entries["volumes"] = volumes.with_value({
            key: _volume(volume, ("volumes", key), base, findings) for key, volume in volumes.items.items()
        })  # fmt: skip
    for section in ("secrets", "configs"):
        objects = entries.get(section)
        if objects is not None and objects.items:
            entries[section] = objects.with_value({
                key: _file_object(node, (section, key), base, findings) for key, node in objects.items.items()
            })  # fmt: skip
    pool = document.at("x-jocker", "address_pool")
    if pool is not None and pool.tag != "reset" and pool.value is not None:
        from composer.composefile.networks import address_pool

        ours = entries["x-jocker"]
        done = address_pool(pool, ("x-jocker", "address_pool"), findings)
        entries["x-jocker"] = ours.with_value({**ours.items, "address_pool": done})
    return document.with_value(entries)


def _network(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    if not isinstance(node.value, dict) or node.tag == "reset":
        return node
    from composer.composefile.networks import network

    return _with_labels(network(node, path, findings), path, base, findings)


def _volume(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    if not isinstance(node.value, dict) or node.tag == "reset":
        return node
    from composer.composefile.volumes import volume

    return _with_labels(volume(node, path, base, findings), path, base, findings)


def _file_object(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    if not isinstance(node.value, dict) or node.tag == "reset":
        return node
    from composer.composefile.fileobjects import file_object

    return _with_labels(file_object(node, path, base, findings), path, base, findings)


def _with_labels(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    labels = node.items.get("labels")
    if labels is None or labels.value is None or labels.tag == "reset":
        return node
    return node.with_value({**node.items, "labels": labelled(labels, (*path, "labels"), base, findings)})


def _service(service: Node, path: Path, base: Base, findings: Findings) -> Node:
    if not isinstance(service.value, dict):
        return service
    entries: dict[str, Node] = {}
    for key, node in service.value.items():
        rule = _RULES.get(key)
        done: Node | None = node
        if rule is not None and node.tag != "reset" and node.value is not None:
            done = rule(node, (*path, key), base, findings)
        if done is not None:
            entries[key] = done
    return service.with_value(entries)


def words(node: Node, path: Path, _base: Base, findings: Findings) -> Node | None:
    """A command line as a list of words; None after a complaint."""
    if not isinstance(node.value, str):
        return node
    from composer.composefile.shellwords import split_words

    try:
        words, rest = split_words(node.value)
    except ValueError as error:
        hint = 'quote it, write a list, or ask for a shell: ["sh", "-c", "…"]'
        findings.complain(f"cannot be split into words: {error}", node.mark, path, hint)
        return None
    if rest:
        findings.warn(f"no shell reads this line: {shown(rest[:40])!r} is left out", node.mark, path)
    return node.with_value([Node(word, node.mark) for word in words])


def _listed(node: Node, _path: Path, _base: Base, _findings: Findings) -> Node:
    return node if isinstance(node.value, list) else node.with_value([Node(node.value, node.mark)])


def paired(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    """`K=V` items and mappings alike to a mapping of strings, or null for a key without a value."""
    pairs: dict[str, Node] = {}
    for index, item in enumerate(node.elements):
        key, equals, value = item.text.partition("=")
        pairs.pop(key, None)  # the last one wins, in its place
        pairs[key] = Node(value if equals else None, item.mark, item.mark)
        _check_key(key, item, (*path, index), findings)
    for key, item in node.items.items():
        pairs[key] = item if item.value is None or item.tag == "reset" else item.with_value(item.text)
        _check_key(key, item, (*path, key), findings)
    return node.with_value(pairs)


def _check_key(key: str, item: Node, path: Path, findings: Findings) -> None:
    mark = item.key or item.mark
    if not key:
        findings.complain("no name before `=`", mark, path)
    elif key != key.rstrip() and "environment" in path:
        findings.complain(f"white space at the end of the variable's name: {shown(key)!r}", mark, path)
    elif "\0" in key or "\0" in item.text:
        findings.complain("a NUL cannot stand in a name or value", mark, path)


def labelled(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """As `paired`, but a key without a value has the empty one."""
    pairs = paired(node, path, base, findings)
    return pairs.with_value({
        key: item.with_value("") if item.value is None and item.tag != "reset" else item
        for key, item in pairs.items.items()
    })  # fmt: skip


def _env_files(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    files: list[Node] = []
    for index, item in enumerate(_listed(node, path, base, findings).elements):
        entries = dict(item.items) if isinstance(item.value, dict) else {"path": item}
        file = entries.get("path")
        if file is None:
            if not findings.touches((*path, index)):
                findings.complain("`path` is missing", item.mark, (*path, index))
            continue
        entries["path"] = file.with_value(absolute(file.text, base))
        entries.setdefault("required", Node(True, item.mark))
        files.append(Node(entries, item.mark))
    return node.with_value(files)


def _files(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """A list of absolute paths."""
    return node.with_value([
        item.with_value(absolute(item.text, base)) for item in _listed(node, path, base, findings).elements
    ])  # fmt: skip


def _dependencies(node: Node, _path: Path, _base: Base, _findings: Findings) -> Node:
    if not isinstance(node.value, list):
        return node
    plain: dict[str, str | bool] = {"condition": "service_started", "required": True}
    return node.with_value({
        item.text: Node({key: Node(value, item.mark) for key, value in plain.items()}, item.mark, item.mark)
        for item in node.value
    })  # fmt: skip


def _mounts(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    from composer.composefile.mounts import mount

    done = (mount(item, (*path, index), base, findings) for index, item in enumerate(node.elements))
    return node.with_value([item for item in done if item is not None])


def _tmpfs(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    from composer.composefile.mounts import check_tmpfs

    listed = _listed(node, path, base, findings)
    done = (check_tmpfs(item, (*path, index), findings) for index, item in enumerate(listed.elements))
    return node.with_value([item for item in done if item is not None])


def _extra_hosts(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    """A list of `host=address`, an address as written but without brackets."""
    lines: list[Node] = []

    def add(host: str, addresses: str, item: Node, path: Path) -> None:
        host = host.strip()
        if not host or not addresses.strip() or any(char.isspace() or char == "#" for char in host):
            findings.complain("must be HOST=ADDRESS", item.mark, path, 'as in "db.example=10.0.0.5"')
            return
        for address in addresses.split(","):
            bare = address.strip()
            bare = bare[1:-1] if bare.startswith("[") and bare.endswith("]") else bare
            if not _is_address(bare):
                findings.complain(f"not an IP address: {shown(address)!r}", item.mark, path)
            else:
                lines.append(Node(f"{host}={bare}", item.mark))

    for index, item in enumerate(node.elements):
        host, separator, address = item.text.partition("=" if "=" in item.text else ":")
        add(host, address if separator else "", item, (*path, index))
    for host, entry in node.items.items():
        for line in entry.elements or [entry]:
            add(host, line.text, line, (*path, host))
    return node.with_value(lines)


def _is_address(text: str) -> bool:
    if text == "host-gateway":
        return True
    from ipaddress import ip_address  # 3 ms: only with extra_hosts

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _ulimits(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    for name, limit in node.items.items():
        if not isinstance(limit.value, dict) or limit.tag == "reset" or findings.touches((*path, name)):
            continue
        missing = [key for key in ("soft", "hard") if key not in limit.value]
        if missing:
            findings.complain(f"`{missing[0]}` is missing", limit.mark, (*path, name), "write {soft: …, hard: …}")
    return node


def _pull_policy(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    if node.value in {"always", "never", "missing", "build"}:
        return node
    from composer.composefile.process import pull_policy

    return pull_policy(node, path, findings)


def _each(node: Node, path: Path, check: Callable[[Node, Path, Findings], bool], findings: Findings) -> Node:
    return node.with_value([item for index, item in enumerate(node.elements) if check(item, (*path, index), findings)])


def _capabilities(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.security import capability

    return _each(node, path, capability, findings)


def _signal(node: Node, path: Path, _base: Base, findings: Findings) -> Node | None:
    from composer.composefile.security import stop_signal

    return node if stop_signal(node, path, findings) else None


def _attachments(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.networks import attachments

    return attachments(node, path, findings)


def _ports(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.ports import ports

    return ports(node, path, findings)


def _exposed(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.ports import exposed

    return exposed(node, path, findings)


def _servers(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.networks import servers

    return servers(node, path, findings)


def _search_domains(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.networks import search_domains

    return search_domains(node, path, findings)


def _resolver_options(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.networks import resolver_options

    return resolver_options(node, path, findings)


def _domainname(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.networks import domainname

    domainname(node, path, findings)
    return node


def _build(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    from composer.composefile.building import build

    return build(node, path, base, findings, _RULES)


def _mac_address(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.networks import check_mac

    check_mac(node, path, findings)
    return node


def _ours(node: Node, _path: Path, base: Base, _findings: Findings) -> Node:
    """`x-jocker` of a service: its template is beside the file that names it, like any other path."""
    template = node.items.get("template")
    if template is None or not template.text or template.tag == "reset":
        return node
    return node.with_value({**node.items, "template": template.with_value(absolute(template.text, base))})


def _deploy(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    if "resources" in node.items:
        from composer.composefile.resources import deploy

        node = deploy(node, path, base, findings)
    return _with_labels(node, path, base, findings)


def _devices(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    from composer.composefile.resources import devices

    return devices(node, path, base, findings)


def _gpus(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    from composer.composefile.resources import gpus

    return gpus(node, path, base, findings)


def _life(name: str) -> Rule:
    """The rule of that name in `life`, which few stacks need."""

    def rule(node: Node, path: Path, base: Base, findings: Findings) -> Node | None:
        from composer.composefile import life

        found: Rule = getattr(life, name)
        return found(node, path, base, findings)

    return rule


def _file_references(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    from composer.composefile.fileobjects import references

    return references(node, path, findings)


_RULES: Final[Mapping[str, Rule]] = {
    "annotations": labelled,
    "build": _build,
    "cap_add": _capabilities,
    "cap_drop": _capabilities,
    "command": words,
    "configs": _file_references,
    "depends_on": _dependencies,
    "deploy": _deploy,
    "develop": _life("develop"),
    "devices": _devices,
    "dns": _servers,
    "dns_opt": _resolver_options,
    "dns_search": _search_domains,
    "domainname": _domainname,
    "entrypoint": words,
    "env_file": _env_files,
    "environment": paired,
    "expose": _exposed,
    "extra_hosts": _extra_hosts,
    "gpus": _gpus,
    "healthcheck": _life("healthcheck"),
    "label_file": _files,
    "labels": labelled,
    "mac_address": _mac_address,
    "models": _life("models"),
    "networks": _attachments,
    "ports": _ports,
    "post_start": _life("hooks"),
    "pre_start": _life("hooks"),
    "pre_stop": _life("hooks"),
    "pull_policy": _pull_policy,
    "restart": _life("restart"),
    "secrets": _file_references,
    "stop_signal": _signal,
    "sysctls": labelled,
    "tmpfs": _tmpfs,
    "ulimits": _ulimits,
    "volumes": _mounts,
    "x-jocker": _ours,
}
