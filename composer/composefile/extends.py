"""`extends`: a service made from another one, of this file or of another.

As docker compose does it: what is extended is read with the variables of the file that extends it, its paths start from
its own directory, and everything is taken over, also `depends_on` and `profiles`; what it refers to is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, NamedTuple

from composer.composefile.checks import did_you_mean
from composer.composefile.hostpaths import absolute, display_path
from composer.composefile.loading import READING_PASSES, Context, Loading, expanded, prepared
from composer.composefile.merge import extended_by, settled_service
from composer.composefile.remote import HINT, remote_kind
from composer.composefile.tree import Node, Path, shown

_Seen = dict[tuple[str, str], None]
"""File and name of each service on the way, in order."""
_DRAWN: Final = 30
"""Services of a circle that are named."""


class _Home(ABC):
    """Where services are found: a document, or all documents of another file. Only what is asked for is looked at."""

    def __init__(self, path: str, context: Context) -> None:
        self.path = path
        self.context = context

    @abstractmethod
    def names(self) -> list[str]: ...

    def has(self, name: str) -> bool:
        return name in self.names()

    @abstractmethod
    def service(self, name: str) -> Node | None: ...


class _Here(_Home):
    """The services of the document that is being read."""

    def __init__(self, path: str, services: Mapping[str, Node], context: Context) -> None:
        super().__init__(path, context)
        self.services = services

    def names(self) -> list[str]:
        return [name for name in self.services if self.has(name)]

    def has(self, name: str) -> bool:
        return name in self.services and self.services[name].tag != "reset"

    def service(self, name: str) -> Node | None:
        return self.services.get(name)


class _There(_Home):
    """Another file: what is wrong with services that nobody extends is nobody's concern."""

    def __init__(self, path: str, documents: tuple[Node, ...], context: Context) -> None:
        super().__init__(path, context)
        self.documents = [expanded(document, context) for document in documents]
        self.found: dict[str, Node | None] = {}
        self.known = self._names()

    def names(self) -> list[str]:
        return list(self.known)

    def has(self, name: str) -> bool:
        return name in self.known

    def _names(self) -> dict[str, None]:
        found = (document.at("services") for document in self.documents)
        entries = (entry for services in found if services for entry in services.items.items())
        return {name: None for name, service in entries if service.tag != "reset"}

    def service(self, name: str) -> Node | None:
        if name not in self.found:
            self.found[name] = self._read(name)
        return self.found[name]

    def _read(self, name: str) -> Node | None:
        whole: Node | None = None
        for document in self.documents:
            services = document.at("services")
            service = services.items.get(name) if services else None
            if services is None or service is None or service.tag == "reset":
                continue
            alone = document.with_value({"services": services.with_value({name: service})})
            done = prepared(alone, self.context, READING_PASSES).at("services", name)
            if done is not None and whole is not None:
                done = extended_by(settled_service(whole), done, name, self.context.findings)
            whole = done or whole
        return whole


class _Link(NamedTuple):
    home: _Home
    name: str
    service: Node


def extended(services: Node, file: str, context: Context, loading: Loading) -> Node:
    """The services of one document of `file`, none of which extends another any more; their tags are kept."""
    chains = _Chains(_Here(file, services.items, context), context, loading)
    return services.with_value({
        name: (chains.resolved(name) if isinstance(service.value, dict) else None) or service
        for name, service in services.items.items()
    })  # fmt: skip


class _Chains:
    """Follows each service to the one that extends nothing, and merges on the way back."""

    def __init__(self, here: _Home, context: Context, loading: Loading) -> None:
        self.here = here
        self.context = context
        self.loading = loading
        self.findings = context.findings
        self.homes: dict[str, _Home | None] = {}
        self.done: dict[tuple[int, str], Node] = {}
        """Services by home and name, without `extends`, with the tags they have where they stand."""

    def resolved(self, name: str) -> Node | None:
        """The service of the document with all it inherits; None if it is not there."""
        links: list[_Link] = []
        home: _Home | None = self.here
        seen: _Seen = {}
        while home is not None:
            service = home.service(name)
            if service is None:
                break
            links.append(_Link(home, name, service))
            if (id(home), name) in self.done:
                break
            extends = service.items.get("extends")
            if extends is None or extends.tag == "reset":
                break
            seen[home.path, name] = None
            home, name = self._next(home, name, extends, seen)
        return self._merged(links)

    def _next(
        self, home: _Home, name: str, extends: Node, seen: dict[tuple[str, str], None]
    ) -> tuple[_Home | None, str]:
        """Where a service's `extends` leads; nowhere after a complaint."""
        path: Path = ("services", name, "extends")
        complain = self.findings.complain
        wanted = extends.items.get("service") if isinstance(extends.value, dict) else extends
        if extends.value is None:
            complain("names no service", extends.key or extends.mark, path, "remove the key, or give it a value")
            return None, ""
        if wanted is None or not wanted.text:
            if not self.findings.touches(path):
                complain("`service` is missing", extends.mark, path, "write {service: NAME, file: FILE}")
            return None, ""
        file = extends.items.get("file")
        target = home
        if file is not None and file.value is not None:
            found = self._home(file, home, name, (*path, "file"))
            if found is None:
                return None, ""
            target = found
        if (target.path, wanted.text) in seen:
            steps = list(seen)
            at = steps.index((target.path, wanted.text))
            drawing = " → ".join(shown(one) for _, one in (*steps[at:], steps[at])[:_DRAWN])
            complain(f"a circle of extends: {drawing}", wanted.mark, path)
            return None, ""
        if not target.has(wanted.text):
            known = target.names()
            elsewhere = "" if target is home else f" in {shown(display_path(target.path, self.loading.cwd))}"
            hint = did_you_mean(wanted.text, known)
            if not hint and not elsewhere:
                hint = "for one of another file write {file: FILE, service: NAME}"
            complain(f"extends the undefined service {shown(wanted.text)!r}{elsewhere}", wanted.mark, path, hint)
            return None, ""
        return target, wanted.text

    def _home(self, file: Node, home: _Home, name: str, path: Path) -> _Home | None:
        kind = remote_kind(file.text)
        if kind:
            self.findings.complain(f"{shown(file.text)!r} is {kind}: not fetched", file.mark, path, HINT)
            return None
        location = absolute(file.text, home.context.base)
        if location not in self.homes:
            parsed = self.loading.open(location, file, path, f"extended by services.{shown(name)} in")
            base = home.context.base._replace(directory=location.rpartition("/")[0] or "/")
            context = self.context._replace(base=base)
            self.homes[location] = _There(location, parsed.documents, context) if parsed else None
        return self.homes[location]

    def _merged(self, links: list[_Link]) -> Node | None:
        """From the last link, which extends nothing, to the first."""
        node: Node | None = None
        for home, name, service in reversed(links):
            key = (id(home), name)
            if key not in self.done:
                own = _without_extends(service)
                if node is not None:
                    own = extended_by(settled_service(node), own, name, self.findings)
                    self.loading.count(own, service.key or service.mark, ("services", name, "extends"))
                self.done[key] = own
            node = self.done[key]
        return node


def _without_extends(service: Node) -> Node:
    if not isinstance(service.value, dict):
        return service
    return service.with_value({key: node for key, node in service.value.items() if key != "extends"})
