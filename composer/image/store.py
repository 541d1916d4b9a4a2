"""The image store: blobs by digest, unpacked layers by chain id, names to digests. Plain directories and JSON.

A layer directory or a reference exists only when it is complete: things are made in `tmp/` and renamed. Who adds holds
`lock` shared, who sweeps holds it exclusively; so whatever lies in `tmp/` while nobody adds is rubbish.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from composer.digest import sha256_hex
from composer.errors import ImageError, ImageNotFound, ImageRefused, LockTimeout, TransferFailed, UsageError
from composer.host import records
from composer.host.files import locked, make_private, read_json, write_atomic, write_json
from composer.image.config import ImageConfig, parse_config
from composer.image.layout import Manifest, parse_manifest
from composer.image.reference import Platform, normalise, repository, tag
from composer.paths import Paths

OnProgress = Callable[[str], None]


class LayerSource(NamedTuple):
    """Where a layer's bytes are: `size` from `offset` of a file (None: all of it)."""

    path: str
    offset: int = 0
    size: int | None = None


class ImageRecord(NamedTuple):
    """One name of one image; `reference` is "" for an image that has lost its name."""

    reference: str
    image_id: str
    manifest_digest: str
    size: int
    added_at: float
    created: str


class Store:
    """The images of one data directory. Making a `Store` touches nothing."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._root = paths.images

    # looking ------------------------------------------------------------------------------------------------

    def find(self, name: str) -> ImageConfig | None:
        """The image of that name, image id, or unique beginning of an id (12 digits or more); None if it is not here.

        Raises `UsageError` for a name that cannot be one.
        """
        record = self._by_id(name) or read_json(self._ref_path(normalise(name)))
        return self._config(record) if record is not None else None

    def get(self, name: str) -> ImageConfig:
        """`find`, or `ImageNotFound`."""
        found = self.find(name)
        if found is None:
            raise ImageNotFound(f"no image {name} here", hint=f"jocker image pull {name}, or jocker image ls")
        return found

    def _by_id(self, name: str) -> Any | None:
        wanted = name.removeprefix("sha256:")
        if not 4 <= len(wanted) <= 64 or not set(wanted) <= set("0123456789abcdef"):
            return None
        found = {
            record["image_id"]: record
            for record in self._records()
            if record["image_id"].removeprefix("sha256:").startswith(wanted)
        }
        if len(found) > 1:
            raise UsageError(f"{name!r} is the beginning of {len(found)} image ids", hint="write more of it")
        return next(iter(found.values()), None)

    def _config(self, record: Mapping[str, Any]) -> ImageConfig | None:
        try:
            raw = self.blob(record["image_id"])
        except ImageError:
            return None
        config = parse_config(raw, reference=record["reference"], manifest_digest=record["manifest_digest"])
        if not all(os.path.isdir(self.layer_dir(chain_id)) for chain_id in config.chain_ids):
            return None
        return config

    def layer_dir(self, chain_id: str) -> str:
        """The directory with a layer's tree."""
        return f"{self._root}/layers/{chain_id}/diff"

    def blob_path(self, digest: str) -> str:
        return f"{self._root}/blobs/sha256/{digest.removeprefix('sha256:')}"

    def blob(self, digest: str) -> bytes:
        """A small blob (manifest, config). Raises `ImageError` if it is missing or not what its name says."""
        try:
            with open(self.blob_path(digest), "rb") as file:
                raw = file.read()
        except FileNotFoundError:
            raise ImageError(f"the store has lost {digest}", hint="load or pull the image again") from None
        if f"sha256:{sha256_hex(raw)}" != digest:
            raise ImageError(f"{digest} in the store is damaged", hint="load or pull the image again")
        return raw

    def manifest(self, digest: str) -> Manifest:
        return parse_manifest(self.blob(digest))

    def references(self) -> tuple[ImageRecord, ...]:
        """All names, newest image first."""
        fields = ImageRecord._fields
        found = [ImageRecord(**{name: record.get(name, "") for name in fields}) for record in self._records()]
        return tuple(sorted(found, key=lambda one: (-one.added_at, one.reference)))

    def _records(self) -> Iterator[dict[str, Any]]:
        with suppress(FileNotFoundError):
            for name in os.listdir(f"{self._root}/refs"):
                record = read_json(f"{self._root}/refs/{name}") if name.endswith(".json") else None
                if isinstance(record, dict) and "image_id" in record:
                    yield record

    def _ref_path(self, reference: str) -> str:
        return f"{self._root}/refs/{_file_name(reference)}.json"

    # adding -------------------------------------------------------------------------------------------------

    @contextmanager
    def adding(self) -> Iterator[str]:
        """A temporary directory below the store while something is added; after a crash anyone removes it.

        Of an image that is refused nothing stays; what a broken connection left is kept for the next attempt.
        """
        try:
            self._clear_rubbish()
            for name in ("blobs/sha256", "layers", "refs", "tmp"):
                make_private(f"{self._root}/{name}")
            with locked(f"{self._root}/lock", shared=True):
                directory = f"{self._root}/tmp/{os.getpid()}-{os.urandom(6).hex()}"
                os.mkdir(directory, 0o700)
                try:
                    yield directory
                finally:
                    _remove_tree(directory)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            self._if_alone(self._sweep)
            raise ImageError(f"no space left in {self._root}", hint="jocker image prune") from error
        except (TransferFailed, ImageNotFound):
            raise
        except ImageError:
            self._if_alone(self._sweep)
            raise

    def _clear_rubbish(self) -> None:
        if os.path.isdir(f"{self._root}/tmp") and os.listdir(f"{self._root}/tmp"):
            self._if_alone(self._empty_tmp)

    def _if_alone(self, tidy: Callable[[], object]) -> None:
        """Tidies unless somebody is adding something: then it is for another time."""
        with suppress(LockTimeout), locked(f"{self._root}/lock", timeout=0):
            tidy()

    def _empty_tmp(self) -> None:
        with suppress(FileNotFoundError):
            for name in os.listdir(f"{self._root}/tmp"):
                path = f"{self._root}/tmp/{name}"
                if os.path.isdir(path) and not os.path.islink(path):
                    _remove_tree(path)
                else:
                    os.unlink(path)

    def add(
        self,
        names: Sequence[str],
        manifest_raw: bytes,
        config_raw: bytes,
        layers: Sequence[LayerSource],
        *,
        temporary: str,
        on_progress: OnProgress = lambda _: None,
        platform: Platform | None = None,
    ) -> ImageConfig:
        """Takes in one image inside `adding()`; `names` may be empty. `platform`: refuse any other.

        Verifies every digest. Raises `ImageRefused`, `ImageError` (full disk); then nothing of it is kept.
        """
        from composer.image.intake import take_layers

        references = [normalise(name) for name in names]
        manifest = parse_manifest(manifest_raw)
        digest = f"sha256:{sha256_hex(manifest_raw)}"
        config = parse_config(config_raw, reference=references[0] if references else "", manifest_digest=digest)
        _check(manifest, config, config_raw, len(layers), platform)
        take_layers(self, manifest, config, layers, temporary=temporary, on_progress=on_progress)
        for blob_digest, raw in ((config.image_id, config_raw), (digest, manifest_raw)):
            write_atomic(self.blob_path(blob_digest), raw)
        for reference in references or [""]:
            self._name(reference, config, sum(layer.size for layer in manifest.layers))
        return config

    def _name(self, reference: str, config: ImageConfig, size: int) -> None:
        before = read_json(self._ref_path(reference)) if reference else None
        record = {
            "reference": reference,
            "image_id": config.image_id,
            "manifest_digest": config.manifest_digest,
            "size": size,
            "added_at": time.time(),
            "created": config.created,
        }
        if reference:
            write_json(self._ref_path(reference), record)
            with suppress(FileNotFoundError):
                os.unlink(self._ref_path(config.image_id))
        elif not any(other["image_id"] == config.image_id for other in self._records()):
            write_json(self._ref_path(config.image_id), record)
        if before is not None and before["image_id"] != config.image_id:
            self._keep_unnamed(before)

    def _keep_unnamed(self, record: Mapping[str, Any]) -> None:
        """An image whose last name went to another stays, without a name, until `prune` (as docker's dangling ones)."""
        if not any(other["image_id"] == record["image_id"] for other in self._records()):
            write_json(self._ref_path(record["image_id"]), {**record, "reference": ""})

    def tag(self, name: str, new_name: str) -> None:
        """Gives an image another name. Raises `ImageNotFound`."""
        config = self.get(name)
        with self.adding():
            size = sum(layer.size for layer in self.manifest(config.manifest_digest).layers)
            self._name(normalise(new_name), config, size)

    # removing -----------------------------------------------------------------------------------------------

    def remove(self, name: str, *, force: bool = False) -> tuple[str, ...]:
        """Takes a name away, and the image with its last one; by id, all its names. Returns what was done.

        Raises `ImageNotFound`; `ImageError` if a container uses the image and `force` is False.
        """
        by_id = self._by_id(name)
        record = by_id or read_json(self._ref_path(normalise(name)))
        if record is None:
            raise ImageNotFound(f"no image {name} here", hint="jocker image ls")
        with locked(f"{self._root}/lock"):
            same = [other for other in self._records() if other["image_id"] == record["image_id"]]
            going = same if by_id else [record]
            if len(going) == len(same) and not force:
                self._refuse_if_used(record["image_id"], name)
            said = []
            for one in going:
                os.unlink(self._ref_path(one["reference"] or one["image_id"]))
                if one["reference"]:
                    said.append(f"Untagged: {one['reference']}")
            if len(going) == len(same):
                said.append(f"Deleted: {record['image_id']}")
            self._sweep()
        return tuple(said)

    def _refuse_if_used(self, image_id: str, name: str) -> None:
        users = [record["name"] for record in records.every(self._paths) if image_id in records.images_of(record)]
        if users:
            raise ImageError(
                f"image {name} is used by {', '.join(sorted(users)[:5])}",
                hint="remove the containers first, or use --force",
            )

    def prune(self, *, everything: bool = False) -> tuple[tuple[str, ...], int]:
        """Removes images without a name, with `everything` all that no container uses. Returns them and bytes freed."""
        with locked(f"{self._root}/lock"):
            used = {one for record in records.every(self._paths) for one in records.images_of(record)}
            gone = []
            for record in list(self._records()):
                if record["image_id"] not in used and (everything or not record["reference"]):
                    os.unlink(self._ref_path(record["reference"] or record["image_id"]))
                    gone.append(record["reference"] or record["image_id"])
            freed = self._sweep()
            self._empty_tmp()
        return tuple(gone), freed

    def _sweep(self) -> int:
        """Removes blobs and layers that no name and no container leads to; under the exclusive lock. Bytes freed."""
        blobs: set[str] = set()
        chains: set[str] = set()
        for record in self._records():
            blobs |= {record["image_id"], record["manifest_digest"]}
            with suppress(ImageError):
                blobs |= {layer.digest for layer in self.manifest(record["manifest_digest"]).layers}
            config = self._config(record)
            chains |= set(config.chain_ids if config else ())
        for record in records.every(self._paths):
            blobs |= records.images_of(record)
            chains |= records.layers_of(record)
        freed = 0
        with suppress(FileNotFoundError):
            for name in os.listdir(f"{self._root}/refs"):
                if name.endswith(".tmp"):  # of a process that was killed: who writes now would hold the lock
                    os.unlink(f"{self._root}/refs/{name}")
        with suppress(FileNotFoundError):
            for name in os.listdir(f"{self._root}/blobs/sha256"):
                if f"sha256:{name}" not in blobs:
                    path = f"{self._root}/blobs/sha256/{name}"
                    freed += os.stat(path).st_size
                    os.unlink(path)
        with suppress(FileNotFoundError):
            for name in os.listdir(f"{self._root}/layers"):
                if name not in chains:
                    # Renamed first: a layer that is half gone must not be found.
                    doomed = f"{self._root}/tmp/{name}-{os.urandom(4).hex()}"
                    os.rename(f"{self._root}/layers/{name}", doomed)
                    _remove_tree(doomed)
        return freed

    def sync(self) -> None:
        """What has been written is on disk."""
        from composer.host import kernel

        fd = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel.syncfs(fd)
        finally:
            os.close(fd)


def _remove_tree(path: str) -> None:
    from composer.host.trees import remove_tree  # loads ctypes, which who only looks needs not

    remove_tree(path)


def _file_name(reference: str) -> str:
    name = reference.replace("%", "%25").replace("/", "%2F")  # not urllib's quote: two milliseconds
    return name if len(name) <= 200 else sha256_hex(reference.encode())


def _check(manifest: Manifest, config: ImageConfig, raw: bytes, layers: int, platform: Platform | None) -> None:
    if manifest.config.digest != config.image_id or manifest.config.size != len(raw):
        raise ImageRefused("the config is not the one the manifest names")
    if not len(manifest.layers) == len(config.diff_ids) == layers:
        raise ImageRefused(f"the manifest has {len(manifest.layers)} layers, the config names {len(config.diff_ids)}")
    if config.os not in {"", "linux"}:
        raise ImageRefused(f"the image is for {config.os}")
    if platform and not platform.takes(config.architecture, config.variant):
        own = "/".join(filter(None, (config.architecture, config.variant)))
        raise ImageRefused(f"the image is for {own}, not for {str(platform).removeprefix('linux/')}")


def display_names(record: ImageRecord) -> tuple[str, str]:
    """Repository and tag as tables show them."""
    if not record.reference:
        return "<none>", "<none>"
    return repository(record.reference), tag(record.reference) or "<none>"
