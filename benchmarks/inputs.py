"""What all peers are given: the same stack file and the same images, as `docker save` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import tarfile
from pathlib import Path

IMAGE = "localhost/bench:latest"
MARK = str(86_400_000_000 + os.getpid())
"""Seconds that the containers' `sleep` sleeps: nobody else's does, not another run's either, so they can be counted
and, should it come to that, ended."""

COMMAND = ["sh", "-c", f"trap 'exit 0' TERM; sleep {MARK} & wait"]
"""Dies at once on SIGTERM, so that `down` measures the tools and not a grace period."""


PYTHON = "/usr/bin/python3"
"""Runs both ends of a measured connection. The containers see the machine's: it is not in their image."""

PUBLISHED = 18000
"""The first port that a stack publishes."""

SERVER_PORT = 8080


def stack(services: int, *, networked: bool = False) -> str:
    """A stack file of so many equal services, without a network, or on the default one and every fifth with a published
    port.
    """
    lines = ["services:"]
    for number in range(services):
        lines += _service(f"s{number}", COMMAND)
        if not networked:
            lines.append("    network_mode: none")
        elif number % 5 == 0:
            lines.append(f'    ports: ["{PUBLISHED + number}:80"]')
    return "\n".join(lines) + "\n"


def large_stack(services: int) -> str:
    """A stack as large teams have them: nobody brings it up, reading it is what counts."""
    lines = ["name: large", "services:"]
    for number in range(services):
        lines += [
            f"  service{number}:",
            f"    image: registry.example.com/team/app{number % 40}:${{TAG:-1.{number}}}",
            f'    command: ["serve", "--port", "80", "--name=service{number}"]',
            f"    environment: {{NAME: service{number}, LEVEL: '${{LEVEL:-info}}', DATABASE: 'postgres://db{number}/app'}}",
            f'    labels: [team=a, "index={number}"]',
            f'    ports: ["{20000 + number}:80"]',
            f'    volumes: ["./data{number}:/data:ro", "state{number % 50}:/state"]',
            f"    networks: [front, back{number % 10}]",
            f"    depends_on: [{f'service{number - 1}' if number % 7 else ''}]",
            '    healthcheck: {test: [CMD, curl, "http://localhost/"], interval: 10s, retries: 5}',
            "    deploy: {replicas: 1}",
        ]
    lines += ["networks:", "  front:", *(f"  back{number}:" for number in range(10))]
    lines += ["volumes:", *(f"  state{number}:" for number in range(50)), ""]
    return "\n".join(lines)


def traffic_stack(program: Path) -> str:
    """A stack file of a server with a published port, and of a container to call it from."""
    # At the same path inside as outside: whoever looks for processes of this run finds the server, too.
    mounts = [f"    volumes: [{', '.join(f'{path}:{path}:ro' for path in ('/usr', '/lib', '/lib64', program))}]"]
    lines = ["services:", *_service("server", wire(program, "serve", SERVER_PORT)), *mounts]
    lines.append(f'    ports: ["{PUBLISHED}:{SERVER_PORT}"]')
    return "\n".join([*lines, *_service("client", COMMAND), *mounts]) + "\n"


def wire(program: Path, *arguments: str | int) -> list[str]:
    """The command line of `wire.py`, by a Python that starts fast and reads nobody's settings."""
    return [PYTHON, "-ISB", str(program), *map(str, arguments)]


def _service(name: str, command: list[str]) -> list[str]:
    """It has limits, low ones: where nobody says, podman asks for more than it may set without CAP_SYS_RESOURCE."""
    return [
        f"  {name}:",
        f"    image: {IMAGE}",
        f"    command: {json.dumps(command)}",
        "    ulimits: {nofile: 1024, nproc: 4096}",
    ]


def write_small_image(archive: Path) -> None:
    """Static busybox and links to it: 2 MB in one layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            tar.addfile(_entry(name, kind=tarfile.DIRTYPE, mode=0o755))
        data = Path("/bin/busybox").read_bytes()
        tar.addfile(_entry("bin/busybox", size=len(data), mode=0o755), io.BytesIO(data))
        for applet in ("sh", "sleep", "true"):
            link = _entry(f"bin/{applet}", kind=tarfile.SYMTYPE)
            link.linkname = "busybox"
            tar.addfile(link)
        users = b"root:x:0:0:root:/:/bin/sh\n"
        tar.addfile(_entry("etc/passwd", size=len(users)), io.BytesIO(users))
    write_archive(archive, IMAGE, [layer.getvalue()])


def write_large_image(archive: Path, name: str, *, seed: int, layers: int = 4, files: int = 10_000) -> None:
    """100 MB in 10,000 files of 2 to 18 KB, over 4 layers; another `seed` gives other content."""
    source = random.Random(seed)
    blobs = []
    for layer in range(layers):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for number in range(files // layers):
                folder = f"usr/lib/part{layer}/d{number // 100}"
                if number % 100 == 0:
                    tar.addfile(_entry(folder, kind=tarfile.DIRTYPE, mode=0o755))
                size = source.randint(2_000, 18_000)
                data = source.randbytes(size // 2) + b"\0" * (size - size // 2)
                tar.addfile(_entry(f"{folder}/f{number}", size=size), io.BytesIO(data))
        blobs.append(buffer.getvalue())
    write_archive(archive, name, blobs)


def _entry(name: str, *, size: int = 0, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type, entry.mtime = size, mode, kind, 1_700_000_000
    return entry


def write_archive(archive: Path, name: str, layers: list[bytes]) -> None:
    """A docker-archive: config, manifest.json and uncompressed layers."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": "2023-11-14T00:00:00Z", "created_by": "bench"} for _ in layers],
            "created": "2023-11-14T00:00:00Z",
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{diff_id.removeprefix('sha256:')}/layer.tar" for diff_id in diff_ids]
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": names}]).encode()
    with tarfile.open(archive, "w") as tar:
        for member, data in ((config_name, config), *zip(names, layers, strict=True), ("manifest.json", manifest)):
            tar.addfile(_entry(member, size=len(data)), io.BytesIO(data))
