"""Small facts by key: the hive's own bookkeeping."""

from hyperhive.store.sql import Connection, Reading


class MetaReads:
    """Reads of the facts."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Reading) -> None:
        self._sql = sql

    def get(self, key: str) -> str | None:
        """What is recorded under ``key``."""
        row = self._sql.one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])


class Meta(MetaReads):
    """The facts in a transaction."""

    __slots__ = ("_write",)

    def __init__(self, sql: Connection) -> None:
        super().__init__(sql)
        self._write = sql

    def set(self, key: str, value: str) -> None:
        """Record ``value`` under ``key``."""
        self._write.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value)
