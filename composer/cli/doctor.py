"""`jocker doctor`: what this machine has, what it lacks, and how to mend it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from composer.errors import MachineError, UsageError
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.host.checks import Check


def doctor(
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
) -> None:
    """Check everything jocker needs of this machine. Exit code 4 if something essential is missing.

    JSON: {"ok": bool, "checks": [{"name": str, "status": "ok" | "warning" | "missing", "found": str, "fix": str}]};
    `ok` is false if any status is "missing", `fix` is empty if the status is "ok".
    """
    if output not in {"table", "json"}:
        raise UsageError(f"--format: not a format: {output!r}", hint="write table or json")
    from composer.host.checks import all_checks

    checks = all_checks(Paths.from_environment(os.environ, os.geteuid()), dict(os.environ))
    missing = [check.name for check in checks if check.status == "missing"]
    if output == "json":
        shown = {"ok": not missing, "checks": [check._asdict() for check in checks]}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        sys.stdout.write(table(checks))
    if missing:
        raise MachineError(f"this machine lacks: {', '.join(missing)}", hint="the list above says how to mend it")


def table(checks: tuple[Check, ...]) -> str:
    """One line per check, and one more with the fix where there is one."""
    lines = []
    width = max(len(check.name) for check in checks)
    for check in checks:
        lines.append(f"{check.status:8} {check.name:{width}}  {check.found}")
        if check.fix:
            lines.append(f"{'':8} {'':{width}}  fix: {check.fix}")
    bad, weak = (sum(check.status == status for check in checks) for status in ("missing", "warning"))
    lines.append(f"{len(checks)} checks: {bad} missing, {weak} warnings")
    return "\n".join(lines) + "\n"
