"""Layers in a process of its own: a job as a line of JSON on stdin, the digests or the error as one on stdout.

Layers are unpacked in parallel this way, since Python threads would take turns. Started by `image.layers` only.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from composer.errors import ImageRefused, JockerError
from composer.host.kernel import die_with_parent
from composer.image.unpack import Limits, unpack_layer


def main() -> None:
    """Reads jobs, unpacks, reports, until there are no more."""
    die_with_parent()
    for line in sys.stdin:
        print(json.dumps(_carry_out(json.loads(line))), flush=True)  # noqa: T201  the one who reads it is a program


def _carry_out(job: dict[str, Any]) -> dict[str, Any]:
    try:
        done = unpack_layer(
            job["blob_path"], job["target"], limits=Limits(*job["limits"]), offset=job["offset"], size=job["size"]
        )
    except JockerError as error:
        return {"error": error.message, "hint": error.hint, "refused": isinstance(error, ImageRefused)}
    return {
        "blob_digest": done.blob_digest,
        "diff_id": done.diff_id,
        "entries": done.entries,
        "content": done.content,
        "implicit_parents": [path.hex() for path in done.implicit_parents],
    }


if __name__ == "__main__":
    main()
