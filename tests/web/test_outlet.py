"""Live streams that write to their connections: what readers do to them, and that no other reader notices."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path

import httpx
import pytest
from starlette.types import Message

from hyperhive.domain.events import Paused, Rebuilt, Resumed
from hyperhive.web.app import build_host
from hyperhive.web.outlet import HIGH_WATER, Outlet
from hyperhive.web.server import Server, serve
from hyperhive.web.sessions import ABSOLUTE, IDLE, Sessions
from tests.fakes.live_hive import LiveHive
from tests.waiting import eventually_async
from tests.web.conftest import BEARER, Clock, Served, serving

BIG = "x" * 60_000
END = b"0\r\n\r\n"


class Reader:
    """A reader that a test holds by its bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.got = bytearray()
        self.ids: list[int] = []
        self._looked = 0
        self._reader, self.writer = reader, writer

    async def more(self) -> bytes:
        """The next bytes; none at the end."""
        async with asyncio.timeout(60):
            data = await self._reader.read(65536)
        self.got += data
        until = self.got.rfind(b"\n") + 1
        lines = re.findall(rb"(?m)^id: (\d+)$", self.got[self._looked : until])
        self._looked = max(until, self._looked)
        self.ids += [int(number) for number in lines]
        return data

    async def until(self, last: int) -> None:
        """Read until event ``last`` has come."""
        while last not in self.ids[-50:]:
            assert await self.more(), self.got[-300:]

    async def said(self, text: bytes, times: int = 1) -> None:
        """Read until ``text`` has come so often."""
        while self.got.count(text) < times:
            assert await self.more(), self.got[-300:]

    async def rest(self) -> None:
        """All that comes until the end; a reset is one too."""
        with suppress(ConnectionError):
            while await self.more():
                pass


@asynccontextmanager
async def reading(
    served: Served, target: str = "/api/events?after=0", *, method: str = "GET", tail: bytes = b""
) -> AsyncIterator[Reader]:
    """A reader whose kernel buffers are small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=65536)
    head = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{served.port}"]
    lines = [*head, f"Authorization: {BEARER['Authorization']}", "", ""]
    writer.write("\r\n".join(lines).encode() + tail)
    try:
        yield Reader(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[LiveHive]:
    with closing(LiveHive(tmp_path, heartbeat=0.05)) as made:
        yield made


@pytest.fixture
async def served(hive: LiveHive) -> AsyncIterator[Served]:
    async with serving(hive) as running:
        yield running


def outlets(served: Served) -> list[Outlet]:
    return [found for found in served.server.server_state.connections if isinstance(found, Outlet)]


async def live(hive: LiveHive, count: int) -> None:
    await eventually_async(lambda: hive.broadcast.readers == count)


def publish(hive: LiveHive, count: int, note: str = "") -> int:
    """Publish so many events; the last one's number."""
    for _ in range(count):
        last = hive.publish(Rebuilt(agent="manager", ok=False, note=note))
    return last.seq


async def test_an_open_stream_holds_neither_a_task_nor_its_request(hive: LiveHive, served: Served) -> None:
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(reading(served)) for _ in range(20)]
        await live(hive, 20)
        await eventually_async(
            lambda: len(outlets(served)) == 20 == len(served.server.server_state.connections)
        )
        await eventually_async(lambda: not served.server.server_state.tasks)
        await eventually_async(lambda: asyncio.all_tasks() == before)
        assert all(not hasattr(outlet, "__dict__") for outlet in outlets(served))
        last = publish(hive, 3)
        for reader in readers:
            await reader.until(last)
    await eventually_async(lambda: served.streams.count == 0 == hive.broadcast.readers)
    assert not served.server.server_state.connections


async def test_it_resumes_without_gap_or_double_while_events_come(hive: LiveHive, served: Served) -> None:
    publish(hive, 30)
    for after in range(0, 30, 3):
        async with reading(served, f"/api/events?after={after}") as reader:
            last = publish(hive, 2)
            await reader.until(last)
            last = publish(hive, 2)
            await reader.until(last)
            assert reader.ids == list(range(after + 1, last + 1))


async def test_kinds_and_views_are_kept_apart(hive: LiveHive, served: Served) -> None:
    async with (
        reading(served, "/api/events?after=0&kinds=resumed") as some,
        reading(served, "/api/events?after=0&views=1") as views,
        reading(served, "/api/events?after=0") as all_of_them,
    ):
        await live(hive, 3)
        hive.publish(Paused(agent="manager"))
        hive.publish(Resumed(agent="manager"))
        for reader in (some, views, all_of_them):
            await reader.until(2)
        assert (some.ids, views.ids, all_of_them.ids) == ([2], [1, 2], [1, 2])
        assert [b"event: state" in reader.got for reader in (some, views, all_of_them)] == [
            False,
            True,
            False,
        ]


async def test_silence_is_filled_with_comments(hive: LiveHive, served: Served) -> None:
    async with reading(served) as reader:
        await reader.said(b": beat\n\n", 3)


async def test_a_head_alone_ends_at_once(served: Served) -> None:
    async with reading(served, method="HEAD") as reader:
        await reader.rest()
        assert b"text/event-stream" in reader.got
        assert reader.got.endswith(b"\r\n\r\n")


async def test_who_never_reads_is_bounded_then_told_to_resync_and_hurts_nobody(tmp_path: Path) -> None:
    with closing(LiveHive(tmp_path, ring=100)) as hive:
        async with serving(hive) as served, reading(served) as asleep, reading(served) as awake:
            await live(hive, 2)
            for _ in range(6):
                last = publish(hive, 40, BIG)
                await awake.until(last)
            assert awake.ids == list(range(1, last + 1))
            (slow,) = [outlet for outlet in outlets(served) if outlet.sending is not None]
            assert slow._transport.get_write_buffer_size() <= HIGH_WATER + 2 * len(BIG) + 64 * 1024
            await asleep.rest()
            assert asleep.ids == list(range(1, len(asleep.ids) + 1))
            assert len(asleep.ids) < last
            assert asleep.got.endswith(b"event: resync\ndata: {}\n\n\r\n" + END)
            assert hive.broadcast.readers == 1


async def test_who_reads_slowly_gets_all_in_order(hive: LiveHive, served: Served) -> None:
    async with reading(served) as slow:
        await live(hive, 1)
        publish(hive, 150, BIG)
        await eventually_async(lambda: [outlet.sending for outlet in outlets(served)] != [None])
        for _ in range(3):
            last = publish(hive, 10)
            for _ in range(10):
                await slow.more()
        await slow.until(last)
        assert slow.ids == list(range(1, last + 1))
        await eventually_async(lambda: [outlet.sending for outlet in outlets(served)] == [None])
        last = publish(hive, 1)
        await slow.until(last)


async def test_who_takes_nothing_is_cut_off(hive: LiveHive) -> None:
    async with serving(hive, stalled=0.05, sweep=0.02) as served, reading(served) as reader:
        await live(hive, 1)
        publish(hive, 100, BIG)
        await eventually_async(lambda: served.streams.count == 0 == hive.broadcast.readers)
        await eventually_async(lambda: not served.server.server_state.connections)
        await reader.rest()
        assert not reader.got.endswith(END)


GONE = {
    "another request": lambda writer: writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    "garbage": lambda writer: writer.write(b"\x00\xff\x16\x03\x01" * 100),
    "one byte": lambda writer: writer.write(b"G"),
    "a flood": lambda writer: writer.write(b"A" * 1_000_000),
    "half a close": lambda writer: writer.write_eof(),
    "a reset": lambda writer: writer.transport.abort(),
}


@pytest.mark.parametrize("what", GONE)
async def test_a_reader_that_says_something_or_leaves_is_gone(
    hive: LiveHive, served: Served, what: str
) -> None:
    async with reading(served) as other, reading(served) as reader:
        await live(hive, 2)
        GONE[what](reader.writer)
        await live(hive, 1)
        await reader.rest()
        assert b"HTTP/1.1 400" not in reader.got
        assert reader.got.count(b"HTTP/1.1") <= 1
        last = publish(hive, 2)
        await other.until(last)
    await eventually_async(lambda: not served.server.server_state.connections)


async def test_empty_lines_behind_the_request_are_no_reason_to_end(hive: LiveHive, served: Served) -> None:
    async with reading(served, tail=b"\r\n") as reader:
        await live(hive, 1)
        reader.writer.write(b"\r\n\r\n")
        await reader.said(b": beat\n\n", 2)
        last = publish(hive, 1)
        await reader.until(last)


async def test_a_request_that_goes_on_behind_its_head_is_answered_all_the_same(
    hive: LiveHive, served: Served
) -> None:
    lines = ["GET /api/events?after=0 HTTP/1.1", f"Host: 127.0.0.1:{served.port}", "Content-Length: 9"]
    head = "\r\n".join([*lines, f"Authorization: {BEARER['Authorization']}", "", ""]).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    whole = Reader(reader, writer)
    writer.write(head + b"some")
    await whole.said(b"text/event-stream")
    writer.write(b" body")
    last = publish(hive, 2)
    await whole.until(last)
    writer.close()
    await eventually_async(lambda: served.streams.count == 0)


async def test_many_come_and_go_while_events_flow(hive: LiveHive, served: Served) -> None:
    async def come_and_go(turns: int) -> None:
        for turn in range(turns):
            async with reading(served, f"/api/events?after={turn % 2}") as reader:
                while len(reader.ids) < turn % 3:
                    assert await reader.more()
                assert reader.ids == list(range(turn % 2 + 1, turn % 2 + 1 + len(reader.ids)))

    publish(hive, 5)
    async with reading(served) as stays:
        crowd = [asyncio.create_task(come_and_go(10)) for _ in range(40)]
        while not all(task.done() for task in crowd):
            last = publish(hive, 1)
            await stays.until(last)
        await asyncio.gather(*crowd)
        assert stays.ids == list(range(1, last + 1))
        await eventually_async(lambda: served.streams.count == 1 == hive.broadcast.readers)
    await eventually_async(lambda: not served.server.server_state.connections)


async def test_one_too_many_is_refused_and_a_place_that_is_left_is_free(hive: LiveHive) -> None:
    async with serving(hive, most=2) as served, reading(served), served.client() as client:
        async with reading(served):
            await live(hive, 2)
            assert (await client.get("/api/events")).json()["code"] == "too-many-streams"
        await live(hive, 1)
        async with reading(served) as reader:
            await reader.said(b" 200 OK")


async def test_a_server_that_stops_ends_all_at_once_and_waits_for_no_reader(
    hive: LiveHive, served: Served
) -> None:
    async with AsyncExitStack() as stack:
        asleep = [await stack.enter_async_context(reading(served)) for _ in range(5)]
        await live(hive, 5)
        last = publish(hive, 150, BIG)
        await eventually_async(lambda: all(outlet.sending is not None for outlet in outlets(served)))
        awake = [
            await stack.enter_async_context(reading(served, f"/api/events?after={last}")) for _ in range(50)
        ]
        await live(hive, 55)
        served.server.config.timeout_graceful_shutdown = 600  # nobody waits for it
        served.server.should_exit = True
        async with asyncio.timeout(60):
            await served.task
        assert hive.broadcast.readers == 0
        for reader in awake:
            await reader.rest()
            assert reader.got.endswith(END)
        for reader in asleep:
            await reader.rest()
            assert not reader.got.endswith(END)


async def test_a_session_lives_by_its_stream_and_takes_it_along(hive: LiveHive) -> None:
    clock = Clock()
    async with (
        serving(hive, sweep=0.02, sessions=Sessions(clock=clock)) as served,
        httpx.AsyncClient(base_url=served.url) as browser,
        reading(served) as other,
    ):
        await browser.get(served.security.entry_link())
        async with browser.stream("GET", "/api/events") as answer:
            await live(hive, 2)
            lines = answer.aiter_lines()
            for _ in range(4):  # unused for 24 days, were it not for the stream
                clock.now += IDLE - 86_400
                for _ in range(8):
                    await anext(lines)
            assert served.streams.count == 2
            clock.now += ABSOLUTE
            async with asyncio.timeout(60):
                assert [line async for line in lines if not line.startswith(":") and line] == []
        await browser.get(served.security.entry_link())
        async with browser.stream("GET", "/api/events") as answer:
            await live(hive, 2)
            assert (await browser.post("/logout")).status_code == 303
            async with asyncio.timeout(60):
                await answer.aread()
        last = publish(hive, 1)
        await other.until(last)


async def test_a_unix_socket_streams_the_same_way(hive: LiveHive, tmp_path: Path) -> None:
    path, bound = str(tmp_path / "host.sock"), socket.socket(socket.AF_UNIX)
    bound.bind(path)
    bound.listen()
    app = build_host(hive=hive)
    server = Server(app=app, stopping=[app.state.streams.close])
    task = asyncio.create_task(serve(server, bound))
    reader = Reader(*await asyncio.open_unix_connection(path))
    reader.writer.write(b"GET /api/events?after=0 HTTP/1.1\r\nHost: hyperhive\r\n\r\n")
    await live(hive, 1)
    last = publish(hive, 2)
    await reader.until(last)
    server.should_exit = True
    await reader.rest()
    assert reader.got.endswith(END)
    async with asyncio.timeout(60):
        await task
    reader.writer.close()
    bound.close()


async def test_a_server_that_hands_nothing_over_streams_all_the_same(hive: LiveHive, served: Served) -> None:
    """Plain ASGI, as another server or a test's client speaks it."""
    leave, sent = asyncio.Event(), []

    async def receive() -> Message:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    host = f"127.0.0.1:{served.port}".encode()
    scope = {
        "type": "http", "method": "GET", "path": "/api/events", "query_string": b"after=0", "http_version": "1.1",
        "headers": [(b"host", host), (b"authorization", BEARER["Authorization"].encode())],
    }  # fmt: skip
    task = asyncio.create_task(served.server.config.app(scope, receive, send))  # type: ignore[operator, arg-type, call-arg]
    await eventually_async(lambda: served.streams.count == 1 == hive.bridge.feed.readers)
    last = publish(hive, 2)
    await eventually_async(lambda: b"id: %d\n" % last in b"".join(sent))
    leave.set()
    async with asyncio.timeout(60):
        await task
    assert served.streams.count == 0
