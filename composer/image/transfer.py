"""Images from registries, by skopeo: into a private layout, layers straight into the store's blobs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from composer.errors import CommandFailed, ImageNotFound, TransferFailed, UsageError
from composer.host.files import locked
from composer.host.machine_facts import architecture as normal_architecture
from composer.host.proc import Command, require, run
from composer.image.config import ImageConfig
from composer.image.layout import parse_index, parse_manifest
from composer.image.reference import Platform, normalise, parse_platform, repository, tag
from composer.image.store import LayerSource, Store

_TRANSIENT = (
    "timeout", "timed out", "connection refused", "connection reset", "unexpected eof", "temporary failure",
    "no such host", "too many requests", "toomanyrequests", "i/o timeout", "network is unreachable",
)  # fmt: skip
_STATUS_OF_LATER = re.compile(r"\b(?:429|5\d\d) \(?(?:internal|bad|service|gateway|too many)|status:? (?:429|5\d\d)\b")
"""Words differ by what was asked for: `503 Service Unavailable`, `503 (Service Unavailable)`, `status 503`."""
_MISSING = ("manifest unknown", "name unknown", "repository name not known", "not found", "no image found")
_PATHS = frozenset({"REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "SSL_CERT_FILE"})
_DENIED = ("unauthorized", "authentication required", "denied", "forbidden", "invalid username/password")


class Access(NamedTuple):
    """How to get in: `credentials` are `user:password`, `auth_file` a containers-auth.json; both may be "".

    `tls_verify`: None is what registries.conf says of the registry, which is yes if it says nothing.
    """

    tls_verify: bool | None = None
    credentials: str = ""
    auth_file: str = ""


def pull(
    store: Store,
    name: str,
    *,
    tls_verify: bool | None = None,
    progress: Callable[[str], None] = lambda _: None,
    access: Access | None = None,
    architecture: str = "",
    wanted: str = "",
) -> ImageConfig:
    """Fetches an image and unpacks it, that for this machine, for another `architecture`, or for a platform `wanted`.

    Raises `ImageNotFound`, `TransferFailed` (transient where a new attempt may help), `ImageRefused`, `ToolMissing`.
    """
    reference = normalise(name)
    access = access or Access(tls_verify=tls_verify)
    found = parse_platform(wanted) if wanted else None
    target = found or Platform("linux", architecture or normal_architecture(platform.machine()))
    with store.adding() as temporary:
        layout = f"{temporary}/layout"
        # Two who want the same: the second finds the blobs.
        with locked(f"{os.path.dirname(temporary)}/{hashlib.sha256(reference.encode()).hexdigest()}.lock"):
            _copy(store, reference, layout, access, target, progress)
        choice = parse_index(_read(f"{layout}/index.json"))[0]
        manifest_raw = store.blob(choice.descriptor.digest)
        manifest = parse_manifest(manifest_raw)
        sources = [LayerSource(store.blob_path(layer.digest)) for layer in manifest.layers]
        try:
            return store.add(
                [reference],
                manifest_raw,
                store.blob(manifest.config.digest),
                sources,
                temporary=temporary,
                on_progress=progress,
                platform=target,
            )
        except BaseException:
            # A blob that is not what its name says would be taken for the real one the next time.
            for layer in manifest.layers:
                _drop_if_wrong(store.blob_path(layer.digest), layer.digest)
            raise


def command_line(
    reference: str,
    layout: str,
    blobs: str,
    *,
    tls_verify: bool | None,
    auth_file: str,
    platform: Platform,
    registries_conf: str = "",
) -> tuple[str, ...]:
    """skopeo's argv. `--preserve-digests`: else a Docker image loses its health check and changes its id."""
    return (
        require("skopeo"),
        "--insecure-policy",
        *(("--registries-conf", registries_conf) if registries_conf else ()),
        "--override-os", "linux", "--override-arch", platform.architecture,
        *(("--override-variant", platform.variant) if platform.variant else ()),
        "copy", "--preserve-digests",
        "--dest-shared-blob-dir", blobs,
        *(() if tls_verify is None else (f"--src-tls-verify={'true' if tls_verify else 'false'}",)),
        *(("--authfile", auth_file) if auth_file else ()),
        f"docker://{_for_skopeo(reference)}", f"oci:{layout}:image",
    )  # fmt: skip


def _for_skopeo(reference: str) -> str:
    """skopeo refuses a tag beside a digest; the digest says it all."""
    head, at, digest = reference.partition("@")
    if not at:
        return reference
    name, colon, tag = head.rpartition(":")
    return f"{name if colon and '/' not in tag else head}@{digest}"


def _copy(
    store: Store, reference: str, layout: str, access: Access, platform: Platform, progress: Callable[[str], None]
) -> None:
    blobs = os.path.dirname(os.path.dirname(store.blob_path("sha256:x")))
    registries = os.environ.get("CONTAINERS_REGISTRIES_CONF", "")  # podman heeds it, skopeo not before it is new
    with credentials_file(reference, access) as auth_file, _watched(layout, blobs, progress):
        argv = command_line(
            reference,
            layout,
            blobs,
            tls_verify=access.tls_verify,
            auth_file=auth_file,
            platform=platform,
            registries_conf=registries and os.path.abspath(registries),
        )
        try:
            run(Command(argv=argv, env=skopeo_environment(), timeout=None))
        except CommandFailed as error:
            raise explained(reference, error.stderr) from error


def skopeo_environment() -> dict[str, str]:
    """What skopeo needs of ours, paths absolute: it runs in another directory than we."""
    keep = ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "XDG_RUNTIME_DIR",
            "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy")  # fmt: skip
    env = {name: os.environ[name] for name in keep if name in os.environ}
    for name in _PATHS & env.keys():
        env[name] = os.path.abspath(env[name])
    return env


@contextmanager
def credentials_file(reference: str, access: Access) -> Iterator[str]:
    """A file with the credentials for as long as it takes: a command line can be read by everybody. It is in memory
    only, so that nothing is left whenever we are killed.
    """
    if not access.credentials:
        if access.auth_file and not os.path.exists(access.auth_file):
            raise UsageError(f"no such file with credentials: {access.auth_file}", hint="skopeo login REGISTRY")
        yield access.auth_file and os.path.abspath(access.auth_file)
        return
    if ":" not in access.credentials:
        raise UsageError("credentials are USER:PASSWORD")
    entry = {"auth": base64.b64encode(access.credentials.encode()).decode()}
    with open(os.memfd_create("auth"), "wb", buffering=0) as file:
        file.write(json.dumps({"auths": {reference.partition("/")[0]: entry}}).encode())
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


@contextmanager
def _watched(layout: str, blobs: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Tells now and then how much has come: skopeo itself only does on a terminal."""
    progress("downloading")
    before = set(_sizes(f"{blobs}/sha256"))
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.2):
            come = _sizes(f"{blobs}/sha256")
            total = sum(_sizes(layout).values()) + sum(come[name] for name in come.keys() - before)
            progress(f"downloading, {total / 1e6:.1f} MB")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _sizes(directory: str) -> dict[str, int]:
    sizes = {}
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                sizes[entry.name] = entry.stat().st_size
    return sizes


def explained(reference: str, said: str) -> Exception:
    """The error that says what skopeo said of this image."""
    lines = said.strip().splitlines()
    last = lines[-1] if lines else "skopeo said nothing"
    if 'msg="' in last:
        last = last.split('msg="', 1)[1].rsplit('"', 1)[0].replace('\\"', '"')
    last = last.removeprefix(f"initializing source docker://{_for_skopeo(reference)}: ")
    lower = last.lower()
    for name in (repository(reference), repository(reference).partition("/")[2], f" {tag(reference)} "):
        lower = lower.replace(name.lower(), " ")  # an image may be called timeout
    if any(sign in lower for sign in _TRANSIENT) or _STATUS_OF_LATER.search(lower):
        return TransferFailed(f"{reference}: {last}", transient=True)
    if any(sign in lower for sign in _DENIED):
        return TransferFailed(
            f"{reference}: the registry wants other credentials: {last}", hint="skopeo login REGISTRY"
        )
    if any(sign in lower for sign in _MISSING):
        return ImageNotFound(f"{reference}: not in its registry: {last}", hint="check name and tag")
    if "http: server gave http response" in lower or "tls" in lower or "x509" in lower:
        return TransferFailed(
            f"{reference}: {last}", hint="for a registry without TLS: jocker image pull --no-tls-verify"
        )
    return TransferFailed(f"{reference}: {last}")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(4 * 1024 * 1024 + 1)


def _drop_if_wrong(path: str, digest: str) -> None:
    with suppress(FileNotFoundError):
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if f"sha256:{found}" != digest:
            os.unlink(path)
