"""The daemon as a test starts it to hang: the loop, the interpreter or the agents' actors, when a file says so.

Run as a program, with the arguments of ``hyperhive``. As long as there is no such file it is the daemon itself.
"""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = "HYPERHIVE_TEST_HANGS_IN"
"""The environment variable with the folder: its files ``loop``, ``interpreter`` and ``agents`` say what hangs.

Where the main thread hangs, a file beside with the suffix ``.hangs`` says that it has come to it."""


def hang_in_the_loop(told: Path) -> None:
    """Hold the event loop up as long as the file is there; other threads run."""
    told.with_suffix(".hangs").touch()
    while told.exists():
        time.sleep(0.02)


def hang_with_the_interpreter(told: Path) -> None:
    """Hold the interpreter until a signal comes: no other thread runs meanwhile."""
    sleep = ctypes.PyDLL(None).sleep
    told.with_suffix(".hangs").touch()
    sleep(3600)


def main() -> int:
    """Lay the traps, then be ``hyperhive``."""
    from hyperhive.actors.agent import AgentActor
    from hyperhive.cli import main as command
    from hyperhive.web.hive_api import HiveApi

    folder = Path(os.environ[FOLDER])
    answers, handles = HiveApi.healthz, AgentActor.handle

    async def healthz(api: HiveApi, request: Any) -> Any:
        if (told := folder / "loop").exists():
            hang_in_the_loop(told)
        if (told := folder / "interpreter").exists():
            hang_with_the_interpreter(told)
        return await answers(api, request)

    def handle(actor: AgentActor, message: Any) -> None:
        while (folder / "agents").exists():
            time.sleep(0.02)
        handles(actor, message)

    HiveApi.healthz = healthz  # type: ignore[assignment, method-assign]
    AgentActor.handle = handle  # type: ignore[assignment, method-assign]
    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
