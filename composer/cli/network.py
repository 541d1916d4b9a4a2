"""`jocker network …`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from composer.cli import netview, road
from composer.cli.asking import confirm
from composer.cli.filewords import NetworkOptions, desired_network
from composer.cli.globals import Globals, one_of
from composer.errors import NetworkError
from composer.host import networks, records
from composer.model.wiring import Wiring
from composer.paths import Paths

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Names = Annotated[list[str], typer.Argument(metavar="NETWORK...", help="Names, or beginnings of ids")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, as a stack file's `external` network has it")],
    driver: Annotated[str, typer.Option("--driver", "-d", help="bridge; there is no other")] = netview.DRIVER,
    internal: Annotated[bool, typer.Option("--internal", help="No way out, and none in")] = False,
    attachable: Annotated[bool, typer.Option("--attachable", help="A note; every network here is")] = False,
    ipv4: Annotated[bool, typer.Option("--ipv4/--no-ipv4", help="IPv4 addresses")] = True,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="IPv6 addresses, too")] = False,
    subnet: Annotated[
        list[str] | None, typer.Option("--subnet", help="CIDR; one of each kind. Without it a free one")
    ] = None,
    ip_range: Annotated[
        list[str] | None, typer.Option("--ip-range", help="CIDR: where in a subnet containers get theirs")
    ] = None,
    gateway: Annotated[list[str] | None, typer.Option("--gateway", help="Address of the gateway of a subnet")] = None,
    aux_address: Annotated[
        list[str] | None, typer.Option("--aux-address", help="NAME=ADDRESS that no container gets; several")
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE; several")] = None,
    option: Annotated[list[str] | None, typer.Option("--opt", "-o", help="Driver option NAME=VALUE; several")] = None,
) -> None:
    """Make a network that stacks use with `external: true`. Prints its id."""
    options: Globals = context.obj
    wanted = desired_network(
        NetworkOptions(
            name=name,
            driver=driver,
            internal=internal,
            attachable=attachable,
            ipv4=ipv4,
            ipv6=ipv6,
            subnets=tuple(subnet or ()),
            ip_ranges=tuple(ip_range or ()),
            gateways=tuple(gateway or ()),
            aux_addresses=tuple(aux_address or ()),
            labels=tuple(label or ()),
            options=tuple(option or ()),
        )
    )
    _check_free(options.paths, name, wanted.config_hash)
    from composer.execute.networking import Networking

    Networking(options.paths).create(wanted)
    print(netview.network_id(name))


def _check_free(paths: Paths, name: str, config_hash: str) -> None:
    """Nobody has a network of this name, but one that this very command had begun. Raises `NetworkError`."""
    from composer.actual.observe import observe_networks

    found = networks.read(paths, name)
    if found is None:
        return
    owner = f"stack {found.project}" if found.project else "`jocker network create`"
    is_begun = not found.project and not found.leases and found.config_hash == config_hash
    if not (is_begun and observe_networks(paths, [found])[0].faults):
        raise NetworkError(
            f"there is a network {name} already, made by {owner}",
            hint=f"another name, or first: jocker network rm {name}",
        )


@app.command("ls")
def list_(
    context: typer.Context,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Ids only")] = False,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", "-f", help="name=, id=, label= or driver=; several")
    ] = None,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Ids in full")] = False,
) -> None:
    """List the networks of all stacks, and those of none. JSON: one object per line."""
    one_of("--format", output, ("table", "json"))
    options: Globals = context.obj
    found = netview.filtered(networks.every(options.paths), filters or ())
    shown = netview.as_ids if quiet else netview.as_lines if output == "json" else netview.as_table
    print(shown(found, no_trunc=no_trunc), end="")


@app.command()
def inspect(context: typer.Context, names: Names) -> None:
    """Show all about networks, as a JSON array in docker's words."""
    options: Globals = context.obj
    found = [netview.inspected(one, _users(options.paths, one)) for one in _meant(options.paths, names)]
    print(json.dumps(found, indent=4, ensure_ascii=True))


@app.command()
def rm(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="One that is not there is no error")] = False,
) -> None:
    """Remove networks that no container is on, not even a stopped one. All are looked at before the first goes."""
    options: Globals = context.obj
    found = _meant(options.paths, names, ignore_missing=force)
    for one in found:
        _check_unused(options.paths, one)
    for one in found:
        with _locked(options, one, "network rm"):
            _check_unused(options.paths, one)
            _remove(options.paths, one.name)
            print(one.name)


@app.command()
def prune(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask")] = False,
) -> None:
    """Remove all networks that no container is on, also those of stacks that are not up."""
    options: Globals = context.obj
    unused = [one for one in networks.every(options.paths) if not _users(options.paths, one, claimed=True)]
    if not unused:
        print("no unused networks", file=sys.stderr)
        return
    if not force:
        confirm(f"network prune would remove {', '.join(one.name for one in unused)}")
    gone = []
    for one in unused:
        with _locked(options, one, "network prune"):
            again = networks.read(options.paths, one.name)
            if again is not None and not _users(options.paths, again, claimed=True):
                _remove(options.paths, one.name)
                gone.append(one.name)
    print("Deleted Networks:\n" + "".join(f"{name}\n" for name in gone), end="")


def _meant(paths: Paths, names: list[str], *, ignore_missing: bool = False) -> list[Wiring]:
    there = {one.name: one for one in networks.every(paths)}
    found = {}
    for name in names:
        try:
            one = netview.meant(name, there)
        except NetworkError:
            if ignore_missing:
                continue
            raise
        found[one.name] = one
    return list(found.values())


def _users(paths: Paths, one: Wiring, *, claimed: bool = False) -> dict[str, str]:
    """The containers on a network, names by id; with `claimed` also those that a command is about to make."""
    found = {}
    for container_id in networks.without_strays(paths, one).leases:
        record = records.read(paths, container_id)
        if record is not None:
            found[container_id] = str(record.get("name") or container_id[:12])
        elif claimed:
            found[container_id] = container_id[:12]
    return found


def _check_unused(paths: Paths, one: Wiring) -> None:
    """Raises `NetworkError` that names who is on the network."""
    users = _users(paths, one, claimed=True)
    if users:
        raise NetworkError(
            f"network {one.name} is in use by {', '.join(sorted(users.values()))}",
            hint="remove these first: jocker down, or jocker rm for stopped ones",
        )


@contextmanager
def _locked(options: Globals, one: Wiring, command: str) -> Iterator[None]:
    """Nobody changes the stack that the network belongs to meanwhile: it may have made it and have no container yet."""
    if not one.project:
        yield
        return
    with road.stack_lock(options, one.project, command):
        yield


def _remove(paths: Paths, name: str) -> None:
    from composer.execute.networking import Networking

    Networking(paths).remove(name, for_good=True)
