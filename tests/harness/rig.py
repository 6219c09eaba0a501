"""A whole harness as a process, with the real Claude Code binary, a scripted API and a recording host."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperhive.domain.launch import Launch
from hyperhive.harness.processes import family
from hyperhive.link import Link
from tests.fakes.harness_host import Host, RecordingHive
from tests.fakes.messages_api import MessagesApi, messages_api
from tests.waiting import eventually_async

AGENT = "alice"


@dataclass
class Mcp:
    """A tiny MCP server on a unix socket with one tool, ``whoami``."""

    calls: list[str] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: MCP's stdio framing straight on the socket."""
        self.connections += 1
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                request = json.loads(line)
                if "id" in request:
                    answer = self._answer(request["method"], request.get("params") or {})
                    writer.write(
                        json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode() + b"\n"
                    )
        writer.close()

    def _answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                info = {"name": "hyperhive", "version": "1"}
                version = params["protocolVersion"]
                return {
                    "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
                }
            case "tools/list":
                tool = {"name": "whoami", "description": "Who am I?", "inputSchema": {"type": "object"}}
                return {"result": {"tools": [tool]}}
            case "tools/call":
                self.calls.append(params["name"])
                return {"result": {"content": [{"type": "text", "text": "you are alice"}]}}
        return {"error": {"code": -32601, "message": "unknown"}}


@dataclass
class Rig:
    """Everything around one harness."""

    folder: Path
    api: MessagesApi
    host: Host
    mcp: Mcp
    launch: Launch
    link: Link = field(init=False)
    hive: RecordingHive = field(init=False)
    process: asyncio.subprocess.Process | None = None
    _mcp_server: asyncio.Server | None = None

    async def up(self) -> None:
        """The host's side begins to listen."""
        self.hive = RecordingHive(self.host)
        self.link = Link(hive=self.hive, run=self.folder / "run")
        await self.link.open(AGENT)
        Path(self.launch.mcp_sock).unlink(missing_ok=True)
        self._mcp_server = await asyncio.start_unix_server(self.mcp.serve, self.launch.mcp_sock)

    async def down(self) -> None:
        """The host's side goes away, as with the daemon."""
        await self.link.aclose()
        if self._mcp_server is not None:
            self._mcp_server.close()

    async def start(self) -> None:
        """Start the harness and wait until it said hello."""
        file = self.folder / "launch.json"
        file.write_text(self.launch.model_dump_json())
        log = (self.folder / "log").open("ab")
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "Alice", f"GIT_{who}_EMAIL": "alice@hive"}
        with log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hyperhive.harness", str(file), stdout=log, stderr=log, env=env
            )
        await self.connected()

    async def connected(self) -> None:
        """Wait until a harness said hello."""
        await eventually_async(lambda: self.hive.session is not None, 60)

    async def ended(self, turn: int, deadline: float = 30) -> None:
        """Wait until ``turn`` is over."""
        await eventually_async(lambda: self.host.over(turn), deadline)

    def family(self) -> dict[int, str]:
        """The processes below the harness that live."""
        assert self.process is not None
        return {pid: state for pid, state in family(self.process.pid).items() if state != "Z"}

    def claude(self) -> int | None:
        """The Claude process, if one runs."""
        for pid in self.family():
            with contextlib.suppress(OSError):
                if b"--output-format" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(40):
            return await self.process.wait()


@asynccontextmanager
async def rig(folder: Path, **settings: Any) -> AsyncIterator[Rig]:
    """A rig with its host up and its harness not yet started; all of it ended afterwards."""
    async with messages_api() as api:
        host = Host(env={"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-test"})
        for part in ("state", "claude", "records"):
            (folder / part).mkdir()
        run = folder / "run" / "agents" / AGENT
        launch = Launch(
            **{
                "generation": 1,
                "agent": AGENT,
                "role": "agent",
                "model": "sonnet",
                "hive_sock": str(run / "hive.sock"),
                "mcp_sock": str(run / "mcp.sock"),
                "state": str(folder / "state"),
                "claude_dir": str(folder / "claude"),
                "records": str(folder / "records"),
                "allowed": ("Bash", "Read", "Write", "mcp__hyperhive"),
                "api_retries": 0,
                "warm": 10.0,
                **settings,
            }
        )
        made = Rig(folder=folder, api=api, host=host, mcp=Mcp(), launch=launch)
        await made.up()
        try:
            yield made
        finally:
            if made.process is not None and made.process.returncode is None:
                await made.stop()
            await made.down()
            sys.stdout.write((folder / "log").read_text() if (folder / "log").exists() else "")
