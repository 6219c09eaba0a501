"""The whole state of a hive of fifty agents over HTTP, against an answer without content through the same door."""

from collections.abc import Iterator
from functools import partial

from bench.hives import running
from bench.measure import Row, interleaved, timed
from tests.e2e.hive import RealHive

AGENTS = 50
_ROUNDS = 51


def rows() -> Iterator[Row]:
    """``/api/state`` and the page."""
    with running(stopped=AGENTS) as real:
        for path in ("/api/state", "/"):
            ours, floor = interleaved(
                partial(_asked, real, path),
                partial(_asked, real, "/healthz"),
                _ROUNDS,
            )
            yield Row(f"GET {path}, {AGENTS} agents", ours * 1e3, floor * 1e3, "ms", "GET /healthz")


def _asked(real: RealHive, path: str) -> float:
    return timed(lambda: real.http.get(path).raise_for_status())
