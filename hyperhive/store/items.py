"""Turn events as they are stored: what a hostile harness sends is cut to size, never refused."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hyperhive.domain.turns import MAX_ITEM, MAX_ITEMS_PER_TURN, TurnItem
from hyperhive.store.sql import Row, clean, from_micros, to_micros

MAX_TURN_BYTES = 4 * 1024 * 1024
"""Bytes of text and data kept of one turn."""
MAX_TYPE = 40
CUT = "… (cut)"
"""What ends a text that was cut."""

_ELIDED = "Further events of this turn were not kept."


@dataclass(slots=True)
class Tally:
    """What is stored of a turn so far. ``elided``: events beyond its bounds."""

    items: int
    bytes: int
    elided: int

    def admit(self, item: TurnItem) -> TurnItem | None:
        """``item`` cut to size; the mark instead of the first one too many; ``None`` for those after it."""
        if not self.elided:
            cut = _cut(item)
            size = len(cut.text.encode()) + len(_encoded(cut.data))
            if self.items < MAX_ITEMS_PER_TURN and self.bytes + size <= MAX_TURN_BYTES:
                self.items += 1
                self.bytes += size
                return cut
        self.elided += 1
        return elision(item, 1) if self.elided == 1 else None


def elision(item: TurnItem, count: int) -> TurnItem:
    """The mark for ``count`` events that were not kept."""
    return TurnItem(
        id=item.id, turn=item.turn, ts=_moment(item), type="elided", text=_ELIDED, data={"count": count}
    )


def as_row(item: TurnItem) -> tuple[int, int, str, str, str]:
    """turn, ts, type, text, data as stored."""
    return item.turn, to_micros(item.ts), item.type, item.text, _encoded(item.data)


def as_item(row: Row) -> TurnItem:
    """The item of a row of id, turn, ts, type, text, data."""
    id, turn, ts, type_, text, data = row
    return TurnItem(id=id, turn=turn, ts=from_micros(ts), type=type_, text=text, data=_decoded(data))


def _cut(item: TurnItem) -> TurnItem:
    text = clean(item.text)
    if len(text.encode()) > MAX_ITEM:
        text = text.encode()[: MAX_ITEM - len(CUT.encode())].decode(errors="ignore") + CUT
    return TurnItem(
        turn=item.turn,
        ts=_moment(item),
        type=clean(item.type[:MAX_TYPE]),
        text=text,
        data=_cut_data(item.data),
    )


def _moment(item: TurnItem) -> datetime:
    return from_micros(to_micros(item.ts))


def _cut_data(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` as JSON can carry it, and where it is too much its short plain entries alone."""
    if not data:
        return {}
    short = {key: value for key, value in list(data.items())[:32] if len(key) <= 64 and _is_short(value)}
    for candidate in (data, {**short, "cut": True}):
        try:
            text = clean(json.dumps(candidate, ensure_ascii=False, allow_nan=False))
            if len(text.encode()) <= MAX_ITEM:
                return dict(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            continue
    return {"cut": True}


def _is_short(value: object) -> bool:
    match value:
        case str():
            return len(value) <= 256
        case int():
            return abs(value) < 2**53
    return value is None


def _decoded(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text)) if text else {}
    except RecursionError:  # nested deeper than the present reader's stack allows
        return {"cut": True}


def _encoded(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":")) if data else ""
