"""Names of platforms, as containerd reads them."""

from __future__ import annotations

import pytest

from composer.image.reference import Platform, parse_platform


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux", "linux"),
        ("linux/amd64", "linux/amd64"),
        ("LINUX/AMD64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm", "linux/arm"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("armhf", "linux/arm/v7"),
        ("armel", "linux/arm/v6"),
        ("i386", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_a_platform_is_read(text: str, found: str) -> None:
    assert str(parse_platform(text)) == found


@pytest.mark.parametrize(
    "text", ["", "windows", "windows/amd64", "linux/", "linux/vax", "linux/arm/v7/x", "linux/arm/ v7", "linux//", "a b"]
)
def test_what_is_none_is_none(text: str) -> None:
    assert parse_platform(text) is None


@pytest.mark.parametrize(
    ("platform", "image", "takes"),
    [
        (Platform("linux", "amd64"), ("amd64", ""), True),
        (Platform("linux", "amd64"), ("", ""), True),
        (Platform("linux", "amd64"), ("arm64", ""), False),
        (Platform("linux", "arm64"), ("arm64", "v8"), True),
        (Platform("linux", "arm", "v7"), ("arm", "v7"), True),
        (Platform("linux", "arm", "v7"), ("arm", ""), True),
        (Platform("linux", "arm", "v7"), ("arm", "v6"), False),
        (Platform("linux", "arm"), ("arm", "v6"), True),
    ],
)
def test_an_image_fits_unless_it_says_otherwise(platform: Platform, image: tuple[str, str], takes: bool) -> None:
    assert platform.takes(*image) is takes
