"""What digest a registry has for an image's name now."""

from __future__ import annotations

import os

from composer.digest import sha256_hex
from composer.errors import CommandFailed
from composer.host.proc import Command, require, run
from composer.image.reference import normalise
from composer.image.transfer import explained, skopeo_environment


def pinned(image: str) -> str:
    """`nginx:1.2` as `docker.io/library/nginx:1.2@sha256:…`; a name with a digest stays as it is.

    The digest is that of what the name stands for: of the list, if there are images for several machines. Raises
    `ImageNotFound`, `TransferFailed`, `ToolMissing`.
    """
    reference = normalise(image)
    if "@" in reference:
        return image
    registries = os.environ.get("CONTAINERS_REGISTRIES_CONF", "")
    argv = (
        require("skopeo"),
        *(("--registries-conf", os.path.abspath(registries)) if registries else ()),
        "inspect", "--raw", f"docker://{reference}",
    )  # fmt: skip
    try:
        done = run(Command(argv=argv, env=skopeo_environment(), timeout=120.0))
    except CommandFailed as error:
        raise explained(reference, error.stderr) from error
    return f"{reference}@sha256:{sha256_hex(done.stdout.encode())}"
