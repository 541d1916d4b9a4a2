"""`jocker build`: the images of services, by buildah."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from composer.cli import road
from composer.cli.containers import variables
from composer.cli.globals import Globals, one_of
from composer.cli.options import Services
from composer.cli.planned import text
from composer.errors import UsageError
from composer.frozen import replace
from composer.model.building import Build
from composer.model.values import parse_bytes
from composer.plan.builds import plan_builds
from composer.plan.steps import BuildImage

_PROGRESS = ("auto", "tty", "plain", "json", "quiet")


def build(
    context: typer.Context,
    services: Services = None,
    build_arg: Annotated[
        list[str] | None, typer.Option("--build-arg", help="NAME=VALUE, or NAME from here; several")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", "-m", help="What runs in a build may use no more: 512m")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step anew")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch the images that are built on, also those here")] = False,
    push: Annotated[bool, typer.Option("--push", help="Send the images to their registries afterwards")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing of what builds say")] = False,
    ssh: Annotated[str | None, typer.Option("--ssh", help="default, or ID=SOCKET or ID=KEY")] = None,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="Also what the services depend on")
    ] = False,
    progress: Annotated[
        str | None, typer.Option("--progress", help="auto, tty, plain, json or quiet", hidden=True)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan instead")] = False,
    provenance: Annotated[str | None, typer.Option("--provenance", hidden=True)] = None,
    sbom: Annotated[str | None, typer.Option("--sbom", hidden=True)] = None,
    builder: Annotated[str | None, typer.Option("--builder", hidden=True, envvar="BUILDX_BUILDER")] = None,
    check: Annotated[bool, typer.Option("--check", hidden=True)] = False,
    print_: Annotated[bool, typer.Option("--print", hidden=True)] = False,
    _parallel: Annotated[bool, typer.Option("--parallel", hidden=True)] = False,
    _compress: Annotated[bool, typer.Option("--compress", hidden=True)] = False,
    _force_rm: Annotated[bool, typer.Option("--force-rm", hidden=True)] = False,
    _no_rm: Annotated[bool, typer.Option("--no-rm", hidden=True)] = False,
) -> None:
    """Build the images of services; without names, of all that have a `build`."""
    options: Globals = context.obj
    if check or print_:
        raise UsageError(
            f"{'--check' if check else '--print'} is for BuildKit: buildah, which builds here, has no such"
        )
    if provenance or sbom or builder:
        road.warn(("--provenance, --sbom and --builder have no effect: buildah builds, without attestations",))
    if progress is not None:
        options = replace(options, progress=one_of("--progress", progress, _PROGRESS))
    options = options.with_quiet_builds(quiet)
    names = tuple(services or ())
    project = road.load(options, names)
    arguments, limit = variables(build_arg, "--build-arg", project.environment), _bytes(memory)
    socket = _ssh(ssh)

    def changed(step: BuildImage) -> BuildImage:
        wanted = project.services[step.service]
        return replace(
            step,
            build=_with_flags(step.build, arguments, socket, no_cache=no_cache, pull=pull),
            push=push and wanted.image_is_named,
            memory=limit,
        )

    desired = road.described_images(options.paths, project)
    plan = road.with_bases(plan_builds(desired, names, with_dependencies=with_dependencies, change=changed))
    road.warn(plan.warnings)
    if dry_run:
        print(text(plan, with_differences=False), end="")
        return
    road.apply(options, plan)


def _with_flags(
    build: Build, arguments: Mapping[str, str], ssh: Mapping[str, str], *, no_cache: bool, pull: bool
) -> Build:
    return replace(
        build,
        args={**build.args, **arguments},
        ssh={**build.ssh, **ssh},
        no_cache=build.no_cache or no_cache,
        pull=build.pull or pull,
    )


def _bytes(memory: str | None) -> int:
    if memory is None:
        return 0
    try:
        return parse_bytes(memory)
    except ValueError as error:
        raise UsageError(f"--memory {memory!r}: {error}", hint="as in 512m") from None


def _ssh(given: str | None) -> dict[str, str]:
    if not given:
        return {}
    name, _, path = given.partition("=")
    if not path and name != "default":
        raise UsageError(f"--ssh {given!r}: the key is missing", hint="default, or ID=FILE")
    return {name: os.path.abspath(path) if path else ""}
