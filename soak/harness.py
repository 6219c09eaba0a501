"""Harnesses as the hive's link sees them: one for each container that runs, working on what it is given."""

import asyncio
import contextlib
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from hyperhive.domain.turns import Outcome, TurnItem, TurnUsage
from hyperhive.domain.wire import (
    FROM_HOST,
    Ack,
    Hello,
    Interrupt,
    Items,
    Numbered,
    Ping,
    Pong,
    Report,
    TurnBegan,
    TurnOver,
    Welcome,
    Work,
)

_OUTCOMES = (*(Outcome.DONE,) * 60, Outcome.FAILED, Outcome.DEADLINE, Outcome.RATE_LIMITED, Outcome.OFFLINE)
_AGAIN = 0.1
"""Seconds until a connection that could not be made is tried again."""

Act = Callable[[str, Work], Awaitable[None]]


class Harness:
    """One life of a harness, from its container's start to its end.

    Args:
        name: the agent.
        socket: its ``hive.sock``.
        act: what it does in a turn.
    """

    def __init__(self, *, name: str, socket: Path, act: Act) -> None:
        self.name = name
        self._socket = socket
        self._act = act
        self._boot = secrets.token_hex(8)
        self._n = 0
        self._unheard: dict[int, Report] = {}
        self._turn: int | None = None
        self._working: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.turns = 0

    async def live(self) -> None:
        """Be there until cancelled."""
        try:
            while True:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await self._connection()
                await asyncio.sleep(_AGAIN)
        finally:
            self.hang_up()
            if self._working is not None:
                self._working.cancel()

    def hang_up(self) -> None:
        """Lose the connection; it is made again."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _connection(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._socket, limit=8 * 1024 * 1024)
        try:
            self._say(Hello(boot=self._boot, version="soak", turn=self._turn))
            while line := await reader.readline():
                self._heard(FROM_HOST.validate_json(line))
        finally:
            self._writer.transport.abort()

    def _say(self, message: Hello | Numbered | Items | Pong) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(message.model_dump_json().encode() + b"\n")

    def _heard(self, message: object) -> None:
        match message:
            case Welcome(acked=acked, turn=turn):
                self._acked(acked)
                for n, report in list(self._unheard.items()):
                    self._say(Numbered(n=n, report=report))
                known = [r.turn for r in self._unheard.values() if isinstance(r, TurnOver)]
                if turn is not None and turn != self._turn and turn not in known:
                    self._report(TurnOver(turn=turn, outcome=Outcome.LOST, note="another harness had it"))
            case Work():
                self._turn = message.turn
                self._working = asyncio.create_task(self._work(message))
            case Ack(n=n):
                self._acked(n)
            case Ping(id=id):
                self._say(Pong(id=id))
            case Interrupt(turn=turn) if turn == self._turn and self._working is not None:
                self._working.cancel()
                self._over(turn, Outcome.INTERRUPTED)

    def _acked(self, upto: int) -> None:
        self._unheard = {n: report for n, report in self._unheard.items() if n > upto}

    def _report(self, report: Report) -> None:
        self._n += 1
        self._unheard[self._n] = report
        self._say(Numbered(n=self._n, report=report))

    async def _work(self, work: Work) -> None:
        self._report(TurnBegan(turn=work.turn, session=f"session-{self.name}"))
        self._say(Items(items=tuple(_items(work))))
        with contextlib.suppress(Exception):  # whatever became of what it did, the turn is over
            await self._act(self.name, work)
        self._over(work.turn, random.choice(_OUTCOMES))

    def _over(self, turn: int, outcome: Outcome) -> None:
        if self._turn != turn:
            return
        self._turn = None
        self.turns += 1
        usage = TurnUsage(input_tokens=1200, output_tokens=300, cost_usd=0.01, duration_ms=40)
        note = "" if outcome is Outcome.DONE else "the soak chose so"
        self._report(TurnOver(turn=turn, outcome=outcome, note=note, usage=usage))


def _items(work: Work) -> list[TurnItem]:
    now = datetime.now(UTC)
    texts = [
        ("prompt", work.messages[0].body[:400]),
        ("thinking", "x" * 300),
        ("tool_use", "Bash: git status"),
    ]
    texts += [("tool_result", os.urandom(400).hex()), ("text", "Done. " * 40), ("result", "")]
    return [TurnItem(turn=work.turn, ts=now, type=type_, text=text) for type_, text in texts]
