"""One layer in a process of its own: a job as JSON on stdin, the digests or the error as JSON on stdout.

Layers are unpacked in parallel this way, since Python threads would take turns. Started by `image.layers` only.
"""

from __future__ import annotations

import json
import sys

from composer.errors import ImageRefused, JockerError
from composer.host.kernel import die_with_parent
from composer.image.unpack import Limits, unpack_layer


def main() -> None:
    """Reads the job, unpacks, reports."""
    die_with_parent()
    job = json.load(sys.stdin)
    try:
        done = unpack_layer(
            job["blob_path"], job["target"], limits=Limits(*job["limits"]), offset=job["offset"], size=job["size"]
        )
    except JockerError as error:
        report = {"error": error.message, "hint": error.hint, "refused": isinstance(error, ImageRefused)}
    else:
        report = {
            "blob_digest": done.blob_digest,
            "diff_id": done.diff_id,
            "entries": done.entries,
            "content": done.content,
            "implicit_parents": [path.hex() for path in done.implicit_parents],
        }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
