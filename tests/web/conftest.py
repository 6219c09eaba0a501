"""A hive behind its HTTP faces: in process for requests, behind a real server for streams and raw bytes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from hyperhive.web.app import build, build_host
from hyperhive.web.protocol import BoundedProtocol
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve
from hyperhive.web.sessions import Sessions
from hyperhive.web.strangers import Strangers
from hyperhive.web.streams import Streams
from tests.fakes.hive import FakeHive
from tests.fakes.samples import busy_snapshot

TOKEN = "the-operators-token-0123456789-abcdefghij"
PORT = 7000
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def fake_mcp(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the MCP app: says which method and path reached it."""
    await PlainTextResponse(f"{scope['method']} {scope['path']}")(scope, receive, send)


@dataclass
class Face:
    """An app under test and what it is made of."""

    hive: FakeHive
    security: Security
    app: Starlette

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A client in process; an exception in the app is an answer, as it is for a real client."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url=f"http://127.0.0.1:{PORT}",
            headers=headers,
        )

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that came in through an entry link."""
        async with self.client() as browser:
            await browser.get(self.security.entry_link())
            yield browser


@pytest.fixture
def hive() -> FakeHive:
    return FakeHive(busy_snapshot(3), heartbeat=0.05)


@pytest.fixture
def face(hive: FakeHive) -> Face:
    security = Security(token=TOKEN, port=PORT)
    return Face(hive, security, build(hive=hive, security=security, mcp_app=fake_mcp))


@pytest.fixture
async def operator(face: Face) -> AsyncIterator[httpx.AsyncClient]:
    async with face.client(**BEARER) as client:
        yield client


@pytest.fixture
async def commandline(hive: FakeHive) -> AsyncIterator[httpx.AsyncClient]:
    app = build_host(hive=hive, security=Security(token=TOKEN, port=PORT))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@dataclass
class Served:
    """A face behind a real server."""

    hive: FakeHive
    security: Security
    streams: Streams
    server: Server
    task: "asyncio.Task[None]"
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=BEARER | headers, timeout=60)

    async def raw(self, request: bytes) -> bytes:
        """The whole answer to bytes on a connection of their own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    hive: FakeHive,
    *,
    most: int = 2_000,
    stalled: float = 60.0,
    sweep: float = 10.0,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    sessions: Sessions | None = None,
    strangers: Strangers | None = None,
) -> AsyncIterator[Served]:
    """A face behind a real server on a free port."""
    bound: socket.socket = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    security = Security(token=TOKEN, port=port, sessions=sessions)
    streams = Streams(alive=security.sessions.touch, most=most, stalled=stalled, sweep=sweep)
    app = build(hive=hive, security=security, streams=streams, mcp_app=fake_mcp)
    server = Server(app=app, stopping=[streams.close], protocol=protocol, strangers=strangers)
    task = asyncio.create_task(serve(server, bound))
    try:
        yield Served(hive, security, streams, server, task, port)
    finally:
        server.should_exit = True
        async with asyncio.timeout(60):
            await task
        bound.close()


@pytest.fixture
async def served(hive: FakeHive) -> AsyncIterator[Served]:
    async with serving(hive) as running:
        yield running
