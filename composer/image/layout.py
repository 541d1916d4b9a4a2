"""Manifests and indexes (OCI image-spec, Docker schema 2) and the two kinds of archive, read with suspicion. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from composer.errors import ImageRefused

LARGEST_JSON = 4 * 1024 * 1024
DEEPEST_INDEX = 2

INDEX_TYPES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
MANIFEST_TYPES = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
_LAYER_TYPES = re.compile(
    r"application/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar(\+gzip|\+zstd)?"
    r"|docker\.image\.rootfs\.(diff|foreign\.diff)\.tar(\.gzip|\.zstd)?)\Z"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Descriptor(NamedTuple):
    """Points to a blob: digest `sha256:…`, size in bytes."""

    media_type: str
    digest: str
    size: int


class Manifest(NamedTuple):
    """One image: its config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Choice(NamedTuple):
    """One entry of an index."""

    descriptor: Descriptor
    architecture: str
    os: str
    annotations: Mapping[str, str]


def parse_json(raw: bytes, what: str) -> Any:
    """JSON of an image. Raises `ImageRefused`."""
    if len(raw) > LARGEST_JSON:
        raise ImageRefused(f"{what} has {len(raw)} bytes (the limit is {LARGEST_JSON})")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ImageRefused(f"{what} is not JSON") from None


def as_object(value: Any, what: str) -> dict[str, Any]:
    """`value` if it is a JSON object (None counts as an empty one). Raises `ImageRefused`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ImageRefused(f"{what} is not an object")
    return value


def as_strings(value: Any, what: str) -> tuple[str, ...]:
    """`value` if it is a list of strings (None: empty). Raises `ImageRefused`."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ImageRefused(f"{what} is not a list of strings")
    return tuple(value)


def as_text(value: Any, what: str) -> str:
    """`value` if it is a string (None: empty). Raises `ImageRefused`."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ImageRefused(f"{what} is not a string")
    return value


def is_digest(text: Any) -> bool:
    """Whether this is `sha256:` and 64 hex digits."""
    return isinstance(text, str) and _DIGEST.match(text) is not None


def parse_descriptor(value: Any, what: str) -> Descriptor:
    """Raises `ImageRefused`."""
    fields = as_object(value, what)
    digest, size = fields.get("digest"), fields.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise ImageRefused(f"{what} has no digest that could be one")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageRefused(f"{what} has no size that could be one")
    return Descriptor(as_text(fields.get("mediaType"), f"{what}'s media type"), digest, size)


def parse_manifest(raw: bytes) -> Manifest:
    """One image's manifest. Raises `ImageRefused`."""
    fields = as_object(parse_json(raw, "the manifest"), "the manifest")
    if fields.get("schemaVersion") != 2:
        raise ImageRefused("the manifest is not of schema version 2")
    if "manifests" in fields:
        raise ImageRefused("the manifest is an index, too")
    layers = fields.get("layers")
    if not isinstance(layers, list):
        raise ImageRefused("the manifest has no list of layers")
    manifest = Manifest(
        parse_descriptor(fields.get("config"), "the manifest's config"),
        tuple(parse_descriptor(layer, f"layer {number}") for number, layer in enumerate(layers, 1)),
    )
    for number, layer in enumerate(manifest.layers, 1):
        if not _LAYER_TYPES.match(layer.media_type):
            raise ImageRefused(f"layer {number} is of a kind we do not know: {layer.media_type!r}")
    return manifest


def parse_index(raw: bytes) -> tuple[Choice, ...]:
    """The entries of an index (or of an OCI layout's index.json). Raises `ImageRefused`."""
    fields = as_object(parse_json(raw, "the index"), "the index")
    if "layers" in fields or "config" in fields:
        raise ImageRefused("the index is a manifest, too")
    entries = fields.get("manifests")
    if not isinstance(entries, list):
        raise ImageRefused("the index has no list of manifests")
    return tuple(_choice(entry, number) for number, entry in enumerate(entries, 1))


def _choice(entry: Any, number: int) -> Choice:
    what = f"entry {number} of the index"
    fields = as_object(entry, what)
    platform = as_object(fields.get("platform"), f"{what}: platform")
    annotations = as_object(fields.get("annotations"), f"{what}: annotations")
    return Choice(
        parse_descriptor(fields, what),
        as_text(platform.get("architecture"), f"{what}: architecture"),
        as_text(platform.get("os"), f"{what}: os"),
        {key: as_text(value, f"{what}: annotation {key!r}") for key, value in annotations.items()},
    )


def choose(choices: Iterable[Choice], architecture: str) -> Choice:
    """The entry for this machine; one that says nothing will do if it is alone. Raises `ImageRefused`."""
    found = [choice for choice in choices if choice.os != "unknown"]  # attestations call themselves unknown
    fitting = [choice for choice in found if (choice.architecture, choice.os) == (architecture, "linux")]
    silent = [choice for choice in found if not choice.architecture]
    if fitting:
        return fitting[0]
    if len(silent) == 1 or (silent and len(found) == len(silent)):
        return silent[0]
    offered = ", ".join(sorted({f"{choice.os}/{choice.architecture}" for choice in found})) or "nothing"
    raise ImageRefused(f"the index has nothing for linux/{architecture}; it has {offered}")


class DockerImage(NamedTuple):
    """One image of a docker-archive's manifest.json: paths in the archive."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


def parse_docker_manifest(raw: bytes) -> tuple[DockerImage, ...]:
    """`manifest.json` as `docker save` writes it. Raises `ImageRefused`."""
    entries = parse_json(raw, "manifest.json")
    if not isinstance(entries, list) or not entries:
        raise ImageRefused("manifest.json is not a list of images")
    images = []
    for entry in entries:
        fields = as_object(entry, "manifest.json")
        images.append(
            DockerImage(
                as_text(fields.get("Config"), "manifest.json: Config"),
                as_strings(fields.get("Layers"), "manifest.json: Layers"),
                as_strings(fields.get("RepoTags"), "manifest.json: RepoTags"),
            )
        )
    return tuple(images)
