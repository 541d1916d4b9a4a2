"""`jocker volume …`."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from composer.actual.state import used_volumes
from composer.cli import volumeview
from composer.cli.asking import confirm
from composer.cli.globals import Globals, one_of
from composer.cli.volumeview import Volume
from composer.errors import ContainerError, UsageError
from composer.host import records, volumes
from composer.paths import Paths

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Names = Annotated[list[str], typer.Argument(metavar="VOLUME...", help="Names")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Do not ask")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[VOLUME]", help="Name; without it, 64 hex digits")] = None,
    driver: Annotated[str, typer.Option("--driver", "-d", help="local; there is no other")] = volumeview.DRIVER,
    label: Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE; several")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--opt", "-o", help="type=, device= and o= of what is mounted there; several")
    ] = None,
) -> None:
    """Make a volume that stacks use with `external: true`. Prints its name. One that is there stays as it is."""
    from composer.model.localvolume import local_mount

    options: Globals = context.obj
    if driver != volumeview.DRIVER:
        raise UsageError(f"--driver {driver}: there is no such driver", hint="drivers are plugins of docker: local")
    labels, given = _pairs("--label", label), _pairs("--opt", option)
    try:
        local_mount(given)
    except ValueError as error:
        raise UsageError(f"--opt: {error}") from None
    if name is None:
        name = os.urandom(32).hex()
        labels[volumes.ANONYMOUS_LABEL] = ""
    there = volumes.read(options.paths, name)
    if there is not None and given and volumes.options_of(there) != given:
        raise ContainerError(f"volume {name} is there, with other options", hint=f"first: jocker volume rm {name}")
    volumes.create_named(options.paths, name, project="", key="", labels=labels, driver_opts=given)
    print(name)


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or (not equals and option == "--opt"):
            raise UsageError(f"{option} {text!r}", hint="write NAME=VALUE")
        pairs[name] = value
    return pairs


@app.command("ls")
def list_(
    context: typer.Context,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Names only")] = False,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", "-f", help="dangling=, driver=, label= or name=; several")
    ] = None,
) -> None:
    """List all volumes: of stacks, of none, anonymous ones. JSON: one object per line."""
    one_of("--format", output, ("table", "json"))
    options: Globals = context.obj
    found = volumeview.filtered(every(options.paths), filters or ())
    shown = volumeview.as_names if quiet else volumeview.as_lines if output == "json" else volumeview.as_table
    print(shown(found), end="")


def every(paths: Paths) -> list[Volume]:
    """All volumes of the store with their users."""
    users: dict[str, list[str]] = {}
    for record in records.every(paths):
        for name in used_volumes(record):
            users.setdefault(name, []).append(str(record.get("name") or record["id"][:12]))
    return [
        Volume(one, f"{paths.volumes}/{one['name']}/_data", tuple(sorted(users.get(one["name"], ()))))
        for one in volumes.every(paths)
    ]


@app.command()
def inspect(context: typer.Context, names: Names) -> None:
    """Show all about volumes, as a JSON array in docker's words."""
    options: Globals = context.obj
    found = [volumeview.inspected(_meant(options.paths, name)) for name in names]
    print(json.dumps(found, indent=4, ensure_ascii=True))


def _meant(paths: Paths, name: str) -> Volume:
    record = volumes.read(paths, name)
    if record is None:
        raise ContainerError(f"no such volume: {name}", hint="jocker volume ls shows all")
    return Volume(record, volumes.path(paths, name), tuple(sorted(volumes.users_of(paths, name).values())))


@app.command()
def rm(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="One that is not there is no error")] = False,
) -> None:
    """Remove volumes that no container uses, not even a stopped one. All are looked at before the first goes."""
    paths = context.obj.paths
    found = [_meant(paths, name) for name in dict.fromkeys(names) if not force or volumes.read(paths, name) is not None]
    for one in found:
        if one.users:
            raise ContainerError(
                f"volume {one.name} is in use by {', '.join(one.users)}",
                hint="remove these first: jocker down, or jocker rm for stopped ones",
            )
    for one in found:
        volumes.remove_named(paths, one.name)
        print(one.name)


@app.command()
def prune(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Those with a name, too")] = False,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="label=, label!= or all=true; several")] = None,
    force: Force = False,
) -> None:
    """Remove the anonymous volumes that no container uses; with --all those with a name, too."""
    paths = context.obj.paths
    unused = [one for one in every(paths) if volumeview.prunable(one, filters or (), everything=everything)]
    if not unused:
        print("no unused volumes", file=sys.stderr)
        return
    if not force:
        confirm(f"volume prune would remove {', '.join(one.name for one in unused)}")
    gone, freed = [], 0
    for one in unused:
        size = _size(one.path)
        if volumes.remove_unused(paths, one.name):
            gone.append(one.name)
            freed += size
    from composer.cli.text import size as as_text

    print("Deleted Volumes:\n" + "".join(f"{name}\n" for name in gone))
    print(f"Total reclaimed space: {as_text(freed)}")


def _size(data: str) -> int:
    """Bytes on disk of what is in a volume, without what is mounted there."""
    from composer.host.trees import disk_size

    return disk_size(data)
