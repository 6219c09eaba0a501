"""A byte pump between Claude Code's stdio and the agent's MCP socket. Standard library only, to start fast.

Run as ``python -I -S pump.py SOCKET``. Ends when either side ends, but outlives the daemon: see ``Pump``.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

CHUNK = 65536
CONNECT_DEADLINE = 10.0
"""Seconds the socket may be away before it is given up: the daemon may be starting again."""
RECONNECT_PAUSE = 0.1
"""Seconds between connections that answer nothing."""
LINGER = 2.0
"""Seconds the socket may go on talking after stdin ended."""
MAX_HELD = 16 * 1024 * 1024
"""Bytes of a line that are held back until its end has come."""
OPENING = ("initialize", "notifications/initialized")
"""What a client says once, before all else."""
RESTARTED = -32000
"""The error code for what the old connection left unanswered."""


def connect(
    path: str, *, deadline: float = CONNECT_DEADLINE, needed: Callable[[], bool] = lambda: True
) -> socket.socket:
    """Connect to the unix socket at ``path``, trying again for ``deadline`` seconds while it is ``needed``.

    Raises:
        OSError: of the last attempt.
    """
    until = time.monotonic() + deadline
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(path)
            return link
        except OSError:
            link.close()
            if time.monotonic() >= until or not needed():
                raise
            time.sleep(0.1)


def write_all(descriptor: int, data: bytes) -> None:
    """Write the whole of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """What ``read`` gives, line by line; what is left at the end, or is too long for a line, as it is."""
    held = b""
    with contextlib.suppress(OSError):
        while data := read():
            *whole, held = (held + data).split(b"\n")
            for line in whole:
                yield line + b"\n"
            if len(held) > MAX_HELD:
                yield held
                held = b""
    if held:
        yield held


def parsed(line: bytes) -> dict[str, Any]:
    """The JSON object in a line that may be a request or an answer; else nothing."""
    if b'"id"' in line or b'"method"' in line:
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return {}


class Pump:
    """Pumps lines, and goes over to a new connection when the daemon was started again.

    There it repeats the client's own opening and answers with an error what the old one left unanswered. It looks
    for one only after a connection that had answered something, for ``CONNECT_DEADLINE``: who hangs up is believed.

    Args:
        path: the socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._link = connect(path)
        self._sending = threading.Lock()
        self._opening: dict[str, bytes] = {}
        self._pending: dict[str, object] = {}
        self._greeted: str | None = None
        self._skip: str | None = None
        self._answered = self._ended = False
        self._until = 0.0

    def run(self) -> None:
        """Pump until either side ends for good."""
        threading.Thread(target=self._up, daemon=True).start()
        while True:
            for line in lines(lambda: self._link.recv(CHUNK)):
                self._down(line)
            if not self._again():
                return

    def _up(self) -> None:
        for line in lines(lambda: os.read(0, CHUNK)):
            with self._sending, contextlib.suppress(OSError):
                self._note(parsed(line), line)
                self._link.sendall(line)
        self._ended = True
        with self._sending, contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)
        time.sleep(LINGER)
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _note(self, message: dict[str, Any], line: bytes) -> None:
        method = message.get("method")
        if method in OPENING:
            self._opening[method] = line
        if method is not None and "id" in message:
            key = json.dumps(message["id"])
            self._pending[key] = message["id"]
            if method == "initialize":
                self._greeted = key

    def _down(self, line: bytes) -> None:
        message = parsed(line)
        if "id" in message and "method" not in message:
            key = json.dumps(message["id"])
            self._answered = True
            self._pending.pop(key, None)
            if key == self._skip:
                self._skip = None
                return
        write_all(1, line)

    def _again(self) -> bool:
        """Go over to a new connection; says whether there is one."""
        with self._sending:
            if self._answered:
                self._until = time.monotonic() + CONNECT_DEADLINE
            if self._ended or time.monotonic() >= self._until:
                return False
            self._link.close()
            time.sleep(RECONNECT_PAUSE)  # the socket of a dying daemon still takes connections for a moment
            try:
                self._link = connect(self._path, needed=lambda: not self._ended)
            except OSError:
                return False
            with contextlib.suppress(OSError):
                self._link.sendall(b"".join(self._opening.values()))
            self._answered = False
            lost, self._pending = self._pending, {}
            if self._greeted is not None and self._greeted in lost:
                self._pending[self._greeted] = lost.pop(self._greeted)
            else:
                self._skip = self._greeted
        for id in lost.values():
            error = {"code": RESTARTED, "message": "The hive was restarted; look whether this took effect."}
            write_all(1, json.dumps({"jsonrpc": "2.0", "id": id, "error": error}).encode() + b"\n")
        return True


def main(argv: list[str]) -> int:
    """Pump until either side ends. Returns the exit status: 0, or 1 when the socket could not be reached."""
    try:
        pump = Pump(argv[1])
    except OSError as error:
        os.write(2, f"hive socket: {error}\n".encode())
        return 1
    with contextlib.suppress(OSError):
        pump.run()
    return 0


if __name__ == "__main__":
    # The thread may sit in a read of stdin that nothing ends.
    os._exit(main(sys.argv))
