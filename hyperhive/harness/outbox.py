"""What waits to be said to the host: reports until acknowledged, items while there is room. No I/O."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter

from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import Numbered, Report, StateChanged, Trouble, TurnOver

_ITEM = TypeAdapter(TurnItem)

MAX_REPORTS = 256
"""Reports kept unacknowledged; beyond it the oldest that only describe a state go."""
MAX_ITEMS = 1_000
MAX_ITEM_BYTES = 4 * 1024 * 1024
"""Bytes of items kept while the host is away."""
BATCH = 200
BATCH_BYTES = 1024 * 1024
"""Items, and bytes of them, in one line."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    behind: int
    turn: int
    text: str


class Outbox:
    """Numbers reports from 1, and keeps the order in which reports and items came."""

    def __init__(self) -> None:
        self._last = 0
        self._reports: deque[Numbered] = deque()
        self._sent = 0
        self._items: deque[_Waiting] = deque()
        self._bytes = 0
        self._dropped = 0

    def report(self, report: Report) -> None:
        """Keep ``report`` until it is acknowledged."""
        self._last += 1
        self._reports.append(Numbered(n=self._last, report=report))
        if len(self._reports) > MAX_REPORTS:
            self._forget_a_state()

    def _forget_a_state(self) -> None:
        for at, kept in enumerate(self._reports):
            if isinstance(kept.report, StateChanged | Trouble):
                del self._reports[at]
                return

    def item(self, item: TurnItem) -> None:
        """Keep ``item`` if there is room; what had to go is counted and told."""
        text = _encoded(item)
        if len(self._items) >= MAX_ITEMS or self._bytes + len(text) > MAX_ITEM_BYTES:
            self._dropped += 1
            return
        if self._dropped:
            gap = TurnItem(turn=item.turn, ts=datetime.now(UTC), type="elided", data={"count": self._dropped})
            self._dropped = 0
            self._push(item.turn, _encoded(gap))
        self._push(item.turn, text)

    def _push(self, turn: int, text: str) -> None:
        self._items.append(_Waiting(self._last, turn, text))
        self._bytes += len(text)

    def acked(self, n: int) -> None:
        """The host has dealt with all reports up to ``n``."""
        while self._reports and self._reports[0].n <= n:
            self._reports.popleft()

    def connected(self, *, acked: int) -> None:
        """A new connection begins, on which nothing was sent yet."""
        self.acked(acked)
        self._sent = 0

    def owes_end_of(self, turn: int) -> bool:
        """Whether the end of ``turn`` is reported and not acknowledged."""
        return any(isinstance(kept.report, TurnOver) and kept.report.turn == turn for kept in self._reports)

    @property
    def settled(self) -> bool:
        """Whether every report is acknowledged."""
        return not self._reports

    @property
    def urgent(self) -> bool:
        """Whether a report waits to be sent."""
        return bool(self._reports) and self._reports[-1].n > self._sent

    @property
    def waiting(self) -> bool:
        """Whether anything waits to be sent."""
        return self.urgent or bool(self._items)

    def next_line(self) -> bytes | None:
        """The next line to send, in the order in which things happened; ``None`` when there is none."""
        report = next((kept for kept in self._reports if kept.n > self._sent), None)
        if self._items and (report is None or self._items[0].behind < report.n):
            return self._batch(before=None if report is None else report.n)
        if report is None:
            return None
        self._sent = report.n
        return report.model_dump_json().encode() + b"\n"

    def _batch(self, *, before: int | None) -> bytes:
        texts: list[str] = []
        size = 0
        while (
            self._items
            and len(texts) < BATCH
            and (not texts or size + len(self._items[0].text) <= BATCH_BYTES)
        ):
            if before is not None and self._items[0].behind >= before:
                break
            waiting = self._items.popleft()
            self._bytes -= len(waiting.text)
            size += len(waiting.text)
            texts.append(waiting.text)
        return ('{"type":"items","items":[' + ",".join(texts) + "]}\n").encode()


def _encoded(item: TurnItem) -> str:
    return _ITEM.dump_json(item).decode()
