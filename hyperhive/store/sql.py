"""Connections: how statements run, how values are stored, and what a failure of SQLite means to a human."""

import codecs
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from hyperhive.errors import Broken

Row = tuple[Any, ...]
Param = str | int | float | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICRO
_LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICRO
_LARGEST = 2**63 - 1
_ROWS = 32
"""Rows inserted by one statement at most."""


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """``moment`` as stored: microseconds since 1970. A naive one counts as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # An offset can carry a moment beyond what can be read back; a hostile harness would find that.
    return min(max((moment - _EPOCH) // _MICRO, _EARLIEST), _LATEST)


def from_micros(micros: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + micros * _MICRO


def moment_of(micros: int | None) -> datetime | None:
    """The moment, in UTC, where there is one."""
    return None if micros is None else from_micros(micros)


def clean(text: str) -> str:
    """``text`` with each lone surrogate replaced by U+FFFD, as UTF-8 wants it."""
    # By the codec itself: by its name it would be imported when first used, and there may be no descriptor then.
    halves, _ = codecs.utf_16_le_encode(text, "surrogatepass")
    return codecs.utf_16_le_decode(halves, "replace", True)[0]


def _storable(param: Param) -> Param:
    if isinstance(param, str):
        return clean(param)
    if isinstance(param, int):
        return min(max(param, -_LARGEST), _LARGEST)
    return param


class Reading(Protocol):
    """What a repository needs to read."""

    def one(self, sql: str, *params: Param) -> Row | None:
        """The first row, if there is one."""

    def all(self, sql: str, *params: Param) -> list[Row]:
        """All rows."""


class Connection:
    """A SQLite connection whose failures are ``Broken`` with one sentence.

    Statements are compiled once and kept. Text that is no valid Unicode and integers beyond 64 bits are made
    storable rather than refused: they come from agents. A broken constraint stays ``sqlite3.IntegrityError``,
    for it is a bug.
    """

    __slots__ = ("path", "raw")

    def __init__(self, raw: sqlite3.Connection, path: Path) -> None:
        self.raw = raw
        self.path = path

    def run(self, sql: str, *params: Param) -> sqlite3.Cursor:
        """Execute a statement."""
        try:
            return self.raw.execute(sql, params)
        except (UnicodeEncodeError, OverflowError):
            return self.raw.execute(sql, tuple(map(_storable, params)))
        except sqlite3.DatabaseError as error:
            raise failure(error, self.path) from error

    def run_many(self, sql: str, rows: Sequence[Sequence[Param]]) -> None:
        """Execute a statement once for each row of parameters."""
        for row in rows:
            self.run(sql, *row)

    def insert(self, sql: str, rows: Sequence[Sequence[Param]]) -> None:
        """Insert ``rows`` with few statements: each is one call into SQLite, beside which other threads run.

        Args:
            sql: the statement up to its columns' closing parenthesis.
        """
        start = 0
        while start < len(rows):
            # Powers of two, so that there are few statements: each is compiled once.
            size = min(1 << ((len(rows) - start).bit_length() - 1), _ROWS)
            chunk = rows[start : start + size]
            marks = f"({', '.join('?' * len(chunk[0]))})"
            self.run(f"{sql} VALUES {', '.join([marks] * size)}", *chain.from_iterable(chunk))
            start += size

    def one(self, sql: str, *params: Param) -> Row | None:
        """The first row, if there is one; the statement is finished."""
        cursor = self.run(sql, *params)
        try:
            row: Row | None = cursor.fetchone()
        except sqlite3.DatabaseError as error:
            raise failure(error, self.path) from error
        cursor.close()
        return row

    def all(self, sql: str, *params: Param) -> list[Row]:
        """All rows."""
        try:
            return self.run(sql, *params).fetchall()
        except sqlite3.DatabaseError as error:
            raise failure(error, self.path) from error

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open. SQLite ends one by itself on some failures."""
        return self.raw.in_transaction

    def close(self) -> None:
        """Close it; an open transaction is rolled back."""
        self.raw.close()


_CAUSES = {
    sqlite3.SQLITE_FULL: ("no-space", "{path} cannot grow: no space left; free some on its disk."),
    sqlite3.SQLITE_READONLY: (
        "read-only",
        "{path} cannot be written: it or its disk is read-only; make it writable for this user.",
    ),
    sqlite3.SQLITE_PERM: ("read-only", "{path} may not be written by this user; correct its owner and mode."),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot-open",
        "{path} cannot be opened; check that its folder is there and writable for this user.",
    ),
    sqlite3.SQLITE_IOERR: ("io-error", "{path} failed to be read or written ({error}); check its disk."),
    sqlite3.SQLITE_CORRUPT: (
        "damaged",
        "{path} is damaged ({error}); restore it from a backup, or move it away to begin anew.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "not-hive",
        "{path} is not a hyperhive database; move it away or choose another --home.",
    ),
    sqlite3.SQLITE_BUSY: ("busy", "{path} is held by another process; end that one and try again."),
    sqlite3.SQLITE_LOCKED: ("busy", "{path} is locked by another operation; try again."),
}


def failure(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """What to raise for ``error``: ``Broken`` where the machine failed, itself where it is a bug."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return error
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    code, sentence = _CAUSES.get(
        primary, ("database", "{path} failed ({error}); see the log, and try again.")
    )
    return Broken(sentence.format(path=path, error=error), code=code)
