"""The harness's composition: reads ``launch.json``, puts the parts together, runs until SIGTERM."""

import asyncio
import contextlib
import importlib
import importlib.metadata
import logging
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from pydantic import ValidationError

from hyperhive.domain.launch import Launch
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import FromHost, Hello, Report
from hyperhive.harness import processes
from hyperhive.harness.claude import Claude
from hyperhive.harness.connection import Connection
from hyperhive.harness.keeper import Keeper
from hyperhive.harness.loop import TurnLoop
from hyperhive.harness.outbox import Outbox
from hyperhive.harness.prompt import system_prompt
from hyperhive.harness.usage import CostMeter

_log = logging.getLogger(__name__)

ASK_GRACE = 0.7
"""Seconds a turn has to end by itself at SIGTERM."""
CLOSE_GRACE = 0.3
"""Seconds an idle Claude has to write its session down at SIGTERM."""
ACK_GRACE = 1.0
"""Seconds the host has to acknowledge the last report."""

MakeClaude = Callable[[Launch, Callable[[], str]], Awaitable[Claude]]


async def real_claude(launch: Launch, prompt: Callable[[], str]) -> Claude:
    """Claude Code through the SDK, whose import waits until here and does not hold up the loop."""
    module = await asyncio.to_thread(importlib.import_module, "hyperhive.harness.sdk")
    claude: Claude = module.SdkClaude(launch=launch, prompt=prompt)
    return claude


class Harness:
    """The parts of one harness and what goes between them.

    Args:
        make_claude: makes a process; the real one outside of tests.
    """

    def __init__(self, *, launch: Launch, make_claude: MakeClaude = real_claude) -> None:
        self._boot = secrets.token_hex(8)
        self._version = importlib.metadata.version("hyperhive")
        self._outbox = Outbox()
        self._launch = launch
        self.keeper = Keeper(
            make=lambda: make_claude(launch, lambda: system_prompt(launch, peers=self.keeper.peers)),
            end_family=lambda keep: processes.end_family(keep=keep),
        )
        self._connection = Connection(
            path=launch.hive_sock, hello=self._hello, outbox=self._outbox, receive=self._receive
        )
        meter = CostMeter(file=Path(launch.records, "cost.json"))
        self.loop = TurnLoop(launch=launch, keeper=self.keeper, say=self, meter=meter)

    def _hello(self) -> Hello:
        return Hello(
            boot=self._boot, version=self._version, claude=self._launch.claude or "", turn=self.loop.turn
        )

    def _receive(self, message: FromHost) -> None:
        self.loop.receive(message)

    def report(self, report: Report) -> None:
        """See ``Say``."""
        self._connection.report(report)

    def item(self, item: TurnItem) -> None:
        """See ``Say``."""
        self._connection.item(item)

    def owes_end_of(self, turn: int) -> bool:
        """See ``Say``."""
        return self._outbox.owes_end_of(turn)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop``; then end the turn, say so, and leave nothing behind. That takes at most 3 s."""
        talk = asyncio.create_task(self._connection.run())
        work = asyncio.create_task(self.loop.run())
        wait = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({talk, work, wait}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {wait}:
            task.result()  # neither ends by itself; if one did, say why and let the container end
        await self._end(work)
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)

    async def _end(self, work: asyncio.Task[None]) -> None:
        self.loop.end()
        await asyncio.wait({work}, timeout=ASK_GRACE)
        if not work.done():
            await self.keeper.destroy()  # the turn ends with its process
            await asyncio.wait({work}, timeout=0.5)
        await self._connection.settle(ACK_GRACE)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await self.keeper.close(grace=CLOSE_GRACE)
        await self.keeper.destroy()


async def serve(launch: Launch) -> None:
    """Run a harness until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    harness = Harness(launch=launch)
    loop.add_signal_handler(signal.SIGCHLD, lambda: _reap(harness.keeper.pids))
    await harness.run(stop)


def _reap(keep: Collection[int]) -> None:
    # Claude's own end is waited for elsewhere: taken from there, its exit status would be lost.
    processes.reap_orphans(keep=keep)


def main(argv: list[str]) -> int:
    """``python -m hyperhive.harness LAUNCH``. Returns the exit status."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    logging.getLogger("claude_agent_sdk").setLevel(logging.CRITICAL)  # what it says is in the turn's outcome
    if len(argv) != 2:
        _log.error("usage: python -m hyperhive.harness LAUNCH")
        return 2
    try:
        launch = Launch.model_validate_json(Path(argv[1]).read_bytes())
    except (OSError, ValidationError) as error:
        _log.error("%s cannot be used: %s; rebuild the agent", argv[1], " ".join(str(error).split())[:500])
        return 1
    if not processes.become_subreaper():
        _log.warning("orphans of the agent's programs cannot be adopted here; some may outlive a turn")
    _log.info("harness of %s, generation %d, pid %d", launch.agent, launch.generation, os.getpid())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(launch))
    _log.info("harness of %s ended", launch.agent)
    return 0
