"""Which known holes of runc are open, by version and changelog."""

from __future__ import annotations

import pytest

from composer.host.advisories import RUNC, Version, open_advisories, parse_version

TRIO = {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}
ALL = {advisory.cve for advisory in RUNC}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("runc version 1.1.5+ds1", (1, 1, 5, 999)),
        ("v1.4.0-rc.3", (1, 4, 0, 3)),
        ("1.2.0~rc2+dfsg-1", (1, 2, 0, 2)),
        ("1.3.3", (1, 3, 3, 999)),
        ("unknown", None),
        ("", None),
    ],
)
def test_a_version_is_read_from_what_a_program_says(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("1.1.5", ALL),
        ("1.1.12", ALL - {"CVE-2024-21626"}),
        ("1.1.15", ALL - {"CVE-2024-21626"}),
        ("1.2.7", TRIO | {"CVE-2026-41579"}),
        ("1.2.8", {"CVE-2026-41579"}),
        ("1.3.5", {"CVE-2026-41579"}),
        ("1.3.6", set()),
        ("1.4.0-rc.2", TRIO | {"CVE-2026-41579"}),
        ("1.4.0-rc.3", {"CVE-2026-41579"}),
        ("1.4.3", set()),
        ("1.5.0-rc.2", {"CVE-2026-41579"}),
        ("1.5.0", set()),
        ("2.0.0", set()),
    ],
)
def test_holes_are_open_until_the_release_that_mends_them(version: str, holes: set[str]) -> None:
    parsed = parse_version(version)
    assert parsed
    assert {advisory.cve for advisory in open_advisories(parsed, None)} == holes


def test_a_changelog_that_names_a_hole_counts_as_mended() -> None:
    changelog = "runc (1.1.5+ds1-1+deb12u1)\n  * CVE-2024-21626: several container breakouts\n"
    assert {one.cve for one in open_advisories((1, 1, 5, 999), changelog)} == ALL - {"CVE-2024-21626"}
