"""What a hive stands on, asked while its own parts are imported: git and the runtime; then Claude Code."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from hyperhive.claude_code import find_claude
from hyperhive.repos.git import check_git, find_git
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.choose import all_runtimes, choose
from hyperhive.settings import Settings


class Programs:
    """Asks git and the runtime at once, each in a thread; leaving it waits for those."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._beside = ThreadPoolExecutor(2, thread_name_prefix="programs")
        self._git = self._beside.submit(lambda: check_git(find_git()))
        self._runtime = self._beside.submit(lambda: choose(settings.runtime, all_runtimes()))
        self._beside.shutdown(wait=False)  # its threads end with what they do

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._beside.shutdown()

    async def answers(self) -> tuple[Runtime, Path]:
        """The runtime, and where Claude Code is. That is asked now, for a new one may take long to answer.

        Raises:
            HiveError: one of them is missing or does not work here, with what to do.
        """
        claude = asyncio.to_thread(
            find_claude, self._settings.claude, cache=self._settings.home / "claude-versions.json"
        )
        here = asyncio.wrap_future
        _, runtime, (path, _) = await asyncio.gather(here(self._git), here(self._runtime), claude)
        return runtime, path
