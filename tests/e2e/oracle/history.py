"""What clients did: each call with its outcome. The checks hold it against the record."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["ok", "fail", "unknown"]


class Failed(Exception):
    """The call certainly had no effect: it was refused, or never reached the daemon."""


class Lost(Exception):
    """Whether the call had an effect, nobody knows: its answer did not come."""


@dataclass(frozen=True, slots=True)
class Op:
    """One call of one client.

    Args:
        process: who called; each calls one thing after the other.
        kind: send, take, ask, answer, start …
        about: whom or what it is about: a recipient, an inbox, an agent.
        value: what was asked for: a body, an answer.
        outcome: ``ok`` was acknowledged, ``fail`` had no effect, ``unknown`` may have had one.
        result: what was answered.
        began, ended: seconds since 1970.
    """

    process: str
    kind: str
    about: str
    value: Any = None
    outcome: Outcome = "ok"
    result: Any = None
    began: float = 0.0
    ended: float = 0.0


class History:
    """Grows by whole calls; for any thread."""

    def __init__(self) -> None:
        self._ops: list[Op] = []
        self._grown = threading.Condition()

    def __len__(self) -> int:
        return len(self._ops)

    def since(self, start: int) -> tuple[Op, ...]:
        """The calls from number ``start`` on."""
        return tuple(self._ops[start:])

    def call(self, process: str, kind: str, about: str, value: Any, act: Callable[[], Any]) -> Op:
        """Carry out a call and keep what came of it."""
        began, result, outcome = time.time(), None, "ok"
        try:
            result = act()
        except Failed as error:
            outcome, result = "fail", str(error)
        except Lost as error:
            outcome, result = "unknown", str(error)
        op = Op(process, kind, about, value, outcome, result, began, time.time())  # type: ignore[arg-type]
        with self._grown:
            self._ops.append(op)
            self._grown.notify_all()
        return op

    def grows(self, by: int, deadline: float) -> None:
        """Wait until there are so many more calls, or for so many seconds."""
        with self._grown:
            goal = len(self._ops) + by
            self._grown.wait_for(lambda: len(self._ops) >= goal, deadline)


class Gate:
    """Lets clients work, and waits until none does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open, self._over, self._inside = False, False, 0
        self._round = 0

    @property
    def over(self) -> bool:
        """Whether it is closed for good."""
        return self._over

    def open(self) -> None:
        """Let them in, until ``close``; a new round."""
        with self._changed:
            self._open, self._round = True, self._round + 1
            self._changed.notify_all()

    def close(self, deadline: float) -> bool:
        """Let no one in any more; whether all came out within ``deadline`` seconds."""
        with self._changed:
            self._open = False
            return self._changed.wait_for(lambda: self._inside == 0, deadline)

    def end(self) -> None:
        """Send all home."""
        with self._changed:
            self._open, self._over = False, True
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over, seconds)

    @contextmanager
    def inside(self) -> Iterator[int]:
        """Wait to be let in; gives the round's number, 0 when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._over)
            if self._over:
                yield 0
                return
            self._inside += 1
            number = self._round
        try:
            yield number
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()
