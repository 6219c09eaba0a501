"""A fake hive behind the real HTTP face on a real unix socket, on a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive.web.app import build_host
from hyperhive.web.security import Security
from tests.fakes.hive import FakeHive
from tests.waiting import eventually

T = TypeVar("T")

TOKEN = "t" * 43


class Server:
    """A server on ``run/host.sock``; which app answers is changed from test to test.

    Args:
        run: the run folder.
    """

    def __init__(self, *, run: Path) -> None:
        self.run = run
        self.app: ASGIApp | None = None
        self.loop = asyncio.new_event_loop()
        config = uvicorn.Config(
            self._answer,
            uds=str(run / "host.sock"),
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="served-hive")

    def __enter__(self) -> "Server":
        self._thread.start()
        eventually(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._server.serve())


class ServedHive:
    """A hive that a server answers for.

    Args:
        hive: the hive; it lives on the server's thread, reach it through ``do``.
        server: the server.
        claude_folder, claude: what the login route gives as the agents' folder and as the Claude Code binary.
    """

    def __init__(self, *, hive: FakeHive, server: Server, claude_folder: Path, claude: Path) -> None:
        self.hive = hive
        self._loop = server.loop
        self.security = Security(token=TOKEN, port=7000)
        self._app = build_host(hive=hive, security=self.security)
        self._app.router.routes += [
            Route("/api/agents/{name}/shell", _gives({"argv": ["/bin/sh", "-c", "echo inside; exit 7"]})),
            Route("/api/agents/{name}/login", _gives({"folder": str(claude_folder), "claude": str(claude)})),
        ]
        server.app = self._app

    def do(self, work: Callable[[FakeHive], object]) -> None:
        """Run ``work`` on the hive's thread and wait until it is done."""
        done: Future[None] = Future()

        def there() -> None:
            try:
                work(self.hive)
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._loop.call_soon_threadsafe(there)
        done.result(60)

    def run(self, work: Callable[[FakeHive], Coroutine[Any, Any, T]]) -> T:
        """Ask something of the hive, on its thread, and wait for the answer."""
        return asyncio.run_coroutine_threadsafe(work(self.hive), self._loop).result(40)

    def hang_up(self) -> None:
        """End all streams, as a daemon does that stops."""
        self.do(lambda hive: self._app.state.streams.close())


def _gives(value: dict[str, Any]) -> Callable[[Request], JSONResponse]:
    return lambda request: JSONResponse(value)
