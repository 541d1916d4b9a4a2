"""`platform:` of a service: which image of several a name stands for; and images that grow old."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import registry as registries
from hostile import Layer, Oci, base, packed, sha256
from registry import push
from scenarios.conftest import Jocker

from composer.host.machine_facts import architecture
from composer.paths import Paths

pytestmark = pytest.mark.real

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7")
OCI = "application/vnd.oci.image."


class Several:
    """One image for each of `PLATFORMS` behind one index."""

    def members(self) -> dict[str, bytes | str]:
        blobs: dict[str, bytes | str] = {}
        entries = []
        for name in PLATFORMS:
            _, architecture, variant = f"{name}/".split("/")[:3]
            layers, plain = packed(base(), Layer().dir("bin").file("bin/sh", name, mode=0o755))
            found = Oci(layers, plain, changes={"architecture": architecture, "variant": variant}).members()
            (entry,) = json.loads(found["index.json"])["manifests"]
            platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
            entries.append({**entry, "annotations": {}, "platform": platform})
            blobs |= {path: content for path, content in found.items() if path.startswith("blobs/")}
        document = json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": entries}).encode()
        outer = {"mediaType": f"{OCI}index.v1+json", "digest": sha256(document), "size": len(document)}
        blobs[f"blobs/sha256/{sha256(document)[7:]}"] = document
        index = json.dumps({"schemaVersion": 2, "manifests": [outer]}).encode()
        return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **blobs}


Up = Callable[..., Any]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with registries.registry(directory) as address:
        push(Several(), directory, f"{address}/app:1")  # type: ignore[arg-type]
        yield address


@pytest.fixture
def run(jocker: Jocker, registry: str, tmp_path: Path) -> Up:
    """Runs a command on a stack whose service `web` has the image and a platform."""
    conf = f'[[registry]]\nprefix = "far.example"\nlocation = "{registry}"\ninsecure = true\n'
    (tmp_path / "registries.conf").write_text(conf)

    def run(
        *arguments: str, platform: str = "", policy: str = "", code: int = 0, env: Mapping[str, str] | None = None
    ) -> Any:
        wanted = f"    platform: {platform}\n" if platform else ""
        wanted += f"    pull_policy: {policy}\n" if policy else ""
        service = f"    image: far.example/app:1\n    network_mode: none\n    command: [sh]\n{wanted}"
        (tmp_path / "jocker.yml").write_text(f"name: web\nservices:\n  web:\n{service}")
        environment = {"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "registries.conf"), **(env or {})}
        return jocker(*arguments, cwd=tmp_path, code=code, env=environment)

    return run


def here(jocker: Jocker) -> str:
    (found,) = json.loads(jocker("image", "inspect", "far.example/app:1").stdout)
    return f"{found['Architecture']}/{found.get('Variant', '')}".rstrip("/")


@pytest.mark.parametrize(
    ("platform", "image"),
    [("linux/arm64", "arm64/v8"), ("aarch64", "arm64/v8"), ("linux/arm/v6", "arm/v6"), ("linux/arm/7", "arm/v7")],
)
def test_the_image_for_a_platform_is_pulled(run: Up, jocker: Jocker, platform: str, image: str) -> None:
    run("create", platform=platform)
    assert here(jocker) == image
    assert "nothing to do" not in run("plan", platform=platform).stdout  # it is not started
    assert "Pull" not in run("plan", platform=platform).stdout
    run("down")


def test_an_image_for_another_platform_is_not_there(run: Up, jocker: Jocker) -> None:
    run("create")
    mine = here(jocker)
    assert mine == architecture(os.uname().machine)
    other = "linux/arm64" if mine != "arm64" else "linux/amd64"
    shown = run("plan", platform=other).stdout
    assert f"PullImage far.example/app:1: it is not here for {other}" in shown
    said = run("create", platform=other)
    assert "warning" not in said.stderr
    assert here(jocker).startswith(other.removeprefix("linux/"))
    said = run("create").stderr
    assert f'service "web": image far.example/app:1 is for linux/{here(jocker)}, this machine is linux/{mine}' in said
    run("down")


def test_a_variable_names_the_platform_of_those_that_name_none(run: Up, jocker: Jocker) -> None:
    run("create", env={"DOCKER_DEFAULT_PLATFORM": "linux/arm/v7"})
    assert here(jocker) == "arm/v7"
    run("create", platform="linux/arm/v6", env={"DOCKER_DEFAULT_PLATFORM": "linux/arm/v7"})
    assert here(jocker) == "arm/v6"
    said = run("plan", env={"DOCKER_DEFAULT_PLATFORM": "windows/amd64"}, code=2).stderr
    assert "DOCKER_DEFAULT_PLATFORM: no platform that Linux can run: 'windows/amd64'" in said
    run("down")


def test_run_pulls_for_the_platform_too(run: Up, jocker: Jocker) -> None:
    run("run", "--rm", "-T", "web", "true", platform="linux/arm/v6", code=127)  # the image has no program at all
    assert here(jocker) == "arm/v6"
    run("down")


def test_a_platform_that_no_registry_has(run: Up) -> None:
    said = run("create", platform="linux/s390x", code=1).stderr
    assert "far.example/app:1: not in its registry" in said
    assert "s390x" in said


def age(paths: Paths, seconds: float) -> None:
    """As if all images had come so long ago."""
    for path in Path(f"{paths.images}/refs").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "added_at": record["added_at"] - seconds}))


@pytest.mark.parametrize(
    ("policy", "seconds"), [("every_1h30m", 5400), ("daily", 86400), ("weekly", 7 * 86400), ("every_0s", 1)]
)
def test_an_image_that_has_grown_old_is_pulled_again(run: Up, jocker_dirs: Paths, policy: str, seconds: int) -> None:
    run("create", policy=policy)
    if seconds > 1:
        assert "PullImage" not in run("plan", policy=policy).stdout
        age(jocker_dirs, seconds - 600)
        assert "PullImage" not in run("plan", policy=policy).stdout
        age(jocker_dirs, 700)
    assert "PullImage far.example/app:1: it was pulled too long ago" in run("plan", policy=policy).stdout
    assert "Pulled" in run("create", policy=policy).stderr
    if seconds > 1:
        assert "PullImage" not in run("plan", policy=policy).stdout
        age(jocker_dirs, seconds + 1)
        assert "Pulled" in run("run", "--rm", "-T", "web", "nothing", policy=policy, code=127).stderr
    assert "PullImage" not in run("plan", policy="refresh").stdout
    run("down")
