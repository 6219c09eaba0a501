"""A fake hive behind the real HTTP face on a real unix socket, on a thread of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hyperhive.web.app import build_host
from hyperhive.web.security import Security
from tests.fakes.hive import FakeHive
from tests.waiting import eventually

TOKEN = "t" * 43


class ServedHive:
    """A hive whose ``host.sock`` stands in ``run``.

    Args:
        hive: the hive; it lives on the server's thread, reach it through ``do``.
        run: the run folder.
        claude_folder: what the login route gives as the agents' folder.
        claude: what the login route gives as the Claude Code binary.
    """

    def __init__(self, *, hive: FakeHive, run: Path, claude_folder: Path, claude: str = "claude") -> None:
        self.hive = hive
        self._loop = asyncio.new_event_loop()
        app = build_host(hive=hive, security=Security(token=TOKEN, port=7000))
        app.router.routes += [
            Route("/api/agents/{name}/shell", _answer({"argv": ["/bin/sh", "-c", "echo inside; exit 7"]})),
            Route("/api/agents/{name}/login", _answer({"folder": str(claude_folder), "claude": claude})),
        ]
        config = uvicorn.Config(
            app,
            uds=str(run / "host.sock"),
            lifespan="off",
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="served-hive")

    def __enter__(self) -> "ServedHive":
        self._thread.start()
        eventually(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and its streams."""
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def do(self, work: Callable[[FakeHive], object]) -> None:
        """Run ``work`` on the hive's thread and wait until it is done."""
        done: Future[None] = Future()

        def there() -> None:
            work(self.hive)
            done.set_result(None)

        self._loop.call_soon_threadsafe(there)
        done.result(5)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve())


def _answer(value: dict[str, Any]) -> Callable[[Request], JSONResponse]:
    return lambda request: JSONResponse(value)
