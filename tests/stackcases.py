"""Cases of stack files as data, and the way a pure test loads one: files are a mapping, nothing touches the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from composer.composefile.names import check_project_name
from composer.composefile.passes import Sources, StackText, load_project
from composer.errors import StackFileError
from composer.model.service import Project

CASES = Path(__file__).parent / "cases" / "composefile"
ROOT = "/stack"
ENVIRONMENT = {"SET": "val", "EMPTY": "", "N": "5"}


def read_cases(name: str) -> list[Any]:
    """The cases of one file, a list."""
    cases = YAML(typ="safe").load((CASES / name).read_text(encoding="utf-8"))
    assert isinstance(cases, list)
    return cases


def stack_cases() -> list[dict[str, Any]]:
    """Every case of a whole stack: `name`, `files`, and what must come out."""
    return [case for file in sorted(CASES.glob("stack_*.yml")) for case in read_cases(file.name)]


def files_of(case: Mapping[str, Any]) -> dict[str, str]:
    """The files by name.

    `service` is short for one jocker.yml with one service `a` that has an image and no network, `networked` for one
    with an image only, `stack` for the whole text. `volumes` is what stands at the top level beside `service`, `top`
    any text there; `volume` is short for one volume `v1` that is mounted on /d.
    """
    if "stack" in case:
        return {"jocker.yml": case["stack"], **case.get("files", {})}
    if "volume" in case:
        service = "{image: x, network_mode: none, volumes: ['v1:/d']}"
        return {"jocker.yml": f"services: {{a: {service}}}\nvolumes:\n  v1: {case['volume']}\n"}
    if "networked" in case:
        body = "".join(f"    {line}\n" for line in case["networked"].splitlines())
        return {"jocker.yml": f"services:\n  a:\n    image: x\n{body}", **case.get("files", {})}
    if "service" in case:
        body = "".join(f"    {line}\n" for line in case["service"].splitlines())
        body += f"volumes: {case['volumes']}\n" if "volumes" in case else ""
        body += case.get("top", "")
        return {"jocker.yml": f"services:\n  a:\n    image: x\n    network_mode: none\n{body}", **case.get("files", {})}
    return dict(case["files"])


def stripped(service: Mapping[str, Any]) -> dict[str, Any]:
    """What `config` shows of a service besides its image, and besides having no network, the host's or the default."""
    plain = {"network_mode": ("none", "host"), "networks": ({"default": None},), "image": ("x", "y", "z")}
    return {key: value for key, value in service.items() if key not in plain or value not in plain[key]}


def sources_of(case: Mapping[str, Any]) -> tuple[Sources, Callable[[str], str]]:
    """What a case is made from, without a disk: all files whose name ends with .yml are stack files, in order."""
    files = files_of(case)

    def read(path: str) -> str:
        try:
            return files[path.removeprefix(f"{ROOT}/")]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    name = case.get("project")
    sources = Sources(
        files=tuple(StackText(n, f"{ROOT}/{n}", text) for n, text in files.items() if n.endswith(".yml")),
        environment={**ENVIRONMENT, **case.get("environment", {})},
        directory=ROOT,
        cwd=ROOT,
        home="/home/me",
        project_name=check_project_name(name, "-p") if name else None,
        profiles=tuple(case.get("profiles", ())),
    )
    return sources, read


def load(case: Mapping[str, Any]) -> Project:
    """The project of a case."""
    return load_project(*sources_of(case), with_services=tuple(case.get("with_services", ())))


def refusals_of(case: Mapping[str, Any]) -> list[str]:
    """What the case says rightly and nobody can run, a line each."""
    return [f"{c.place}: {c.message}" + (f" ({c.hint})" if c.hint else "") for c in load(case).refusals]


def complaints_of(case: Mapping[str, Any]) -> list[str]:
    """What is wrong with the case, a line each: place, message, hint, how the file came to be read."""
    try:
        load(case)
    except StackFileError as error:
        return [
            f"{c.place}: {c.message}" + (f" ({c.hint})" if c.hint else "") + "".join(f" < {link}" for link in c.chain)
            for c in error.complaints
        ]
    return []
