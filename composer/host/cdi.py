"""Reads the machine's CDI files: what vendors say about their devices."""

from __future__ import annotations

import json
import os
from typing import Any

from composer.bundle.cdi import CdiError, Spec, parse_spec

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""As the specification names them; what the later one says goes before the earlier."""
_ENDINGS = (".json", ".yaml", ".yml")
_LARGEST = 4 << 20


def specs(directories: tuple[str, ...] = DIRECTORIES) -> tuple[tuple[Spec, ...], tuple[str, ...]]:
    """Every spec, in order of precedence, lowest first; and what is wrong with the files that are none.

    One bad file does not keep the others from being used, as with docker.
    """
    found: list[Spec] = []
    broken: list[str] = []
    for directory in directories:
        try:
            names = sorted(name for name in os.listdir(directory) if name.endswith(_ENDINGS))
        except OSError:
            continue
        for name in names:
            path = f"{directory}/{name}"
            try:
                found.append(parse_spec(_tree(path), path))
            except OSError as error:
                broken.append(f"{path}: {error.strerror}")
            except CdiError as error:
                broken.append(str(error))
    return tuple(found), tuple(broken)


def _tree(path: str) -> Any:
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise CdiError(f"{path}: too large")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if path.endswith(".json"):
            raise CdiError(f"{path}: not JSON") from None
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError):
        raise CdiError(f"{path}: not YAML") from None
