"""The rounds: the net under the watches. Each agent is glanced at, and looks itself where something has changed."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.agent import MAX_LOG, Tick
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.board import Board
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import CREDENTIALS
from hyperhive.actors.ports import Timers
from hyperhive.actors.reply import answer
from hyperhive.actors.roster import Roster
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView
from hyperhive.memory import tidy
from hyperhive.repos.skeleton import CONFIG_FILE

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
    """What is remembered of one agent. ``root``: its folder; ``due``: seconds, when its next glance is; ``looks``:
    rounds in which it looks yet; ``whole``: rounds until it does in any case."""

    root: str
    due: float
    whole: int
    mark: int | None = None
    looks: int = 0


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
        self._tidied = 0.0
        self._cancel: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Set out; not to all in one moment."""
        now = self._tidied = self._clock()
        for post in self._roster.all():
            self._enter(post.name, now + self._tick * random.random())
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
        now, there = self._clock(), self._roster.all()
        for post in there:
            seen = self._seen.get(post.name) or self._enter(post.name, now)
            if seen is None:
                continue
            if seen.due <= now:
                seen.due = now + self._tick * (0.9 + 0.2 * random.random())
                if self._looks(post.name, seen):
                    answer(
                        post.address.tell, Tick()
                    )  # one that takes no messages must not keep it from the others
        if now - self._tidied >= _TIDY:
            self._tidied = now
            tidy()
        if len(self._seen) > len(there):
            names = {post.name for post in there}
            self._seen = {name: seen for name, seen in self._seen.items() if name in names}

    def _enter(self, name: str, due: float) -> _Seen | None:
        if name.startswith("#"):
            return None
        seen = _Seen(str(self._layout.agent(name).root), due, random.randrange(WHOLE))
        self._seen[name] = seen
        return seen

    def _looks(self, name: str, seen: _Seen) -> bool:
        """Whether the agent is to look itself in this round."""
        view = self._board.agent(name)
        mark = None if view is None else glance(seen.root, view.pid)
        if mark is None or mark != seen.mark:
            seen.mark, seen.looks = mark, _SURE
        seen.whole -= 1
        if view is None or restless(view) or seen.looks > 0 or seen.whole < 0:
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


def glance(root: str, pid: int | None) -> int | None:
    """A number that changes with the leader, and with the files that login, revision and watches hang on.

    Args:
        root: the agent's folder.
        pid: the container's leader, if one runs.

    Returns:
        ``None`` when it cannot be told.
    """
    applied, claude = f"{root}/applied", f"{root}/claude"
    try:
        return hash(
            (
                _process(pid),
                _file(f"{claude}/{CREDENTIALS}"),
                _file(f"{applied}/{CONFIG_FILE}"),
                _file(f"{applied}/.git/refs/heads/main"),
                _folder(claude),
                _folder(applied),
                _long(f"{root}/container/log"),
            )
        )
    except OSError:
        return None


def _process(pid: int | None) -> tuple[int, bytes, bool] | None:
    """Which process has that number, and whether it has ended."""
    if pid is None:
        return None
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        raw = os.read(fd, 1024)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    fields = raw[raw.rindex(b")") + 2 :].split(b" ", 20)
    return pid, fields[19], fields[0] in b"ZX"


def _file(path: str) -> tuple[int, int, int] | None:
    if not os.access(path, os.F_OK, follow_symlinks=False):  # an exception takes longer than all the rest
        return None
    found = os.lstat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


def _folder(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a thousand of them a second
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _long(path: str) -> bool:
    found = _file(path)
    return found is not None and found[2] > MAX_LOG
