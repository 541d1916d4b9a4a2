"""The two ends of a connection whose speed is measured: run in the containers and beside them, by the same Python.

    wire.py serve PORT               answers `GET /N` with N bytes, one connection at a time
    wire.py rate HOST PORT BYTES     fetches so many and prints MB per second, connecting included
    wire.py latency HOST PORT TIMES  prints the median seconds of a small request, name and connection included

The standard library alone: nothing else is in the containers. Both ends move 1 MiB at a time in and out of the same
buffer, which costs them less than the kernel between them.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from statistics import median

BLOCK = 1 << 20
SMALL = 512


def serve(port: int) -> None:
    # The first process of a container dies of no signal that it did not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    block = memoryview(bytes(BLOCK))
    with socket.create_server(("0.0.0.0", port), backlog=128) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    answer(connection, block)
                except (OSError, ValueError):
                    continue  # a client that went away, or something that looked whether we are there


def answer(connection: socket.socket, block: memoryview) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        more = connection.recv(4096)
        if not more:
            return
        request += more
    left = int(request.split()[1].removeprefix(b"/"))
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
    while left:
        part = block[: min(left, BLOCK)]
        connection.sendall(part)
        left -= len(part)


def fetch(host: str, port: int, size: int, buffer: memoryview) -> float:
    """Seconds from before the look-up of the name to the last byte. Raises `OSError`, too if bytes are missing."""
    begin = time.perf_counter()
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(b"GET /%d HTTP/1.0\r\n\r\n" % size)
        received = 0
        while count := connection.recv_into(buffer):
            received += count
    seconds = time.perf_counter() - begin
    if received < size:
        raise OSError(f"{received} bytes of {size} came")
    return seconds


def main(what: str, *rest: str) -> None:
    if what == "serve":
        serve(int(rest[0]))
        return
    host, port, number = rest[0], int(rest[1]), int(rest[2])
    buffer = memoryview(bytearray(BLOCK))
    if what == "rate":
        print(number / 1e6 / fetch(host, port, number, buffer))
    else:
        print(median(fetch(host, port, SMALL, buffer) for _ in range(number)))


if __name__ == "__main__":
    main(*sys.argv[1:])
