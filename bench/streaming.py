"""What serves a stream to the readers of ``fanout``: hyperhive, a bare broadcaster in C, nginx with nchan."""

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from hyperhive.actors.hub import encode
from hyperhive.actors.reply import IGNORE
from hyperhive.actors.store import Write
from hyperhive.bridge import Bridge
from hyperhive.domain.events import MessageSent
from hyperhive.home import raise_open_files
from hyperhive.web.app import build
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve
from tests.actors.rig import Quiet, Rig
from tests.running.over import over

_EVENT = MessageSent(agent="alice", id=7, sender="alice", to="manager")
_TOKEN = "the-operators-token-0123456789-abcdefghij"
_NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 8192; error_log {folder}/error.log; pid {folder}/pid;
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000; nchan_shared_memory_size 128M; nchan_message_buffer_length 1000;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /publish {{ nchan_publisher; nchan_channel_id events; }}
    location = /api/events {{ nchan_subscriber eventsource; nchan_channel_id events;
      nchan_subscriber_first_message newest; }}
  }}
}}
"""


class Source(Protocol):
    """One side: streams at ``port`` that begin with ``request``."""

    port: int
    request: bytes

    def publish(self, count: int) -> tuple[int, int]:
        """Publish ``count`` events at once; when that began (ns, monotonic), and the last one's number."""


def _text(seq: int) -> str:
    return (
        f'{{"seq":{seq},"ts":"2026-01-31T12:00:00.000Z","kind":"message_sent","agent":"alice","id":7,'
        '"from":"alice","to":"manager"}'
    )


def _request(port: int) -> bytes:
    lines = ["GET /api/events HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {_TOKEN}"]
    return "\r\n".join([*lines, "Accept: text/event-stream", "", ""]).encode()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _child(*argv: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    try:
        yield process.stdin, process.stdout
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(30)
        process.stdout.close()


class _Piped:
    """A source that is told on its standard input."""

    def __init__(self, port: int, into: IO[bytes], out: IO[bytes]) -> None:
        self.port, self.request = port, _request(port)
        self._into, self._out = into, out
        self._seq = 0


class _Bare(_Piped):
    def publish(self, count: int) -> tuple[int, int]:
        numbers = range(self._seq + 1, self._seq + count + 1)
        self._seq += count
        sent = [encode("message_sent", _text(number), number) for number in numbers]
        data = b"".join(struct.pack("=I", len(frame)) + frame for frame in sent)
        began = time.monotonic_ns()
        self._into.write(data)
        self._into.flush()
        return began, self._seq


@contextmanager
def bare(program: Path) -> Iterator[Source]:
    """The broadcaster in C."""
    port = free_port()
    with _child(str(program), str(port)) as (into, out):
        assert out.readline() == b"ready\n"
        yield _Bare(port, into, out)


class _Nginx:
    def __init__(self, port: int) -> None:
        self.port, self.request = port, _request(port)
        self._seq = 0
        self._publisher = socket.create_connection(("127.0.0.1", port))

    def publish(self, count: int) -> tuple[int, int]:
        numbers = range(self._seq + 1, self._seq + count + 1)
        self._seq += count
        posts = []
        for number in numbers:
            body = _text(number).encode()
            head = f"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            posts.append(head.encode() + body)
        data = b"".join(posts)
        reader = threading.Thread(target=self._answers, args=(count,))
        reader.start()
        began = time.monotonic_ns()
        self._publisher.sendall(data)
        reader.join(120)
        return began, self._seq

    def _answers(self, count: int) -> None:
        """Take the answers, so that the publisher's connection never blocks nginx."""
        seen, rest = 0, b""
        while seen < count:
            rest = rest[-16:] + self._publisher.recv(65536)
            found = rest.count(b"HTTP/1.1 20")
            seen += found
            if found:
                rest = rest[rest.rindex(b"HTTP/1.1 20") + 1 :]

    def close(self) -> None:
        self._publisher.close()


@contextmanager
def nginx(program: str) -> Iterator[Source]:
    """nginx with nchan, published to over one HTTP connection with all requests on their way at once."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hyperhive-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # its worker is another user
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
        argv = [program, "-p", name, "-c", str(folder / "nginx.conf"), "-e", f"{name}/error.log"]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            yield _listening(port, process)
        finally:
            process.terminate()
            process.wait(30)


def _listening(port: int, process: subprocess.Popen[bytes]) -> _Nginx:
    end = time.monotonic() + 20
    while True:
        try:
            return _Nginx(port)
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


class _Ours(_Piped):
    def publish(self, count: int) -> tuple[int, int]:
        self._into.write(b"%d\n" % count)
        self._into.flush()
        began, last = self._out.readline().split()
        return int(began), int(last)


@contextmanager
def ours() -> Iterator[Source]:
    """A hive whose store, hub, bridge and web server are the daemon's, in a process of its own."""
    with _child(sys.executable, "-m", "bench.streaming") as (into, out):
        yield _Ours(int(out.readline()), into, out)


def main() -> None:
    """Serve; a line on standard input publishes so many events, as an actor does: through the Store."""
    raise_open_files()
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as folder, Quiet():
        asyncio.run(_serve(Rig(Path(folder))))


async def _serve(rig: Rig) -> None:
    bridge = Bridge()
    bridge.open()
    rig.up()
    rig.readers.post = bridge.feed.post  # type: ignore[method-assign]
    await asyncio.to_thread(rig.settled, "manager")
    hive = over(rig, bridge)
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    app = build(hive=hive, security=Security(token=_TOKEN, port=port))
    server = Server(app=app, stopping=[app.state.streams.close])
    serving = asyncio.create_task(serve(server, bound))
    print(port, flush=True)
    await asyncio.to_thread(_publish, rig)
    server.should_exit = True
    await serving
    rig.end()


def _publish(rig: Rig) -> None:
    store = rig.tree.services.store

    def emit(tx: Any) -> None:
        tx.emit(_EVENT)

    for line in sys.stdin:
        before = rig.database.reader().events.newest()
        began = time.monotonic_ns()
        for _ in range(int(line)):
            store.tell(Write(emit, IGNORE))
        print(began, before + int(line), flush=True)


if __name__ == "__main__":
    main()
