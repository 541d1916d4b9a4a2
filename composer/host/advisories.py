"""Known holes of OCI runtimes: which are open in a version, as far as the version and the package's changelog tell.

Data and pure functions; nothing here asks the machine.
"""

from __future__ import annotations

import re
from typing import NamedTuple

Version = tuple[int, int, int, int]
"""Major, minor, patch, release candidate (a released version counts as candidate 999)."""

_RELEASED = 999


class Advisory(NamedTuple):
    """One hole: its id, what it lets an attacker do, and the first good version of each series of releases.

    A series that is not named is good if it is newer than the newest named one, else it is open for ever.
    """

    cve: str
    what: str
    fixed: tuple[str, ...]
    ours: str = ""
    """What jocker does about it by itself, if anything."""


RUNC = (
    Advisory("CVE-2024-21626", "escape through a leaked descriptor", ("1.1.12", "1.2.0-rc.1")),
    Advisory("CVE-2025-31133", "escape through masked paths", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
    Advisory("CVE-2025-52565", "escape through the mount of /dev/console", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
    Advisory("CVE-2025-52881", "writes to /proc redirected past AppArmor or SELinux", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
    Advisory(
        "CVE-2026-41579",
        "links made outside the image through a linked /dev",
        ("1.3.6", "1.4.3", "1.5.0-rc.3"),
        "jocker refuses such images itself",
    ),
)
"""Of runc's security advisories those that an image or a container can use, newest last."""


def parse_version(text: str) -> Version | None:
    """`1.1.5+ds1`, `1.4.0-rc.3`, `v1.2.0-rc3` as numbers; None if there is no version in it."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)(?:[-~]rc\.?(\d+))?", text)
    if found is None:
        return None
    return int(found[1]), int(found[2]), int(found[3]), int(found[4] or _RELEASED)


def is_open(advisory: Advisory, version: Version) -> bool:
    """Whether a version, as released by its authors, has the hole."""
    fixed = [parsed for parsed in map(parse_version, advisory.fixed) if parsed]
    for good in fixed:
        if good[:2] == version[:2]:
            return version < good
    return version < max(fixed)


def open_advisories(version: Version, changelog: str | None) -> tuple[Advisory, ...]:
    """The holes a version has and that the package's changelog (None: there is none) does not name as mended.

    Distributions mend old versions and keep the number: a changelog that names the CVE is taken at its word.
    """
    return tuple(
        advisory
        for advisory in RUNC
        if is_open(advisory, version) and not (changelog is not None and advisory.cve in changelog)
    )
