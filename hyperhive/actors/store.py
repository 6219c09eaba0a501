"""Store: the one writer of the hive database. Group commit: what waits together is made durable together."""

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.base import Failure
from hyperhive.actors.crew import Crew, CrewActor
from hyperhive.actors.histogram import Histogram
from hyperhive.actors.hub import Committed
from hyperhive.actors.reply import IGNORE, Reply, answer
from hyperhive.errors import Broken, HiveError
from hyperhive.store.database import Database, Tx

log = logging.getLogger(__name__)

MAX_BATCH = 256
"""Operations in one commit."""
UNHURRIED = object()
"""The result of an operation that nobody waits for: its commit may wait until there is one that somebody does.

Who gives it sees to it that another write follows soon."""


@dataclass(frozen=True, slots=True)
class Write:
    """An operation on the database. Its result is answered once it is durable and readers can see it.

    ``op`` runs in the Store's thread inside a savepoint of its own: it fails alone.
    """

    op: Callable[[Tx], Any]
    reply: Reply[Any] = IGNORE


class Store(CrewActor):
    """Runs writes in the order they came, many to a commit."""

    def __init__(
        self,
        *,
        database: Database,
        hub: Address,
        crew: Crew,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(crew=crew, address=address, failed=failed)
        self._database = database
        self._hub = hub
        self._tx: Tx | None = None
        self._batch: list[tuple[Reply[Any], Any]] = []
        self.commits = 0
        self.commit_times = Histogram()

    @property
    def pending(self) -> int:
        """Writes that were run and are not durable yet."""
        return len(self._batch)

    def begin(self) -> None:
        """Undo what a predecessor left open: nobody was told of it."""
        self._database.rollback()

    def handle(self, message: Any) -> None:
        """Run one write; commit when nothing more waits."""
        try:
            match message:
                case Write():
                    self._run(message)
            if self._tx is not None and (len(self._batch) >= MAX_BATCH or self._due()):
                self._commit()
        except BaseException:
            self._undo(Broken("The store failed before this was durable and was restarted; try again."))
            raise

    def end(self) -> None:
        """Make durable what came before the stop."""
        if not self.abandoned:
            self._commit()

    def _due(self) -> bool:
        """Nothing more waits, but somebody for what was written; or nothing was."""
        if not self.actor_inbox.empty():
            return False
        return not self._batch or any(result is not UNHURRIED for _, result in self._batch)

    def _undo(self, error: HiveError) -> None:
        """Roll back, and say so to everybody in the batch."""
        batch, self._tx, self._batch = self._batch, None, []
        if not self.abandoned:
            self._database.rollback()
        for reply, _ in batch:
            answer(reply.fail, error)

    def _run(self, write: Write) -> None:
        try:
            if self._tx is None:
                self._tx = self._database.begin()
            with self._tx.isolated():
                result = write.op(self._tx)
        except HiveError as refusal:
            answer(write.reply.fail, refusal)
        except sqlite3.Error as error:
            log.error("A write failed: %s", error)
            answer(write.reply.fail, _unwritten(error))
        except OSError as error:  # the machine's, not the operation's: it is out of descriptors, say
            log.error("A write failed: %s", error)
            answer(
                write.reply.fail,
                Broken(f"The machine failed on this ({error}); nothing was stored. Try again."),
            )
        except Exception as error:
            log.exception("An operation on the database has a bug; it alone was undone.")
            answer(write.reply.fail, error)
        else:
            self._batch.append((write.reply, result))

    def _commit(self) -> None:
        tx, batch = self._tx, self._batch
        if tx is None:
            return
        if self.abandoned:  # the transaction that is open now is a successor's
            raise Broken("The store hung and was replaced.")
        if not batch:  # every operation was refused: nothing to make durable, nothing to hold a lock for
            self._tx = None
            self._database.rollback()
            return
        began = time.monotonic()
        try:
            parts = tx.parts()
            self._database.commit()
        except (sqlite3.Error, HiveError) as error:
            log.error("A commit failed: %s", error)
            self._undo(_unwritten(error))
            return
        self._tx, self._batch = None, []
        replies = tuple(waits for waits in batch if waits[1] is not UNHURRIED)
        self.commits += 1
        now = time.monotonic()
        self.commit_times.observe(now - began)
        self._hub.tell(Committed(tuple(tx.emitted), parts, replies, now))


def _unwritten(error: Exception) -> HiveError:
    if isinstance(error, HiveError):
        return error
    return Broken(
        f"The database could not be written ({error}); nothing was stored. Check the disk, then try again."
    )
