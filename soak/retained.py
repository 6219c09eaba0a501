"""What the record of a hive under soak keeps: so little that it is full, and cut, again and again in a run."""

from hyperhive.actors.retention import Retained
from hyperhive.store.database import MAX_READERS
from hyperhive.store.opening import READER_CACHE, WRITER_CACHE

RETAINED = Retained(
    events=8_000, decisions=12_000, messages=2_000, turns=2_000, questions=200, approvals=100, agents=50
)
_LONGER = 1.5
"""How much longer than that it may be: what came since it was cut, decisions that stay."""
_ITEMS = 10
"""Events of a turn at most."""
_STATEMENTS = 4 * 1024**2
"""Bytes of compiled statements and schemas of all connections."""
FULL = {"sqlite": float(WRITER_CACHE + MAX_READERS * READER_CACHE + _STATEMENTS)}
"""Bytes up to which the database's memory may grow, for its caches fill up first."""
BOUNDS = FULL | {
    "rows events": _LONGER * RETAINED.decisions,
    "rows messages": _LONGER * RETAINED.messages,
    "rows turns": _LONGER * RETAINED.turns,
    "rows turn_items": _LONGER * RETAINED.turns * _ITEMS,
    "rows questions": _LONGER * RETAINED.questions,
    "rows approvals": _LONGER * RETAINED.approvals,
    "rows agents": _LONGER * RETAINED.turns,
}
"""Rows up to which a table may grow, for the record fills up first."""
