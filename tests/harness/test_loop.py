"""The turn loop, with a scripted Claude and a host that writes down what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hyperhive.domain.agent_config import ExtraMcpServer
from hyperhive.domain.launch import Launch
from hyperhive.domain.turns import MAX_ITEM, Outcome, TurnItem, TurnState
from hyperhive.domain.wire import (
    Compact,
    Interrupt,
    McpServers,
    Report,
    StateChanged,
    Trouble,
    TurnBegan,
    TurnOver,
    Welcome,
)
from hyperhive.harness import turn as turns
from hyperhive.harness.claude import (
    ApiError,
    Began,
    Context,
    Limited,
    McpServer,
    NotCompacted,
    Noted,
    NotProvided,
    Phase,
)
from hyperhive.harness.keeper import Keeper
from hyperhive.harness.loop import TurnLoop
from hyperhive.harness.usage import CostMeter
from tests.fakes.claude import Deaf, Dies, Forever, Scripted, ScriptedClaude, done, failed
from tests.fakes.harness_host import work
from tests.waiting import eventually_async


class Notebook:
    """What the loop told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.items: list[TurnItem] = []
        self.owed: set[int] = set()

    def report(self, report: Report) -> None:
        self.reports.append(report)

    def item(self, item: TurnItem) -> None:
        self.items.append(item)

    def owes_end_of(self, turn: int) -> bool:
        return turn in self.owed

    def overs(self) -> list[tuple[int, Outcome]]:
        return [(r.turn, r.outcome) for r in self.reports if isinstance(r, TurnOver)]

    def over(self, turn: int) -> TurnOver:
        return next(r for r in self.reports if isinstance(r, TurnOver) and r.turn == turn)


class Bench:
    """One loop at work."""

    def __init__(self, folder: Path, script: Scripted, **settings: Any) -> None:
        launch = Launch(
            **{
                "generation": 1,
                "agent": "alice",
                "role": "agent",
                "model": "sonnet",
                "hive_sock": "/nowhere",
                "mcp_sock": "/nowhere",
                "state": str(folder),
                "claude_dir": str(folder),
                "records": str(folder),
                "warm": 60.0,
                **settings,
            }
        )
        self.script, self.told, self.ended_families = script, Notebook(), 0
        self.keeper = Keeper(make=self._make, end_family=self._end_family)
        meter = CostMeter(file=folder / "cost.json")
        self.loop = TurnLoop(launch=launch, keeper=self.keeper, say=self.told, meter=meter, login_pause=0.01)

    async def _make(self) -> ScriptedClaude:
        return ScriptedClaude(self.script)

    async def _end_family(self, keep: object) -> None:
        self.ended_families += 1

    def take_time(self) -> None:
        """From now on a turn may take as long as it takes."""
        self.loop._launch = self.loop._launch.model_copy(update={"turn_deadline": 60.0})

    def welcome(self, **fields: Any) -> None:
        self.loop.receive(Welcome(**{"agent": "alice", "role": "agent", **fields}))

    async def turn(self, number: int, *bodies: str) -> TurnOver:
        self.loop.receive(work(number, *(bodies or ("hi",))))
        return await self.over(number)

    async def over(self, number: int) -> TurnOver:
        await eventually_async(lambda: any(turn == number for turn, _ in self.told.overs()))
        return self.told.over(number)


@asynccontextmanager
async def bench(folder: Path, *turns: list[Any], **settings: Any) -> AsyncIterator[Bench]:
    made = Bench(folder, Scripted(turns=list(turns)), **settings)
    task = asyncio.create_task(made.loop.run())
    try:
        yield made
    finally:
        made.loop.end()
        await asyncio.wait_for(task, 60)


@pytest.fixture(autouse=True)
def short_graces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "INTERRUPT_GRACE", 0.05)
    monkeypatch.setattr(turns, "TERMINATE_GRACE", 0.05)


async def test_a_turn_that_is_done_is_told_with_session_and_usage(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Noted("text", "hello"), done(cost=0.5)]) as b:
        over = await b.turn(7)
        assert (over.outcome, over.session, over.usage.cost_usd) == (Outcome.DONE, "s1", 0.5)
        assert b.told.reports[0] == TurnBegan(turn=7, session="s1")
        assert [(item.type, item.turn) for item in b.told.items] == [("prompt", 7), ("text", 7)]


async def test_turns_share_a_process_that_is_let_go_when_idle(tmp_path: Path) -> None:
    async with bench(tmp_path, warm=0.05) as b:
        await b.turn(1)
        await asyncio.wait_for(b.script.closed.wait(), 60)
        await b.turn(2)
        assert [session for session, _ in b.script.starts] == [None, "s1"]


async def test_new_credentials_reach_claude_by_a_new_process(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.welcome(env={"K": "1"})
        await b.turn(1)
        b.welcome(env={"K": "1"})
        await b.turn(2)
        b.welcome(env={"K": "2"})
        await b.turn(3)
        assert [env["K"] for _, env in b.script.starts] == ["1", "2"]


async def test_a_session_that_is_not_known_any_more_is_forgotten(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), done()]) as b:
        b.welcome(session="old")
        over = await b.turn(1)
        assert b.script.starts[0][0] == "old" and over.session == "s1"


async def test_costs_are_told_as_differences_also_by_the_next_harness(tmp_path: Path) -> None:
    async with bench(tmp_path, [done(cost=1.0)], [done(cost=1.5)]) as b:
        assert (await b.turn(1)).usage.cost_usd == 1.0
        assert (await b.turn(2)).usage.cost_usd == 0.5
    async with bench(tmp_path, [done(cost=1.75)], [done(cost=0.25)]) as b:
        assert (await b.turn(3)).usage.cost_usd == 0.25
        assert (await b.turn(4)).usage.cost_usd == 0.25


async def test_a_refused_login_is_tried_again_by_a_fresh_process_once(tmp_path: Path) -> None:
    refused = [Began("s1"), ApiError("authentication_failed"), failed(401)]
    async with bench(tmp_path, list(refused), list(refused), list(refused), [done()]) as b:
        assert (await b.turn(1)).outcome is Outcome.LOGIN
        assert len(b.script.starts) == 2
        assert (await b.turn(2)).outcome is Outcome.DONE
        assert [type(r) for r in b.told.reports] == [TurnBegan, TurnOver, TurnBegan, TurnOver]


async def test_a_rate_limit_carries_its_reset_time(tmp_path: Path) -> None:
    resets = datetime.now(UTC) + timedelta(hours=2)
    async with bench(tmp_path, [Limited(resets), ApiError("rate_limit"), failed(429)], [failed(429)]) as b:
        over = await b.turn(1)
        assert (over.outcome, over.resets_at) == (Outcome.RATE_LIMITED, resets)
        over = await b.turn(2)
        assert over.resets_at is not None
        assert timedelta(seconds=50) < over.resets_at - datetime.now(UTC) <= timedelta(seconds=60)


async def test_a_deadline_interrupts_then_terminates_then_kills(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Deaf()], turn_deadline=0.4) as b:
        assert (await b.turn(1)).outcome is Outcome.DEADLINE
        assert b.script.signals[:3] == ["interrupt", "terminate", "kill"]
        assert b.ended_families == 1
        b.take_time()
        assert (await b.turn(2)).outcome is Outcome.DONE


async def test_a_deadline_that_is_heard_keeps_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "INTERRUPT_GRACE", 20.0)
    async with bench(tmp_path, [Began("s1"), Forever()], turn_deadline=0.4) as b:
        assert (await b.turn(1)).outcome is Outcome.DEADLINE
        assert b.script.signals == ["interrupt"]
        b.take_time()
        await b.turn(2)
        assert len(b.script.starts) == 1


async def test_an_interrupt_ends_its_own_turn_and_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()]) as b:
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.loop.receive(Interrupt(turn=99))
        assert b.loop.turn == 1 and b.script.signals == []
        b.loop.receive(Interrupt(turn=1))
        assert (await b.over(1)).outcome is Outcome.INTERRUPTED


async def test_a_death_in_the_turn_loses_it_and_ends_what_is_left(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Dies()]) as b:
        over = await b.turn(1)
        assert over.outcome is Outcome.LOST and "SIGKILL" in over.note
        assert b.ended_families == 1


async def test_claude_that_does_not_start_fails_the_turn_with_the_reason(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.script.refuses = "Claude Code did not start: no such file"
        over = await b.turn(1)
        assert over.outcome is Outcome.FAILED and "no such file" in over.note
        assert any(isinstance(r, Trouble) for r in b.told.reports)


async def test_a_start_that_hangs_ends_with_the_deadline(tmp_path: Path) -> None:
    async with bench(tmp_path, turn_deadline=0.4) as b:
        b.script.hangs = True
        assert (await b.turn(1)).outcome is Outcome.DEADLINE
        b.script.hangs = False
        b.take_time()
        assert (await b.turn(2)).outcome is Outcome.DONE


async def test_work_for_another_turn_ends_the_one_under_way_first(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()]) as b:
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.loop.receive(work(2, "other"))
        b.loop.receive(work(3, "third"))
        await b.over(3)
        assert sorted(b.told.overs()) == [
            (1, Outcome.INTERRUPTED),
            (2, Outcome.INTERRUPTED),
            (3, Outcome.DONE),
        ]


async def test_the_same_work_twice_is_done_once(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()]) as b:
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.loop.receive(work(1, "hi"))
        b.loop.receive(Interrupt(turn=1))
        await b.over(1)
        b.told.owed.add(1)
        b.loop.receive(work(1, "hi"))
        assert b.loop.turn is None and len(b.script.prompts) == 1


async def test_a_turn_that_only_the_host_believes_in_is_told_as_lost_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.welcome(turn=5)
        assert b.told.overs() == [(5, Outcome.LOST)]
        b.told.owed.add(5)
        b.welcome(turn=5)
        assert b.told.overs() == [(5, Outcome.LOST)]


async def test_a_turn_that_the_host_does_not_believe_in_is_stopped(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()]) as b:
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.welcome(turn=1)
        assert b.script.signals == []
        b.welcome(turn=None)
        assert (await b.over(1)).outcome is Outcome.INTERRUPTED


async def test_a_host_that_comes_back_brings_its_tools_with_it(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()]) as b:
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.welcome(turn=1)
        await asyncio.wait_for(b.script.reconnected.wait(), 60)


async def test_states_are_told_when_they_change(tmp_path: Path) -> None:
    offline = Phase(TurnState.OFFLINE, "again")
    async with bench(tmp_path, [Began("s1"), offline, offline, Noted("text", "x"), done()]) as b:
        await b.turn(1)
        states = [r.state for r in b.told.reports if isinstance(r, StateChanged)]
        assert states == [TurnState.OFFLINE, TurnState.THINKING]


async def test_what_the_operator_has_to_mend_is_no_failure_of_the_messages(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.script.refuses = NotProvided("Claude Code was not started: the environment file cannot be read.")
        over = await b.turn(1)
        assert (over.outcome, over.note) == (Outcome.OFFLINE, str(b.script.refuses))
        b.script.refuses = None
        assert (await b.turn(2)).outcome is Outcome.DONE


async def test_servers_that_do_not_start_are_told_beside_the_turn(tmp_path: Path) -> None:
    servers = {"weather": ExtraMcpServer(command="weather-mcp")}
    async with bench(tmp_path, extra_mcp_servers=servers) as b:
        b.script.servers = [(McpServer("weather", "failed", "Connection closed"),)]
        await b.turn(1)
        told = McpServers(failed={"weather": "it ended before it answered"})
        await eventually_async(lambda: told in b.told.reports)
        await b.turn(2)
        assert b.told.reports.count(told) == 1


async def test_the_hives_tools_missing_is_told_once(tmp_path: Path) -> None:
    began = Began("s1", unavailable="failed")
    async with bench(tmp_path, [began, began, done()]) as b:
        await b.turn(1)
        troubles = [r.note for r in b.told.reports if isinstance(r, Trouble)]
        assert troubles == ["The hive's own tools are not there (MCP server hyperhive: failed)."]


async def test_compaction_waits_for_the_turn_and_needs_a_session(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()], [done(cost=0.25)], [done(cost=0.75)]) as b:
        b.loop.receive(Compact())
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.loop.receive(Compact())
        b.loop.receive(Interrupt(turn=1))
        await eventually_async(lambda: StateChanged(state=TurnState.IDLE) in b.told.reports)
        assert b.script.prompts[1:] == ["/compact"]
        over = await b.turn(2)
        assert over.usage.cost_usd == 0.75, "what the compaction cost is told with the next turn"


async def test_a_session_that_grew_long_is_compacted_before_it_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Context(10), Context(160_000), done()], [done()]) as b:
        await b.turn(1)
        await eventually_async(lambda: "/compact" in b.script.prompts)
        await b.turn(2)
        assert b.script.prompts[1] == "/compact" and len(b.script.prompts) == 3


async def test_a_session_that_neither_the_api_takes_nor_can_be_compacted_is_left(tmp_path: Path) -> None:
    too_long = [Began("s1"), ApiError("invalid_request"), failed(400, "Prompt is too long")]
    async with bench(tmp_path, too_long, [NotCompacted("too long"), done()], [Began("s2"), done("s2")]) as b:
        assert (await b.turn(1)).outcome is Outcome.FAILED
        over = await b.turn(2)
        assert (over.outcome, over.session) == (Outcome.DONE, "s2")
        assert [session for session, _ in b.script.starts] == [None, "s1", None]
        assert any(isinstance(r, Trouble) and "a new one begins" in r.note for r in b.told.reports)


async def test_an_api_that_is_away_while_compacting_costs_no_session(tmp_path: Path) -> None:
    async with bench(tmp_path, [Context(160_000), done()], [ApiError("server_error"), failed(500)]) as b:
        await b.turn(1)
        assert (await b.turn(2)).session == "s1"


async def test_a_session_survives_the_death_of_its_process(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Dies()]) as b:
        await b.turn(1)
        await b.turn(2)
        assert [session for session, _ in b.script.starts] == [None, "s1"]


async def test_long_and_broken_text_is_cut_and_mended(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Noted("text", "ä" * MAX_ITEM + "\ud800"), done()]) as b:
        await b.turn(1)
        text = b.told.items[-1].text
        assert len(text.encode()) <= MAX_ITEM and text.endswith("bytes, cut")


async def test_notes_that_grew_too_long_are_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x" * 3000)
    async with bench(tmp_path, notes_compact_kib=2) as b:
        await b.turn(1)
        assert "shorten" in b.script.prompts[0]


async def test_an_end_in_the_middle_of_a_turn_interrupts_it(tmp_path: Path) -> None:
    async with bench(tmp_path, [Began("s1"), Forever()]) as b:
        b.loop.receive(work(1, "hi"))
        await b.script.asked.wait()
        b.loop.end()
        assert (await b.over(1)).outcome is Outcome.INTERRUPTED
