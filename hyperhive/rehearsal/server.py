"""The scripted Messages API, so that the real Claude Code runs without an account."""

import asyncio
import contextlib
import json
import logging
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from hyperhive.errors import Broken
from hyperhive.rehearsal import conversation, stream
from hyperhive.rehearsal.engine import Call, Failure, Part, Pause, Text, answer
from hyperhive.rehearsal.faults import Faults, error_body, type_of
from hyperhive.rehearsal.listener import address, listen
from hyperhive.rehearsal.scenario import Scenario

MAX_REQUEST = 16 * 1024 * 1024
"""Bytes of one request's body."""
MAX_READING = 2 * MAX_REQUEST
"""Bytes of bodies of one agent's that may be under way at once; further ones are answered with 529."""
MAX_REQUESTS = 1024
"""Connections at once; further ones are answered with 503."""
BODY_DEADLINE = 30.0
"""Seconds within which a request's body must have come."""
START_DEADLINE = 10.0
STOP_DEADLINE = 5.0
_PING = 5.0
_MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")

_KEY = re.compile(r"sk-rehearsal-([a-z][a-z0-9-]{0,30})-[0-9a-f]+")


_log = logging.getLogger(__name__)


class _Cut(Exception):
    """A stream is to break off here."""


class _Json(JSONResponse):
    """JSON in ASCII: what an agent says may come back, and need not be valid Unicode."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content).encode()


class _Stream(StreamingResponse):
    """Server-sent events; at ``_Cut`` the connection breaks off, for the response is left without its end."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(_Cut):
            await super().stream_response(send)


class _Server(uvicorn.Server):
    """A server inside somebody else's loop: signals are its owner's. ``ready`` is set once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._exit = asyncio.Event()

    def leave(self) -> None:
        """Stop soon."""
        self.should_exit = True
        self._exit.set()

    async def main_loop(self) -> None:
        """Serve until told to leave: uvicorn's own looks ten times a second, for that and for the date it tells."""
        await self._exit.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _failure(task: asyncio.Task[None]) -> str:
    """Why a task ended, if it failed."""
    error = task.exception() if task.done() and not task.cancelled() else None
    return "" if error is None else str(error) or type(error).__name__


def agent_of(key: str) -> str | None:
    """The agent that a key ``sk-rehearsal-<agent>-<hex>`` names, whoever made it."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


class Rehearsal:
    """Serves a scenario as a Messages API on loopback.

    Args:
        scenario: what the model says and does.
        keys: tells the agent whose key it is; ``None`` refuses with 401. Absent: every key of the right form.
        refused: is told of an agent whose login is refused on demand, and for how many seconds more.
    """

    def __init__(
        self,
        *,
        scenario: Scenario,
        keys: Callable[[str], str | None] | None = None,
        refused: Callable[[str, float], None] | None = None,
    ) -> None:
        self._scenario = scenario
        self._keys = keys or agent_of
        self._refused = refused
        self._faults = Faults()
        self._reading: Counter[str] = Counter()
        self._stopping = asyncio.Event()
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.app = Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/models/{model}", self._model),
                Route("/api/hello", self._hello),
                Route("/", self._hello),
            ],
            exception_handlers={404: self._not_found},
        )

    async def start(
        self, *, host: str = "127.0.0.1", port: int = 0, listener: socket.socket | None = None
    ) -> str:
        """Serve in the running loop.

        Args:
            port: where to listen; when it is taken, or 0, a free one is chosen.
            listener: listens already, in place of host and port.

        Returns:
            The base URL.

        Raises:
            Invalid: ``host`` is no loopback address.
            Broken: it could not listen.
        """
        self._stopping.clear()
        listener = listener or listen(host, port)
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MAX_REQUESTS,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="rehearsal")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, timeout=START_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not self._server.started:
            reason = _failure(self._task) or f"nothing within {START_DEADLINE:g} s"
            await self.stop()
            raise Broken(f"The rehearsal's API did not start on {host}: {reason}.")
        return address(listener)

    async def stop(self) -> None:
        """Stop serving; answers under way are cut. Does nothing when it does not serve."""
        server, task = self._server, self._task
        self._server = self._task = None
        if server is None or task is None:
            return
        self._stopping.set()
        server.leave()
        done, _ = await asyncio.wait({task}, timeout=STOP_DEADLINE)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_DEADLINE)
        if failure := _failure(task):
            _log.warning("The rehearsal's API failed: %s.", failure)

    # -- endpoints

    async def _hello(self, request: Request) -> Response:
        return _Json({"service": "hyperhive rehearsal", "scenario": self._scenario.title})

    async def _not_found(self, request: Request, error: Exception) -> Response:
        return _failed(404, f"The rehearsal does not serve {request.url.path}.")

    async def _models(self, request: Request) -> Response:
        data = [_model(name) for name in _MODELS]
        return _Json({"data": data, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]})

    async def _model(self, request: Request) -> Response:
        return _Json(_model(request.path_params["model"]))

    async def _count(self, request: Request) -> Response:
        got = await self._body(request)
        if isinstance(got, Response):
            return got
        return _Json({"input_tokens": stream.tokens(got[2])})

    async def _messages(self, request: Request) -> Response:
        got = await self._body(request)
        if isinstance(got, Response):
            return got
        agent, body, size = got
        try:
            talk = conversation.read(body)
        except ValueError as error:
            return _failed(400, str(error))
        parts = self._faults.due(answer(self._scenario, agent=agent, talk=talk))
        if parts and isinstance(parts[0], Failure):
            return self._fault(agent, parts[0])
        model = str(body.get("model", ""))
        given = stream.usage(body, size)
        if body.get("stream"):
            return _Stream(
                self._stream(parts, model=model, given=given),
                headers={"request-id": _request_id(), "cache-control": "no-cache"},
            )
        await asyncio.sleep(stream.waits(parts))
        failure = next((part for part in parts if isinstance(part, Failure)), None)
        if failure is not None:
            return self._fault(agent, failure)
        return _Json(stream.message(parts, model=model, given=given), headers={"request-id": _request_id()})

    # -- parts of them

    def _fault(self, agent: str, failure: Failure) -> Response:
        if failure.step.error == 401 and failure.step.seconds is not None and self._refused is not None:
            self._refused(agent, self._faults.left(failure))
        return self._faults.response(failure)

    async def _body(self, request: Request) -> tuple[str, dict[str, Any], int] | Response:
        """Who asks, what, and its length; or the refusal."""
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "")
        agent = self._keys(key.removeprefix("Bearer ").strip())
        if agent is None:
            return _failed(401, "The rehearsal does not know this key.")
        data = await self._read(request, agent)
        if isinstance(data, Response):
            return data
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            return _failed(400, "The request is not JSON.")
        if not isinstance(body, dict):
            return _failed(400, "The request is not a JSON object.")
        return agent, body, len(data)

    async def _read(self, request: Request, agent: str) -> bytearray | Response:
        data = bytearray()
        try:
            async with asyncio.timeout(BODY_DEADLINE):
                async for chunk in request.stream():
                    data += chunk
                    self._reading[agent] += len(chunk)
                    if len(data) > MAX_REQUEST:
                        return _failed(413, f"The request is longer than {MAX_REQUEST} bytes.")
                    if self._reading[agent] > MAX_READING:
                        return _failed(529, "Too much is being sent at once; send it again later.")
        except TimeoutError:
            return _failed(408, f"The request did not come within {BODY_DEADLINE:.0f} s.")
        except ClientDisconnect:
            return _failed(400, "The connection ended before the request did.")
        finally:
            self._reading[agent] -= len(data)
            self._reading += Counter()  # forgets who sends nothing now
        return data

    async def _stream(
        self, parts: tuple[Part, ...], *, model: str, given: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        yield stream.event("message_start", message=stream.envelope(model=model, given=given))
        yield stream.event("ping")
        index = 0
        for part in parts:
            match part:
                case Pause():
                    async for ping in self._pause(part):
                        yield ping
                case Failure():
                    yield stream.event("error", error=error_body(part.step))
                    return
                case Text() | Call():
                    async for frame in self._paced(index, part):
                        yield frame
                    index += 1
        yield stream.ending(parts, given=given)

    async def _paced(self, index: int, part: Text | Call) -> AsyncIterator[bytes]:
        frames = list(stream.block(index, part))
        own = part.pace if isinstance(part, Text) else None
        pace = self._scenario.pace if own is None else own
        if isinstance(part, Text) and part.cut:
            frames = frames[: max(2, len(frames) // 2)]
        for frame in frames:
            yield frame
            await self._rest(pace)
        if isinstance(part, Text) and part.cut:
            raise _Cut

    async def _pause(self, part: Pause) -> AsyncIterator[bytes]:
        if part.silent:
            await self._rest(part.seconds)
            raise _Cut
        left = part.seconds
        while left > 0:
            await self._rest(min(_PING, left))
            left -= _PING
            yield stream.event("ping")

    async def _rest(self, seconds: float) -> None:
        """Let time pass; an answer under way is cut when the server stops, so that stopping waits for none."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise _Cut


def _failed(status: int, message: str) -> Response:
    body = {"type": "error", "error": {"type": type_of(status), "message": message}}
    return _Json(body, status_code=status, headers={"request-id": _request_id()})


def _model(name: str) -> dict[str, str]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


def _request_id() -> str:
    return f"req_{uuid4().hex[:24]}"
