"""`config --resolve-image-digests` and `--lock-image-digests`, with a registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Jocker
from hostile import Oci, base, packed
from registry import push, registry

from composer.image.layout import parse_index

pytestmark = pytest.mark.real


def test_images_are_pinned_to_what_their_registry_has(jocker: Jocker, tmp_path: Path) -> None:
    layers, plain = packed(base())
    image = Oci(layers, plain)
    (tmp_path / "registries").mkdir()
    with registry(tmp_path / "registries") as address:
        push(image, tmp_path / "registries", f"{address}/app:1")
        (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
        pinned = f"y@sha256:{'0' * 64}"
        (tmp_path / "jocker.yml").write_text(
            f"name: s\nservices:\n  a: {{image: '{address}/app:1', tty: true}}\n  b: {{image: '{pinned}'}}\n"
        )
        env = {"CONTAINERS_REGISTRIES_CONF": "registries.conf"}
        index = image.members()["index.json"]
        assert isinstance(index, bytes)
        digest = parse_index(index)[0].descriptor.digest
        lock = jocker("config", "--lock-image-digests", env=env, cwd=tmp_path).stdout
        assert lock == f"services:\n  a:\n    image: {address}/app:1@{digest}\n  b:\n    image: {pinned}\n"
        whole = jocker("config", "--resolve-image-digests", env=env, cwd=tmp_path).stdout
        assert f"    image: {address}/app:1@{digest}\n" in whole
        assert "    tty: true\n" in whole
        (tmp_path / "jocker.yml").write_text(f"services: {{a: {{image: '{address}/none:1'}}}}\n")
        assert (
            "none:1: not in its registry"
            in jocker("config", "--lock-image-digests", env=env, cwd=tmp_path, code=1).stderr
        )
