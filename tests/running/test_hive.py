"""The façade over a running tree: refusals, waiting that is cancelled, streams that resume."""

import asyncio
import json

import pytest

from hyperhive.domain.events import Paused
from hyperhive.domain.recorded import Recorded
from hyperhive.domain.turns import Outcome, TurnUsage
from hyperhive.errors import Invalid, Unknown
from hyperhive.hive import Action
from hyperhive.running import reading
from hyperhive.running.broadcast import RESYNC
from hyperhive.running.streams import EventStream
from hyperhive.store import turns
from hyperhive.store.database import Tx
from hyperhive.store.events import EventReads
from tests.running.conftest import Running
from tests.waiting import eventually_async


async def test_what_does_not_exist_or_cannot_be_is_refused_at_the_door(hive: Running) -> None:
    running, _ = hive
    with pytest.raises(Unknown, match="there are: manager"):
        await running.operate(Action.START, "nobody", by="operator")
    with pytest.raises(Invalid, match="cannot name an agent"):
        await running.spawn("../x", by="operator")
    with pytest.raises(Invalid, match="180"):
        await running.recv("manager", wait=181)
    with pytest.raises(Unknown, match="Nothing was kept"):
        await running.purge("ghost", by="operator")


async def test_a_cancelled_recv_loses_nothing(hive: Running) -> None:
    running, rig = hive
    waiting = asyncio.create_task(running.recv("operator", wait=100))
    await eventually_async(lambda: rig.tree.room.waiting.get("operator"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await running.send(sender="manager", to="operator", body="still here")
    got = await running.recv("operator", wait=5)
    assert [message.body for message in got] == ["still here"]


async def test_a_series_holds_its_newest_rows_in_their_order(
    hive: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, rig = hive

    def take_turns(tx: Tx) -> list[int]:
        ended = []
        for _ in range(7):
            ended.append(tx.turns.begin("manager", "operator"))
            tx.turns.end(ended[-1], outcome=Outcome.DONE, note="", usage=TurnUsage())
        return ended

    ended = rig.write(take_turns)
    monkeypatch.setattr(turns, "STATS_PAGE", 2)
    assert [row["turn"] for row in json.loads(await running.stats())] == ended
    monkeypatch.setattr(reading, "MAX_STATS", 4)
    assert [row["turn"] for row in json.loads(await running.stats(agent="manager"))] == ended[-4:]
    with pytest.raises(Unknown):
        await running.stats(agent="nobody")


async def test_a_stream_resumes_without_gap_and_says_when_it_cannot(hive: Running) -> None:
    running, rig = hive
    for _ in range(30):
        rig.write(lambda tx: tx.emit(Paused(agent="x")))
    newest = rig.database.reader().events.newest()
    stream = running.stream(after=newest - 20)
    text = b"".join([await anext(stream), await anext(stream)])
    seqs = [int(line[4:]) for line in text.split(b"\n") if line.startswith(b"id: ")]
    assert seqs == list(range(newest - 19, newest + 1))
    rig.write(lambda tx: tx.events.prune(5))
    behind = EventStream(
        feed=running._bridge.feed,
        broadcast=running._broadcast,
        board=rig.tree.board,
        database=rig.database,
        after=1,
        kinds=None,
        views=False,
    )
    assert [await anext(behind), await anext(behind)][1] == RESYNC


async def test_a_stream_of_few_kinds_says_when_its_record_is_dropped_under_it(hive: Running) -> None:
    running, rig = hive
    for _ in range(30):
        rig.write(lambda tx: tx.emit(Paused(agent="x")))
    reader = rig.database.reader()
    events = reader.events

    class Dropping(EventReads):
        """Its older part goes in the moment before it is read."""

        def __init__(self) -> None:
            super().__init__(events._sql)

        def after(self, seq: int, limit: int, kinds: frozenset[str] | None) -> list[Recorded]:
            rig.write(lambda tx: tx.events.prune(5))
            return events.after(seq, limit, kinds)

    reader.events = Dropping()
    stream = running.stream(after=events.newest() - 20, kinds=frozenset({"paused"}))
    assert [await anext(stream), await anext(stream)][1] == RESYNC


async def test_of_a_log_as_many_lines_are_told_as_are_wanted_also_none(hive: Running) -> None:
    running, rig = hive
    rig.layout.agent("manager").log.write_text("one\ntwo\nthree\n")
    assert await running.logs("manager", lines=2) == "two\nthree"
    assert await running.logs("manager", lines=0) == ""
