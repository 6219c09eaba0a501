"""The table that a soak ends with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from soak.verdict import Allowed, Trend, trend

_MIB = 1024.0**2
ALLOWED = {
    "threads": Allowed(0.0, 6),
    "descriptors": Allowed(0.0, 12),
    "tasks": Allowed(0.0, 6),
    "timers": Allowed(0.02, 12),
    "watches": Allowed(0.0, 4),
    "posts": Allowed(0.0, 0),
    "mailboxes": Allowed(0.0, 20),
    "objects": Allowed(0.03, 4_000),
    "blocks": Allowed(0.03, 8_000),
    "held beside sqlite": Allowed(0.05, 4 * _MIB),
    "sqlite": Allowed(0.05, 1 * _MIB),
    "rss": Allowed(0.08, 12 * _MIB),
    "pss": Allowed(0.08, 12 * _MIB),
    "hive.sqlite": Allowed(0.10, 8 * _MIB),
    "hive.sqlite-wal": Allowed(0.10, 68 * _MIB),
    "rows": Allowed(0.10, 200),
    "disk": Allowed(0.15, 8 * _MIB),
    "p50": Allowed(1.0, 0.5),
    "p99": Allowed(2.0, 50.0),  # one in a hundred is what else the machine does; only much slower is growth
}
"""By the first word of a name, or all of it. What is not here is shown and not judged."""


def judge(rounds: Sequence[Mapping[str, float]], bounds: Mapping[str, float] | None = None) -> list[Trend]:
    """The trend of every number that each of ``rounds`` has; those that are not judged never grew.

    Args:
        bounds: up to where a number may grow all the same, by its name.
    """
    names = [name for name in rounds[0] if all(name in one for one in rounds)]
    trends = [trend(name, [one[name] for one in rounds], _allowed(name)) for name in names]
    free = bounds or {}
    return [replace(one, grew=one.grew and one.last > free.get(one.name, -1.0)) for one in trends]


def _allowed(name: str) -> Allowed:
    found = ALLOWED.get(name) or ALLOWED.get(name.split(" ", maxsplit=1)[0])
    return found or Allowed(0.0, float("inf"))


def table(trends: Iterable[Trend]) -> str:
    """Lines of name, beginning, end, and what came to it in a round; the offenders are marked."""
    lines = [f"{'':28}{'first':>14}{'last':>14}{'per round':>14}"]
    for one in trends:
        cells = "".join(f"{_shown(one.name, value):>14}" for value in (one.first, one.last, one.slope))
        lines.append(f"{one.name:28}{cells}{'  GREW' if one.grew else ''}")
    return "\n".join(lines)


def _shown(name: str, value: float) -> str:
    if name in ("rss", "pss", "sqlite") or name.startswith(
        ("hive.sqlite", "disk", "malloc", "held", "pss ", "claude")
    ):
        return f"{value / _MIB:.2f} MiB"
    if name.startswith(("p50", "p99")):
        return f"{value:.2f} ms" if "/" not in name else f"{value:.2f} ×"
    return f"{value:.1f}".removesuffix(".0")
