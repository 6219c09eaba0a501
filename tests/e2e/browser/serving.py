"""A real server for a real browser: serves an app on a loopback port from a thread of its own, stops, comes back."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hyperhive.hive import Hive
from hyperhive.web.app import build
from hyperhive.web.security import Security
from hyperhive.web.server import Server, serve
from hyperhive.web.streams import Streams

TOKEN = "the-token-of-the-browser-tests"
DEADLINE = 30.0

_T = TypeVar("_T")


class Served:
    """One hive behind the operator's door. Its loop runs in a thread; ``do`` runs something on it.

    Args:
        hive: what to serve; it lives on the server's loop.
        port: 0 takes a free one, which a later ``start`` takes again.
    """

    def __init__(self, hive: Hive, *, port: int = 0) -> None:
        self.hive = hive
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="served", daemon=True)
        self._thread.start()
        self.port = port
        self._server: Server | None = None
        self._running: Any = None
        self.security: Security | None = None

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; sessions outlive a stop and a start."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        bound.listen(128)
        self.port = bound.getsockname()[1]
        self.security = self.security or Security(token=TOKEN, port=self.port)
        streams = Streams(alive=self.security.sessions.touch)
        app = build(hive=self.hive, security=self.security, streams=streams)
        self._server = Server(app=app, stopping=[streams.close])
        self._running = asyncio.run_coroutine_threadsafe(serve(self._server, bound), self._loop)

    def stop(self) -> None:
        """Stop listening and end every stream, as a daemon does that is restarted."""
        if self._server is not None:
            self._server.should_exit = True
            self._running.result(DEADLINE)
            self._server = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self.do(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run ``work`` on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    def call(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Call ``function`` on the server's loop."""

        async def run() -> _T:
            return function(*args, **kwargs)

        return self.do(run())

    def entry(self) -> str:
        """A link that logs in."""
        assert self.security is not None
        return self.security.entry_link()

    async def _finish(self) -> None:
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
