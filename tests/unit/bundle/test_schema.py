"""Rendered configs against the JSON schemas of the OCI runtime-spec: Debian's, and newer ones if they are at hand.

`JOCKER_TEST_SCHEMAS` names a directory with `runtime-spec/config-schema.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import bundles
import pytest
from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from ruamel.yaml import YAML

from composer.bundle.context import HostDevice, ProcessUser
from composer.errors import ContainerError
from composer.host.machine_facts import seccomp_default

CASES = Path(__file__).parents[2] / "cases/bundle"
DEBIAN = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
NEWER = os.environ.get("JOCKER_TEST_SCHEMAS")
DIRECTORIES = [DEBIAN, *([Path(NEWER) / "runtime-spec"] if NEWER else [])]


def validator(directory: Path) -> Draft4Validator:
    """The schemas refer to one another by file name."""
    assert directory.is_dir(), f"{directory}: apt-get install golang-github-opencontainers-specs-dev"
    resources = [
        (f"file:///{path.name}", Resource.from_contents(json.loads(path.read_text()), default_specification=DRAFT4))
        for path in directory.glob("*.json")
    ]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft4Validator({"$ref": "file:///config-schema.json"}, registry=registry)


def rendered() -> dict[str, dict[str, Any]]:
    """Every case that renders, and some with all of it at once."""
    found = {}
    for path in sorted(CASES.glob("*.yml")):
        for name, case in YAML(typ="safe").load(path.read_text()).items():
            if "error" not in case and "facts" not in case:
                found[name] = bundles.render(
                    bundles.container(**case["spec"]), files=case.get("files", {}), volumes=case.get("volumes", {})
                )
    everything: dict[str, Any] = {
        "tty": True,
        "init": True,
        "read_only": True,
        "ulimits": {"nofile": (5, 6), "core": (-1, -1)},
        "sysctls": {"net.core.somaxconn": "5"},
        "security_opt": ["no-new-privileges", "label=type:x_t", "apparmor=mine"],
        "mem_limit": 5 * 2**30,
        "cpus": 1.5,
        "pids_limit": 5,
        "mounts": [{"tmpfs": {"target": "/t"}}, {"bind": {"target": "/b", "source": "/b", "propagation": "rshared"}}],
        "annotations": {"a": "b"},
    }
    machine = bundles.facts(
        cgroup_v2=True,
        apparmor=True,
        selinux=True,
        seccomp_default=seccomp_default(),
        devices=(HostDevice("/dev/kvm", "c", 10, 232, 0o660, 0, 105),),
    )
    user = ProcessUser(1000, 1000, (1000, 5), "/home")
    for privileged in (False, True):
        found[f"everything, privileged {privileged}"] = bundles.render(
            bundles.container(**everything, privileged=privileged), facts=machine, user=user, console_size=(24, 80)
        )
    return found


@pytest.mark.parametrize("directory", DIRECTORIES, ids=str)
def test_rendered_configs_are_valid(directory: Path) -> None:
    schema = validator(directory)
    configs = rendered()
    assert len(configs) > 50
    for config in configs.values():
        # Runtimes know it and docker writes it; the schema's `slave` would leave inner mounts of the machine shared.
        if config["linux"].get("rootfsPropagation") == "rslave":
            del config["linux"]["rootfsPropagation"]
    faults = {name: [error.message for error in schema.iter_errors(config)] for name, config in configs.items()}
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize("directory", DIRECTORIES, ids=str)
def test_the_schemas_would_find_a_fault(directory: Path) -> None:
    config = bundles.render(bundles.container())
    config["linux"]["namespaces"][0]["type"] = "moun"
    assert not validator(directory).is_valid(config)


def test_our_checks_find_what_a_schema_cannot_say() -> None:
    with pytest.raises(ContainerError, match="soft limit 2 is above hard limit 1"):
        bundles.render(bundles.container(ulimits={"core": (2, 1)}))
