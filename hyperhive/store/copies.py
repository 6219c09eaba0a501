"""Copies of the database: made beside a daemon that writes, and made fit for another life."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import Broken
from hyperhive.store.opening import APPLICATION_ID, connect, migrations
from hyperhive.store.sql import failure

_ELSEWHERE = "another life"
"""Stands where the boot was: what was recorded of processes holds no more, as after a reboot."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a copy: its schema, and the agents' names."""

    schema: int
    agents: tuple[str, ...]


def copy(path: Path, into: Path) -> Content:
    """Copy the database as it is at this moment, also while a daemon writes; ``into`` must not hold anything.

    Raises:
        Broken: it is damaged or not a hive's, or there is no room.
    """
    with closing(connect(path)) as source:
        try:
            with closing(sqlite3.connect(into)) as target:
                # In one step: one moment of the database, and a writer is not kept waiting.
                source.raw.backup(target)
        except sqlite3.DatabaseError as error:
            raise failure(error, into if _is_full(error) else path) from None
    return look(into)


def _is_full(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def look(path: Path) -> Content:
    """Check a copy through and through.

    Raises:
        Broken: it is damaged, or not a hive's.
    """
    with closing(connect(path)) as database:
        found = [database.one(f"PRAGMA {name}") for name in ("application_id", "user_version")]
        application, schema = (row[0] if row else 0 for row in found)
        if application != APPLICATION_ID:
            raise Broken(f"{path.name} is not a hyperhive database.", code="not-hive")
        checked = database.one("PRAGMA integrity_check(1)")
        if checked is None or checked[0] != "ok":
            raise Broken(f"{path.name} is damaged ({checked and checked[0]}).", code="damaged")
        rows = database.all("SELECT name FROM agents WHERE ended IS NULL ORDER BY name")
        return Content(schema=schema, agents=tuple(row[0] for row in rows))


def detach(path: Path) -> Content:
    """Make a copy fit for another life: no container that runs now is taken for one of its own.

    Raises:
        Broken: it is damaged, not a hive's, or of a newer hyperhive.
    """
    content = look(path)
    if content.schema > len(migrations()):
        raise Broken(
            f"{path.name} in it was written by a newer hyperhive (schema {content.schema}, this one knows "
            f"{len(migrations())}); restore it with that version.",
            code="newer-schema",
        )
    with closing(connect(path)) as database:
        database.run("BEGIN IMMEDIATE")
        database.run("UPDATE agents SET handle_boot = ? WHERE handle_boot IS NOT NULL", _ELSEWHERE)
        database.run("UPDATE agents SET boot = ? WHERE boot IS NOT NULL", _ELSEWHERE)
        database.run("COMMIT")
    return content
