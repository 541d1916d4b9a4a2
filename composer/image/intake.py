"""The way of layers into the store: unpacked beside it, verified, renamed into place. Lower ones first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from composer.errors import ImageRefused
from composer.host.files import locked, make_private, write_json
from composer.image.blobs import Blobs
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
        with Blobs(store, manifest, sources, temporary) as blobs:
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
        blobs.keep(set(missing.values()))
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
