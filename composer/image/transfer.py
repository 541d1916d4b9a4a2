"""Images from registries, by skopeo: into a private layout, layers straight into the store's blobs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import NamedTuple

from composer.errors import CommandFailed, ImageNotFound, TransferFailed
from composer.host.machine_facts import architecture as normal_architecture
from composer.host.proc import Command, require, run
from composer.image.config import ImageConfig
from composer.image.layout import parse_index, parse_manifest
from composer.image.reference import normalise
from composer.image.store import LayerSource, Store

_TRANSIENT = (
    "timeout", "timed out", "connection refused", "connection reset", "unexpected eof", "temporary failure",
    "no such host", "500 internal", "502 bad", "503 service", "504 gateway", "status 500", "status 502", "status 503",
    "status 504", "too many requests", "i/o timeout", "network is unreachable",
)  # fmt: skip
_MISSING = ("manifest unknown", "name unknown", "repository name not known", "not found", "no image found")
_DENIED = ("unauthorized", "authentication required", "denied", "forbidden", "invalid username/password")


class Access(NamedTuple):
    """How to get in: `credentials` are `user:password`, `auth_file` a containers-auth.json; both may be ""."""

    tls_verify: bool = True
    credentials: str = ""
    auth_file: str = ""


def pull(
    store: Store,
    name: str,
    *,
    tls_verify: bool = True,
    progress: Callable[[str], None] = lambda _: None,
    access: Access | None = None,
    architecture: str = "",
) -> ImageConfig:
    """Fetches an image and unpacks it. Raises `ImageNotFound`, `TransferFailed` (transient where a new attempt may
    help), `ImageRefused`, `ToolMissing`.
    """
    reference = normalise(name)
    access = access or Access(tls_verify=tls_verify)
    wanted = architecture or normal_architecture(platform.machine())
    with store.adding() as temporary:
        layout = f"{temporary}/layout"
        progress("downloading")
        _copy(store, reference, layout, access, wanted)
        choice = parse_index(_read(f"{layout}/index.json"))[0]
        manifest_raw = _read(store.blob_path(choice.descriptor.digest))
        manifest = parse_manifest(manifest_raw)
        sources = [LayerSource(store.blob_path(layer.digest)) for layer in manifest.layers]
        try:
            return store.add(
                [reference],
                manifest_raw,
                _read(store.blob_path(manifest.config.digest)),
                sources,
                temporary=temporary,
                on_progress=progress,
                architecture=wanted,
            )
        except BaseException:
            # A blob that is not what its name says would be taken for the real one the next time.
            for layer in manifest.layers:
                _drop_if_wrong(store.blob_path(layer.digest), layer.digest)
            raise


def command_line(reference: str, layout: str, blobs: str, access: Access, architecture: str) -> tuple[str, ...]:
    """skopeo's argv. `--preserve-digests`: else a Docker image loses its health check and changes its id."""
    return (
        require("skopeo"),
        "--insecure-policy",
        "--override-arch", architecture,
        "copy", "--preserve-digests",
        "--dest-shared-blob-dir", blobs,
        "--src-tls-verify=" + ("true" if access.tls_verify else "false"),
        *(("--src-creds", access.credentials) if access.credentials else ()),
        *(("--authfile", access.auth_file) if access.auth_file else ()),
        f"docker://{_for_skopeo(reference)}", f"oci:{layout}:image",
    )  # fmt: skip


def _for_skopeo(reference: str) -> str:
    """skopeo refuses a tag beside a digest; the digest says it all."""
    head, at, digest = reference.partition("@")
    if not at:
        return reference
    name, colon, tag = head.rpartition(":")
    return f"{name if colon and '/' not in tag else head}@{digest}"


def _copy(store: Store, reference: str, layout: str, access: Access, architecture: str) -> None:
    blobs = os.path.dirname(os.path.dirname(store.blob_path("sha256:x")))
    keep = ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "XDG_RUNTIME_DIR",
            "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy")  # fmt: skip
    env = {name: os.environ[name] for name in keep if name in os.environ}
    argv = command_line(reference, layout, blobs, access, architecture)
    try:
        run(Command(argv=argv, env=env, timeout=None))
    except CommandFailed as error:
        raise _explained(reference, error.stderr) from error


def _explained(reference: str, said: str) -> Exception:
    lines = said.strip().splitlines()
    last = lines[-1] if lines else "skopeo said nothing"
    if 'msg="' in last:
        last = last.split('msg="', 1)[1].rsplit('"', 1)[0].replace('\\"', '"')
    lower = last.lower()
    if any(sign in lower for sign in _TRANSIENT):
        return TransferFailed(f"{reference}: {last}", transient=True)
    if any(sign in lower for sign in _DENIED):
        return TransferFailed(
            f"{reference}: the registry wants other credentials: {last}", hint="skopeo login REGISTRY"
        )
    if any(sign in lower for sign in _MISSING):
        return ImageNotFound(f"{reference}: not in its registry: {last}", hint="check name and tag")
    if "http: server gave http response" in lower or "tls" in lower or "x509" in lower:
        return TransferFailed(f"{reference}: {last}", hint="for a registry without TLS: --tls-verify=false")
    return TransferFailed(f"{reference}: {last}")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(4 * 1024 * 1024 + 1)


def _drop_if_wrong(path: str, digest: str) -> None:
    import hashlib
    from contextlib import suppress

    with suppress(FileNotFoundError):
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if f"sha256:{found}" != digest:
            os.unlink(path)
