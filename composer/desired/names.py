"""Names and labels as docker compose gives them, so that tools which read them keep working."""

from __future__ import annotations

from collections.abc import Mapping

from composer.model.service import Dependency

COMPOSE_VERSION = "2.40.3"
"""The docker compose whose labels and behaviour we follow."""

_PREFIX = "com.docker.compose."


def container_name(project: str, service: str, number: int) -> str:
    """`<project>-<service>-<number>`."""
    return f"{project}-{service}-{number}"


def oneoff_name(project: str, service: str, slug: str) -> str:
    """`<project>-<service>-run-<first 12 of the slug>`."""
    return f"{project}-{service}-run-{slug[:12]}"


def short_name(project: str, name: str) -> str:
    """How logs show a container: without the project."""
    return name.removeprefix(f"{project}-")


def service_labels(
    *,
    project: str,
    service: str,
    working_dir: str,
    files: tuple[str, ...],
    config_hash: str,
    image_id: str,
    depends_on: Mapping[str, Dependency],
) -> dict[str, str]:
    """The labels all containers of a service share. The user's own labels of these names give way."""
    return {
        f"{_PREFIX}config-hash": config_hash,
        f"{_PREFIX}depends_on": ",".join(
            f"{name}:{dependency.condition}:{str(dependency.restart).lower()}"
            for name, dependency in sorted(depends_on.items())
        ),
        f"{_PREFIX}image": image_id,
        f"{_PREFIX}project": project,
        f"{_PREFIX}project.config_files": ",".join(files),
        f"{_PREFIX}project.working_dir": working_dir,
        f"{_PREFIX}service": service,
        f"{_PREFIX}version": COMPOSE_VERSION,
    }


def image_labels(*, project: str, service: str) -> dict[str, str]:
    """The labels of an image that was built for a service."""
    return {
        f"{_PREFIX}project": project,
        f"{_PREFIX}service": service,
        f"{_PREFIX}version": COMPOSE_VERSION,
    }


def number_labels(number: int) -> dict[str, str]:
    """The labels of one replica."""
    return {f"{_PREFIX}container-number": str(number), f"{_PREFIX}oneoff": "False"}


def oneoff_labels(slug: str) -> dict[str, str]:
    """The labels of a one-off container."""
    return {f"{_PREFIX}oneoff": "True", f"{_PREFIX}slug": slug}


def network_labels(*, project: str, network: str, config_hash: str) -> dict[str, str]:
    """The labels of a project's network; `network` is its key in the stack file."""
    return {
        f"{_PREFIX}config-hash": config_hash,
        f"{_PREFIX}network": network,
        f"{_PREFIX}project": project,
        f"{_PREFIX}version": COMPOSE_VERSION,
    }


def volume_labels(*, project: str, volume: str) -> dict[str, str]:
    """The labels of a project's named volume; `volume` is its key in the stack file."""
    return {
        f"{_PREFIX}project": project,
        f"{_PREFIX}version": COMPOSE_VERSION,
        f"{_PREFIX}volume": volume,
    }


def dns_names(name: str, container_id: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    """By what a container is found on a network: its own name, those it shares, its short id (docker's)."""
    return tuple(dict.fromkeys((name, *aliases, container_id[:12])))
