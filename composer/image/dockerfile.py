"""What a Dockerfile takes from elsewhere: the images it is made from, the stages, where each ends. Pure.

Not an interpreter: just enough of the syntax (docs.docker.com/reference/dockerfile) to have every image at hand
before the build, and to end at the stage that is wanted.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import NamedTuple

LARGEST = 1024 * 1024
"""Bytes of a Dockerfile: who writes more generates something else."""

_LONGEST = 4096
"""Characters of a value once its variables are replaced."""

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9_-]*)\s*=\s*(.*?)\s*\Z")
_HEREDOC = re.compile(r"<<(-?)\s*([\"']?)([A-Za-z_][A-Za-z0-9_]*)\2")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_FROM_FLAG = re.compile(r"--from=(\S+)")
_MOUNT_FLAG = re.compile(r"--mount=(\S+)")


class Instruction(NamedTuple):
    """One instruction: its word in capitals, what follows it on one line, its lines (from 0, end excluded)."""

    word: str
    rest: str
    first: int
    end: int


class Stage(NamedTuple):
    """One `FROM`: the image (or the stage) it starts from, its name or "", its platform or ""."""

    base: str
    name: str
    platform: str
    first: int


class Needs(NamedTuple):
    """What a Dockerfile takes from outside itself, in order, and its stages."""

    images: tuple[str, ...]
    stages: tuple[Stage, ...]


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile: comments, continued lines and here-documents read as BuildKit reads them."""
    lines = text.split("\n")
    escape = _escape(lines)
    number = 0
    while number < len(lines):
        first = number
        joined = ""
        while number < len(lines):
            line = lines[number].rstrip("\r")
            number += 1
            if line.lstrip().startswith("#") or (joined and not line.strip()):
                if not joined:
                    break
                continue
            stripped = line.rstrip()
            if not stripped.endswith(escape):
                joined += line
                break
            joined += stripped[:-1]
        word, _, rest = joined.strip().partition(" ")
        if "\t" in word:
            word, _, rest = joined.strip().partition("\t")
        if not word:
            continue
        if word.upper() in {"RUN", "COPY", "ADD"}:
            for found in _HEREDOC.finditer(rest):
                while number < len(lines):
                    line = lines[number].rstrip("\r")
                    number += 1
                    if (line.lstrip("\t") if found[1] else line) == found[3]:
                        break
        yield Instruction(word.upper(), rest.strip(), first, number)


def _escape(lines: list[str]) -> str:
    for line in lines:
        found = _DIRECTIVE.match(line.strip())
        if not found:
            return "\\"
        if found[1].lower() == "escape" and found[2] in {"\\", "`"}:
            return found[2]
    return "\\"


def needs(text: str, arguments: Mapping[str, str]) -> Needs:
    """What the Dockerfile needs, with these build arguments. Names of stages and `scratch` are no images; those that
    are given as additional contexts are, for the caller to tell apart.
    """
    defaults: dict[str, str] = {}
    known = ChainMap(dict(arguments), defaults)
    images: list[str] = []
    stages: list[Stage] = []
    names: set[str] = set()
    for one in instructions(text):
        if one.word == "ARG" and not stages:
            for name, value in _assignments(one.rest):
                if value is not None:
                    defaults[name] = _expanded(value, known)
        elif one.word == "FROM":
            stage = _stage(one, known)
            if stage.base and stage.base.lower() not in names and stage.base.lower() != "scratch":
                images.append(stage.base)
            stages.append(stage)
            if stage.name:
                names.add(stage.name.lower())
        else:
            images += [name for name in sources(one) if not _is_stage(name, names, len(stages))]
    return Needs(tuple(dict.fromkeys(images)), tuple(stages))


def sources(one: Instruction) -> list[str]:
    """What `COPY --from=` and `RUN --mount=…,from=` of an instruction name; of an ONBUILD, those of its trigger."""
    if one.word == "ONBUILD":
        word, _, rest = one.rest.partition(" ")
        return sources(Instruction(word.upper(), rest, one.first, one.end))
    found = []
    if one.word in {"COPY", "ADD"}:
        found += _FROM_FLAG.findall(_flags(one.rest))
    elif one.word == "RUN":
        for mount in _MOUNT_FLAG.findall(_flags(one.rest)):
            found += [part.removeprefix("from=") for part in mount.split(",") if part.startswith("from=")]
    return [name.strip("\"'") for name in found]


def _flags(rest: str) -> str:
    """The flags that an instruction begins with."""
    words = []
    for word in rest.split():
        if not word.startswith("--"):
            break
        words.append(word)
    return " ".join(words)


def _is_stage(name: str, names: set[str], count: int) -> bool:
    return name.lower() in names or (name.isdecimal() and len(name) < 10 and int(name) < count)


def _stage(one: Instruction, known: Mapping[str, str]) -> Stage:
    words = one.rest.split()
    platform = ""
    while words and words[0].startswith("--"):
        flag, _, value = words.pop(0).partition("=")
        if flag == "--platform":
            platform = _expanded(value, known)
    base = _expanded(words[0].strip("\"'"), known) if words else ""
    name = words[2] if len(words) >= 3 and words[1].upper() == "AS" else ""
    return Stage(base, name, platform, one.first)


def _assignments(rest: str) -> Iterator[tuple[str, str | None]]:
    for word in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", rest):
        name, equals, value = word.partition("=")
        yield name, value.replace('"', "").replace("'", "") if equals else None


def _expanded(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, operator, word = found[1] or found[2], found[3] or "", found[4] or ""
        got = known.get(name)
        is_there = got is not None and (bool(got) or not operator.startswith(":"))
        if operator.endswith("-"):
            return (got or "") if is_there else _expanded(word, known)
        if operator.endswith("+"):
            return _expanded(word, known) if is_there else ""
        return got or ""

    # No name of an image is longer; forty lines that double one another would be a terabyte.
    return _VARIABLE.sub(value, text[:_LONGEST])[:_LONGEST]


def until(text: str, target: str) -> str | None:
    """The Dockerfile without the stages after `target` (a name or a number); None if it has no such stage.

    So that the stage that is wanted is the last one: buildah gives its labels to that alone.
    """
    stages = needs(text, {}).stages
    for number, stage in enumerate(stages):
        if stage.name.lower() == target.lower() or target == str(number):
            lines = text.split("\n")
            end = stages[number + 1].first if number + 1 < len(stages) else len(lines)
            return "\n".join(lines[:end]) + "\n"
    return None
