"""Archives of several images, and archives that come through a pipe."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import Jocker
from hostile import Layer, Oci, archive, base, packed

from composer.image.store import Store
from composer.paths import Paths

pytestmark = pytest.mark.real

_PLAIN = "application/vnd.oci.image.layer.v1.tar"


def test_an_archive_is_imported_from_stdin(jocker: Jocker, jocker_dirs: Paths) -> None:
    jocker("image", "import", "-", "piped:1", stdin=Layer().file("f").raw.decode("ascii"))
    (chain,) = Store(jocker_dirs).get("piped:1").chain_ids
    assert os.listdir(Store(jocker_dirs).layer_dir(chain)) == ["f"]


def test_saved_images_of_one_config_keep_their_own_names_and_digests(jocker: Jocker, tmp_path: Path) -> None:
    """The same tree, compressed and not: two manifests with one config."""
    layers, plain = packed(base())
    for made, name in ((Oci(layers, plain), "one"), (Oci(plain, layer_type=_PLAIN), "two")):
        made.annotations["io.containerd.image.name"] = f"docker.io/library/{name}:1"
        (tmp_path / name).write_bytes(archive(made.members()))
        jocker("image", "load", "-i", str(tmp_path / name))

    def digests() -> dict[str, str]:
        lines = jocker("image", "ls", "--format", "json").stdout.splitlines()
        return {one["Repository"]: one["Digest"] for one in map(json.loads, lines)}

    before = digests()
    jocker("image", "save", "-o", str(tmp_path / "saved.tar"), "one:1", "two:1")
    jocker("image", "rm", "one:1", "two:1")
    loaded = jocker("image", "load", "-i", str(tmp_path / "saved.tar")).stdout
    assert loaded.splitlines() == ["Loaded image: one:1", "Loaded image: two:1"]
    assert digests() == before
    assert before["one"] != before["two"]
