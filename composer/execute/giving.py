"""Secrets and configs of a container: brought to where its bundle has them mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composer.errors import ContainerError
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.desired.state import DesiredContainer
    from composer.host.givenfiles import Contents


def give_files(paths: Paths, container: DesiredContainer, container_id: str, contents: Contents | None) -> None:
    """Writes them. Raises `ContainerError`."""
    if not container.spec.files:
        return
    from composer.host import givenfiles

    found = contents or givenfiles.Contents(paths)
    try:
        givenfiles.provide(paths, container_id, container.spec.files, container.origins, found)
    except ContainerError as error:
        raise ContainerError(f'service "{container.service}": {error.message}', hint=error.hint) from None


def given_files(paths: Paths, container: DesiredContainer, container_id: str) -> tuple[str, ...]:
    """Where they lie, in their order."""
    if not container.spec.files:
        return ()
    from composer.host.givenfiles import paths_of

    return paths_of(paths, container_id, container.spec.files)
