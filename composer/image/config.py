"""The image config: what an image says about the process it wants (OCI image-spec `config.md`, docker's extensions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer.digest import sha256_hex
from composer.errors import ImageRefused
from composer.frozen import field, frozen
from composer.image.layout import as_object, as_strings, as_text, is_digest, parse_json


@frozen(shown=False)
class ImageConfig:
    """The part of an image config a container is made of. All of it comes from a hostile file, type and size checked.

    `env` has only entries with a name and `=`; `chain_ids` are the layers, lowest first, hex without `sha256:`.
    `image_id` is the config's digest, `manifest_digest` the manifest's, both `sha256:<hex>`.
    """

    reference: str
    image_id: str
    manifest_digest: str
    chain_ids: tuple[str, ...]
    diff_ids: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    healthcheck: Mapping[str, Any] = field(factory=dict)
    architecture: str = ""
    os: str = "linux"
    created: str = ""
    author: str = ""
    variant: str = ""
    shell: tuple[str, ...] = ()
    """Of the Dockerfile's SHELL: what `CMD-SHELL` of its health check is run by."""


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Each layer's name together with all below it (OCI image-spec, "Layer ChainID"), hex without `sha256:`."""
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            chain.append(sha256_hex(f"sha256:{chain[-1]} {diff_id}".encode()))
        else:
            chain.append(diff_id.removeprefix("sha256:"))
    return tuple(chain)


def parse_config(raw: bytes, *, reference: str, manifest_digest: str) -> ImageConfig:
    """An image's config from its bytes. Raises `ImageRefused` for what is malformed."""
    top = as_object(parse_json(raw, "the image config"), "the image config")
    rootfs = as_object(top.get("rootfs"), "rootfs")
    diff_ids = as_strings(rootfs.get("diff_ids"), "rootfs.diff_ids")
    if rootfs.get("type", "layers") != "layers" or not all(map(is_digest, diff_ids)):
        raise ImageRefused("the image config's rootfs.diff_ids are not digests of layers")
    config = as_object(top.get("config"), "config")
    environment = as_strings(config.get("Env"), "config.Env")
    labels = as_object(config.get("Labels"), "config.Labels")
    entrypoint, cmd = (as_strings(config.get(key), f"config.{key}") for key in ("Entrypoint", "Cmd"))
    user, working_dir = (as_text(config.get(key), f"config.{key}") for key in ("User", "WorkingDir"))
    if any("\0" in text for text in (*environment, *entrypoint, *cmd, user, working_dir)):
        raise ImageRefused("the image config has a NUL in Env, Entrypoint, Cmd, User or WorkingDir")
    return ImageConfig(
        reference=reference,
        image_id=f"sha256:{sha256_hex(raw)}",
        manifest_digest=manifest_digest,
        chain_ids=chain_ids(diff_ids),
        diff_ids=diff_ids,
        entrypoint=entrypoint,
        cmd=cmd,
        env=tuple(entry for entry in environment if entry.find("=") > 0),
        user=user,
        working_dir=working_dir,
        volumes=tuple(as_object(config.get("Volumes"), "config.Volumes")),
        exposed_ports=tuple(as_object(config.get("ExposedPorts"), "config.ExposedPorts")),
        stop_signal=as_text(config.get("StopSignal"), "config.StopSignal"),
        labels={key: as_text(value, f"config.Labels.{key}") for key, value in labels.items()},
        healthcheck=as_object(config.get("Healthcheck"), "config.Healthcheck"),
        architecture=as_text(top.get("architecture"), "architecture"),
        os=as_text(top.get("os"), "os"),
        created=as_text(top.get("created"), "created"),
        author=as_text(top.get("author"), "author"),
        variant=as_text(top.get("variant"), "variant"),
        shell=as_strings(config.get("Shell"), "config.Shell"),
    )
