"""The host's end of the wire: who gets in, what is handed on, what happens to those who misbehave."""

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive.domain.turns import MAX_ITEM, Outcome
from hyperhive.domain.wire import MAX_LINE, Compact, Incoming, Ping, Pong, TurnOver, Work
from hyperhive.errors import Broken, Invalid
from hyperhive.harness import connection
from hyperhive.link import Link, session
from tests.fakes.harness_host import Host, RecordingHive, work
from tests.waiting import eventually_async

HELLO = {"type": "hello", "boot": "b1", "version": "1"}
HELLO_LINE = json.dumps(HELLO).encode() + b"\n"
OVER = {"type": "turn_over", "turn": 1, "outcome": "done"}


class Talker:
    """Somebody at the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, *lines: dict[str, Any] | bytes) -> None:
        for line in lines:
            raw = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            self.writer.write(raw)

    async def hear(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), 60)
        return json.loads(line) if line else {}

    async def cut_off(self) -> None:
        """Wait until the host closes the connection."""
        try:
            async with asyncio.timeout(60):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            pass


class Wire:
    """A link with a recording hive."""

    def __init__(self, run: Path, beat: session.Beat | None = None) -> None:
        self.run, self.host = run, Host()
        self.hive = RecordingHive(self.host)
        self.link = Link(hive=self.hive, run=run, beat=beat)
        self.talkers: list[Talker] = []

    def path(self, name: str = "alice") -> Path:
        return self.run / "agents" / name / "hive.sock"

    async def dial(self, name: str = "alice") -> Talker:
        talker = Talker(*await asyncio.open_unix_connection(self.path(name), limit=2 * MAX_LINE))
        self.talkers.append(talker)
        return talker

    async def greeted(self, name: str = "alice") -> Talker:
        talker = await self.dial(name)
        talker.say(HELLO)
        assert (await talker.hear())["type"] == "welcome"
        return talker


@asynccontextmanager
async def wire(run: Path, beat: session.Beat | None = None) -> AsyncIterator[Wire]:
    made = Wire(run, beat)
    await made.link.open("alice")
    try:
        yield made
    finally:
        await made.link.aclose()
        for talker in made.talkers:
            talker.writer.transport.abort()


async def test_the_socket_is_for_its_owner_alone_and_goes_with_the_agent(tmp_path: Path) -> None:
    async with wire(tmp_path / "run") as w:
        assert stat.S_IMODE(w.path().stat().st_mode) == 0o600
        for folder in (w.path().parent, w.path().parent.parent, w.run):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        await w.link.open("alice")
        await w.link.close("alice")
        await w.link.close("alice")
        assert not w.path().exists() and w.path().parent.exists()


async def test_a_stale_socket_is_replaced_and_any_other_file_is_left_alone(tmp_path: Path) -> None:
    async with wire(tmp_path) as first, wire(tmp_path) as second:
        await second.greeted()
        assert not first.hive.hellos
    path = tmp_path / "agents" / "bob" / "hive.sock"
    path.parent.mkdir()
    path.write_text("mine")
    async with wire(tmp_path) as w:
        with pytest.raises(Broken, match="no socket"):
            await w.link.open("bob")
        assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "operator", "A"])
async def test_a_bad_name_comes_near_no_path(tmp_path: Path, name: str) -> None:
    async with wire(tmp_path) as w:
        with pytest.raises(Invalid):
            await w.link.open(name)
        assert [entry.name for entry in (tmp_path / "agents").iterdir()] == ["alice"]


async def test_reports_and_items_are_handed_on_and_acknowledged(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        item = {"turn": 1, "ts": "2026-01-01T00:00:00Z", "type": "text", "text": "hi"}
        talker.say({"type": "items", "items": [item]}, {"type": "report", "n": 1, "report": OVER})
        assert await talker.hear() == {"type": "ack", "n": 1}
        assert w.host.reports == [TurnOver(turn=1, outcome=Outcome.DONE)]
        assert w.host.said("text") == ["hi"]
        w.hive.tell(Compact())
        assert await talker.hear() == {"type": "compact"}


async def test_what_the_hive_says_early_comes_behind_the_welcome(tmp_path: Path) -> None:
    class Hasty(RecordingHive):
        async def harness_hello(self, name: str, hello: Any, session: Any) -> Any:
            session.send(work(1, "hi"))
            return await super().harness_hello(name, hello, session)

    link = Link(hive=Hasty(Host()), run=tmp_path)
    await link.open("alice")
    talker = Talker(*await asyncio.open_unix_connection(tmp_path / "agents" / "alice" / "hive.sock"))
    talker.say(HELLO)
    assert [(await talker.hear())["type"] for _ in range(2)] == ["welcome", "work"]
    await link.aclose()
    talker.writer.transport.abort()


async def test_only_the_newest_connection_counts(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        first = await w.greeted()
        second = await w.greeted()
        await first.cut_off()
        await eventually_async(lambda: w.hive.gone == 1)
        w.hive.tell(Compact())
        assert await second.hear() == {"type": "compact"}


async def test_a_hive_that_refuses_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire(tmp_path) as w:
        w.hive.refusal = "This generation is gone; nothing to do."
        talker = await w.dial()
        talker.say(HELLO)
        await talker.cut_off()
        assert "generation is gone" in caplog.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"type":"hello","boot":"b","version":"1","protocol":99}\n', "protocol 99"),
        (b'{"type":"pong","id":1}\n', "pong before hello"),
        (b"nonsense\n", "malformed"),
        (b"\xff\xfe\n", "malformed"),
        (b"x" * 5000, "more than 4096 bytes"),
        (b'{"type":"hello","boot":"b","version":"1","turn":99999999999999999999}\n', "out of range"),
        (b"[" * 4000 + b"\n", "malformed"),
    ],
)
async def test_a_first_line_that_is_no_hello_is_refused_with_one_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes, reason: str
) -> None:
    async with wire(tmp_path) as w:
        talker = await w.dial()
        talker.say(line)
        await talker.cut_off()
        assert reason in caplog.text and "Traceback" not in caplog.text
        assert len(caplog.records) == 1 and not w.hive.hellos


async def test_whoever_says_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HELLO_DEADLINE", 0.05)
    async with wire(tmp_path) as w:
        talker = await w.dial()
        await talker.cut_off()


@pytest.mark.parametrize(
    ("before", "meanwhile", "let_in"),
    [
        (b"", HELLO_LINE, True),
        (HELLO_LINE[:9], HELLO_LINE[9:], True),
        (HELLO_LINE[:9], HELLO_LINE[9:-1], False),
    ],
)
async def test_a_hello_that_came_in_time_counts_however_late_the_host_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, meanwhile: bytes, let_in: bool
) -> None:
    loop = asyncio.get_running_loop()
    async with wire(tmp_path) as w:
        talker = await w.dial()
        talker.say(before)
        for _ in range(20):  # until it is waited for
            await asyncio.sleep(0)
        talker.say(meanwhile)
        as_it_is = loop.time
        monkeypatch.setattr(loop, "time", lambda: as_it_is() + 60.0)  # so long did the host nothing else
        if let_in:
            assert (await talker.hear())["type"] == "welcome"
        else:
            await talker.cut_off()
            assert not w.hive.hellos


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"report","n":0,"report":{"type":"trouble","note":"x"}}\n',
        b'{"type":"report","n":1e99,"report":{"type":"trouble","note":"x"}}\n',
        b'{"type":"report","n":99999999999999999,"report":{"type":"trouble","note":"x"}}\n',
        b'{"type":"report","n":1,"report":{"type":"turn_over","turn":-1,"outcome":"done"}}\n',
        b'{"type":"report","n":1,"report":{"type":"trouble","note":"\\ud800"}}\n',
        b'{"type":"welcome","agent":"manager","role":"manager"}\n',
        b'{"type":"pong","id":"x"}\n',
        b'{"type":"pong","id":01}\n',
        b'{"type":"pong"}\n',
        b"\n",
        json.dumps(HELLO).encode() + b"\n",
        b"x" * (MAX_LINE + 70_000),
    ],
)
async def test_a_malformed_line_ends_the_connection_with_one_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        caplog.clear()
        talker.say(line)
        await talker.cut_off()
        await eventually_async(lambda: w.hive.gone == 1)
        assert "Traceback" not in caplog.text
        assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
        assert w.host.reports == []


async def test_items_beyond_their_bounds_are_cut(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        item = {
            "id": 7,
            "turn": 1,
            "ts": "2026-01-01T00:00:00Z",
            "type": "t" * 100,
            "text": "ä" * MAX_ITEM,
            "data": {"x": "y" * 100_000},
        }
        talker.say({"type": "items", "items": [item]})
        await eventually_async(lambda: w.host.items)
        kept = w.host.items[0]
        assert (kept.id, len(kept.type), kept.data) == (0, 32, {})
        assert len(kept.text.encode()) <= MAX_ITEM


async def test_a_harness_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        await w.greeted()
        big = Incoming(id=1, sender="operator", body="x" * 1_000_000, ts="2026-01-01T00:00:00Z")
        for turn in range(12):
            if w.hive.session is not None:
                w.hive.session.send(Work(turn=turn, messages=(big,)))
        await eventually_async(lambda: w.hive.gone == 1)


@pytest.mark.slow
async def test_a_silent_harness_is_dead_after_a_while_and_one_that_answers_is_not(tmp_path: Path) -> None:
    beat = session.Beat(ping_every=0.05, dead_after=2.0, at_rest=1)
    async with wire(tmp_path, beat) as w:
        await w.link.open("bob")
        silent, lively = await w.greeted(), await w.greeted("bob")
        dead = asyncio.create_task(silent.cut_off())
        while not dead.done():
            while (ping := await lively.hear())["type"] != "ping":
                pass
            lively.say({"type": "pong", "id": ping["id"]})
        await eventually_async(lambda: w.hive.gone == 1)
        assert (await lively.hear())["type"] == "ping"


async def test_a_harness_is_pinged_often_from_when_it_gets_work_and_rarely_at_rest(tmp_path: Path) -> None:
    async with wire(tmp_path, session.Beat(ping_every=0.05, at_rest=1_000_000)) as w:
        talker = await w.greeted()
        w.hive.tell(Compact())
        w.hive.tell(Work(turn=1, messages=()))
        said = [(await talker.hear())["type"] for _ in range(5)]
        assert said == ["compact", "work", "ping", "ping", "ping"]


def test_a_harness_at_rest_hears_a_ping_well_before_it_takes_the_host_for_dead() -> None:
    rarest = session.PING_EVERY * session.AT_REST + 1.0  # rounded up to a whole second
    assert rarest + 10.0 < connection.SILENCE


async def test_a_connection_at_rest_costs_no_task(tmp_path: Path) -> None:
    before = len(asyncio.all_tasks())
    async with wire(tmp_path, session.Beat(ping_every=0.05, at_rest=1)) as w:
        talker = await w.greeted()
        for _ in range(3):
            ping = await talker.hear()
            talker.say({"type": "pong", "id": ping["id"]})
        await eventually_async(lambda: len(asyncio.all_tasks()) <= before)
        w.hive.tell(Compact())
        while (await talker.hear())["type"] != "compact":
            pass


def test_what_is_said_and_heard_at_rest_is_what_the_wire_says() -> None:
    assert Ping(id=12).model_dump_json().encode() + b"\n" == session.PING % 12
    for id in (0, 7, 10, 123_456_789):
        assert session.PONG.fullmatch(Pong(id=id).model_dump_json().encode() + b"\n")


async def test_the_answer_to_a_ping_costs_no_task_and_what_looks_otherwise_is_read_as_ever(
    tmp_path: Path,
) -> None:
    loop, made = asyncio.get_running_loop(), list[str]()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any) -> asyncio.Task[Any]:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop)

    async with wire(tmp_path, session.Beat(ping_every=0.02, at_rest=1)) as w:
        talker = await w.greeted()
        await talker.hear()
        loop.set_task_factory(make)
        for _ in range(4):
            talker.say(b'{"type":"pong","id":1}\n')
            for _ in range(5):
                await asyncio.sleep(0)  # each is read by itself
            await talker.hear()
        assert not [name for name in made if "_Door" in name]
        talker.say(
            {"id": 1, "type": "pong"},
            b'{"type":"pong"',
            b',"id":2}\n',
            {"type": "report", "n": 1, "report": OVER},
        )
        while (await talker.hear())["type"] != "ack":
            pass
        assert [name for name in made if "_Door" in name]
        loop.set_task_factory(None)


@pytest.fixture
def few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a hundred lines of a harness take a quarter of a second."""
    monkeypatch.setattr(session, "LINES_AT_ONCE", 10.0)
    monkeypatch.setattr(session, "LINES_A_SECOND", 400.0)


@pytest.mark.usefixtures("few_lines")
async def test_pongs_come_no_faster_than_other_lines(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            talker.say(b'{"type":"pong","id":1}\n')
            await asyncio.sleep(0)
        talker.say({"type": "report", "n": 1, "report": OVER})
        assert await talker.hear() == {"type": "ack", "n": 1}
        assert asyncio.get_running_loop().time() - began > 0.2


async def test_a_line_comes_whole_however_it_is_cut_and_what_follows_it_waits(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        item = {"turn": 1, "ts": "2026-01-01T00:00:00Z", "type": "text", "text": "x" * 19_500}
        line = json.dumps({"type": "items", "items": [item] * 200}).encode() + b"\n"
        following = [{"type": "report", "n": n, "report": OVER} for n in range(1, 400)]
        for part in (line[:1], line[1:70_000], line[70_000:]):
            talker.say(part)
            await talker.writer.drain()
        talker.say(*following)
        assert [(await talker.hear())["n"] for _ in range(399)] == list(range(1, 400))
        assert 3_900_000 < len(line) < MAX_LINE and len(w.host.items) == 200


async def test_who_reads_slowly_gets_all_of_it_in_order(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        big = Incoming(id=1, sender="operator", body="x" * 500_000, ts="2026-01-01T00:00:00Z")
        for turn in range(10):
            w.hive.tell(Work(turn=turn, messages=(big,)))
        w.hive.tell(Compact())
        said = [await talker.hear() for _ in range(11)]
        assert [line.get("turn") for line in said] == [*range(10), None]
        assert w.hive.gone == 0


async def test_a_harness_that_shuts_one_way_only_is_told_of_as_gone(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        talker.say({"type": "report", "n": 1, "report": OVER})
        talker.writer.write_eof()
        await eventually_async(lambda: w.hive.gone == 1)
        assert w.host.acked == 1


async def test_connections_at_rest_are_told_of_as_gone_when_the_door_closes(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        await w.link.open("bob")
        await w.greeted()
        await w.greeted("bob")
        stranger = await w.dial()
        await w.link.close("alice")
        assert w.hive.gone == 1
        await stranger.cut_off()
    assert w.hive.gone == 2


async def test_strangers_are_few_and_do_not_push_the_harness_out(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        strangers = [await w.dial() for _ in range(10)]
        await asyncio.wait(
            [asyncio.create_task(stranger.cut_off()) for stranger in strangers[4:]],
            return_when=asyncio.ALL_COMPLETED,
        )
        w.hive.tell(Compact())
        assert await talker.hear() == {"type": "compact"}


@pytest.mark.usefixtures("few_lines")
async def test_a_flood_waits_and_loses_nothing(tmp_path: Path) -> None:
    async with wire(tmp_path) as w:
        talker = await w.greeted()
        began = asyncio.get_running_loop().time()
        reports = [
            {"type": "report", "n": n, "report": {"type": "trouble", "note": str(n)}} for n in range(1, 101)
        ]
        talker.say(*reports)
        await eventually_async(lambda: w.host.acked == 100)
        assert asyncio.get_running_loop().time() - began > 0.2
        assert w.host.troubles() == [str(n) for n in range(1, 101)]
