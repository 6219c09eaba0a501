"""A tiny scripted Messages API on loopback, for the real Claude Code binary in the harness's tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hyperhive.web.server import bind


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with text."""

    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """Ask for a tool."""

    tool: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with an HTTP error."""

    status: int
    kind: str = "api_error"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """Begin a stream and say nothing more."""


Reply = Say | Use | Fail | Hang


class MessagesApi:
    """Answers the requests of the main conversation from a script, one reply each; then with ``ok``."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        self.url = ""

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Route("/v1/messages", self._messages, methods=["POST"])])

    async def _messages(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        self.requests.append(body)
        self.arrived.set()
        match self.script.pop(0) if self.script else Say("ok"):
            case Fail(status, kind, headers):
                error = {"type": "error", "error": {"type": kind, "message": f"scripted {status}"}}
                return JSONResponse(error, status, headers)
            case reply:
                stream = _stream(reply, body.get("model", "m"))
                return StreamingResponse(stream, media_type="text/event-stream")


async def _stream(reply: Reply, model: str) -> AsyncIterator[bytes]:
    usage = {"input_tokens": 100, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    yield _event("message_start", message=message)
    match reply:
        case Hang():
            await asyncio.Event().wait()
        case Use(tool, arguments):
            block = {"type": "tool_use", "id": f"toolu_{id(reply):x}", "name": tool, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
            reason = "tool_use"
        case Say(text):
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": text}
            reason = "end_turn"
        case Fail():
            raise AssertionError("a failure is no stream")
    yield _event("content_block_start", index=0, content_block=block)
    yield _event("content_block_delta", index=0, delta=delta)
    yield _event("content_block_stop", index=0)
    yield _event(
        "message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 20}
    )
    yield _event("message_stop")


def _event(type: str, **fields: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type, **fields})}\n\n".encode()


@asynccontextmanager
async def messages_api() -> AsyncIterator[MessagesApi]:
    """Serve a fresh API on a free port of loopback while the block runs."""
    api = MessagesApi()
    listener = bind("127.0.0.1", 0)
    api.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(api.app(), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([listener]))
    try:
        yield api
    finally:
        server.should_exit = True
        server.force_exit = True
        await task
        listener.close()
