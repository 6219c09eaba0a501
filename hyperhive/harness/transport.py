"""Claude Code's process under the SDK: a group of its own, its pid in our hands, odd output survived."""

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from claude_agent_sdk import CLIConnectionError, Transport

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one message on its stdout; a longer one is skipped."""
DRAIN = 0.3
"""Seconds for the last of its output after its end."""
STATUS = 1.0
"""Seconds until asyncio knows the exit status of an ended process."""


class ProcessTransport(Transport):
    """Runs Claude Code and carries its lines.

    The SDK's own transport hides the process and leaves it in our group; a turn that must be ended for sure
    needs both. Output that is no JSON object is skipped.
    """

    def __init__(self, *, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._argv, self._env, self._cwd = tuple(argv), dict(env), cwd
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._tail: deque[str] = deque(maxlen=20)
        self._write = asyncio.Lock()
        self._gone = asyncio.Event()
        self.refusal: str | None = None
        """What its last error result said, for a start that failed."""

    @property
    def process(self) -> asyncio.subprocess.Process | None:
        """The process, once started."""
        return self._process

    def ended(self) -> str:
        """How the process ended, with the last it said on stderr."""
        code = self._process.returncode if self._process is not None else None
        how = "it was not started" if code is None else f"exit status {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"killed by {signal.Signals(-code).name}"
        return f"{how} ({self._tail[-1][:300]})" if self._tail else how

    async def connect(self) -> None:
        """Start the process."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._cwd,
                env=self._env,
                limit=MAX_MESSAGE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise CLIConnectionError(f"{self._argv[0]} did not start: {error}") from error
        self._stderr = asyncio.create_task(self._drain(self._process))
        self._watch(self._process.pid)

    def _watch(self, pid: int) -> None:
        """Notice the process's own end: a grandchild may hold its pipes open long after."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._exited(None)
            return
        loop.add_reader(descriptor, self._exited, descriptor)

    def _exited(self, descriptor: int | None) -> None:
        loop = asyncio.get_running_loop()
        if descriptor is not None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._gone.set()
        loop.call_later(DRAIN, self._close_pipes)

    def _close_pipes(self) -> None:
        # asyncio has no public way to let go of the pipes of an ended process.
        if (transport := getattr(self._process, "_transport", None)) is not None:
            transport.close()

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # longer than the limit; what was read of it is gone already
                continue
            if not line:
                return
            if text := line.decode(errors="replace").strip():
                self._tail.append(text)

    async def write(self, data: str) -> None:
        """Write to its stdin."""
        process = self._process
        if process is None or process.stdin is None or self._gone.is_set():
            raise CLIConnectionError("Claude Code does not run.")
        async with self._write:
            try:
                process.stdin.write(data.encode(errors="replace"))
                await process.stdin.drain()
            except (OSError, RuntimeError) as error:
                raise CLIConnectionError(f"Claude Code takes no more input: {error}") from error

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """Its messages; at its end an error, so that whoever waits for an answer hears of it."""
        process = self._process
        if process is None or process.stdout is None:
            raise CLIConnectionError("Claude Code does not run.")
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue
            if not line:
                break
            if (message := _message(line)) is not None:
                if message.get("type") == "result" and message.get("is_error"):
                    self.refusal = "; ".join(str(error) for error in message.get("errors") or ())
                yield message
        await self._gone.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STATUS)
        raise CLIConnectionError(self.ended())

    async def end_input(self) -> None:
        """End its stdin."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its group, if it still runs."""
        if self._process is not None and not self._gone.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def close(self) -> None:
        """End its input, then kill it after 2 s."""
        await self.finish(grace=2.0)

    async def finish(self, *, grace: float) -> None:
        """End its input; after ``grace`` seconds kill it. Returns when it is gone."""
        process = self._process
        if process is None:
            return
        await self.end_input()
        try:
            await asyncio.wait_for(self._gone.wait(), grace)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._gone.wait()
        if self._stderr is not None:
            # A grandchild may hold stderr open; nothing of it is wanted any more.
            self._stderr.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._stderr
        self._close_pipes()
        # Until asyncio has taken its exit status it must not count as an orphan to be reaped.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STATUS)

    def is_ready(self) -> bool:
        """Whether it runs."""
        return self._process is not None and not self._gone.is_set()


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
