"""What a turn cost: Claude Code only tells the sum so far."""

import json
from pathlib import Path

from hyperhive.harness import records

_LONGEST = 4096
_DEAREST = 1e6
"""US dollars that no session has cost."""


class CostMeter:
    """Keeps the last total of the current session, over restarts of process and harness.

    A process that goes on with a session begins at that session's total in newer versions and at zero in
    older ones: a total below the last one is taken as a fresh count.
    """

    def __init__(self, *, file: Path) -> None:
        self._file = file
        self._session, self._total = self._read()

    def spent(self, session: str | None, total: float) -> float:
        """US dollars since the last call, given the ``total`` that ``session`` has reached."""
        known = session is not None and session == self._session and total >= self._total
        spent = total - self._total if known else total
        self._session, self._total = session, total
        self._write()
        return max(0.0, spent)

    def _read(self) -> tuple[str | None, float]:
        try:
            kept = json.loads(records.read(self._file, limit=_LONGEST))
            session, total = str(kept["session"]), float(kept["total"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None, 0.0
        return (session, total) if 0 <= total < _DEAREST else (None, 0.0)

    def _write(self) -> None:
        try:
            records.write(self._file, json.dumps({"session": self._session, "total": self._total}))
        except OSError:
            return  # a full disk costs a figure, not the turn
