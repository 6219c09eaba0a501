"""The command line against an empty Python, as whole processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.hives import running
from bench.measure import Goal, Row, interleaved, timed

_HYPERHIVE = Path(sys.executable).with_name("hyperhive")
_GOAL = Goal(ratio=4.0)
_AGENTS = 10


def rows() -> Iterator[Row]:
    """``--help`` and ``version``, and ``list`` of a hive that runs."""
    for argument in ("--help", "version"):
        yield _row(argument, f"hyperhive {argument}", None)
    with running(stopped=_AGENTS - 1) as real:
        yield _row("list", f"hyperhive list, {_AGENTS} agents", real.env)


def _row(argument: str, name: str, env: dict[str, str] | None) -> Row:
    command = [str(_HYPERHIVE), argument]
    ours, floor = interleaved(
        lambda: timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)),
        lambda: timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True, env=env)),
        21,
    )
    return Row(name, ours * 1e3, floor * 1e3, "ms", "python -c pass", _GOAL)
