"""From the daemon's exec to its dashboard's first answer, against a bare Starlette app with one page."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.hives import running
from bench.measure import Goal, Row, interleaved
from tests.e2e.hive import RealHive

_ROUNDS = 41
_DEADLINE = 30.0
_FLOOR = Path(__file__).with_name("page.py")


def rows() -> Iterator[Row]:
    """A home with its manager, whose container runs on; the page is asked for as the operator."""
    with running() as real:
        real.down()
        bearer = {"Authorization": f"Bearer {real.token}"}
        ours, floor = interleaved(lambda: _ours(real, bearer), _bare, _ROUNDS)
        yield Row(
            "daemon start → dashboard", ours * 1e3, floor * 1e3, "ms", "a bare Starlette app", Goal(ratio=1.3)
        )


def _ours(real: RealHive, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    real.launch()
    took = _answered(real.port, began, headers, b"manager")
    real.down()
    return took


def _bare() -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.perf_counter()
    app = subprocess.Popen([sys.executable, str(_FLOOR), str(port)])
    try:
        return _answered(port, began, {}, b"manager")
    finally:
        app.terminate()
        app.wait(_DEADLINE)


def _answered(port: int, began: float, headers: dict[str, str], wanted: bytes) -> float:
    """Seconds from ``began`` to the end of a page that holds ``wanted``."""
    while time.perf_counter() - began < _DEADLINE:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE)
        try:
            connection.request("GET", "/", headers=headers)
            answer = connection.getresponse()
            page = answer.read()
        except ConnectionError:
            time.sleep(0.001)
            continue
        finally:
            connection.close()
        if answer.status != 200 or wanted not in page:
            raise RuntimeError(f"no page, but {answer.status}: {page[:200]!r}")
        return time.perf_counter() - began
    raise TimeoutError(f"nothing answered at port {port} within {_DEADLINE:.0f} s")
