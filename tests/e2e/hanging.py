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
"""The environment variable with the folder: its files ``loop``, ``interpreter`` and ``agents`` say what hangs."""


def hang_in_the_loop(told: Path) -> None:
    """Hold the event loop up as long as the file is there; other threads run."""
    while told.exists():
        time.sleep(0.02)


def hang_with_the_interpreter() -> None:
    """Hold the interpreter: no other thread runs any more."""
    ctypes.PyDLL(None).sleep(3600)


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
        if (folder / "interpreter").exists():
            hang_with_the_interpreter()
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
