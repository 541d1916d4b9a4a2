"""Files that are elsewhere: docker compose fetches some of them, jocker none. A stack is what is on this machine."""

from __future__ import annotations

_KINDS = (
    ("oci://", "an OCI artifact"),
    ("git://", "a git repository"),
    ("ssh://", "a git repository"),
    ("git@", "a git repository"),
    ("github.com/", "a git repository"),
    ("http://", "a web address"),
    ("https://", "a web address"),
)
HINT = "fetch it first (git clone, curl), and write the path of the file"


def remote_kind(text: str) -> str:
    """What a path means that is no path of this machine, as in "a git repository"; "" for one that is."""
    for start, kind in _KINDS:
        if text.startswith(start):
            is_git = kind == "a web address" and text.partition("#")[0].endswith(".git")
            return "a git repository" if is_git else kind
    return ""
