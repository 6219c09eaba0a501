"""Everything around a hive: its containers' harnesses, its operator, and whoever else comes and goes."""

import asyncio
import contextlib
import json
import os
import random
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from hyperhive.domain.wire import Work
from soak.clients import DEADLINE, mcp
from soak.harness import Harness

MANAGER = "manager"
PROBED = "a0"
"""The agent that latencies are measured with; nobody ends it."""


@dataclass(slots=True)
class _Lived:
    harness: Harness
    task: asyncio.Task[None]
    pid: int
    pidfd: int


class World:
    """One world. Harnesses are there from ``open`` on, and live as long as their containers.

    ``faults`` are answers that no client should ever see; ``done`` counts what was done.

    Args:
        home, run, told: the hive's folders, and where its runtime says what it starts.
        port, token: where the operator comes in.
        population: agents beside the manager.
        seed: of what is chosen.
    """

    def __init__(
        self, *, home: Path, run: Path, told: Path, port: int, token: str, population: int, seed: int
    ) -> None:
        self.home, self.run, self.port, self.token = home, run, port, token
        self.population = population
        self.random = random.Random(seed)
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self.rested = 0.0
        self._told = told
        self._lived: dict[str, _Lived] = {}
        self._spawned = 0
        self.http = _client(f"http://127.0.0.1:{port}", token=token)
        self.host = _client("http://host", uds=str(run / "host.sock"))

    # -- containers

    def open(self) -> None:
        """Hear of containers that start."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._told))
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    async def aclose(self) -> None:
        """End all harnesses."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for name in list(self._lived):
            self._ended(name)
        await self.http.aclose()
        await self.host.aclose()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                name, pid = json.loads(self._socket.recv(4096))
                self._started(name, pid)

    def _started(self, name: str, pid: int) -> None:
        self._ended(name)
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        harness = Harness(name=name, socket=self.run / "agents" / name / "hive.sock", act=self.act)
        self._lived[name] = _Lived(harness, asyncio.create_task(harness.live()), pid, pidfd)
        asyncio.get_running_loop().add_reader(pidfd, self._ended, name)

    def _ended(self, name: str) -> None:
        if (lived := self._lived.pop(name, None)) is not None:
            asyncio.get_running_loop().remove_reader(lived.pidfd)
            os.close(lived.pidfd)
            lived.task.cancel()
            self.done["turns"] += lived.harness.turns

    @property
    def turns(self) -> int:
        """Turns that harnesses have ended so far."""
        return self.done["turns"] + sum(lived.harness.turns for lived in self._lived.values())

    @property
    def names(self) -> list[str]:
        """Agents whose container runs, but the manager and the probed one."""
        return sorted(set(self._lived) - {MANAGER, PROBED})

    def any(self) -> str:
        """One of the agents."""
        return self.random.choice(self.names or [PROBED])

    def new(self) -> str:
        """A name that was never used."""
        self._spawned += 1
        return f"a{self._spawned - 1}"

    def pid(self, name: str) -> int | None:
        """The leader of an agent's container."""
        return self._lived[name].pid if name in self._lived else None

    def hang_up(self, name: str) -> None:
        """Cut the connection of an agent's harness."""
        if name in self._lived:
            self._lived[name].harness.hang_up()

    def door(self, name: str) -> Path:
        """An agent's MCP socket."""
        return self.run / "agents" / name / "mcp.sock"

    # -- what an agent does in a turn

    async def act(self, name: str, work: Work) -> None:
        """Think for a moment; now and then use the tools."""
        chance = self.random.random()
        await asyncio.sleep(0.005 + 0.02 * self.random.random())
        if chance < 0.6:
            return
        async with mcp(self.door(name)) as line:
            if chance < 0.9:
                to = self.random.choice([self.any(), self.any(), "operator", MANAGER])
                await line.call("send", to=to, body=f"From {name} in turn {work.turn}. " + "x" * 200)
            elif chance < 0.95:
                await line.call("whoami")
                await line.call("recv")
            elif chance < 0.98:
                await line.call("ask_operator", question="Which?", options=["a", "b"], ttl_seconds=600)
            else:
                line.tell("notifications/cancelled")  # and it leaves

    # -- the operator's requests

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """What a route answers; ``None`` for a refusal. A failure of the server is a fault."""
        self.done["requests"] += 1
        answer = await self.http.request(method, path, json=body)
        return self._answered(answer)

    async def ask_host(self, method: str, path: str) -> Any:
        """The same over ``host.sock``."""
        return self._answered(await self.host.request(method, path))

    def _answered(self, answer: httpx.Response) -> Any:
        if answer.status_code == 500:  # whatever it is, problem or not
            self.faults.append(f"{answer.request.method} {answer.request.url.path}: {answer.text[:300]}")
        elif answer.status_code > 500 and answer.json().get("code") not in ("deadline", "busy", None):
            self.done["refusals 5xx"] += 1
        if not answer.is_success or "json" not in answer.headers.get("content-type", ""):
            return None
        return answer.json()

    async def state(self) -> dict[str, Any]:
        """``/api/state``."""
        state: dict[str, Any] = (await self.http.get("/api/state")).raise_for_status().json()
        return state


def _client(base: str, *, token: str = "", uds: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        transport=httpx.AsyncHTTPTransport(
            uds=uds, limits=httpx.Limits(max_connections=40, max_keepalive_connections=1)
        ),
        timeout=DEADLINE,
        trust_env=False,
    )
