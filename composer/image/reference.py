"""Names of images, normalised as docker does: `alpine` is `docker.io/library/alpine:latest`."""

from __future__ import annotations

import re
from typing import NamedTuple

from composer.errors import UsageError

DEFAULT_DOMAIN = "docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?\Z")
_TAG = re.compile(r"[\w][\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LONGEST_NAME = 255
_PLATFORM_PART = re.compile(r"[a-z0-9_-]+\Z")
_ARCHITECTURES = {
    **{name: (name, "") for name in ("386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le")},
    **{name: (name, "") for name in ("riscv64", "s390x")},
    "aarch64": ("arm64", ""),
    "armel": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "x86-64": ("amd64", ""),
    "x86_64": ("amd64", ""),
}
"""Go's name, and the variant that comes with it."""


def normalise(name: str) -> str:
    """The one spelling of an image name: `domain/path:tag`, or `domain/path@digest` (a tag beside a digest is kept).

    Raises `UsageError` for what is no image name.
    """
    rest, at, digest = name.partition("@")
    if at and not _DIGEST.match(digest):
        raise _refused(name, "the digest must be sha256: and 64 hex digits")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, tag = rest, ""
    elif not _TAG.match(tag):
        raise _refused(name, f"{tag!r} cannot be a tag")
    if re.fullmatch(r"[0-9a-f]{64}", rest):
        raise _refused(name, "64 hex digits are an image id, not a name")
    domain, path = _split_domain(head)
    if not _DOMAIN.match(domain):
        raise _refused(name, f"{domain!r} cannot be a registry")
    if path != path.lower():
        raise _refused(name, "the name must be lower case")
    if not _PATH.match(path):
        raise _refused(name, "a name is of a-z, 0-9 and single separators . _ - between them")
    if len(domain) + 1 + len(path) > _LONGEST_NAME:
        raise _refused(name, f"longer than {_LONGEST_NAME} characters")
    if not tag and not at:
        tag = "latest"
    return f"{domain}/{path}{f':{tag}' if tag else ''}{at}{digest}"


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    looks_like_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    if not looks_like_host:
        first, rest = DEFAULT_DOMAIN, name
    if first == _LEGACY_DOMAIN:
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _refused(name: str, why: str) -> UsageError:
    return UsageError(
        f"{name!r} is not an image name: {why}", hint="for example alpine:3.20 or registry:5000/team/app:1"
    )


def familiar(reference: str) -> str:
    """The short spelling people use: without `docker.io/` and `library/`; the tag stays."""
    short = reference.removeprefix(f"{DEFAULT_DOMAIN}/")
    if short != reference:
        short = short.removeprefix(_OFFICIAL)
    return short


def repository(reference: str) -> str:
    """A normalised reference without tag and digest."""
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def tag(reference: str) -> str:
    """The tag of a normalised reference, or ""."""
    name = reference.partition("@")[0]
    _, colon, found = name.rpartition(":")
    return found if colon and "/" not in found else ""


class Platform(NamedTuple):
    """What an image runs on, in Go's names. An empty variant fits any."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))

    def takes(self, architecture: str, variant: str) -> bool:
        """Whether an image that says this of itself will do; what it does not say is no obstacle."""
        return architecture in {"", self.architecture} and (not self.variant or variant in {"", self.variant})


def parse_platform(text: str) -> Platform | None:
    """`linux/arm64/v8`, `arm64`, `linux/x86_64` by containerd's rules; None for what is no platform of Linux.

    `linux` names no architecture: it is "" then, the machine's.
    """
    parts = text.lower().split("/")
    if parts[0] == "linux":
        parts = parts[1:]
    if not parts:
        return Platform("linux", "")
    if len(parts) > 2 or not all(map(_PLATFORM_PART.match, parts)) or parts[0] not in _ARCHITECTURES:
        return None
    architecture, variant = _ARCHITECTURES[parts[0]]
    variant = parts[1] if len(parts) > 1 else variant
    if architecture == "arm" and variant.isdecimal():
        variant = f"v{variant}"
    if (architecture, variant) in {("arm64", "8"), ("arm64", "v8"), ("amd64", "v1")}:
        variant = ""  # the first one of its kind, which images need not name
    return Platform("linux", architecture, variant)
