"""`jocker config`: the stack file, checked and in its canonical form; or one thing out of it."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli.configuring import Wanted, show_config
from composer.cli.globals import one_of
from composer.cli.options import Services


def config(
    context: typer.Context,
    services: Services = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only check")] = False,
    names: Annotated[bool, typer.Option("--services", help="Service names, in dependency order")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", help="Volume keys")] = False,
    networks: Annotated[bool, typer.Option("--networks", help="Network keys")] = False,
    models: Annotated[bool, typer.Option("--models", help="Model keys")] = False,
    hashes: Annotated[str, typer.Option("--hash", help="Config hashes of services: * or a comma list")] = "",
    profiles: Annotated[bool, typer.Option("--profiles", help="Profile names")] = False,
    images: Annotated[bool, typer.Option("--images", help="Image names")] = False,
    environment: Annotated[bool, typer.Option("--environment", help="The variables interpolation sees")] = False,
    support: Annotated[bool, typer.Option("--support", help="What works of the Compose Specification")] = False,
    digests: Annotated[
        bool, typer.Option("--resolve-image-digests", help="Images by the digests that their registries have now")
    ] = False,
    lock: Annotated[
        bool, typer.Option("--lock-image-digests", help="Only these images by digest: an override file")
    ] = False,
    variables: Annotated[bool, typer.Option("--variables", help="Variables of the file, and their defaults")] = False,
    raw: Annotated[bool, typer.Option("--no-interpolate", help="Leave variables as they are written")] = False,
    normal: Annotated[bool, typer.Option("--no-normalize", help="Add no names and no default network")] = False,
    files: Annotated[bool, typer.Option("--no-env-resolution", help="Leave env and label files unread")] = False,
    paths: Annotated[bool, typer.Option("--no-path-resolution", hidden=True)] = False,
    fit: Annotated[bool, typer.Option("--no-consistency", hidden=True)] = False,
    output: Annotated[str, typer.Option("--format", help="yaml or json")] = "",
    target: Annotated[str, typer.Option("--output", "-o", help="Write to a file")] = "",
) -> None:
    """Check the stack file and print what it means."""
    one_of("--format", output, ("", "yaml", "json"))
    given = {
        "--quiet": quiet,
        "--services": names,
        "--volumes": volumes,
        "--networks": networks,
        "--models": models,
        "--hash": bool(hashes),
        "--profiles": profiles,
        "--images": images,
        "--environment": environment,
        "--support": support,
        "--resolve-image-digests": digests,
        "--lock-image-digests": lock,
        "--variables": variables,
        "--no-interpolate": raw,
        "--no-normalize": normal,
        "--no-env-resolution": files,
        "--no-path-resolution": paths,
        "--no-consistency": fit,
    }
    flags = frozenset(flag for flag, is_given in given.items() if is_given)
    show_config(context.obj, Wanted(tuple(services or ()), flags, hashes, output, target))
