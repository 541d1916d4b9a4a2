"""The way of layers into the store: unpacked beside it, verified, renamed into place. Lower ones first."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from composer.errors import ImageRefused
from composer.host.files import locked, make_private, write_json
from composer.image.config import ImageConfig
from composer.image.layers import LayerJob, unpack_layers
from composer.image.layout import Manifest
from composer.image.unpack import LayerDigests, fix_implicit_parents

if TYPE_CHECKING:
    from composer.image.store import LayerSource, Store

MOST_LAYERS = 500


def take_layers(
    store: Store,
    manifest: Manifest,
    config: ImageConfig,
    sources: Sequence[LayerSource],
    *,
    temporary: str,
    on_progress: Callable[[str], None],
) -> None:
    """Makes sure that every layer of the image is unpacked and its blob kept. Raises as `Store.add`.

    A lock per chain id lets two who add the same image share the work: the second waits and finds it done.
    """
    if len(config.chain_ids) > MOST_LAYERS:
        raise ImageRefused(f"the image has {len(config.chain_ids)} layers, the kernel takes {MOST_LAYERS}")
    with ExitStack() as locks:
        locks_directory = os.path.dirname(temporary)
        for chain_id in sorted(set(config.chain_ids)):  # one order for everybody: no dead-lock
            if not os.path.isdir(store.layer_dir(chain_id)):
                locks.enter_context(locked(f"{locks_directory}/{chain_id}.lock"))
        missing = {}
        for number, chain_id in enumerate(config.chain_ids):
            if chain_id not in missing and not os.path.isdir(store.layer_dir(chain_id)):
                missing[chain_id] = number
        if missing:
            on_progress(f"unpacking {len(missing)} of {len(config.chain_ids)} layers")
        jobs = []
        for chain_id, number in missing.items():
            make_private(f"{temporary}/{chain_id}/diff")
            os.chmod(f"{temporary}/{chain_id}/diff", 0o755)  # noqa: S103  the mode of / in the image
            source = sources[number]
            jobs.append(
                LayerJob(source.path, f"{temporary}/{chain_id}/diff", source.offset, source.size, f"layer {number + 1}")
            )
        done = unpack_layers(jobs)
        for (chain_id, number), digests in zip(missing.items(), done, strict=True):
            _verify(manifest, config, number, digests)
            lowers = [
                f"{temporary}/{lower}/diff" if lower in missing else store.layer_dir(lower)
                for lower in reversed(config.chain_ids[:number])
            ]
            fix_implicit_parents(f"{temporary}/{chain_id}/diff", tuple(lowers), digests.implicit_parents)
            meta = {"diff_id": digests.diff_id, "entries": digests.entries, "bytes": digests.content}
            write_json(f"{temporary}/{chain_id}/meta.json", meta, sync=False)
        _keep_blobs(store, manifest, sources, set(missing.values()))
        if missing:
            store.sync()
        for chain_id in missing:
            os.rename(f"{temporary}/{chain_id}", os.path.dirname(store.layer_dir(chain_id)))


def _verify(manifest: Manifest, config: ImageConfig, number: int, digests: LayerDigests) -> None:
    if digests.diff_id != config.diff_ids[number]:
        raise ImageRefused(
            f"layer {number + 1} unpacks to {digests.diff_id}, the config says {config.diff_ids[number]}"
        )
    if digests.blob_digest != manifest.layers[number].digest:
        raise ImageRefused(
            f"layer {number + 1} is {digests.blob_digest}, the manifest says {manifest.layers[number].digest}"
        )


def _keep_blobs(store: Store, manifest: Manifest, sources: Sequence[LayerSource], verified: set[int]) -> None:
    """Copies the layers' blobs into the store: `save` and `push` need them as they came."""
    for number, (layer, source) in enumerate(zip(manifest.layers, sources, strict=True)):
        target = store.blob_path(layer.digest)
        if source.path == target or os.path.exists(target):
            continue
        _copy(source, layer.size, target, digest=None if number in verified else layer.digest)


def _copy(source: LayerSource, size: int, target: str, *, digest: str | None) -> None:
    """`digest`: what the bytes must be, where nobody has looked yet."""
    temporary = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    with open(source.path, "rb", buffering=0) as reader, open(temporary, "xb", buffering=0) as writer:
        try:
            available = os.fstat(reader.fileno()).st_size if source.size is None else source.size
            if available != size:
                raise ImageRefused(f"a layer has {available} bytes, the manifest says {size}")
            _copy_range(reader.fileno(), writer.fileno(), source.offset, size)
            if digest is not None:
                _verify_file(temporary, digest)
            os.rename(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise


def _copy_range(reader: int, writer: int, at: int, size: int) -> None:
    """Shares the blocks where the file system can; it cannot from one to another."""
    end, share = at + size, True
    while at < end:
        try:
            most = min(end - at, 1 << 26)
            copied = os.copy_file_range(reader, writer, most, at) if share else os.sendfile(writer, reader, at, most)
        except OSError as error:
            if not share or error.errno not in {errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                raise
            share = False
            continue
        if not copied:
            raise ImageRefused("a layer breaks off")
        at += copied


def _verify_file(path: str, digest: str) -> None:
    import hashlib

    with open(path, "rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest:
        raise ImageRefused(f"a layer is {found}, the manifest says {digest}")
