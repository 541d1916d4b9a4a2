"""Stack files made to hurt: one answer, soon and within bounds, and never a traceback."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from composer.host import proc

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_MEMORY = 200 << 20
_CPU_SECONDS = 10
"""What no machine takes for them; where they are not bounded they take minutes."""


def answer(directory: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit code and stderr of `jocker config -q`, which may use a bounded time and memory."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with (directory / "stderr").open("w+b") as errors:
        done = subprocess.run(
            [sys.executable, "-m", "composer", *arguments, "config", "-q"],
            cwd=directory,
            env={"PATH": proc.PATH, "HOME": str(directory), "PYTHONPATH": str(REPOSITORY), **variables},
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            preexec_fn=bounded,
            check=False,
        )
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    assert "Traceback" not in said
    assert "bug in jocker" not in said
    return done.returncode, said


def nested_aliases() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    return "\n".join(lines)


def service(body: str) -> str:
    return f"services: {{a: {{image: x, {body}}}}}\n"


def services(line: Callable[[int], str], count: int) -> str:
    return "services:\n" + "".join(f"  s{number}: {{{line(number)}}}\n" for number in range(count))


CHAOS = random.Random(1)
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "random bytes": (CHAOS.randbytes(200_000), "not UTF-8"),
    "random punctuation": ("".join(CHAOS.choices("abc:-[]{}&*!|>'\"%@`#, \n\t", k=200_000)), "not valid YAML"),
    "brackets only": ("[" * 1_000_000, "nested more than 100 levels deep"),
    "mappings only": ("a: {" * 300_000, "nested more than 100 levels deep"),
    "deep blocks": ("".join(" " * depth + "a:\n" for depth in range(3000)), "nested more than 100 levels deep"),
    "aliases of aliases": (nested_aliases(), "values once every alias is followed"),
    "ten megabytes of comment": ("#" * (10 << 20), "longer than 8 MiB"),
    "eight megabytes of services": (
        services(lambda _: "image: x, labels: [a=b]" + " " * 20, 130_000),
        "more than 100000",
    ),
    "a hundred thousand unknown keys": (services(lambda _: "imag: x", 30_000), "200 complaints: the rest is not told"),
    "a hundred thousand equal items": (service(f"group_add: [{', '.join(['g'] * 90_000)}]"), "is written twice"),
    "a variable many times": (
        service("labels: {" + ", ".join(f"l{n}: $BIG" for n in range(20_000)) + "}"),
        "more than 16 MiB once all variables are replaced",
    ),
    "a variable many times in one value": (service(f"user: '{'$BIG' * 100_000}'"), "more than 16 MiB"),
    "variables inside one another": (service(f"user: '{'${A:-' * 3000}x{'}' * 3000}'"), "more than 50 variables"),
    "braces only": (service(f"user: '{'${A:-' * 200_000}'"), "invalid interpolation format"),
    "many services that extend a big one": (
        services(
            lambda n: "extends: s0" if n else f"image: x, labels: {{{', '.join(f'l{m}: x' for m in range(5000))}}}",
            5000,
        ),
        "more than 100000 values once all is extended",
    ),
    "a circle of many": (services(lambda n: f"extends: s{(n + 1) % 5000}", 5000), "a circle of extends"),
    "a port range many times": (service("ports: ['1-65000:1-65000', '1-65000:1-65000/udp']"), "more than 65536 ports"),
    "words with a colon in a long list": (
        service(f"command: [{','.join(['./a:/b'] * 100_000)}]"),
        "put the word in quotes",
    ),
    "a very long key": (service(f"labels: {{'{'k' * 7_000_000}': [x]}}"), "not valid YAML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_has_one_answer(tmp_path: Path, name: str) -> None:
    text, wanted = HOSTILE[name]
    (tmp_path / "jocker.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, said = answer(tmp_path, BIG="x" * 100_000)
    assert code == 3, said[-2000:]
    assert wanted in said
    assert len(said) < 200_000


def test_an_env_file_that_doubles_itself(tmp_path: Path) -> None:
    lines = ["A0=xxxxxxxxxx", *(f"A{n}=$A{n - 1}$A{n - 1}" for n in range(1, 60))]
    (tmp_path / ".env").write_text("\n".join(lines))
    (tmp_path / "jocker.yml").write_text(service("user: $A59"))
    code, said = answer(tmp_path)
    assert (code, said.splitlines()[0]) == (3, ".env:21:1: more than 16 MiB once all variables are replaced")


def test_includes_that_double_themselves(tmp_path: Path) -> None:
    for number in range(40):
        other = f"i{number + 1}.yml"
        (tmp_path / f"i{number}.yml").write_text(f"include: [{{path: {other}}}, {{path: ./{other}}}]\n")
    (tmp_path / "i40.yml").write_text(service("user: x"))
    code, said = answer(tmp_path, "-f", "i0.yml")
    assert code == 3
    assert "more than 500 files, one from another" in said


def test_a_hostile_file_as_json_is_one_object_per_line(tmp_path: Path) -> None:
    (tmp_path / "jocker.yml").write_text(services(lambda _: "'\\x1b[2J\\n': x", 3))
    code, said = answer(tmp_path, "--progress", "json")
    assert code == 3
    assert [json.loads(line)["message"] for line in said.splitlines()] == ["unknown key"] * 3
