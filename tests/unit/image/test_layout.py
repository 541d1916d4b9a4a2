"""Which entry of an index is taken, and which documents are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composer.errors import ImageRefused
from composer.image.layout import choose, parse_docker_manifest, parse_index, parse_manifest

DIGEST = "sha256:" + "a" * 64


def index(*platforms: str) -> bytes:
    """An index with an entry for each `os/architecture`; "" is one that says nothing."""
    entries = []
    for number, platform in enumerate(platforms):
        entry: dict[str, Any] = {"mediaType": "x", "digest": "sha256:" + str(number) * 64, "size": 1}
        if platform:
            system, _, architecture = platform.partition("/")
            entry["platform"] = {"os": system, "architecture": architecture}
        entries.append(entry)
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


@pytest.mark.parametrize(
    ("platforms", "wanted", "taken"),
    [
        (["linux/amd64", "linux/arm64"], "arm64", 1),
        (["windows/amd64", "linux/amd64"], "amd64", 1),
        (["unknown/unknown", "linux/amd64"], "amd64", 1),
        ([""], "amd64", 0),
        (["linux/s390x", ""], "amd64", 1),
        (["", "linux/amd64"], "amd64", 1),
        (["", ""], "amd64", 0),
        (["linux/amd64", "linux/amd64"], "amd64", 0),
    ],
)
def test_the_entry_for_this_machine_is_taken(platforms: list[str], wanted: str, taken: int) -> None:
    assert choose(parse_index(index(*platforms)), wanted).descriptor.digest == "sha256:" + str(taken) * 64


@pytest.mark.parametrize(
    ("platforms", "offered"),
    [
        ([], "nothing"),
        (["linux/arm64", "windows/amd64"], "linux/arm64, windows/amd64"),
        (["unknown/unknown"], "nothing"),
    ],
)
def test_an_index_without_this_machine_says_what_it_has(platforms: list[str], offered: str) -> None:
    with pytest.raises(ImageRefused, match=f"nothing for linux/amd64; it has {offered}"):
        choose(parse_index(index(*platforms)), "amd64")


GOOD: dict[str, Any] = {
    "schemaVersion": 2,
    "config": {"mediaType": "c", "digest": DIGEST, "size": 2},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 3}],
}


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_all_kinds_of_layers_in_use_are_known(kind: str) -> None:
    raw = json.dumps({**GOOD, "layers": [{"mediaType": kind, "digest": DIGEST, "size": 3}]}).encode()
    assert parse_manifest(raw).layers[0].media_type == kind


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schemaVersion": 1}, "schema version"),
        ({"manifests": []}, "an index, too"),
        ({"layers": None}, "no list of layers"),
        ({"layers": [None]}, "layer 1 has no digest"),
        ({"layers": [{"digest": DIGEST, "size": -1}]}, "layer 1 has no size"),
        ({"layers": [{"digest": DIGEST, "size": True}]}, "layer 1 has no size"),
        ({"layers": [{"digest": DIGEST, "size": "1"}]}, "layer 1 has no size"),
        ({"layers": [{"digest": DIGEST, "size": 1, "mediaType": "text/html"}]}, "layer 1 is of a kind .* 'text/html'"),
        ({"layers": [{"digest": DIGEST, "size": 1}]}, "layer 1 is of a kind"),
        ({"config": {"digest": "sha256:../../x", "size": 1}}, "config has no digest"),
        ({"config": []}, "config is not an object"),
    ],
)
def test_a_manifest_that_is_malformed_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        parse_manifest(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize(
    "raw", [b"{}", b"[]", b"[1]", b'[{"Config": 1}]', b'[{"Layers": "a"}]', b'[{"RepoTags": [1]}]']
)
def test_a_docker_manifest_that_is_malformed_is_refused(raw: bytes) -> None:
    with pytest.raises(ImageRefused, match=r"manifest\.json"):
        parse_docker_manifest(raw)
