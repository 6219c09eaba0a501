"""The whole state of a hive of fifty agents over HTTP, against an answer without content through the same door."""

from collections.abc import Iterator

from bench.hives import running
from bench.measure import Row, interleaved, timed

AGENTS = 50
_ROUNDS = 51


def rows() -> Iterator[Row]:
    """``/api/state`` and the page."""
    with running(stopped=AGENTS) as real:
        for path in ("/api/state", "/"):
            ours, floor = interleaved(
                lambda path=path: timed(lambda: real.http.get(path).raise_for_status()),
                lambda: timed(lambda: real.http.get("/healthz").raise_for_status()),
                _ROUNDS,
            )
            yield Row(f"GET {path}, {AGENTS} agents", ours * 1e3, floor * 1e3, "ms", "GET /healthz")
