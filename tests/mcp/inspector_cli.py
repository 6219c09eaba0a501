"""The MCP Inspector's command line from npm, by its lock file; a test may point it at any ``/mcp``."""

import asyncio
import fcntl
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parent / "inspector"
_CLI = _FOLDER / "node_modules/.bin/mcp-inspector"


def install() -> Path:
    """The command line, installed if it is not yet; skips the test where npm is not to be had."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: the MCP Inspector comes from there")
    with (_FOLDER / "package.json").open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not _CLI.exists():
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=_FOLDER, capture_output=True, text=True, check=False, timeout=100
            )
            if done.returncode != 0:
                pytest.skip(f"npm could not install the MCP Inspector: {done.stderr.strip()[-200:]}")
    return _CLI


@dataclass(frozen=True)
class Inspector:
    """The Inspector, pointed at a server.

    Args:
        url: where ``/mcp`` is.
        token: the operator's.
    """

    cli: Path
    url: str
    token: str

    async def ask(self, method: str, *options: str) -> dict[str, Any]:
        """What the server answers to ``method``."""
        status, out, err = await self.run(method, *options)
        assert status == 0, err
        answer: dict[str, Any] = json.loads(out)
        return answer

    async def call(self, tool: str, **arguments: str) -> dict[str, Any]:
        """The result of a tool."""
        given = [part for name, value in arguments.items() for part in ("--tool-arg", f"{name}={value}")]
        return await self.ask("tools/call", "--tool-name", tool, *given)

    async def run(self, method: str, *options: str) -> tuple[int, str, str]:
        """Exit status, output and complaints of one run."""
        bearer = f"Authorization: Bearer {self.token}"
        process = await asyncio.create_subprocess_exec(
            *("node", self.cli, "--cli", self.url, "--transport", "http", "--header", bearer),
            *("--method", method, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()
