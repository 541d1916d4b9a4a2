"""Finds and reads the stack files, `.env` and what they name: the only module of this package that touches the disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from composer.composefile.hostpaths import display_path
from composer.composefile.names import check_project_name, name_from_file, name_of_directory, name_without_yaml
from composer.composefile.passes import Sources, StackText, load_project, load_raw
from composer.composefile.tree import Findings, Mark, Source, shown
from composer.composefile.yaml import MAX_CHARACTERS, parse_yaml
from composer.errors import StackFileError, UsageError
from composer.frozen import frozen, replace
from composer.model.service import Project

if TYPE_CHECKING:
    from composer.composefile.raw import RawStack

# each family with its override files; the first family found in a directory is taken, then the first file of it
_FAMILIES = (
    (("jocker.yml", "jocker.yaml"), ("jocker.override.yml", "jocker.override.yaml")),
    (
        ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"),
        (
            "compose.override.yml",
            "compose.override.yaml",
            "docker-compose.override.yml",
            "docker-compose.override.yaml",
        ),
    ),
)
_OURS = (
    "ANSI", "DISABLE_ENV_FILE", "ENV_FILES", "FILE", "IGNORE_ORPHANS", "PARALLEL_LIMIT", "PATH_SEPARATOR", "PROFILES",
    "PROGRESS", "PROJECT_NAME", "REMOVE_ORPHANS", "STATUS_STDOUT",
)  # fmt: skip
"""`JOCKER_…` of these is read before `COMPOSE_…`."""
_TRUE = frozenset({"1", "t", "true"})
_STDIN = "-"


@frozen
class StackRequest:
    """What the user said about the stack: `-f`, `--env-file`, `-p`, `--project-directory`, `--profile`, and from where.

    `cwd` is absolute. Empty tuples and None mean "not said": then the variables of `environ` and `.env` decide.
    """

    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    profiles: tuple[str, ...] = ()
    as_written: frozenset[str] = frozenset()
    """See `Sources`."""
    environ: Mapping[str, str]
    cwd: str


def read_project(request: StackRequest, *, with_services: tuple[str, ...] = ()) -> Project:
    """The stack the user means, resolved. `with_services` are the services named: their profiles become active.

    Raises `StackFileError` with all complaints about all files, `UsageError` if files or services are not there.
    """
    return load_project(_sources(request), read_text, with_services=with_services)


def read_raw(request: StackRequest) -> RawStack:
    """The stack the user means with its variables as written, and the list of them. Raises as `read_project`."""
    return load_raw(_sources(request), read_text)


def find_project_name(request: StackRequest) -> str:
    """The project's name alone, as cheaply as possible: YAML is parsed only if a file may hold a `name:`.

    Without stack files the directory decides. Raises `UsageError` for a name that cannot be one.
    """
    if request.project_name:
        return check_project_name(request.project_name, "-p")
    request = _named_our_way(request)
    try:
        sources = _sources(request)
    except UsageError:
        name = request.environ.get("COMPOSE_PROJECT_NAME")
        if request.files or request.env_files:
            raise
        return check_project_name(name, "COMPOSE_PROJECT_NAME") if name else name_of_directory(_directory(request, []))
    if sources.project_name:
        return sources.project_name
    name = None
    for file in sources.files:
        sure, written = name_without_yaml(file.text)
        if not sure:
            findings = Findings()
            written = name_from_file(parse_yaml(file.text, file.name, findings), sources.environment, findings)
        name = written or name
    return name or name_of_directory(sources.directory)


def variables_of_env_files(request: StackRequest) -> dict[str, str]:
    """What `--env-file`s say, else `.env`, with the process environment left out. Raises as `read_project`."""
    request = _named_our_way(request)
    return _variables_of_files(request, _env_files(request))


def read_text(path: str) -> str:
    """The file as text. Raises OSError, or ValueError if it is no UTF-8 or beyond reason long."""
    with open(path, "rb") as file:
        data = file.read(MAX_CHARACTERS + 1)
    return _decoded(data)


def _decoded(data: bytes) -> str:
    if len(data) > MAX_CHARACTERS:
        raise ValueError(f"longer than {MAX_CHARACTERS >> 20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"not UTF-8 in line {line}") from None


# sources ----------------------------------------------------------------------------------------------
def _sources(request: StackRequest) -> Sources:
    request = _named_our_way(request)
    explicit = _env_files(request)
    environment = {**_variables_of_files(request, explicit), **request.environ}
    warnings: list[str] = []
    paths = _stack_files(request, environment, warnings)
    directory = _directory(request, paths)
    if not explicit and directory != _first_directory(request):
        environment = {**_dot_env(directory, environment, request), **environment}
    name = request.project_name
    if name:
        check_project_name(name, "-p")
    elif environment.get("COMPOSE_PROJECT_NAME"):
        name = check_project_name(environment["COMPOSE_PROJECT_NAME"], "COMPOSE_PROJECT_NAME")
    profiles = request.profiles or tuple(environment.get("COMPOSE_PROFILES", "").split(","))
    return Sources(
        files=tuple(_stack_text(path, request) for path in paths),
        environment=environment,
        directory=directory,
        cwd=request.cwd,
        home=request.environ.get("HOME") or os.path.expanduser("~"),
        project_name=name,
        profiles=tuple(profile.strip() for profile in profiles if profile.strip()),
        warnings=tuple(warnings),
        as_written=request.as_written,
    )


def _is_named(files: tuple[str, ...]) -> bool:
    return bool(files) and files[0] != _STDIN


def _directory(request: StackRequest, paths: list[str]) -> str:
    """What relative paths start from: the option, else the directory of the first file, else the current one."""
    if request.project_directory:
        return os.path.normpath(os.path.join(request.cwd, request.project_directory))
    named = [path for path in paths if path != _STDIN]
    return os.path.dirname(named[0]) if named else request.cwd


def _stack_files(request: StackRequest, environment: Mapping[str, str], warnings: list[str]) -> list[str]:
    """The absolute paths of the stack files, `-` for standard input. Raises `UsageError` if there are none."""
    files = request.files
    if not files and environment.get("COMPOSE_FILE"):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        files = tuple(filter(None, environment["COMPOSE_FILE"].split(separator)))
    if files:
        paths = [path if path == _STDIN else os.path.normpath(os.path.join(request.cwd, path)) for path in files]
        for path, written in zip(paths, files, strict=True):
            if path != _STDIN and not os.path.exists(path):
                raise _no_such_file(written)
            if os.path.isdir(path):
                raise UsageError(f"a directory, not a stack file: {shown(written)}")
        return paths
    start = os.path.normpath(os.path.join(request.cwd, request.project_directory or ""))
    directory = start
    while True:
        found = _files_in(directory, warnings)
        if found:
            return found
        if directory == os.path.dirname(directory):
            break
        directory = os.path.dirname(directory)
    raise UsageError(
        f"no stack file in {shown(start)} or above it",
        hint="write jocker.yml or compose.yaml, or name a file with -f",
    )


def _no_such_file(written: str) -> UsageError:
    from composer.composefile.remote import HINT, remote_kind

    kind = remote_kind(written)
    if kind:
        return UsageError(f"{shown(written)} is {kind}: not fetched", hint=HINT)
    return UsageError(f"no such stack file: {shown(written)}")


def _files_in(directory: str, warnings: list[str]) -> list[str]:
    for names, overrides in _FAMILIES:
        found = [path for name in names if os.path.isfile(path := f"{directory.rstrip('/')}/{name}")]
        if not found:
            continue
        extra = [path for name in overrides if os.path.isfile(path := f"{directory.rstrip('/')}/{name}")]
        for several in (found, extra):
            if len(several) > 1:
                taken, rest = (shown(os.path.basename(path)) for path in several[:2])
                warnings.append(f"{shown(directory)}: both {taken} and {rest} are there: {taken} is used")
        return [found[0], *extra[:1]]
    return []


def _stack_text(path: str, request: StackRequest) -> StackText:
    name = "stdin" if path == _STDIN else display_path(path, request.cwd)
    try:
        text = _decoded(sys.stdin.buffer.read(MAX_CHARACTERS + 1)) if path == _STDIN else read_text(path)
    except OSError as error:
        raise UsageError(f"{shown(name)}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        findings = Findings()
        findings.complain(str(error), Mark(Source(name)), ())
        raise StackFileError(tuple(findings.complaints)) from None
    return StackText(name, path, text)


# variables --------------------------------------------------------------------------------------------
def _named_our_way(request: StackRequest) -> StackRequest:
    return replace(request, environ=_with_ours(request.environ))


def _with_ours(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, those of compose with the values that ours of the same meaning have."""
    ours = {f"COMPOSE_{name}": value for name in _OURS if (value := variables.get(f"JOCKER_{name}")) is not None}
    return {**variables, **ours}


def _env_files(request: StackRequest) -> tuple[str, ...]:
    """The env files that are named."""
    return request.env_files or tuple(filter(None, request.environ.get("COMPOSE_ENV_FILES", "").split(",")))


def _first_directory(request: StackRequest) -> str:
    """Where `.env` is looked for before it is known which files there are."""
    first = request.project_directory or (os.path.dirname(request.files[0]) if _is_named(request.files) else "")
    return os.path.normpath(os.path.join(request.cwd, first))


def _variables_of_files(request: StackRequest, explicit: tuple[str, ...]) -> dict[str, str]:
    """What the `--env-file`s say, later ones winning, else what `.env` says."""
    if not explicit:
        return _dot_env(_first_directory(request), request.environ, request)
    found: dict[str, str] = {}
    for file in explicit:
        path = os.path.normpath(os.path.join(request.cwd, file))
        if not os.path.isfile(path) and not os.path.exists(path):
            raise UsageError(f"no such env file: {shown(file)}")
        found.update(_variables(path, {**found, **request.environ}, request))
    return found


def _dot_env(directory: str, known: Mapping[str, str], request: StackRequest) -> dict[str, str]:
    path = os.path.join(directory, ".env")
    if request.environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in _TRUE or not os.path.isfile(path):
        return {}
    return _variables(path, known, request)


def _variables(path: str, known: Mapping[str, str], request: StackRequest) -> dict[str, str]:
    from composer.composefile.dotenv import BadLine, parse_dotenv

    name = display_path(path, request.cwd)
    findings = Findings()
    text = ""
    try:
        text = read_text(path)
        return _with_ours(parse_dotenv(text, known.get))
    except BadLine as error:
        findings.complain(error.message, Mark(Source(name, tuple(text.split("\n"))), error.line, 1), ())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        findings.complain(f"cannot be read: {why}", Mark(Source(name)), ())
    raise StackFileError(tuple(findings.complaints))
