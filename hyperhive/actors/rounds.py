"""The rounds: the net under the watches. Each agent is glanced at, and looks itself where something has changed."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.agent import Tick
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.board import Board
from hyperhive.actors.glance import Glance
from hyperhive.actors.layout import Layout
from hyperhive.actors.ports import Timers
from hyperhive.actors.reply import answer
from hyperhive.actors.roster import Roster
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView
from hyperhive.memory import tidy

STEPS = 10
"""Into so many a round is divided, so that not all agents are looked at in one moment."""
WHOLE = 60
"""Rounds after which an agent looks at everything, whatever a glance says."""
_TIDY = 60.0
"""Seconds after which memory that nobody uses is given back to the machine."""
_SURE = 2
"""Rounds in which an agent looks after something changed: what it saw may have been half written."""


@dataclass(frozen=True, slots=True)
class Step:
    """Glance at those whose turn it is."""


@dataclass(slots=True)
class _Seen:
    """What is remembered of one agent. ``looks``: rounds in which it looks yet; ``whole``: rounds until it does in
    any case; ``view``: what was shown of it last, and whether that was ``restless``."""

    glance: Glance
    whole: int
    mark: int | None = None
    looks: int = 0
    view: AgentView | None = None
    restless: bool = True


class Rounds(Actor):
    """Goes round the agents in ``tick`` seconds, a few at a time.

    A glance costs a few microseconds and wakes nobody: whether the leader runs, and which files are there since
    when. An agent with which something is under way, or that waits for something, looks itself in every round.

    Args:
        tick: seconds of a round.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        board: Board,
        layout: Layout,
        timers: Timers,
        tick: float,
        clock: Callable[[], float],
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(address=address, failed=failed)
        self._roster = roster
        self._board = board
        self._layout = layout
        self._timers = timers
        self._tick = tick
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._due: list[tuple[float, str]] = []  # a heap: when the next glance at whom is
        self._entered = -1
        self._tidied = 0.0
        self._cancel: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Set out; not to all in one moment."""
        now = self._tidied = self._clock()
        self._enter(lambda: now + self._tick * random.random())
        self._next()

    def handle(self, message: Any) -> None:
        """Deal with one message."""
        match message:
            case Step():
                self._step()
                self._next()

    def end(self) -> None:
        """Go no further."""
        self._cancel()

    def _next(self) -> None:
        self._cancel()  # a predecessor's may still have come
        self._cancel = self._timers.after(self._tick / STEPS, lambda: self.address.tell(Step()))

    def _step(self) -> None:
        now = self._clock()
        if self._entered != self._roster.changes:
            self._enter(lambda: now)
        due: list[str] = []
        while self._due and self._due[0][0] <= now:
            due.append(heapq.heappop(self._due)[1])
        for name in due:
            heapq.heappush(self._due, (now + self._tick * (0.9 + 0.2 * random.random()), name))
        look = [name for name in due if self._looks(name, self._seen[name])]
        # Behind all glances: the threads that look would take the interpreter in turns with this one.
        for name in look:
            if (post := self._roster.get(name)) is not None:
                # One that takes no messages must not keep it from the others.
                answer(post.address.tell, Tick())
        if now - self._tidied >= _TIDY:
            self._tidied = now
            tidy()

    def _enter(self, due: Callable[[], float]) -> None:
        """Go to those who are new from when ``due`` says on, and to those who have gone no more."""
        self._entered = self._roster.changes
        there = {post.name for post in self._roster.all() if not post.name.startswith("#")}
        new = there - self._seen.keys()
        self._seen = {name: seen for name, seen in self._seen.items() if name in there}
        for name in new:
            self._seen[name] = _Seen(Glance(str(self._layout.agent(name).root)), random.randrange(WHOLE))
        self._due = [entry for entry in self._due if entry[1] in there] + [(due(), name) for name in new]
        heapq.heapify(self._due)

    def _looks(self, name: str, seen: _Seen) -> bool:
        """Whether the agent is to look itself in this round."""
        view = self._board.agent(name)
        if view is None or view is not seen.view:
            seen.view, seen.restless = view, view is None or restless(view)
        mark = None if view is None else seen.glance.mark(view.pid)
        if mark is None or mark != seen.mark:
            seen.mark, seen.looks = mark, _SURE
        seen.whole -= 1
        if seen.restless or seen.looks > 0 or seen.whole < 0:
            seen.looks = max(0, seen.looks - 1)
            seen.whole = WHOLE if seen.whole < 0 else seen.whole
            return True
        return False


def restless(view: AgentView) -> bool:
    """Whether something is under way with an agent, or it waits for something that a glance does not see."""
    return (
        view.transient is not None
        or view.container == "unknown"
        or view.login == "unknown"
        or view.revision == "unknown"
        or (view.container == "running") is not view.ready
        or view.turn.state not in (TurnState.IDLE, TurnState.WAITING)
        or view.inbox_depth > 0
        or view.restart_at is not None
    )
