"""A flood of events: what waits is bounded, no reader of the stream misses one, and the page answers meanwhile."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from hyperhive.actors.broker import Send
from hyperhive.bridge import RING_BYTES, RING_FRAMES
from hyperhive.domain.messages import Message
from hyperhive.running.hive import RunningHive
from hyperhive.web.app import build_host
from hyperhive.web.server import Server, bind, serve
from tests.actors.rig import Rig
from tests.running.conftest import Running
from tests.waiting import eventually_async

pytestmark = pytest.mark.slow

SENDERS, EACH = 100, 100


@asynccontextmanager
async def served(running: RunningHive) -> AsyncIterator[httpx.AsyncClient]:
    """The hive behind a real server."""
    bound = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    app = build_host(hive=running)
    server = Server(app=app, stopping=[app.state.streams.close])
    task = asyncio.create_task(serve(server, bound))
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client
    server.should_exit = True
    async with asyncio.timeout(60):
        await task


class Reader:
    """A dashboard: keeps the state by its patches, and comes back with its last number when it is told to."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.state: dict[str, Any] = {}

    async def follow(self, client: httpx.AsyncClient) -> None:
        while True:
            after = self.seen[-1] if self.seen else 0
            async with client.stream("GET", f"/api/events?views=1&after={after}") as answer:
                kind = ""
                async for line in answer.aiter_lines():
                    if line.startswith("event: "):
                        kind = line[7:]
                    elif line.startswith("data: "):
                        self._take(kind, line[6:])

    def _take(self, kind: str, data: str) -> None:
        if kind in ("state", "patch"):
            self.state |= json.loads(data)
        elif kind != "resync":
            self.seen.append(json.loads(data)["seq"])


class Answers:
    """What became of what was sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.failed: list[BaseException] = []

    def set(self, value: Message) -> None:
        self.sent.append(value)

    def fail(self, error: BaseException) -> None:
        self.failed.append(error)


def _flood(rig: Rig, sender: int, answers: Answers) -> None:
    for number in range(EACH):
        rig.tree.services.broker.tell(Send("manager", "operator", f"{sender}: {number}", answers))


async def test_readers_keep_up_with_a_hundred_senders_and_the_page_answers(hive: Running) -> None:
    running, rig = hive
    feed, reader, answers, pages = running._bridge.feed, Reader(), Answers(), 0
    async with served(running) as client:
        following = asyncio.create_task(reader.follow(client))
        await eventually_async(lambda: feed.readers == 1)
        async with client.stream("GET", "/api/events?after=0&views=1"):  # and never reads
            await eventually_async(lambda: feed.readers == 2)
            crowd = [
                threading.Thread(target=_flood, args=(rig, number, answers)) for number in range(SENDERS)
            ]
            for thread in crowd:
                thread.start()
            while len(answers.sent) < SENDERS * EACH:
                assert not answers.failed
                assert (await client.get("/api/state")).status_code == 200
                pages += 1
                assert len(feed._ring) <= RING_FRAMES
                assert feed._bytes <= RING_BYTES
            for thread in crowd:
                thread.join()
        newest = rig.database.reader().events.newest()
        shown = (await client.get("/api/state")).json()
        await eventually_async(lambda: reader.seen[-1:] == [newest], 60)
        await eventually_async(lambda: reader.state["inbox"] == shown["inbox"], 60)
        following.cancel()
        await asyncio.wait({following})
    assert pages
    assert reader.seen == list(range(1, newest + 1))
    assert shown["seq"] == newest
