"""`image import --change`: instructions of a Dockerfile as the config they make."""

from __future__ import annotations

from typing import Any

import pytest

from composer.errors import UsageError
from composer.image.importing import _settings

CASES: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ('CMD ["sh", "-c", "a b"]',): {"Cmd": ["sh", "-c", "a b"]},
    ("CMD echo hi",): {"Cmd": ["/bin/sh", "-c", "echo hi"]},
    ("CMD [ -f /x ] && run",): {"Cmd": ["/bin/sh", "-c", "[ -f /x ] && run"]},
    ("CMD [1, 2]",): {"Cmd": ["/bin/sh", "-c", "[1, 2]"]},
    ("cmd []",): {"Cmd": []},
    ('ENTRYPOINT ["/init"]', "  CMD  x "): {"Entrypoint": ["/init"], "Cmd": ["/bin/sh", "-c", "x"]},
    ("ENTRYPOINT a", "ENTRYPOINT b"): {"Entrypoint": ["/bin/sh", "-c", "b"]},
    ("ENV A=1",): {"Env": ["A=1"]},
    ("ENV A=1 B='b c' D=\"d\"",): {"Env": ["A=1", "B=b c", "D=d"]},
    ("ENV A a b c",): {"Env": ["A=a b c"]},
    ("ENV A=x=y", "ENV B="): {"Env": ["A=x=y", "B="]},
    ("ENV A=1", "ENV B=2", "ENV A=3"): {"Env": ["A=3", "B=2"]},
    ("LABEL a=1 b='x y'", "LABEL a=2"): {"Labels": {"a": "2", "b": "x y"}},
    ("EXPOSE 80 53/udp",): {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}},
    ("USER app:extra",): {"User": "app:extra"},
    ("WORKDIR /srv",): {"WorkingDir": "/srv"},
    ("STOPSIGNAL SIGQUIT",): {"StopSignal": "SIGQUIT"},
    ("VOLUME /a /b",): {"Volumes": {"/a": {}, "/b": {}}},
    ('VOLUME ["/a b"]',): {"Volumes": {"/a b": {}}},
    ("user\tapp",): {"User": "app"},
    ("ONBUILD RUN a", "ONBUILD USER b"): {"OnBuild": ["RUN a", "USER b"]},
    ("HEALTHCHECK CMD curl -f x",): {"Healthcheck": {"Test": ["CMD-SHELL", "curl -f x"]}},
    ("HEALTHCHECK NONE",): {"Healthcheck": {"Test": ["NONE"]}},
    ('healthcheck --interval=1m30s --timeout=2s  --start-period=5s --retries=3 cmd ["a", "b"]',): {
        "Healthcheck": {
            "Interval": 90_000_000_000,
            "Timeout": 2_000_000_000,
            "StartPeriod": 5_000_000_000,
            "Retries": 3,
            "Test": ["CMD", "a", "b"],
        }
    },
}


@pytest.mark.parametrize("changes", CASES)
def test_instructions_make_the_config(changes: tuple[str, ...]) -> None:
    assert _settings(changes) == CASES[changes]


@pytest.mark.parametrize(
    "change",
    [
        "",
        "CMD",
        "RUN make",
        "FROM x",
        "ENV",
        "ENV A='b",
        "ENV A",
        "LABEL a",
        "VOLUME [",
        "VOLUME [1]",
        "ENV =x",
        "HEALTHCHECK",
        "HEALTHCHECK CMD",
        "HEALTHCHECK true",
        "HEALTHCHECK --interval CMD true",
        "HEALTHCHECK --retries=x CMD true",
        "HEALTHCHECK --every=1s CMD true",
    ],
)
def test_what_is_no_instruction_is_refused(change: str) -> None:
    with pytest.raises(UsageError, match="--change"):
        _settings((change,))
