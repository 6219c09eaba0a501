"""Opening the database: made, checked and migrated, or refused with one sentence that says what to do."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from hashlib import sha256
from importlib import resources
from pathlib import Path

from hyperhive import __version__
from hyperhive.errors import Broken
from hyperhive.store.sql import Connection, failure

APPLICATION_ID = 0x48495645
"""``HIVE``: says in the file's header whose it is."""
BUSY_TIMEOUT = 5_000
"""Milliseconds to wait for another process's lock."""
SOON_CHECKED = 64 * 1024 * 1024
"""A database of at most so many bytes is looked through at every opening; a larger one when it was not closed."""

WRITER_CACHE, READER_CACHE = 4 * 1024 * 1024, 512 * 1024
"""Bytes of pages that the connection that writes holds, and each of those that read.

More makes nothing faster: the kernel holds the file too, and what a reader holds is void with the next commit.
"""
WAL_PAGES = 1_000
"""Pages in the write-ahead log at which a commit folds it back; then it is written from its beginning again."""

_STATEMENTS = 256
_SETUP = (
    "PRAGMA synchronous = FULL",  # a commit that was acknowledged survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA cache_size = -{WRITER_CACHE // 1024}",
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES}",
    "PRAGMA journal_size_limit = 67108864",  # what a foreign reader made it grow to is given back
)
_SCHEMA = "SELECT name, sql FROM sqlite_master"
_SEAL = "SELECT value FROM meta WHERE key = 'schema'"
_COLUMNS = 'SELECT name, "notnull", dflt_value, hidden FROM pragma_table_xinfo(?)'


def migrations() -> tuple[str, ...]:
    """The steps from an empty database to the present schema; the version is how many were taken."""
    folder = resources.files("hyperhive.store") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return tuple(file.read_text(encoding="utf-8") for file in files)


def open_writer(path: Path, steps: Sequence[str]) -> Connection:
    """The connection that writes; the database is made or migrated as needed.

    Args:
        steps: the migrations; the schema's version is their number.

    Raises:
        Broken: with what is wrong and what to do.
    """
    try:
        made = _make(path)
        unclean = _holds_bytes(path.with_name(path.name + "-wal"))
        connection = connect(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Broken(
            f"{path} cannot be opened ({reason}); check that its folder is there and writable for this user.",
            code="cannot-open",
        ) from error
    try:
        _check_ours(connection, path, len(steps))
        if unclean or path.stat().st_size <= SOON_CHECKED:
            _check_whole(connection, path)
        if not made:
            _check_free(connection)
        path.chmod(0o600)
        connection.run("PRAGMA journal_mode = WAL")
        for statement in _SETUP:
            connection.run(statement)
        _migrate(connection, steps)
        if not made:
            _check_schema(connection, path, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> Connection:
    """A connection that cannot write."""
    connection = connect(path, mode="ro")
    connection.run("PRAGMA query_only = ON")
    connection.run("PRAGMA temp_store = MEMORY")
    connection.run(f"PRAGMA cache_size = -{READER_CACHE // 1024}")
    return connection


def connect(path: Path, *, mode: str = "rw") -> Connection:
    """A bare connection to an existing file, for whichever one thread uses it at a time."""
    try:
        raw = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT / 1000,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
    except sqlite3.DatabaseError as error:
        raise failure(error, path) from error
    return Connection(raw, path)


def _make(path: Path) -> bool:
    """Make the file and its folder, 0600 and 0700, where they are missing; whether the file was.

    A folder that holds other things already keeps its mode: it is not ours.

    Raises:
        Broken: the file is missing, and a log of it is there: what that holds would be lost.
    """
    folder, wal = path.parent, path.with_name(path.name + "-wal")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = not path.exists()
    if missing and _holds_bytes(wal):
        raise Broken(
            f"{path} is missing, its log {wal.name} is there; put the file back, or move the log away to begin anew.",
            code="lost",
        )
    if not missing or not any(folder.iterdir()):
        folder.chmod(0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return missing


def _check_free(connection: Connection) -> None:
    """Refuse a database that another program is writing: nothing could be recorded."""
    connection.run("BEGIN IMMEDIATE")
    connection.run("ROLLBACK")


def _holds_bytes(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _check_ours(connection: Connection, path: Path, newest: int) -> None:
    """Refuse foreign files and newer schemas before anything is written."""
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    empty = connection.one("SELECT 1 FROM sqlite_master LIMIT 1") is None and version == 0
    if application != APPLICATION_ID and not (empty and application == 0):
        raise Broken(
            f"{path} is not a hyperhive database; move it away or choose another --home.", code="not-hive"
        )
    if version > newest:
        raise Broken(
            f"{path} was written by a newer hyperhive (schema {version}, this one knows {newest});"
            " install that version again, or restore an older backup.",
            code="newer-schema",
        )


def _check_whole(connection: Connection, path: Path) -> None:
    row = connection.one("PRAGMA quick_check(1)")
    if row is None or row[0] != "ok":
        finding = " ".join(str(row[0]).split())[:200] if row else "no answer"
        raise Broken(
            f"{path} is damaged ({finding}); restore it from a backup, or move it away to begin anew.",
            code="damaged",
        )


def _check_schema(connection: Connection, path: Path, steps: Sequence[str]) -> None:
    """Refuse a database that lacks a part which its version says it has; what somebody added may stay.

    An index, a trigger or a table of an operator's own is in nobody's way, and a column is not either where ours can
    be written without it: every statement names the columns it means.
    """
    found: dict[str, str | None] = dict(connection.all(_SCHEMA))
    # A fresh one takes longer to make than all else of an opening, and what this version found whole rarely changes.
    seal = sha256(repr((__version__, sorted(found.items()), steps)).encode()).hexdigest()
    with suppress(Broken):  # there is no such table, or another's
        if connection.one(_SEAL) == (seal,):
            return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in (statement for step in steps for statement in _statements(step)):
            fresh.execute(statement)
        missing = [
            name
            for name, sql in fresh.execute(_SCHEMA).fetchall()
            if sql not in (None, found.get(name))
            and not (_holds(found.get(name), sql) and _may_stay(connection, fresh, name))
        ]
    if missing:
        raise Broken(
            f"{path} is damaged ({min(missing)} is missing or not as it was made);"
            " restore it from a backup, or move it away to begin anew.",
            code="damaged",
        )
    with suppress(Broken, sqlite3.IntegrityError):  # somebody's trigger, perhaps; then it is compared again
        connection.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)", seal)


def _holds(found: str | None, wanted: str) -> bool:
    """Whether a definition is ``wanted`` with something added between its brackets."""
    (theirs, behind), (ours, options) = _parts(found or ""), _parts(wanted)
    rest = iter(theirs)
    return behind == options and all(part in rest for part in ours)


def _may_stay(connection: Connection, fresh: sqlite3.Connection, table: str) -> bool:
    """Whether what a table has beyond the columns of a fresh one are columns that need not be written."""
    known = {name for name, *_ in fresh.execute(_COLUMNS, (table,))}
    added = [row for row in connection.all(_COLUMNS, table) if row[0] not in known]
    return bool(added) and all(
        not hidden and (not needed or default is not None) for _, needed, default, hidden in added
    )


def _parts(sql: str) -> tuple[list[str], str]:
    """What stands between the commas of a definition, and what is behind its last bracket."""
    body, _, options = sql.rpartition(")")
    return [part.strip() for part in body.split(",")], options.strip()


def _migrate(connection: Connection, steps: Sequence[str]) -> None:
    """Take the missing steps, each whole or not at all."""
    for number in range(_number(connection, "PRAGMA user_version") + 1, len(steps) + 1):
        connection.run("BEGIN IMMEDIATE")
        try:
            for statement in _statements(steps[number - 1]):
                connection.run(statement)
            connection.run(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.run(f"PRAGMA user_version = {number}")
            connection.run("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.raw.rollback()
            raise


def _statements(script: str) -> list[str]:
    """The statements of a script. sqlite3's own executescript would commit before each."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def _number(connection: Connection, pragma: str) -> int:
    row = connection.one(pragma)
    return 0 if row is None else int(row[0])
