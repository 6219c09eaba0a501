"""What a hive stands on, asked while its own parts are imported: git, a runtime, Claude Code."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hyperhive.claude_code import find_claude
from hyperhive.repos.git import check_git, find_git
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.choose import all_runtimes, choose
from hyperhive.settings import Settings


class Programs:
    """Asks them all at once: each takes a while to answer."""

    def __init__(self, settings: Settings) -> None:
        beside = ThreadPoolExecutor(3, thread_name_prefix="programs")
        cache = settings.home / "claude-versions.json"
        self._git = beside.submit(lambda: check_git(find_git()))
        self._runtime = beside.submit(lambda: choose(settings.runtime, all_runtimes()))
        self._claude = beside.submit(lambda: find_claude(settings.claude, cache=cache))
        beside.shutdown(wait=False)

    async def answers(self) -> tuple[Runtime, Path]:
        """The runtime, and where Claude Code is.

        Raises:
            HiveError: one of them is missing or does not work here, with what to do.
        """
        here = asyncio.wrap_future
        _, runtime, (claude, _) = await asyncio.gather(
            here(self._git), here(self._runtime), here(self._claude)
        )
        return runtime, claude
