"""`jocker schema`: what an editor needs to complete and check stack files."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from composer.cli.text import write_to


def schema(
    target: Annotated[str, typer.Option("--output", "-o", help="Write to a file")] = "",
) -> None:
    """Print a JSON Schema of jocker.yml, for editors."""
    from composer.composefile.jsonschema import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if target:
        write_to(target, text)
    else:
        sys.stdout.write(text)
