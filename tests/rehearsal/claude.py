"""Runs a real Claude Code binary once against an API on loopback, and reads what it reported."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.claude_versions import claude_command


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it. ``events``: the lines of its JSON stream."""

    events: list[dict[str, Any]]
    seconds: float
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        found = [event for event in self.events if event["type"] == "result"]
        assert found, f"no result: {self.events} {self.stderr}"
        return found[-1]

    def of(self, subtype: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("subtype") == subtype]

    def calls(self) -> list[str]:
        return [block["name"] for block in self._blocks("assistant", "tool_use")]

    def outcomes(self) -> list[str]:
        return [str(block["content"]) for block in self._blocks("user", "tool_result")]

    def _blocks(self, role: str, kind: str) -> list[dict[str, Any]]:
        contents = [event["message"]["content"] for event in self.events if event["type"] == role]
        return [b for c in contents if isinstance(c, list) for b in c if b["type"] == kind]


@dataclass(frozen=True, slots=True)
class Claude:
    """A binary with a config folder and a working folder of its own."""

    path: Path
    home: Path
    base: str
    key: str = "sk-rehearsal-alice-00ff"

    async def run(
        self,
        prompt: str,
        *arguments: str,
        env: Mapping[str, str] = MappingProxyType({}),
        deadline: float = 60.0,
        out: bytearray | None = None,
    ) -> Run:
        """One ``claude -p``, from start to exit; ``out`` is filled with what it prints, as it prints it."""
        out, err = bytearray() if out is None else out, bytearray()
        state = self.home / "state"
        state.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *claude_command(self.path, "-p", "--output-format", "stream-json", "--verbose"),
            *(
                "--model",
                "sonnet",
                "--permission-mode",
                "dontAsk",
                "--allowedTools",
                "Bash",
                "mcp__hyperhive",
            ),
            *("--tools", "Bash,Read,Write,ToolSearch", *arguments, "--", prompt),
            cwd=state,
            env=self._environment() | dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(deadline):
                await asyncio.gather(_fill(out, process.stdout), _fill(err, process.stderr), process.wait())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        events = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
        return Run(events, time.monotonic() - started, err.decode(errors="replace"))

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / "claude"),
            "ANTHROPIC_BASE_URL": self.base,
            "ANTHROPIC_API_KEY": self.key,
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
        }


async def _fill(found: bytearray, stream: asyncio.StreamReader | None) -> None:
    assert stream is not None
    while data := await stream.read(65_536):
        found += data
