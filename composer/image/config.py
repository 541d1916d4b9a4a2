"""The image config: what an image says about the process it wants (OCI image-spec `config.md`, docker's extensions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageConfig:
    """The part of an image config a container is made of. All of it comes from a hostile file, type and size checked.

    `env` has only entries with a name and `=`; `chain_ids` are the layers, lowest first, hex without `sha256:`.
    `image_id` is the config's digest, `manifest_digest` the manifest's, both `sha256:<hex>`.
    """

    reference: str
    image_id: str
    manifest_digest: str
    chain_ids: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    healthcheck: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = ""
    os: str = "linux"
    created: str = ""
    author: str = ""
    variant: str = ""
