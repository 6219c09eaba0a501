"""A byte pump between Claude Code's stdio and the agent's MCP socket. Standard library only, to start fast.

Run as ``python -I -S pump.py SOCKET``. Ends when either side ends.
"""

import contextlib
import os
import socket
import sys
import threading
import time

CHUNK = 65536
CONNECT_DEADLINE = 10.0
"""Seconds the socket may be away before it is given up: the daemon may be starting again."""
LINGER = 2.0
"""Seconds the socket may go on talking after stdin ended."""


def connect(path: str, *, deadline: float = CONNECT_DEADLINE) -> socket.socket:
    """Connect to the unix socket at ``path``, trying again for ``deadline`` seconds.

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
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)


def send_stdin(link: socket.socket) -> None:
    """Copy stdin to ``link``; at its end close that half, and the whole after ``LINGER``."""
    with contextlib.suppress(OSError):
        while data := os.read(0, CHUNK):
            link.sendall(data)
        link.shutdown(socket.SHUT_WR)
    time.sleep(LINGER)
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)


def write_all(descriptor: int, data: bytes) -> None:
    """Write the whole of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main(argv: list[str]) -> int:
    """Pump until either side ends. Returns the exit status: 0, or 1 when the socket could not be reached."""
    try:
        link = connect(argv[1])
    except OSError as error:
        os.write(2, f"hive socket: {error}\n".encode())
        return 1
    threading.Thread(target=send_stdin, args=(link,), daemon=True).start()
    with contextlib.suppress(OSError):
        while data := link.recv(CHUNK):
            write_all(1, data)
    return 0


if __name__ == "__main__":
    # The thread may sit in a read of stdin that nothing ends.
    os._exit(main(sys.argv))
