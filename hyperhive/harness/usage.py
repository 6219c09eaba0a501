"""What a turn cost: Claude Code only tells the sum so far."""

import json
import os
from pathlib import Path


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
            kept = json.loads(self._file.read_text())
            return str(kept["session"]), float(kept["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return None, 0.0

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        try:
            part.write_text(json.dumps({"session": self._session, "total": self._total}))
            os.replace(part, self._file)  # noqa: PTH105
        except OSError:
            return  # a full disk costs a figure, not the turn
