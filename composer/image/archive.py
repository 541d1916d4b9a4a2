"""Image archives: docker-archive (old and new) and oci-archive, read by offset, never extracted to paths; written."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from composer.errors import ImageRefused, JockerError, UsageError
from composer.image import tar
from composer.image.config import ImageConfig, parse_config
from composer.image.decompress import LayerStream
from composer.image.layout import (
    DEEPEST_INDEX,
    INDEX_TYPES,
    LARGEST_JSON,
    MANIFEST_TYPES,
    Choice,
    DockerImage,
    choose,
    parse_docker_manifest,
    parse_index,
    parse_json,
    parse_manifest,
)
from composer.image.reference import normalise
from composer.image.store import LayerSource, Store

_MAGICS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_MOST_MEMBERS = 100_000
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Loaded(NamedTuple):
    """One image that was loaded and the names it got."""

    config: ImageConfig
    names: tuple[str, ...]


class _Member(NamedTuple):
    offset: int
    size: int


def load(
    store: Store,
    archive: str | BinaryIO,
    *,
    architecture: str = "",
    on_progress: Callable[[str], None] = lambda _: None,
) -> tuple[Loaded, ...]:
    """Loads all images of an archive (plain, gzip or zstd), a file or a stream. Raises `ImageRefused`, `ImageError`."""
    with store.adding() as temporary:
        path = archive if isinstance(archive, str) else spooled(archive, f"{temporary}/archive")
        plain = _plain(path, temporary)
        members = _members(plain)
        opened = _Archive(plain, members)
        # Newer archives are of both kinds; only the index knows the manifest, and so the digest, that the image had.
        found = list(_oci(opened, architecture) if "index.json" in members else _docker(opened))
        if not found:
            raise ImageRefused("there is no image in the archive")
        loaded = []
        for names, manifest, config, layers in found:
            image = store.add(names, manifest, config, layers, temporary=temporary, on_progress=on_progress)
            loaded.append(Loaded(image, tuple(names)))
    return tuple(loaded)


def spooled(stream: BinaryIO, path: str) -> str:
    """An archive is read more than once, and not from its beginning to its end: a stream goes to a file first."""
    with open(path, "xb", buffering=0) as out:
        while piece := stream.read(1 << 20):
            out.write(piece)
    return path


def _plain(path: str, temporary: str) -> str:
    """The path of the uncompressed archive; a compressed one is unpacked beside the store first."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise JockerError(f"{path} is not a file", hint=f"pipe it in: jocker image load < {path}")
        file = open(path, "rb", buffering=0)  # noqa: SIM115  closed below
    except OSError as error:
        raise JockerError(f"{path}: {error.strerror}") from error
    with file:
        if not file.read(4).startswith(_MAGICS):
            return path
        file.seek(0)
        stream = LayerStream(file, 1 << 44)
        with open(f"{temporary}/archive.tar", "xb", buffering=0) as out:
            while piece := stream.some(1 << 20):
                out.write(piece)
    return f"{temporary}/archive.tar"


class _Seeking:
    """A tar source that knows where it is."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.at = 0

    def read(self, size: int) -> bytes:
        piece = os.pread(self._fd, size, self.at)
        self.at += len(piece)
        return piece


def _members(path: str) -> dict[str, _Member]:
    """Name to place, links between members (old docker archives) resolved."""
    found: dict[str, _Member] = {}
    links: dict[str, str] = {}
    with open(path, "rb", buffering=0) as file:
        end = os.fstat(file.fileno()).st_size
        source = _Seeking(file.fileno())
        for entry in tar.entries(source):
            name = posixpath.normpath(entry.name.decode(errors="surrogateescape").lstrip("/"))
            if len(found) + len(links) > _MOST_MEMBERS:
                raise ImageRefused(f"the archive has more than {_MOST_MEMBERS} members")
            if entry.kind == tar.REGULAR and entry.sparse is None:
                found[name] = _Member(source.at, entry.size)
                if source.at + entry.size > end:
                    raise ImageRefused("the archive breaks off")
            elif entry.kind in {tar.SYMLINK, tar.HARD_LINK}:
                target = entry.link.decode(errors="surrogateescape")
                base = posixpath.dirname(name) if entry.kind == tar.SYMLINK else ""
                links[name] = posixpath.normpath(posixpath.join(base, target))
            source.at += entry.size + tar.padding(entry.size)
    for name, target in links.items():
        for _ in range(8):
            target = links.get(target, target)
        if target in found:
            found.setdefault(name, found[target])
    return found


class _Archive(NamedTuple):
    path: str
    members: Mapping[str, _Member]

    def small(self, name: str) -> bytes:
        member = self._member(name)
        if member.size > LARGEST_JSON:
            raise ImageRefused(f"{name!r} in the archive has {member.size} bytes (the limit is {LARGEST_JSON})")
        with open(self.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), member.size, member.offset)

    def blob(self, digest: str) -> bytes:
        raw = self.small(_blob_name(digest))
        if f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
            raise ImageRefused(f"{digest} in the archive is something else")
        return raw

    def layer(self, name: str) -> LayerSource:
        member = self._member(name)
        return LayerSource(self.path, member.offset, member.size)

    def _member(self, name: str) -> _Member:
        member = self.members.get(posixpath.normpath(name))
        if member is None:
            raise ImageRefused(f"the archive names {name!r} and does not have it")
        return member


_Found = tuple[Sequence[str], bytes, bytes, Sequence[LayerSource]]


def _docker(archive: _Archive) -> Iterator[_Found]:
    """docker-archive: no OCI manifest in it, so one is made that says the same."""
    if "manifest.json" not in archive.members:
        raise ImageRefused("the archive has neither manifest.json nor index.json: it is no image")
    for image in parse_docker_manifest(archive.small("manifest.json")):
        config = archive.small(image.config)
        layers = [archive.layer(name) for name in image.layers]
        diff_ids = parse_config(config, reference="", manifest_digest="").diff_ids
        if len(diff_ids) != len(layers):
            raise ImageRefused(f"manifest.json has {len(layers)} layers, the config names {len(diff_ids)}")
        descriptors = [
            {"mediaType": _DOCKER_LAYER, "digest": _digest(source, diff_id), "size": source.size}
            for source, diff_id in zip(layers, diff_ids, strict=True)
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
                "size": len(config),
            },
            "layers": descriptors,
        }
        yield _tags(image), json.dumps(manifest, separators=(",", ":")).encode(), config, layers


def _tags(image: DockerImage) -> list[str]:
    try:
        return [normalise(name) for name in image.tags]
    except UsageError as error:
        raise ImageRefused(f"a name in manifest.json: {error.message}") from None


def _digest(source: LayerSource, diff_id: str) -> str:
    """The digest of a layer's bytes; one that is not compressed is read later anyway, and must then be its diff id."""
    digest = hashlib.sha256()
    with open(source.path, "rb", buffering=0) as file:
        at, end = source.offset, source.offset + (source.size or 0)
        if not os.pread(file.fileno(), min(4, end - at), at).startswith(_MAGICS):
            return diff_id
        while piece := os.pread(file.fileno(), min(1 << 20, end - at), at):
            digest.update(piece)
            at += len(piece)
    return f"sha256:{digest.hexdigest()}"


def _oci(archive: _Archive, architecture: str) -> Iterator[_Found]:
    layout = parse_json(archive.small("oci-layout"), "oci-layout") if "oci-layout" in archive.members else {}
    if not isinstance(layout, dict) or str(layout.get("imageLayoutVersion", "1.0.0")) != "1.0.0":
        raise ImageRefused("the archive is an OCI layout of an unknown version")
    tags: dict[str, list[str]] = {}
    if "manifest.json" in archive.members:
        for image in parse_docker_manifest(archive.small("manifest.json")):
            tags.setdefault(posixpath.basename(image.config), []).extend(_tags(image))
    names: dict[bytes, list[str]] = {}
    for choice in parse_index(archive.small("index.json")):
        if choice.os == "unknown":
            continue  # an attestation
        raw = _resolved(archive, choice, architecture, DEEPEST_INDEX)
        names.setdefault(raw, []).extend(_names(choice))
    said = {name for found in names.values() for name in found}
    for raw, found in names.items():
        manifest = parse_manifest(raw)
        layers = [archive.layer(_blob_name(layer.digest)) for layer in manifest.layers]
        for source, layer in zip(layers, manifest.layers, strict=True):
            if source.size != layer.size:
                raise ImageRefused(f"{layer.digest} has {source.size} bytes, the manifest says {layer.size}")
        # Several manifests may have one config: a name in manifest.json is for one of them, and no second time.
        left = tags.pop(manifest.config.digest.removeprefix("sha256:"), [])
        found += [name for name in left if name not in said]
        yield list(dict.fromkeys(found)), raw, archive.blob(manifest.config.digest), layers


def _resolved(archive: _Archive, choice: Choice, architecture: str, depth: int) -> bytes:
    raw = archive.blob(choice.descriptor.digest)
    if len(raw) != choice.descriptor.size:
        raise ImageRefused(f"{choice.descriptor.digest} has {len(raw)} bytes, the index says {choice.descriptor.size}")
    if choice.descriptor.media_type in MANIFEST_TYPES:
        return raw
    if choice.descriptor.media_type not in INDEX_TYPES:
        raise ImageRefused(f"the index names something we do not know: {choice.descriptor.media_type!r}")
    if depth == 0:
        raise ImageRefused(f"indexes lie more than {DEEPEST_INDEX} deep in one another")
    return _resolved(archive, choose(parse_index(raw), architecture), architecture, depth - 1)


def _names(choice: Choice) -> list[str]:
    """A full name in the annotations; a bare tag (`latest`) says nothing about whose it is."""
    for key in _NAME_ANNOTATIONS:
        name = choice.annotations.get(key, "")
        if "/" in name or ":" in name:
            with suppress(UsageError):  # the annotation may be anything; not all are names of images
                return [normalise(name)]
    return []


def save(store: Store, names: Sequence[str], out: BinaryIO) -> None:
    """Writes images as an archive that is both a docker-archive and an OCI layout. Raises `ImageNotFound`."""
    import io
    import tarfile

    docker, index, written = [], [], set()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:

        def put(name: str, raw: bytes) -> None:
            if name not in written:
                written.add(name)
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(raw), 0o644
                archive.addfile(info, io.BytesIO(raw))

        for name in names:
            config = store.get(name)
            manifest = store.manifest(config.manifest_digest)
            for digest in (config.image_id, config.manifest_digest):
                put(_blob_name(digest), store.blob(digest))
            for layer in manifest.layers:
                if _blob_name(layer.digest) not in written:
                    written.add(_blob_name(layer.digest))
                    info = tarfile.TarInfo(_blob_name(layer.digest))
                    info.size, info.mode = layer.size, 0o644
                    with open(store.blob_path(layer.digest), "rb") as file:
                        archive.addfile(info, file)
            reference = config.reference
            docker.append(
                {
                    "Config": _blob_name(config.image_id),
                    "RepoTags": [reference] if reference else [],
                    "Layers": [_blob_name(layer.digest) for layer in manifest.layers],
                }
            )
            raw = store.blob(config.manifest_digest)
            index.append(
                {
                    "mediaType": parse_json(raw, "the manifest").get(
                        "mediaType", "application/vnd.oci.image.manifest.v1+json"
                    ),
                    "digest": config.manifest_digest,
                    "size": len(raw),
                    "annotations": {_NAME_ANNOTATIONS[0]: reference} if reference else {},
                }
            )
        put("manifest.json", json.dumps(docker).encode())
        put("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put("index.json", json.dumps({"schemaVersion": 2, "manifests": index}).encode())


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
