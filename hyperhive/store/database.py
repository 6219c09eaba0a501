"""The hive database: one connection that writes, in transactions; a few that read beside it."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.domain.messages import MAX_UNREAD
from hyperhive.domain.names import MANAGER, SYSTEM, check_name
from hyperhive.domain.parts import InboxDepth
from hyperhive.domain.recorded import TOLD_TO_MANAGER, Recorded, Told
from hyperhive.errors import Broken, Invalid
from hyperhive.store.agents import AgentReads, Agents, box_of
from hyperhive.store.approvals import ApprovalReads, Approvals
from hyperhive.store.drafts import DraftReads, Drafts
from hyperhive.store.events import EventReads, Events
from hyperhive.store.exchange import Exchange
from hyperhive.store.generations import GenerationReads, Generations
from hyperhive.store.messages import MessageReads, Messages
from hyperhive.store.meta import Meta, MetaReads
from hyperhive.store.opening import migrations, open_reader, open_writer
from hyperhive.store.questions import QuestionReads, Questions
from hyperhive.store.sql import Connection, Param, Reading, Row, utc_now
from hyperhive.store.turns import TurnReads, Turns

if TYPE_CHECKING:
    from hyperhive.domain.events import HelperEvent

MAX_READERS = 8
"""Connections that read at the same time; further readers wait their turn."""
READ_DEADLINE = 10.0
"""Seconds a reader waits for its turn."""


class Reader:
    """The repositories, to read from: what is committed, each call on its own. For any thread."""

    __slots__ = (
        *("agents", "approvals", "drafts", "events", "generations", "messages", "meta", "questions", "turns"),
    )

    def __init__(self, sql: Reading) -> None:
        self.agents = AgentReads(sql)
        self.messages = MessageReads(sql)
        self.turns = TurnReads(sql)
        self.questions = QuestionReads(sql)
        self.approvals = ApprovalReads(sql)
        self.drafts = DraftReads(sql)
        self.generations = GenerationReads(sql)
        self.events = EventReads(sql)
        self.meta = MetaReads(sql)


class Tx:
    """A transaction: the repositories, and what will be told and shown once it is committed.

    Args:
        now: the moment of everything in it.
    """

    def __init__(self, sql: Connection, now: datetime) -> None:
        self._sql = sql
        self._settled = sql.raw.total_changes  # as long as it is this, nothing is in the transaction
        self.now = now
        self.agents = Agents(sql, now)
        self.messages = Messages(sql, now)
        self.turns = Turns(sql, now)
        self.questions = Questions(sql, now)
        self.approvals = Approvals(sql, now)
        self.drafts = Drafts(sql, now)
        self.generations = Generations(sql, now)
        self.events = Events(sql, now)
        self.meta = Meta(sql)
        self.emitted: list[Recorded] = []
        self.shown: list[object] = []
        self._wholes: dict[type, Callable[[], object]] = {}
        self._durable: int | None = None
        self._within = 0  # parts that are under way, one in another

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """A part that takes effect whole or not at all, whatever becomes of the others; what fails is raised.

        Raises:
            Broken: when the transaction has ended with something in it, as SQLite ends one on some failures of
                the machine; its commit will fail too. One that ended empty goes on afresh.
        """
        sql = self._sql
        first = self.untouched
        if not sql.in_transaction:
            if not first:
                raise _lost()
            sql.run("BEGIN IMMEDIATE")
        emitted, shown = len(self.emitted), len(self.shown)
        # Where all there is to undo is its own, the transaction serves as savepoint.
        alone = first and not self._within
        if not alone:
            sql.run("SAVEPOINT part")
        self._within += 1
        try:
            yield
            if not alone:
                sql.run("RELEASE part")
            elif not sql.in_transaction:  # it went on after a failure that had ended the transaction
                raise _lost()
        except BaseException:
            del self.emitted[emitted:]
            del self.shown[shown:]
            self._undo(alone)
            if first:
                self._settled = sql.raw.total_changes
            raise
        finally:
            self._within -= 1

    def _undo(self, alone: bool) -> None:
        """Undo a part."""
        sql = self._sql
        if not sql.in_transaction:
            return
        if alone:
            sql.run("ROLLBACK")
            with suppress(Broken):  # the next part tries again, and says so
                sql.run("BEGIN IMMEDIATE")
        else:
            sql.run("ROLLBACK TO part")
            sql.run("RELEASE part")

    @property
    def untouched(self) -> bool:
        """Whether nothing was written in it so far: what is read is durable."""
        return self._sql.raw.total_changes == self._settled

    def durable_upto(self) -> int:
        """Messages up to this id were durable before the transaction; 0: not known."""
        if self._durable is None:
            self._durable = self.messages.newest() if self.untouched else 0
        return self._durable

    def emit(self, event: "HelperEvent") -> Recorded:
        """Record ``event``; the kinds the manager is told of also go to its inbox, if there is a manager.

        An inbox that is full loses its oldest event for the newest.
        """
        recorded = self.events.append(event)
        self.emitted.append(recorded)
        its_own = event.kind == "spawned" and event.agent == MANAGER
        if event.kind in TOLD_TO_MANAGER and not its_own and box_of(self._sql, MANAGER) is not None:
            self.messages.insert(SYSTEM, MANAGER, recorded.text)
            depth = self.messages.depth(MANAGER)
            if depth > MAX_UNREAD:  # a manager that never reads; the events stay in the record
                depth -= self.messages.set_aside_oldest(SYSTEM, MANAGER)
            self.show(InboxDepth(MANAGER, depth))
        return recorded

    def size(self) -> int:
        """Bytes of the database that hold something; what was deleted is free to be used again."""
        pages, free, size = (
            self._sql.one(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages[0] - free[0]) * size[0] if pages and free and size else 0

    def tell(self, told: Sequence[Told]) -> None:
        """Record events that are nothing for the manager's inbox."""
        self.emitted.extend(self.events.append_told(told))

    def exchange(self, *, names: Iterable[str], takes: Sequence[tuple[str, int]]) -> Exchange:
        """Post and take many messages; see ``Exchange``."""
        newest = self.messages.newest()
        if self._durable is None:
            self._durable = newest if self.untouched else 0
        return Exchange(self._sql, self.now, newest=newest, names=names, takes=takes)

    def show(self, part: object) -> None:
        """Hand ``part`` (see ``domain/parts.py``) to the snapshot once this is committed."""
        self.shown.append(part)

    def show_whole(self, kind: type, make: Callable[[], object]) -> None:
        """Hand a whole section to the snapshot, made once for all operations that changed it."""
        self._wholes[kind] = make

    def parts(self) -> tuple[object, ...]:
        """All that is to be shown, as it stands now; asked for right before the commit."""
        return (*self.shown, *(make() for make in self._wholes.values()))


def _lost() -> Broken:
    return Broken("The transaction was ended by an earlier failure; try again.", code="transaction-lost")


class _Pool:
    """Reading connections, lent for one statement each, so that a thousand threads share a few."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[Connection] = []
        self._turn = threading.BoundedSemaphore(MAX_READERS)
        self._closed = False

    def one(self, sql: str, *params: Param) -> Row | None:
        with self._lent() as connection:
            return connection.one(sql, *params)

    def all(self, sql: str, *params: Param) -> list[Row]:
        with self._lent() as connection:
            return connection.all(sql, *params)

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        if not self._turn.acquire(timeout=READ_DEADLINE):
            raise Broken("The hive database is too busy to be read; try again.", code="busy")
        try:
            if self._closed:
                raise Broken("The hive database is closed; start the daemon again.", code="closed")
            # list.pop and append are atomic: the semaphore bounds, the list only holds.
            try:
                connection = self._free.pop()
            except IndexError:
                connection = open_reader(self._path)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._free.append(connection)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close all connections once their statements have ended."""
        self._closed = True
        taken = sum(self._turn.acquire(timeout=READ_DEADLINE / MAX_READERS) for _ in range(MAX_READERS))
        while self._free:
            self._free.pop().close()
        for _ in range(taken):
            self._turn.release()


class Database:
    """``hive.sqlite``. Transactions belong to one thread at a time, the reader to all.

    Args:
        path: the file; its folder is the hive's home.
        now: the clock of transactions.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._now = now
        self._writer: Connection | None = None
        self._pool: _Pool | None = None
        self._reader: Reader | None = None

    def open(self) -> None:
        """Open the database; make or migrate it as needed.

        Raises:
            Broken: with what is wrong and what to do.
        """
        self._writer = open_writer(self._path, migrations())
        self._pool = _Pool(self._path)
        self._reader = Reader(self._pool)
        try:
            for record in self._reader.agents.all():
                check_name(record.name)
        except (ValueError, OverflowError, TypeError, Invalid) as error:
            self.close()
            raise Broken(
                f"{self._path} holds an agent that no hyperhive wrote ({error});"
                " restore it from a backup, or move it away to begin anew.",
                code="damaged",
            ) from None

    def begin(self) -> Tx:
        """Begin a transaction. One that was left open by a caller who died is rolled back first.

        Raises:
            Broken: when the database cannot be written; trying again later is right.
        """
        if self._reader is None:
            raise Broken("The hive database is not open; start the daemon again.", code="closed")
        self.rollback()
        if self._writer is None:
            self._writer = open_writer(self._path, migrations())
        self._writer.run("BEGIN IMMEDIATE")
        return Tx(self._writer, self._now())

    def commit(self) -> None:
        """Make the transaction durable.

        Raises:
            Broken: when it could not be; then nothing of it is stored.
        """
        writer = self._writer
        if writer is None or not writer.in_transaction:
            raise _lost()
        try:
            writer.run("COMMIT")
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        """Undo the transaction, if one is open. Never fails: a connection that cannot is replaced."""
        writer = self._writer
        if writer is None or not writer.in_transaction:
            return
        try:
            writer.run("ROLLBACK")
        except Exception:
            self._writer = None
            with suppress(Exception):
                writer.close()

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction for the length of a block: committed at its end, rolled back when it raises."""
        tx = self.begin()
        try:
            yield tx
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def reader(self) -> Reader:
        """The repositories to read from, for any thread, beside a writer that writes."""
        if self._reader is None:
            raise Broken("The hive database is not open; start the daemon again.", code="closed")
        return self._reader

    def close(self) -> None:
        """Close everything; an open transaction is rolled back. May be called twice."""
        self._reader = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._writer is not None:
            self.rollback()
            # Last one out: this also folds the write-ahead log into the file.
            if self._writer is not None:
                self._writer.close()
            self._writer = None
