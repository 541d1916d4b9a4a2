"""Registries for tests: the real one on a loopback port, and one that answers as it is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hostile import Oci

USER, PASSWORD = "app", "s:cr=t"
_HTPASSWD = "app:$2b$04$abcdefghijklmnopqrstuup3zTZoy.yY/Tm3QMYXqWo8yTsvBn.eG\n"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def registry(directory: Path, *, closed: bool = False) -> Iterator[str]:
    """docker-registry with its storage in `directory`; yields its address. `closed`: it wants USER and PASSWORD."""
    address = f"127.0.0.1:{free_port()}"
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "storage")}},
        "http": {"addr": address},
    }
    if closed:
        (directory / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    (directory / "registry.yml").write_text(json.dumps(settings))
    with open(directory / "registry.log", "wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "registry.yml")],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + 20
        while not _answers(address):
            assert process.poll() is None, (directory / "registry.log").read_text()
            assert time.monotonic() < deadline, "the registry does not come up"
            time.sleep(0.01)
        yield address
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def push(image: Oci, directory: Path, name: str, *, credentials: str = "") -> None:
    """Pushes by skopeo, from an OCI layout that is made in `directory`."""
    for path, content in image.members().items():
        file = directory / "layout" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else b"")
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false",
         *(["--dest-creds", credentials] if credentials else []), f"oci:{directory}/layout", f"docker://{name}"],
        env={"PATH": os.environ["PATH"], "HOME": str(directory)}, check=True, capture_output=True,
    )  # fmt: skip


Answer = Callable[[str], tuple[int, Mapping[str, str], bytes]]


@contextmanager
def stub(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server on loopback that answers each GET and HEAD as `answer` says of its path; yields address and paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  the server's own spelling

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
