"""Which of the agent's MCP servers did not start: looked at while Claude Code connects them, told when it changes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hyperhive.domain.agent_config import ExtraMcpServer
from hyperhive.domain.wire import McpServers
from hyperhive.harness.claude import Claude, McpServer

LOOK_AGAIN = 0.5
"""Seconds until a server that still connects is looked at again."""
LOOK_LONGEST = 60.0
"""Seconds after which one that still connects counts as not started; Claude Code gives up earlier."""
_MAX_WHY = 300

_WORDS = {
    "Connection closed": "it ended before it answered",
    "needs-auth": "it wants a login, which nobody can give it here",
}


@dataclass(frozen=True, slots=True)
class _Looked:
    failed: Mapping[str, str]
    settled: bool


class ServerWatch:
    """Looks after the servers of one harness.

    Args:
        servers: those of the agent's config.
        report: tells the host.
    """

    def __init__(
        self,
        *,
        servers: Mapping[str, ExtraMcpServer],
        report: Callable[[McpServers], None],
        pause: float = LOOK_AGAIN,
        longest: float = LOOK_LONGEST,
    ) -> None:
        self._servers, self._report = servers, report
        self._pause, self._longest = pause, longest
        self._told: dict[str, str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._claude: Claude | None = None

    def look(self, claude: Claude) -> None:
        """Look at the servers of this process until each is connected or failed; returns at once."""
        if not self._servers or (claude is self._claude and self._task is not None and not self._task.done()):
            return
        self.close()
        self._claude = claude
        self._task = asyncio.create_task(self._watch(claude))

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, claude: Claude) -> None:
        end = asyncio.get_running_loop().time() + self._longest
        while claude.alive:
            late = asyncio.get_running_loop().time() >= end
            found = await claude.servers()
            if found is not None:
                looked = self._judge(found, late=late)
                self._tell(looked)
                if looked.settled:
                    return
            if late:
                return
            await asyncio.sleep(self._pause)

    def _judge(self, found: tuple[McpServer, ...], *, late: bool) -> _Looked:
        failed: dict[str, str] = {}
        settled = True
        for server in found:
            match server.status:
                case _ if server.name not in self._servers:
                    continue
                case "connected" | "disabled":
                    continue
                case "pending" if not late:
                    settled = False
                    if self._told and server.name in self._told:
                        failed[server.name] = self._told[server.name]
                case _:
                    failed[server.name] = self._why(server)
        return _Looked(failed, settled)

    def _why(self, server: McpServer) -> str:
        """The reason in words: Claude Code's own where it has better ones than a status."""
        why = " ".join(server.why.split()).removeprefix("MCP error -32000: ")
        if why.startswith("Executable not found"):
            return f"there is no program {self._servers[server.name].command!r} on its PATH"[:_MAX_WHY]
        if "timed out" in why or server.status == "pending":
            return "it did not answer in time"
        return _WORDS.get(why or server.status, why or server.status)[:_MAX_WHY]

    def _tell(self, looked: _Looked) -> None:
        """The first whole look is told whatever it found: an earlier harness may have told otherwise."""
        failed = dict(looked.failed)
        if failed == self._told or (self._told is None and not failed and not looked.settled):
            return
        self._told = failed
        self._report(McpServers(failed=failed))
