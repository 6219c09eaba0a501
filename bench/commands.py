"""The command line against an empty Python."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Row, interleaved, timed

_HYPERHIVE = Path(sys.executable).with_name("hyperhive")


def rows() -> Iterator[Row]:
    """``hyperhive --help`` and ``version``, as whole processes."""

    def python() -> float:
        return timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))

    for argument in ("--help", "version"):
        command = [str(_HYPERHIVE), argument]

        def ours(command: list[str] = command) -> float:
            return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

        mine, floor = interleaved(ours, python, 11)
        yield Row(f"hyperhive {argument}", mine * 1e3, floor * 1e3, "ms", "python -c pass")
