"""`image import`: a directory or a tar archive becomes an image of one layer, as `docker import` makes it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from composer.errors import JockerError, UsageError
from composer.image.archive import spooled
from composer.image.config import ImageConfig
from composer.image.decompress import LayerStream
from composer.image.reference import normalise
from composer.image.store import LayerSource, Store
from composer.model.values import parse_duration

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_HEALTH_TIMES = {
    "--interval": "Interval",
    "--timeout": "Timeout",
    "--start-period": "StartPeriod",
    "--start-interval": "StartInterval",
}
_SUFFIXES = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}


def import_rootfs(
    store: Store,
    source: str | BinaryIO,
    name: str,
    changes: Sequence[str] = (),
    *,
    architecture: str,
    message: str = "",
    on_progress: Callable[[str], None] = lambda _: None,
) -> ImageConfig:
    """Makes image `name` of a directory or an archive (plain, gzip, zstd; a file or a stream). `changes` are Dockerfile
    instructions.

    Raises `UsageError` (a change that is none, a name that is none), `JockerError` (no such file), `ImageRefused`.
    """
    reference = normalise(name)
    settings = _settings(changes)
    with store.adding() as temporary:
        said = source if isinstance(source, str) else "-"
        if not isinstance(source, str):
            path = spooled(source, f"{temporary}/layer.tar")
        elif os.path.isdir(source):
            path = _pack(source, f"{temporary}/layer.tar", on_progress)
        else:
            path = source
        try:
            with open(path, "rb", buffering=0) as file:
                magic = file.read(4)
                file.seek(0)
                blob_digest, diff_id = LayerStream(file, 1 << 44).finish()
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise JockerError(f"{said}: {error.strerror}", hint="give a directory or a tar archive") from error
        created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        config = {
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": created, "comment": message or f"imported from {os.path.basename(said)}"}],
        }
        config_raw = json.dumps(config, separators=(",", ":")).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": f"sha256:{hashlib.sha256(config_raw).hexdigest()}",
                "size": len(config_raw),
            },
            "layers": [{"mediaType": _LAYER + _SUFFIXES.get(magic[:2], ""), "digest": blob_digest, "size": size}],
        }
        manifest_raw = json.dumps(manifest, separators=(",", ":")).encode()
        return store.add(
            [reference], manifest_raw, config_raw, [LayerSource(path)], temporary=temporary, on_progress=on_progress
        )


def _pack(directory: str, target: str, on_progress: Callable[[str], None]) -> str:
    """A tar of the directory: sorted, numeric owners, nothing followed. Sockets have no form in tar: left out."""
    import tarfile

    on_progress(f"packing {directory}")
    with tarfile.open(target, "x", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as archive:
        linked: dict[tuple[int, int], str] = {}
        pending = [""]
        while pending:
            name = pending.pop()
            path = os.path.join(directory, name) if name else directory
            found = os.lstat(path)
            if stat.S_ISSOCK(found.st_mode):
                continue
            archive.inodes = {}  # type: ignore[attr-defined]  # we keep our own: names must be relative to the root
            info = archive.gettarinfo(path, name or ".")
            info.uname = info.gname = ""
            if info.isreg() and found.st_nlink > 1:
                first = linked.setdefault((found.st_dev, found.st_ino), name)
                if first != name:
                    info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
            seconds, nanoseconds = divmod(found.st_mtime_ns, 10**9)
            info.mtime = seconds
            info.pax_headers = {} if info.issym() else _xattrs(path)
            if nanoseconds and seconds >= 0:
                info.pax_headers["mtime"] = f"{seconds}.{nanoseconds:09}"
            if info.isreg():
                with open(path, "rb") as file:
                    archive.addfile(info, file)
            else:
                archive.addfile(info)
            if info.isdir():
                pending.extend(sorted((os.path.join(name, child) for child in os.listdir(path)), reverse=True))
    return target


def _xattrs(path: str) -> dict[str, str]:
    found = {}
    for key in os.listxattr(path, follow_symlinks=False):
        value = os.getxattr(path, key, follow_symlinks=False)
        found[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
    return found


def _settings(changes: Sequence[str]) -> dict[str, Any]:
    """The `config` object that Dockerfile instructions amount to."""
    settings: dict[str, Any] = {}
    for change in changes:
        word, rest = (*change.split(maxsplit=1), "", "")[:2]
        rest = rest.strip()
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None or not rest:
            raise UsageError(
                f"--change {change!r} cannot be carried out", hint=f"known are: {', '.join(sorted(_INSTRUCTIONS))}"
            )
        instruction(settings, rest)
    return settings


def _command(key: str) -> Callable[[dict[str, Any], str], None]:
    def apply(settings: dict[str, Any], rest: str) -> None:
        words = _list(rest)
        settings[key] = ["/bin/sh", "-c", rest] if words is None else words

    return apply


def _list(rest: str) -> list[str] | None:
    """A JSON list of strings; None for anything else."""
    try:
        parsed = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, list) and all(isinstance(item, str) for item in parsed) else None


def _pairs(rest: str) -> list[tuple[str, str]]:
    """`A=1 B="x y"`, or as of old `A x y`."""
    words = _words(rest)
    if words and "=" not in words[0]:
        first, *value = rest.split(maxsplit=1)
        pairs = [(first, one.strip()) for one in value]
    else:
        pairs = [(name, value) for name, _, value in (word.partition("=") for word in words)]
    if not pairs or not all(name for name, _ in pairs):
        raise UsageError(f"--change: {rest!r} is not NAME=VALUE")
    return pairs


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"--change: {rest!r}: {error}") from None


def _env(settings: dict[str, Any], rest: str) -> None:
    before = dict(entry.split("=", 1) for entry in settings.get("Env", []))
    settings["Env"] = [f"{name}={value}" for name, value in (before | dict(_pairs(rest))).items()]


def _label(settings: dict[str, Any], rest: str) -> None:
    settings.setdefault("Labels", {}).update(_pairs(rest))


def _expose(settings: dict[str, Any], rest: str) -> None:
    for port in rest.split():
        settings.setdefault("ExposedPorts", {})[port if "/" in port else f"{port}/tcp"] = {}


def _volume(settings: dict[str, Any], rest: str) -> None:
    paths = _list(rest) if rest.startswith("[") else rest.split()
    if not paths:
        raise UsageError(f"--change: {rest!r} is not a list of paths")
    settings.setdefault("Volumes", {}).update({path: {} for path in paths})


def _onbuild(settings: dict[str, Any], rest: str) -> None:
    settings.setdefault("OnBuild", []).append(rest)


def _healthcheck(settings: dict[str, Any], rest: str) -> None:
    """`[--interval=10s …] CMD command`, or `NONE`."""
    check: dict[str, Any] = {}
    while rest.startswith("--"):
        option, _, rest = rest.partition(" ")
        name, _, value = option.partition("=")
        rest = rest.strip()
        try:
            if name == "--retries":
                check["Retries"] = int(value)
            else:
                check[_HEALTH_TIMES[name]] = parse_duration(value)
        except (KeyError, ValueError):
            raise UsageError(f"--change: HEALTHCHECK does not know {option!r}") from None
    word, _, command = rest.partition(" ")
    if word.upper() == "CMD" and command.strip():
        words = _list(command.strip())
        check["Test"] = ["CMD-SHELL", command.strip()] if words is None else ["CMD", *words]
    elif rest.upper() == "NONE" and not check:
        check["Test"] = ["NONE"]
    else:
        raise UsageError(f"--change: {rest!r} is no health check", hint="HEALTHCHECK [--interval=10s] CMD …, or NONE")
    settings["Healthcheck"] = check


def _text(key: str) -> Callable[[dict[str, Any], str], None]:
    def apply(settings: dict[str, Any], rest: str) -> None:
        settings[key] = rest

    return apply


_INSTRUCTIONS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "USER": _text("User"),
    "VOLUME": _volume,
    "WORKDIR": _text("WorkingDir"),
    "STOPSIGNAL": _text("StopSignal"),
}
