"""Clerk: work on files and repositories beside the mailboxes, in a few threads, for whoever may not block."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hyperhive.actors.reply import IGNORE, Reply, answer
from hyperhive.errors import Broken, HiveError

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WAITING = 1_000
"""Pieces of work that may wait; further ones are refused until some are done."""
_LAST = 10.0
"""Seconds that a close waits for what is being worked on."""


@dataclass(frozen=True, slots=True)
class _Piece:
    key: str | None
    work: Callable[[], Any]
    reply: Reply[Any]


class Clerk:
    """A few threads that work through a bounded queue. What has the same key is done one after another, in order.

    Args:
        threads: how many; they start when first needed.
    """

    def __init__(self, *, threads: int = 4) -> None:
        self._threads = threads
        self._waiting: deque[_Piece] = deque()
        self._keys: set[str] = set()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], T], reply: Reply[T] = IGNORE, *, key: str | None = None) -> None:
        """Do ``work`` and answer with what it returns or raises. Never blocks.

        Args:
            key: no two pieces of work with the same key at a time; ``None``: it gets in nobody's way.

        Raises:
            Broken: too much waits already, no thread is to be had, or the clerk was closed.
        """
        with self._changed:
            if self._closed:
                raise Broken("The daemon is stopping; try again when it runs.", code="stopping")
            if len(self._waiting) >= MAX_WAITING:
                raise Broken(
                    "Too much waits for the config repositories; try again in a minute.", code="busy"
                )
            self._waiting.append(_Piece(key, work, reply))
            if len(self._waiting) > self._idle and len(self._workers) < self._threads:
                self._engage()
            self._changed.notify()

    def _engage(self) -> None:
        worker = threading.Thread(target=self._work, name=f"clerk-{len(self._workers)}", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # the kernel's limit, or the user's: the others come to it, if there are any
            if not self._workers:
                self._waiting.pop()
                raise Broken(
                    "No thread is to be had, too much runs on this host; end something and try again.",
                    code="busy",
                ) from None
        else:
            self._workers.append(worker)

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return len(self._waiting)

    def close(self) -> None:
        """Take nothing more, drop what waits, and wait a while for what is being done. May be called twice."""
        with self._changed:
            self._closed = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            workers = list(self._workers)
        for piece in dropped:
            answer(piece.reply.fail, Broken("The daemon is stopping; nothing was done.", code="stopping"))
        for worker in workers:
            worker.join(_LAST / len(workers))

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            _carry_out(piece)
            with self._changed:
                if piece.key is not None:
                    self._keys.discard(piece.key)
                    self._changed.notify_all()  # what waits for the key may be next for anybody

    def _next(self) -> _Piece | None:
        with self._changed:
            while True:
                for place, piece in enumerate(self._waiting):
                    if piece.key is None or piece.key not in self._keys:
                        del self._waiting[place]
                        if piece.key is not None:
                            self._keys.add(piece.key)
                        return piece
                if self._closed:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1


def _carry_out(piece: _Piece) -> None:
    try:
        result = piece.work()
    except HiveError as refusal:
        answer(piece.reply.fail, refusal)
    except OSError as error:
        log.error("A piece of work on repositories failed: %s", error)
        why = error.strerror or str(error)
        answer(piece.reply.fail, Broken(f"The machine failed on this ({why}); mend that, then try again."))
    except Exception:
        log.exception("A piece of work on repositories failed.")
        answer(piece.reply.fail, Broken("The hive failed on this; see the daemon's log, then try again."))
    else:
        answer(piece.reply.set, result)
