"""The daemon itself, with real containers and Claude Code in rehearsal, turn after turn; clients come and go."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

from hyperhive.bridge import RING_FRAMES
from hyperhive.running.process import HELD
from soak.clients import drain, stream
from soak.vitals import beside, disk, memory
from tests.e2e.hive import RealHive, hive
from tests.e2e.processes import family, is_python
from tests.web.prometheus import read

_SCENARIO = Path(__file__).with_name("scenario.toml")
_FAILED = (OSError, asyncio.IncompleteReadError, TimeoutError, httpx.HTTPError)
_LONG = 120.0
LEAST, WARM = 3, 1
"""Rounds that are looked at, and rounds before them, however little time there is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done.

    Args:
        seconds: how long it goes on; a quarter of it is warming up, which is not looked at. As long as the ring of
            frames is not full yet, up to half of it.
        load: seconds of turns in each round.
        agents: besides the manager.
    """

    seconds: float
    load: float
    agents: int = 3
    readers: int = 8
    probes: int = 30
    port: int = 7510


@dataclass(frozen=True, slots=True)
class Soaked:
    """What was looked at in each round, and what was done."""

    rounds: list[dict[str, float]]
    done: dict[str, int]


class _Drive:
    """Gives every agent something to do as soon as it has nothing."""

    def __init__(self, made: RealHive, agents: list[str], http: httpx.AsyncClient) -> None:
        self._made, self._agents, self._http = made, agents, http
        self.done: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, readers: int) -> None:
        acts: list[Callable[[], Any]] = [self._turns, self._browse, *(self._watch,) * readers]
        self._tasks = [asyncio.create_task(self._repeat(act)) for act in acts]

    async def end(self) -> None:
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=1.0)

    async def _repeat(self, act: Callable[[], Any]) -> None:
        while True:
            with contextlib.suppress(*_FAILED):
                await act()
            await asyncio.sleep(0.1)

    async def _turns(self) -> None:
        seq = int((await self._http.get("/api/state")).json()["seq"])
        for name in self._agents:
            await self._give(name)
        path = f"/api/events?after={seq}&kinds=turn_ended"
        async with stream(self._made.port, self._made.token, path) as reader:
            while True:
                line = await reader.readuntil(b"\n")
                if line.startswith(b"data: ") and (agent := json.loads(line[6:])["agent"]) in self._agents:
                    self.done["turns"] += 1
                    await self._give(agent)

    async def _give(self, name: str) -> None:
        chance, others = random.random(), [other for other in self._agents if other != name]
        body = "Look, and go on. " + "x" * 300
        if chance < 0.15:
            body = "run: date >> log.txt; tail -c 200 log.txt"
        elif chance < 0.3 and others:
            body = f"tell {random.choice(others)}: Are you well?"
        await self._http.post("/api/messages", json={"to": name, "body": body})

    async def _watch(self) -> None:
        async with stream(self._made.port, self._made.token, "/api/events?views=1") as reader:
            self.done["readers"] += 1
            await drain(reader, random.uniform(0.5, 8.0))

    async def _browse(self) -> None:
        name = random.choice(self._agents)
        for path in ("/", f"/agents/{name}", f"/api/agents/{name}/turns", "/api/stats", "/api/messages"):
            await self._http.get(path)
            self.done["requests"] += 1
        await asyncio.sleep(0.5)


async def run(plan: Plan, say: Callable[[str], None]) -> Soaked:
    """Run it. ``say`` hears how it goes."""
    rounds: list[dict[str, float]] = []
    async with _living(plan) as (made, agents, http):
        drive = _Drive(made, agents, http)
        start, warm = time.monotonic(), 0
        while len(rounds) < LEAST or time.monotonic() - start < plan.seconds:
            await asyncio.to_thread(_renew, made, agents)
            began, turns = time.monotonic(), drive.done["turns"]
            drive.begin(plan.readers)
            await asyncio.sleep(plan.load)
            await drive.end()
            spent = time.monotonic() - began
            await asyncio.to_thread(made.quiet)
            seen = {**_held(made), **await _latencies(http, plan.probes)}
            full = seen["frames"] >= RING_FRAMES
            seen["turns a second"] = (drive.done["turns"] - turns) / spent
            if warm >= WARM and began - start >= plan.seconds / (4 if full or rounds else 2):
                rounds.append(seen)
            else:
                warm += 1
            say(_line(len(rounds), seen))
        return Soaked(rounds, dict(drive.done))


@asynccontextmanager
async def _living(plan: Plan) -> AsyncIterator[tuple[RealHive, list[str], httpx.AsyncClient]]:
    with hive(scenario=_SCENARIO) as made:
        await asyncio.to_thread(made.up, port=plan.port)
        agents = [f"a{number}" for number in range(plan.agents)]
        for name in agents:
            await asyncio.to_thread(made.spawn, name)
        headers = {"Authorization": f"Bearer {made.token}"}
        async with httpx.AsyncClient(
            base_url=made.url, headers=headers, timeout=_LONG, trust_env=False
        ) as http:
            yield made, agents, http


def _renew(made: RealHive, agents: list[str]) -> None:
    """Other agents in place of these: Claude Code sends all that was said again, so that turns grow and grow."""
    for place, name in enumerate(agents):
        after = made.seq
        made.http.delete(f"/api/agents/{name}", params={"purge": "true"}).raise_for_status()
        made.wait("destroyed", after=after, agent=name)
        agents[place] = f"a{after}"
        made.spawn(agents[place])


def _held(made: RealHive) -> dict[str, float]:
    assert made.daemon is not None
    proc = Path(f"/proc/{made.daemon.pid}")
    inside = [each for agent in made.state()["agents"] if agent["pid"] for each in family(agent["pid"])]
    found = {
        "threads": float(sum(1 for _ in (proc / "task").iterdir())),
        "descriptors": float(sum(1 for _ in (proc / "fd").iterdir())),
        **memory(made.daemon.pid),
        **beside(_own(made)),
        **disk(made.home),
        "processes inside": float(len(inside)),
        "seq": float(made.seq),
    }
    with contextlib.suppress(OSError):  # one ended just now: the next round has it
        ours = [each for each in inside if is_python(each)]
        found["pss harnesses"] = sum(memory(each.pid)["pss"] for each in ours)
        # It ends with its agent, in each round, and is the larger the more was said in that: shown, not judged.
        found["claude pss"] = sum(memory(each.pid)["pss"] for each in inside if each not in ours)
    return found


def _own(made: RealHive) -> dict[str, float]:
    """What the daemon tells of its own memory."""
    told = read(made.http.get("/metrics").raise_for_status().text)
    names = {"frames": "hyperhive_stream_frames", **HELD}
    return {what: told[name].value(name) for what, name in names.items() if name in told}


async def _latencies(http: httpx.AsyncClient, number: int) -> dict[str, float]:
    took: dict[str, list[float]] = {"healthz": [], "state": []}
    for _ in range(number):
        for path, key in (("/healthz", "healthz"), ("/api/state", "state")):
            began = time.perf_counter()
            await http.get(path)
            took[key].append((time.perf_counter() - began) * 1e3)
    found = {f"p50 {key}": quantiles(values, n=100)[49] for key, values in took.items()}
    return found | {"p50 state/healthz": found["p50 state"] / found["p50 healthz"]}


def _line(number: int, seen: dict[str, float]) -> str:
    what = f"round {number}" if number else "warming up"
    words = [f"{seen[key]:.0f} {key}" for key in ("threads", "descriptors", "processes inside")]
    words += [f"{seen[key] / 1024**2:.1f} MiB {key}" for key in ("rss", "hive.sqlite", "disk claude")]
    return f"{what}: {', '.join(words)}, {seen['turns a second']:.1f} turns/s"
