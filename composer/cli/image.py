"""`jocker image …`."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from composer.cli.globals import Globals, one_of
from composer.cli.text import ago, escape, is_terminal, size, table
from composer.image.reference import familiar, normalise
from composer.image.store import ImageRecord, Store, display_names

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Names = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Names or ids")]


def _store(context: typer.Context) -> Store:
    options: Globals = context.obj
    return Store(options.paths)


def _architecture() -> str:
    from composer.host.machine_facts import architecture

    return architecture(platform.machine())


def _progress(quiet: bool) -> Callable[[str], None]:
    """Where something slow tells how far it is: one line that is written over, only where somebody looks."""
    if quiet or not is_terminal(sys.stderr):
        return lambda _: None

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{escape(text)}")
        sys.stderr.flush()

    return show


def _done(progress: Callable[[str], None]) -> None:
    progress("")


@app.command()
def pull(
    context: typer.Context,
    names: Names,
    tls_verify: Annotated[
        bool | None,
        typer.Option(
            "--tls-verify/--no-tls-verify", help="Check the registry's certificate; default: as registries.conf says"
        ),
    ] = None,
    creds: Annotated[str, typer.Option("--creds", help="USER:PASSWORD", envvar="JOCKER_CREDS")] = "",
    authfile: Annotated[
        str, typer.Option("--authfile", help="File with credentials", envvar="REGISTRY_AUTH_FILE")
    ] = "",
    arch: Annotated[str, typer.Option("--arch", help="Another architecture than this machine's")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the id")] = False,
) -> None:
    """Fetch images from their registries."""
    from composer.execute.retry import with_patience
    from composer.image.transfer import Access, pull

    store = _store(context)
    access = Access(tls_verify=tls_verify, credentials=creds, auth_file=authfile)
    show = _progress(quiet)

    def retrying(attempt: int, attempts: int, why: str) -> None:
        print(f"jocker: attempt {attempt}/{attempts}: {escape(why)}", file=sys.stderr)

    for name in names:
        reference = normalise(name)
        image = with_patience(
            lambda reference=reference: pull(  # type: ignore[misc]
                store,
                reference,
                access=access,
                architecture=arch,
                progress=lambda text: show(f"{reference}: {text}"),
            ),
            retrying,
        )
        _done(show)
        print(image.image_id if quiet else f"{reference}: {image.image_id}")


@app.command()
def load(
    context: typer.Context,
    file: Annotated[str, typer.Option("--input", "-i", help="Archive; without it stdin")] = "-",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress")] = False,
) -> None:
    """Load images from an archive of `docker save` or an OCI archive (plain, gzip or zstd)."""
    from composer.image.archive import load

    show = _progress(quiet)
    source = sys.stdin.buffer if file == "-" else file
    loaded = load(_store(context), source, architecture=_architecture(), on_progress=show)
    _done(show)
    for image in loaded:
        for name in image.names:
            print(f"Loaded image: {familiar(name)}")
        if not image.names:
            print(f"Loaded image ID: {image.config.image_id}")


@app.command("import")
def import_(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Directory or tar archive (plain, gzip, zstd); - is stdin")],
    name: Annotated[str, typer.Argument(help="Name of the new image")],
    change: Annotated[
        list[str] | None, typer.Option("--change", "-c", help='As in a Dockerfile: CMD ["sh"], ENV A=1; several')
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Comment in the image's history")] = "",
) -> None:
    """Make an image of one layer from a directory or an archive."""
    from composer.image.importing import import_rootfs

    show = _progress(quiet=False)
    image = import_rootfs(
        _store(context),
        sys.stdin.buffer if source == "-" else source,
        name,
        tuple(change or ()),
        architecture=_architecture(),
        message=message,
        on_progress=show,
    )
    _done(show)
    print(image.image_id)


@app.command("ls")
def list_(
    context: typer.Context,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Ids only")] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Ids in full")] = False,
) -> None:
    """List the images that are here. JSON: one object per line."""
    one_of("--format", output, ("table", "json"))
    records = _store(context).references()

    def shown_id(record: ImageRecord) -> str:
        return record.image_id if no_trunc else record.image_id.removeprefix("sha256:")[:12]

    if quiet:
        print("".join(f"{text}\n" for text in dict.fromkeys(shown_id(record) for record in records)), end="")
        return
    if output == "json":
        for record in records:
            repository, tag = _names(record)
            print(
                json.dumps(
                    {
                        "Repository": repository,
                        "Tag": tag,
                        "ID": shown_id(record),
                        "Digest": record.manifest_digest,
                        "CreatedAt": record.created,
                        "CreatedSince": _created(record),
                        "Size": size(record.size),
                    }
                )
            )
        return
    rows = [(*_names(record), shown_id(record), _created(record), size(record.size)) for record in records]
    print(table(("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"), rows), end="")


def _names(record: ImageRecord) -> tuple[str, str]:
    repository, tag = display_names(record)
    return familiar(repository), tag


def _created(record: ImageRecord) -> str:
    from datetime import datetime

    try:
        return f"{ago(datetime.fromisoformat(record.created[:19] + '+00:00').timestamp())} ago"
    except ValueError:
        return f"{ago(record.added_at, time.time())} ago"


@app.command()
def inspect(context: typer.Context, names: Names) -> None:
    """Show all about images, as a JSON array in docker's words."""
    store = _store(context)
    records = store.references()
    found: list[dict[str, Any]] = []
    for name in names:
        image = store.get(name)
        raw = json.loads(store.blob(image.image_id))
        mine = [record for record in records if record.image_id == image.image_id]
        found.append(
            {
                "Id": image.image_id,
                "RepoTags": [
                    familiar(record.reference) for record in mine if record.reference and "@" not in record.reference
                ],
                "RepoDigests": sorted(
                    {f"{_names(record)[0]}@{record.manifest_digest}" for record in mine if record.reference}
                ),
                "Created": image.created,
                "Author": image.author,
                "Architecture": image.architecture,
                "Variant": image.variant,
                "Os": image.os,
                "Size": sum(layer.size for layer in store.manifest(image.manifest_digest).layers),
                "Config": raw.get("config") or {},
                "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
            }
        )
    print(json.dumps(found, indent=4, ensure_ascii=True))


@app.command()
def rm(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="Even if a container uses it")] = False,
) -> None:
    """Remove names of images, and images with their last name."""
    store = _store(context)
    for name in names:
        for line in store.remove(name, force=force):
            print(line)


@app.command()
def tag(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="IMAGE", help="Name or id")],
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="Another name for it")],
) -> None:
    """Give an image another name."""
    _store(context).tag(name, new_name)


@app.command()
def save(
    context: typer.Context,
    names: Names,
    output: Annotated[str, typer.Option("--output", "-o", help="File; without it stdout")] = "-",
) -> None:
    """Write images to an archive that docker, podman and jocker can load."""
    from composer.errors import UsageError
    from composer.image.archive import save

    store = _store(context)
    for name in names:
        store.get(name)
    if output == "-":
        if sys.stdout.isatty():
            raise UsageError("an archive does not belong on a terminal", hint="use -o FILE, or a pipe")
        save(store, names, sys.stdout.buffer)
        return
    if not output or os.path.isdir(output):
        raise UsageError(f"-o {output!r} is not a file")
    if os.path.exists(output) and not os.path.isfile(output):
        with open(output, "wb") as file:  # a device or a pipe: not something to be replaced by a file
            save(store, names, file)
        return
    target = os.path.realpath(output)
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            save(store, names, file)
        os.rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@app.command()
def prune(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="All images that no container uses, and the build cache")
    ] = False,
    build_cache: Annotated[bool, typer.Option("--build-cache", help="The build cache, too")] = False,
) -> None:
    """Remove images without a name, and what crashes left in the store."""
    gone, freed = _store(context).prune(everything=everything)
    for name in gone:
        print(f"Deleted: {name}")
    if everything or build_cache:
        from composer.host.buildah import drop_cache

        options: Globals = context.obj
        freed += drop_cache(options.paths)
    print(f"Total reclaimed space: {size(freed)}")
