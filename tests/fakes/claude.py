"""A Claude Code process that follows a script."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from hyperhive.domain.turns import TurnUsage
from hyperhive.harness.claude import Began, ClaudeDied, ClaudeFailed, Ended, Happening, McpServer


class Forever:
    """A step that ends only by an interrupt, a signal or a close."""


class Deaf(Forever):
    """The same, but it does not hear an interrupt."""


@dataclass(frozen=True, slots=True)
class Dies:
    """The process ends."""

    how: str = "killed by SIGKILL"


Step = Happening | Forever | Dies


def done(session: str = "s1", cost: float = 0.0) -> Ended:
    """A good end."""
    return Ended(ok=True, session=session, total_cost=cost, usage=TurnUsage(input_tokens=10))


def failed(status: int | None = None, text: str = "API Error") -> Ended:
    """An end with an API error."""
    return Ended(ok=False, status=status, reason="api_error", text=text, session="s1")


@dataclass
class Scripted:
    """What all processes of a test do: one list of steps per prompt; after that every prompt is done at once."""

    turns: list[list[Step]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    starts: list[tuple[str | None, dict[str, str]]] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=lambda: {"s1"})
    refuses: ClaudeFailed | str | None = None
    hangs: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    reconnected: asyncio.Event = field(default_factory=asyncio.Event)
    servers: list[tuple[McpServer, ...] | None] = field(default_factory=list)


class ScriptedClaude:
    """One process of the script's."""

    def __init__(self, script: Scripted) -> None:
        self._script = script
        self._alive = False
        self._interrupted = asyncio.Event()
        self._killed = asyncio.Event()

    @property
    def alive(self) -> bool:
        """See ``Claude``."""
        return self._alive

    @property
    def pid(self) -> int | None:
        """See ``Claude``."""
        return None

    async def start(self, *, session: str | None, env: Mapping[str, str]) -> bool:
        """See ``Claude``."""
        self._script.starts.append((session, dict(env)))
        match self._script.refuses:
            case ClaudeFailed() as refusal:
                raise refusal
            case str() as words:
                raise ClaudeFailed(words)
        if self._script.hangs:
            await self._killed.wait()
            raise ClaudeFailed("killed")
        self._alive = True
        return session in self._script.known

    async def ask(self, prompt: str, *, command: bool = False) -> AsyncIterator[Happening]:
        """See ``Claude``."""
        self._script.prompts.append(prompt)
        self._script.asked.set()
        self._interrupted.clear()
        steps: list[Step] = self._script.turns.pop(0) if self._script.turns else [Began("s1"), done()]
        for step in steps:
            if isinstance(step, Forever):
                yield await self._wait(deaf=isinstance(step, Deaf))
                return
            if isinstance(step, Dies):
                self._alive = False
                raise ClaudeDied(step.how)
            yield step

    async def _wait(self, *, deaf: bool) -> Happening:
        ends = {asyncio.create_task(self._killed.wait())}
        if not deaf:
            ends.add(asyncio.create_task(self._interrupted.wait()))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        if self._killed.is_set():
            raise ClaudeDied("killed")
        return Ended(ok=False, reason="error_during_execution", session="s1")

    async def interrupt(self) -> None:
        """See ``Claude``."""
        self._script.signals.append("interrupt")
        self._interrupted.set()

    async def reconnect_hive(self) -> None:
        """See ``Claude``."""
        self._script.reconnected.set()

    async def servers(self) -> tuple[McpServer, ...] | None:
        """See ``Claude``; each look takes the next of the script's, the last one stays."""
        looks = self._script.servers
        return (looks.pop(0) if len(looks) > 1 else looks[0]) if looks else ()

    def terminate(self) -> None:
        """See ``Claude``."""
        self._script.signals.append("terminate")

    def kill(self) -> None:
        """See ``Claude``."""
        self._script.signals.append("kill")
        self._alive = False
        self._killed.set()

    async def close(self, *, grace: float = 2.0) -> None:
        """See ``Claude``."""
        self._alive = False
        self._killed.set()
        self._script.closed.set()
