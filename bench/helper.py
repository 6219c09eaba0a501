"""A process beside the measurement that is told lines and answers with lines."""

import subprocess
from collections.abc import Sequence
from typing import Self


class Helper:
    """It runs until the block ends.

    Args:
        command: a program that ends with its standard input.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def tell(self, line: object) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def hear(self) -> str:
        """The next line of its answer."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
