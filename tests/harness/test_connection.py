"""The harness's end of the wire against the host's real end, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import FromHost, Hello, Ping, Trouble, Welcome
from hyperhive.harness.connection import Connection
from hyperhive.harness.outbox import Outbox
from hyperhive.link import Link
from tests.fakes.harness_host import Host, RecordingHive, work
from tests.waiting import eventually_async


class Pair:
    """A connection and a host that may go away and come back."""

    def __init__(self, run: Path) -> None:
        self.run, self.host = run, Host()
        self.received: list[FromHost] = []
        self.outbox = Outbox()
        self.connection = Connection(
            path=str(run / "agents" / "alice" / "hive.sock"),
            hello=lambda: Hello(boot="b1", version="1"),
            outbox=self.outbox,
            receive=self.received.append,
        )
        self.hive: RecordingHive
        self.link: Link

    async def up(self) -> None:
        self.hive = RecordingHive(self.host)
        self.link = Link(hive=self.hive, run=self.run)
        await self.link.open("alice")

    def say(self, *notes: str) -> None:
        for note in notes:
            self.connection.report(Trouble(note=note))

    def show(self, text: str) -> None:
        self.connection.item(TurnItem(turn=1, ts=datetime.now(UTC), type="text", text=text))


@asynccontextmanager
async def pair(run: Path) -> AsyncIterator[Pair]:
    made = Pair(run)
    task = asyncio.create_task(made.connection.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.link.aclose()


async def test_what_was_said_before_the_host_was_there_arrives_in_order(tmp_path: Path) -> None:
    async with pair(tmp_path) as p:
        p.say("1")
        p.show("a")
        p.say("2", "3")
        await p.up()
        assert not await p.connection.settle(0.0)
        await eventually_async(lambda: p.outbox.settled)
        assert p.host.troubles() == ["1", "2", "3"] and p.host.said("text") == ["a"]
        assert await p.connection.settle(1.0)


@pytest.mark.slow
async def test_a_host_that_dies_before_it_acknowledges_gets_everything_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as p:
        for life in range(5):
            await p.up()
            p.hive.acknowledges = life % 2 == 0
            p.say(f"{life}a", f"{life}b")
            await eventually_async(lambda last=f"{life}b": last in p.host.troubles())  # type: ignore[misc]
            await p.link.aclose()
            p.say(f"{life}c")
        await p.up()
        await eventually_async(lambda: p.outbox.settled)
        assert p.host.troubles() == [f"{life}{part}" for life in range(5) for part in "abc"]


async def test_a_host_that_is_cut_off_in_the_middle_of_a_burst_gets_everything_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as p:
        await p.up()
        cuts = iter((7, 31, 64))
        cut = next(cuts)

        def hang_up(_: object) -> None:
            nonlocal cut
            if len(p.host.reports) == cut and p.hive.session is not None:
                cut = next(cuts, 0)
                p.hive.session.close()

        p.hive.on_report = hang_up
        p.say(*(str(n) for n in range(100)))
        await eventually_async(lambda: p.outbox.settled, 30)
        assert p.host.troubles() == [str(n) for n in range(100)]
        assert len(p.hive.hellos) == 4


async def test_items_come_together_and_pings_are_answered(tmp_path: Path) -> None:
    async with pair(tmp_path) as p:
        await p.up()
        await eventually_async(lambda: p.hive.session)
        for n in range(450):
            p.show(str(n))
        p.hive.tell(Ping(id=3))
        await eventually_async(lambda: len(p.host.items) == 450)
        assert p.host.said("text") == [str(n) for n in range(450)]
        p.hive.tell(work(1, "hi"))
        await eventually_async(lambda: len(p.received) == 2)
        assert isinstance(p.received[0], Welcome)


async def test_a_host_that_speaks_nonsense_is_left_and_tried_again(tmp_path: Path) -> None:
    async with pair(tmp_path) as p:
        path = tmp_path / "agents" / "alice" / "hive.sock"
        path.parent.mkdir(parents=True)
        visits = 0

        async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal visits
            visits += 1
            await reader.readline()
            answers = [b"\xff\n", b'{"type":"ack","n":1}\n', b"{}\n"]
            writer.write(answers[visits % 3])
            writer.close()

        server = await asyncio.start_unix_server(nonsense, path)
        await eventually_async(lambda: visits >= 3)
        server.close()
        await p.up()
        p.say("here")
        await eventually_async(lambda: p.outbox.settled)
        assert p.host.troubles() == ["here"]
