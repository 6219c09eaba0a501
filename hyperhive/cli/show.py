"""What a terminal gets to see: tables, moments, and nothing that could steer it."""

import os
import sys
from collections.abc import Iterable, Sequence

from hyperhive.domain.terminal import safe as safe

_COLOURS = {"good": "32", "warn": "33", "bad": "31", "dim": "2", "bold": "1"}
_TONES = {
    "running": "good", "logged-in": "good", "up-to-date": "good", "ok": "good",
    "stopped": "dim", "unknown": "warn", "needs-login": "warn", "stale": "warn", "warn": "warn",
    "quarantined": "bad", "fail": "bad", "failed": "bad", "denied": "bad",
    "deployed": "good", "approved": "good", "building": "warn", "revise": "warn", "current": "good", "gone": "dim",
    "withdrawn": "dim", "superseded": "dim", "expired": "dim",
}  # fmt: skip


def coloured() -> bool:
    """Whether colours go to stdout: a terminal that is not dumb, and no ``NO_COLOR``."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, tone: str) -> str:
    """``text`` in a tone (``good``, ``warn``, ``bad``, ``dim``, ``bold``), where colours are wanted."""
    code = _COLOURS.get(tone)
    return f"\x1b[{code}m{text}\x1b[0m" if code and coloured() else text


def line(text: str = "") -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns under a head; the last column is as long as it is."""
    cells = [[safe(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(head, *cells, strict=True)]
    line(paint(_row(head, widths, plain=True), "dim"))
    for row in cells:
        line(_row(row, widths))


def _row(cells: Sequence[str], widths: Sequence[int], *, plain: bool = False) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    padded[-1] = cells[-1]
    if not plain:
        padded = [paint(cell, _TONES.get(cell.strip(), "")) for cell in padded]
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: object, width: int = 72) -> str:
    """The beginning of ``text`` on one line."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def moment(stamp: object) -> str:
    """An RFC 3339 moment as local time: the clock when it was today, else the date too."""
    if not stamp:
        return "-"
    from datetime import datetime

    try:
        when = datetime.fromisoformat(str(stamp)).astimezone()
    except ValueError:
        return str(stamp)
    today = datetime.now().astimezone().date()
    return when.strftime("%H:%M:%S" if when.date() == today else "%Y-%m-%d %H:%M:%S")


def ago(stamp: object) -> str:
    """How long ago an RFC 3339 moment was, in its largest unit."""
    from datetime import datetime

    try:
        seconds = (datetime.now().astimezone() - datetime.fromisoformat(str(stamp))).total_seconds()
    except (ValueError, TypeError):
        return "-"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def size(count: object) -> str:
    """A number of bytes in a unit that suits it; ``None``: not measured."""
    if not isinstance(count, int):
        return "not measured"
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
