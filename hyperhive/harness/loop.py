"""The turn loop: takes work from the host, one turn at a time, and keeps Claude only while it is needed."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hyperhive.domain.launch import Launch
from hyperhive.domain.turns import Outcome, TurnState, TurnUsage
from hyperhive.domain.wire import Compact, FromHost, Interrupt, StateChanged, TurnOver, Welcome, Work
from hyperhive.harness.claude import Claude, ClaudeFailed, NotProvided
from hyperhive.harness.keeper import Keeper
from hyperhive.harness.outcome import Evidence, Verdict, judge, overfull
from hyperhive.harness.prompt import notes_reminder, turn_prompt
from hyperhive.harness.say import Say
from hyperhive.harness.servers import ServerWatch
from hyperhive.harness.turn import Stop, Voice, attempt, with_cost
from hyperhive.harness.usage import CostMeter

_log = logging.getLogger(__name__)

LOGIN_PAUSE = 1.0
"""Seconds before a refused login is tried once more, by a fresh process: its token may just be renewed."""


class TurnLoop:
    """Works on what the host sends.

    Args:
        keeper: starts, keeps and ends Claude Code.
        say: the way to the host.
        meter: what turns cost.
        login_pause: see ``LOGIN_PAUSE``.
    """

    def __init__(
        self, *, launch: Launch, keeper: Keeper, say: Say, meter: CostMeter, login_pause: float = LOGIN_PAUSE
    ) -> None:
        self._launch, self._keeper, self._say, self._meter = launch, keeper, say, meter
        self._login_pause = login_pause
        self._servers = ServerWatch(servers=launch.extra_mcp_servers, report=say.report)
        self._turn: int | None = None
        self._stop = Stop()
        self._next: Work | None = None
        self._compact = self._overfull = False
        self._wake = asyncio.Event()
        self._ending = False
        self._unbilled = 0.0

    @property
    def turn(self) -> int | None:
        """The turn under way or about to begin."""
        return self._next.turn if self._turn is None and self._next is not None else self._turn

    def receive(self, message: FromHost) -> None:
        """Take what the host says."""
        match message:
            case Welcome():
                self._keeper.welcomed(message)
                self._reconcile(message.turn)
            case Work():
                self._take(message)
            case Interrupt(turn=turn):
                self._interrupt(turn)
            case Compact():
                self._compact = True
                self._wake.set()

    def _reconcile(self, believed: int | None) -> None:
        """The host says which turn it believes in; ours may be another."""
        current = self.turn
        if current is not None and current != believed:
            self._interrupt(current)
        if believed is not None and current != believed and not self._say.owes_end_of(believed):
            note = "The turn did not survive the harness."
            self._say.report(TurnOver(turn=believed, outcome=Outcome.LOST, note=note))

    def _take(self, work: Work) -> None:
        if work.turn == self.turn or self._say.owes_end_of(work.turn):
            return
        if self._next is not None:
            self._drop(self._next)
        if self._turn is not None:
            self._stop.wish(Outcome.INTERRUPTED)
        self._keeper.peers = work.peers or self._keeper.peers
        self._next = work
        self._wake.set()

    def _interrupt(self, turn: int) -> None:
        if turn == self._turn:
            self._stop.wish(Outcome.INTERRUPTED)
        elif self._next is not None and turn == self._next.turn:
            self._drop(self._next)
            self._next = None

    def _drop(self, work: Work) -> None:
        self._say.report(TurnOver(turn=work.turn, outcome=Outcome.INTERRUPTED, note="It had not begun."))

    async def run(self) -> None:
        """Work until ``end``."""
        while not self._ending:
            if self._overfull:
                self._overfull = self._compact = False
                await self._compaction()
            elif self._next is not None:
                work, self._next = self._next, None
                self._turn, self._stop = work.turn, Stop()
                await self._work(work)
                self._turn = None
            elif self._compact:
                self._compact = False
                await self._compaction()
            else:
                await self._idle()

    async def _idle(self) -> None:
        """Sleep until there is something to do; let a Claude that stays idle go."""
        self._wake.clear()
        try:
            async with asyncio.timeout(self._launch.warm if self._keeper.alive else None):
                await self._wake.wait()
        except TimeoutError:
            await self._keeper.close()

    def end(self) -> None:
        """End the turn under way, if any, and then the loop."""
        self._ending = True
        self._servers.close()
        self._stop.wish(Outcome.INTERRUPTED)
        self._wake.set()

    async def _work(self, work: Work) -> None:
        voice = Voice(turn=work.turn, report=self._say.report, item=self._say.item)
        deadline = asyncio.get_running_loop().call_later(
            self._launch.turn_deadline, self._stop.wish, Outcome.DEADLINE
        )
        started = asyncio.get_running_loop().time()
        _log.info("turn %d begins: %d messages", work.turn, len(work.messages))
        try:
            verdict, usage = await self._verdict(work, voice)
        except Exception as error:
            _log.exception("turn %d", work.turn)
            note = f"The harness failed: {type(error).__name__}: {error}."
            verdict, usage = Verdict(Outcome.FAILED, note), TurnUsage()
            await self._keeper.destroy()
        finally:
            deadline.cancel()
        spent = round((asyncio.get_running_loop().time() - started) * 1000)
        _log.info("turn %d ended: %s %s", work.turn, verdict.outcome.value, verdict.note)
        self._say.report(
            TurnOver(
                turn=work.turn,
                outcome=verdict.outcome,
                note=verdict.note[:2_000].encode(errors="replace").decode(),
                resets_at=verdict.resets_at,
                session=voice.session or self._keeper.session,
                usage=replace(usage, duration_ms=spent),
            )
        )

    async def _verdict(self, work: Work, voice: Voice) -> tuple[Verdict, TurnUsage]:
        prompt = turn_prompt(
            work.messages,
            peers=work.peers,
            notes_over=notes_reminder(
                Path(self._launch.state, "notes.md"), limit_kib=self._launch.notes_compact_kib
            ),
        )
        voice.note("prompt", prompt, {"messages": [message.id for message in work.messages]})
        verdict, usage = await self._try(prompt, voice)
        if verdict.outcome is Outcome.LOGIN and self._stop.reason is None:
            voice.note("retry", "The login was refused; trying once more with a fresh process.")
            try:
                async with asyncio.timeout(self._login_pause):
                    await self._stop.wait()
            except TimeoutError:
                verdict, usage = await self._try(prompt, voice)
        return verdict, usage

    async def _try(self, prompt: str, voice: Voice) -> tuple[Verdict, TurnUsage]:
        try:
            claude = await self._ready()
        except ClaudeFailed as failure:
            if self._stop.reason is not None:
                return judge(Evidence(), stopped=self._stop.reason, now=datetime.now(UTC)), TurnUsage()
            voice.trouble(str(failure))
            # What the operator has to mend is no failure of the messages: they wait for it.
            outcome = Outcome.OFFLINE if isinstance(failure, NotProvided) else Outcome.FAILED
            return Verdict(outcome, str(failure)), TurnUsage()
        self._servers.look(claude)
        seen = await attempt(claude, prompt, voice=voice, stop=self._stop)
        verdict = judge(seen, stopped=self._stop.reason, now=datetime.now(UTC))
        usage = self._bill(seen)
        self._keeper.session = voice.session or self._keeper.session
        self._overfull = overfull(seen)
        await self._tidy(claude, seen, verdict.outcome)
        return verdict, usage

    async def _ready(self) -> Claude:
        """A process that takes a prompt; a wish to stop ends a start that hangs."""
        start = asyncio.create_task(self._keeper.ready())
        wish = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({start, wish}, return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                await self._keeper.destroy()
            return await start
        finally:
            wish.cancel()
            start.cancel()
            await asyncio.gather(start, wish, return_exceptions=True)

    def _bill(self, seen: Evidence) -> TurnUsage:
        ended = seen.ended
        if ended is None:
            return TurnUsage()
        cost = self._unbilled + self._meter.spent(ended.session, ended.total_cost)
        self._unbilled = 0.0
        return with_cost(ended.usage, cost)

    async def _tidy(self, claude: Claude, seen: Evidence, outcome: Outcome) -> None:
        """Let no process live on that ended badly, nor anything it left."""
        if seen.ended is None or not claude.alive:
            await self._keeper.destroy()
        elif outcome in {Outcome.LOGIN, Outcome.FAILED, Outcome.OFFLINE}:
            await self._keeper.close()

    async def _compaction(self) -> None:
        """Compact the session by Claude Code's own command, outside any turn."""
        if self._keeper.session is None:
            return
        self._stop = Stop()
        voice = Voice(turn=0, report=self._say.report, item=self._say.item)
        deadline = asyncio.get_running_loop().call_later(
            self._launch.turn_deadline, self._stop.wish, Outcome.DEADLINE
        )
        try:
            claude = await self._ready()
            voice.state(TurnState.COMPACTING)
            seen = await attempt(claude, "/compact", voice=voice, stop=self._stop, command=True)
            self._unbilled += self._bill(seen).cost_usd
            verdict = judge(seen, stopped=self._stop.reason, now=datetime.now(UTC))
            await self._tidy(claude, seen, verdict.outcome)
            if seen.not_compacted is not None or verdict.outcome is Outcome.FAILED:
                await self._begin_anew(voice, seen.not_compacted or verdict.note)
            elif verdict.outcome is not Outcome.DONE:
                voice.trouble(f"Compaction failed: {verdict.note}")
        except ClaudeFailed as failure:
            voice.trouble(f"Compaction failed: {failure}")
        finally:
            deadline.cancel()
            self._say.report(StateChanged(state=TurnState.IDLE))

    async def _begin_anew(self, voice: Voice, why: str) -> None:
        """A session that cannot be compacted would fail every turn from here on."""
        voice.trouble(f"The session could not be compacted ({why}); a new one begins, the notes are kept.")
        self._keeper.session = None
        await self._keeper.close()
