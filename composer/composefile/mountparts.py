"""Mounts of images, and of parts of volumes: what a file may say of them, and nobody can mount."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import isabs

from composer.composefile.hostpaths import clean
from composer.composefile.tree import Findings, Node, Path, shown
from composer.errors import UsageError
from composer.image.reference import normalise


def _parts(service: Node) -> Iterator[tuple[int, Node, str]]:
    listed = service.at("volumes")
    for index, item in enumerate(listed.elements if listed else ()):
        kind = item.at("type")
        if kind is not None and (kind.text == "image" or (kind.text == "volume" and item.at("volume", "subpath"))):
            yield index, item, kind.text


def refuse_parts(services: Mapping[str, Node], findings: Findings) -> None:
    """Refuses images that have no name, and parts that lead out of the whole."""
    for name, service in services.items():
        for index, item, kind in _parts(service):
            path: Path = ("services", name, "volumes", index)
            source = item.at("source")
            if kind == "image":
                _refuse_image(source, item, path, findings)
            subpath = item.at(kind, "subpath")
            if subpath is None or not subpath.text:
                continue
            here = (*path, kind, "subpath")
            if kind == "volume" and (source is None or not source.text):
                findings.refuse("a new volume has no parts yet", subpath.mark, here, "name the volume")
            elif isabs(subpath.text) or clean(subpath.text).split("/")[0] == ".." or "\0" in subpath.text:
                message = f"{shown(subpath.text)!r} leads out of the {kind}"
                findings.refuse(message, subpath.mark, here, "as in some/directory")


def _refuse_image(source: Node | None, item: Node, path: Path, findings: Findings) -> None:
    if source is None or not source.text:
        findings.refuse("no image is named", item.mark, path, "write `source: IMAGE`")
        return
    try:
        normalise(source.text)
    except UsageError as error:
        findings.refuse(error.message, source.mark, (*path, "source"), error.hint)
