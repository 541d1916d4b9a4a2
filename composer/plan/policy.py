"""What the user asked for, beyond what the stack file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from composer.frozen import field, frozen
from composer.model.service import PullPolicy

BuildPolicy = Literal["missing", "always", "never"]
Recreate = Literal["changed", "always", "never"]


@frozen
class Policy:
    """Flags of `up` and `create`. `services` named on the command line (none: all); what they depend on comes along
    unless `no_deps`. `pulled` are references fetched or built a moment ago: they are not again; `stale` are services
    whose image is here for longer than their `pull_policy` will have it. `timeout` in seconds overrides the grace of
    every stop.
    """

    services: tuple[str, ...] = ()
    recreate: Recreate = "changed"
    recreate_dependencies: Recreate = "changed"
    no_deps: bool = False
    no_start: bool = False
    remove_orphans: bool = False
    ignore_orphans: bool = False
    renew_volumes: bool = False
    remake_volumes: bool = False
    """Volumes of which the stack file now says something else are made anew, empty."""
    scale: Mapping[str, int] = field(factory=dict)
    pull: PullPolicy | None = None
    pulled: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    build: BuildPolicy = "missing"
    timeout: float | None = None
