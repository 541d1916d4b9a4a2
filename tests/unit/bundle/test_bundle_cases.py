"""Every case under `tests/cases/bundle`: a spec in, places of config.json out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bundles
import pytest
from ruamel.yaml import YAML

from composer.bundle.context import ProcessUser
from composer.errors import ContainerError, MachineError

CASES = Path(__file__).parents[2] / "cases/bundle"


def cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.yml")):
        for name, case in YAML(typ="safe").load(path.read_text()).items():
            found.append(pytest.param(case, id=f"{path.stem}: {name}"))
    return found


def look(config: Any, path: str) -> Any:
    """What stands at `linux.seccomp.syscalls[0].names`; raises LookupError if nothing does."""
    # Names of sysctls and annotations have dots: they are compared as whole objects, never looked up.
    for key, index in re.findall(r"([^.\[\]]+)|\[(-?\d+)\]", path):
        config = config[key] if key else config[int(index)]
    return config


@pytest.mark.parametrize("case", cases())
def test_a_spec_becomes_this_config(case: dict[str, Any]) -> None:
    unknown = case.keys() - {"spec", "facts", "user", "files", "volumes", "expect", "absent", "error"}
    assert not unknown
    facts = {key: tuple(value) if key == "kernel" else value for key, value in case.get("facts", {}).items()}
    user = {key: tuple(value) if isinstance(value, list) else value for key, value in case.get("user", {}).items()}
    given = {
        "facts": bundles.facts(**facts),
        "user": ProcessUser(**user),
        "files": case.get("files", {}),
        "volumes": case.get("volumes", {}),
    }
    desired = bundles.container(**case["spec"])
    if "error" in case:
        with pytest.raises((ContainerError, MachineError), match=re.escape(case["error"])):
            bundles.render(desired, **given)
        return
    config = bundles.render(desired, **given)
    assert {path: look(config, path) for path in case.get("expect", {})} == case.get("expect", {})
    for path in case.get("absent", ()):
        with pytest.raises(LookupError):
            look(config, path)
