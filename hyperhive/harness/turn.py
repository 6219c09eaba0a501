"""One turn: hand the messages to Claude, watch it until it ends or must be ended, judge how it ended."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hyperhive.domain.turns import MAX_ITEM, Outcome, TurnItem, TurnState, TurnUsage
from hyperhive.domain.wire import Report, StateChanged, Trouble, TurnBegan
from hyperhive.harness.claude import (
    ApiError,
    Began,
    Claude,
    ClaudeDied,
    Context,
    Ended,
    Happening,
    Limited,
    NotCompacted,
    Noted,
    Phase,
)
from hyperhive.harness.outcome import AUTH_KINDS, Evidence

INTERRUPT_GRACE = 10.0
"""Seconds from an interrupt to SIGTERM."""
TERMINATE_GRACE = 3.0
"""Seconds from SIGTERM to SIGKILL."""
MAX_NOTE = 2_000


class Stop:
    """A wish to end a turn, with its reason; the first one counts."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: Outcome | None = None

    def wish(self, reason: Outcome) -> None:
        """End the turn because of ``reason``."""
        if self.reason is None:
            self.reason = reason
            self._event.set()

    async def wait(self) -> None:
        """Wait for the wish."""
        await self._event.wait()


class Voice:
    """Tells the host about one turn: reports, and items within their bounds."""

    def __init__(
        self, *, turn: int, report: Callable[[Report], None], item: Callable[[TurnItem], None]
    ) -> None:
        self.turn, self._report, self._item = turn, report, item
        self._began = False
        self._state = TurnState.THINKING
        self._unavailable = ""
        self.session: str | None = None

    def note(self, type: str, text: str = "", data: dict[str, Any] | None = None) -> None:
        """An item of this turn."""
        self._item(
            TurnItem(turn=self.turn, ts=datetime.now(UTC), type=type, text=cut(text), data=_plain(data))
        )

    def began(self, session: str | None) -> None:
        """Claude took the messages; told once."""
        self.session = session or self.session
        if not self._began:
            self._began = True
            self._report(TurnBegan(turn=self.turn, session=self.session))

    def state(self, state: TurnState, note: str = "") -> None:
        """The state changed; told when it did."""
        if state is not self._state:
            self._state = state
            self._report(StateChanged(state=state, note=note[:MAX_NOTE]))

    def trouble(self, note: str) -> None:
        """Something the operator should see."""
        self.note("trouble", note)
        self._report(Trouble(note=cut(note)[:MAX_NOTE]))

    def heard(self, happening: Happening) -> None:
        """Pass on what Claude does."""
        match happening:
            case Began(session=session, unavailable=unavailable):
                self.began(session)
                if unavailable and unavailable != self._unavailable:
                    self.trouble(f"The hive's own tools are not there (MCP server hyperhive: {unavailable}).")
                self._unavailable = unavailable
            case Noted(type=type, text=text, data=data):
                if type in {"text", "thinking", "tool_use", "tool_result"}:
                    self.state(TurnState.THINKING)
                self.note(type, text, data)
            case Phase(state=state, note=note):
                self.state(state, note)


async def attempt(
    claude: Claude, prompt: str, *, voice: Voice, stop: Stop, command: bool = False
) -> Evidence:
    """Let Claude work on ``prompt`` until it ends, or until ``stop`` wishes so and it was made to end.

    A login that the API refuses ends it too: Claude Code would try the same one for a quarter of a minute.
    """
    seen = Evidence()
    work = asyncio.create_task(_listen(claude, prompt, voice=voice, seen=seen, command=command))
    wish = asyncio.create_task(stop.wait())
    refused = asyncio.create_task(seen.login_refused.wait())
    try:
        await asyncio.wait({work, wish, refused}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await _end(claude, work)
        await work
    finally:
        for task in (wish, refused, work):
            task.cancel()
        await asyncio.gather(work, wish, refused, return_exceptions=True)
    return seen


async def _listen(claude: Claude, prompt: str, *, voice: Voice, seen: Evidence, command: bool) -> None:
    try:
        async for happening in claude.ask(prompt, command=command):
            voice.heard(happening)
            match happening:
                case ApiError(kind=kind):
                    seen.refused = kind
                case Noted(type="retry", data={"error": str() as kind}) if kind in AUTH_KINDS:
                    seen.refused = kind
                    seen.login_refused.set()
                case Limited():
                    seen.limited = happening
                case Context(tokens=tokens):
                    seen.context = tokens
                case NotCompacted(why=why):
                    seen.not_compacted = why
                case Ended():
                    seen.ended = happening
                    voice.session = happening.session or voice.session
    except ClaudeDied as death:
        seen.died = str(death)


async def _end(claude: Claude, work: asyncio.Task[None]) -> None:
    """Make a turn end: ask, then SIGTERM, then SIGKILL, after which nothing is waited for but its death."""
    asked = asyncio.create_task(claude.interrupt())
    try:
        await asyncio.wait({work}, timeout=INTERRUPT_GRACE)
        if not work.done():
            claude.terminate()
            await asyncio.wait({work}, timeout=TERMINATE_GRACE)
        if not work.done():
            claude.kill()
    finally:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


def cut(text: str) -> str:
    """``text`` as valid Unicode of at most ``MAX_ITEM`` bytes, with a mark where something was cut off."""
    raw = text.encode(errors="replace")
    if len(raw) <= MAX_ITEM:
        return raw.decode()
    mark = f"\n… {len(raw)} bytes, cut"
    return raw[: MAX_ITEM - len(mark.encode())].decode(errors="ignore") + mark


def _plain(data: dict[str, Any] | None) -> dict[str, Any]:
    """``data`` as the wire takes it, whatever Claude Code put into it."""
    return {
        key: value if isinstance(value, int | float | None | list) else cut(str(value))[:500]
        for key, value in (data or {}).items()
    }


def with_cost(usage: TurnUsage, cost: float) -> TurnUsage:
    """``usage`` with its cost filled in."""
    return replace(usage, cost_usd=cost)
