"""Claude Code through claude-agent-sdk. Imported at the first turn only: it costs 35 MB and half a second."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import claude_agent_sdk
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient
from claude_agent_sdk._errors import MessageParseError

from hyperhive.domain.launch import Launch
from hyperhive.errors import HiveError
from hyperhive.harness import records
from hyperhive.harness.claude import (
    ClaudeDied,
    ClaudeFailed,
    Ended,
    Happening,
    McpServer,
    Noted,
    NotProvided,
)
from hyperhive.harness.command import arguments, environment, mcp_servers, provided
from hyperhive.harness.items import happenings
from hyperhive.harness.transport import ProcessTransport

CONTROL_DEADLINE = 15.0
"""Seconds for Claude Code's answer to a control request."""


def bundled() -> str:
    """The Claude Code binary in the SDK's wheel."""
    return str(Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude")


class SdkClaude:
    """One Claude Code process; implements ``Claude``.

    Args:
        prompt: gives what is appended to the system prompt, at the moment of the start.
    """

    def __init__(self, *, launch: Launch, prompt: Callable[[], str]) -> None:
        self._launch = launch
        self._prompt = prompt
        self._transport: ProcessTransport | None = None
        self._client: ClaudeSDKClient | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._transport is not None and self._transport.is_ready()

    @property
    def pid(self) -> int | None:
        """The process, once it was started."""
        process = self._transport.process if self._transport is not None else None
        return process.pid if process is not None else None

    async def start(self, *, session: str | None, env: Mapping[str, str]) -> bool:
        """See ``Claude.start``."""
        config = self._write_config()
        environ = self._environment(env)
        for wanted in (session, None):
            transport = self._make_transport(wanted, environ, config)
            client = ClaudeSDKClient(ClaudeAgentOptions(), transport=transport)
            self._transport = transport
            try:
                await client.connect()
            except Exception as error:
                await transport.finish(grace=0.5)
                # It answered with an error before it took anything: the session is not known any more.
                if wanted is not None and transport.refusal is not None:
                    continue
                raise ClaudeFailed(f"Claude Code did not start: {error}") from error
            self._client = client
            return wanted is not None
        raise ClaudeFailed("Claude Code did not start.")

    def _write_config(self) -> Path:
        folder = Path(self._launch.records)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "mcp.json"
        records.write(file, json.dumps(mcp_servers(self._launch)))
        return file

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        file = self._launch.environment
        try:
            of_operator = {} if file is None else provided(Path(file))
        except HiveError as error:
            raise NotProvided(f"Claude Code was not started: {error.message}") from None
        environ = environment(self._launch, own=os.environ, given=given, provided=of_operator)
        return environ | {"CLAUDE_CODE_ENTRYPOINT": "sdk-py"}

    def _make_transport(self, session: str | None, environ: dict[str, str], config: Path) -> ProcessTransport:
        claude = self._launch.claude or bundled()
        line = arguments(
            self._launch, claude=claude, prompt=self._prompt(), mcp_config=config, session=session
        )
        return ProcessTransport(argv=line, env=environ, cwd=Path(self._launch.state))

    async def ask(self, prompt: str, *, command: bool = False) -> AsyncIterator[Happening]:
        """See ``Claude.ask``."""
        client = self._require()
        try:
            await client.query(_one(prompt, command=command))
            while True:
                try:
                    async for message in client.receive_messages():
                        for happening in happenings(message):
                            yield happening
                            if isinstance(happening, Ended):
                                return
                    break
                except MessageParseError as error:
                    yield Noted("trouble", f"A message of Claude Code's could not be read: {error}."[:500])
        except claude_agent_sdk.ClaudeSDKError as error:
            raise ClaudeDied(str(error)) from error
        raise ClaudeDied("its output ended")

    async def interrupt(self) -> None:
        """See ``Claude.interrupt``."""
        await self._control(lambda client: client.interrupt())

    async def reconnect_hive(self) -> None:
        """See ``Claude.reconnect_hive``."""
        await self._control(lambda client: client.reconnect_mcp_server("hyperhive"))

    async def servers(self) -> tuple[McpServer, ...] | None:
        """See ``Claude.servers``."""
        answer = await self._control(lambda client: client.get_mcp_status())
        found = answer.get("mcpServers") if isinstance(answer, dict) else None
        if not isinstance(found, list):
            return None
        return tuple(
            McpServer(str(each.get("name")), str(each.get("status")), str(each.get("error") or ""))
            for each in found
            if isinstance(each, dict)
        )

    async def _control(self, request: Callable[[ClaudeSDKClient], Awaitable[Any]]) -> Any:
        if self._client is None or not self.alive:
            return None
        # The SDK raises bare Exceptions here; a request that failed shows in what Claude does next.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CONTROL_DEADLINE):
                return await request(self._client)
        return None

    def terminate(self) -> None:
        """SIGTERM."""
        if self._transport is not None:
            self._transport.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        if self._transport is not None:
            self._transport.signal(signal.SIGKILL)

    async def close(self, *, grace: float = 2.0) -> None:
        """See ``Claude.close``."""
        if self._transport is not None:
            await self._transport.finish(grace=grace)
        if self._client is not None:
            client, self._client = self._client, None
            await client.disconnect()

    def _require(self) -> ClaudeSDKClient:
        if self._client is None:
            raise ClaudeDied("it was not started")
        return self._client


async def _one(prompt: str, *, command: bool) -> AsyncIterator[dict[str, Any]]:
    """The prompt as a message. Text is marked composed: no ``@file`` in it is opened, no ``/word`` obeyed."""
    yield {
        "type": "user",
        "message": {"role": "user", "content": prompt},
        "parent_tool_use_id": None,
        "client_composed": not command,
    }
