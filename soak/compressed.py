"""Hours of a hive's life: hundreds of agents on a fake runtime, rounds of load, and a look after each."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from soak.clients import mcp, stream, until
from soak.load import Load
from soak.world import MANAGER, PROBED, World

LEAST = 3
"""Rounds that are looked at, however little time there is."""
_LONG = 300.0
"""Seconds in which a hive under load comes up, or to rest."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done.

    Args:
        seconds: how long it goes on; a quarter of it is warming up, which is not looked at.
        load: seconds of load in each round.
        agents: besides the manager.
        speed: how many seconds pass in the hive in one of the clock's.
        brisk: how much goes on, see ``Load``.
        probes: how often each latency is measured after each round.
        warm: rounds that are not looked at, at least.
    """

    seconds: float
    load: float
    agents: int
    speed: float = 60.0
    brisk: float = 1.0
    probes: int = 40
    warm: int = 2
    seed: int = 1
    port: int = 7500
    trace: bool = False


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it: what was looked at in each round, what was done, and what should not have been seen."""

    rounds: list[dict[str, float]]
    done: dict[str, int]
    faults: list[str]
    grown: list[str]


async def run(plan: Plan, say: Callable[[str], None]) -> Soaked:
    """Run it. ``say`` hears how it goes."""
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="hh-soak-", dir="/tmp") as place:
        async with _living(plan, Path(place)) as world:
            await _fill(world)
            grown: list[str] = []
            start = time.monotonic()
            warm = 0
            while len(rounds) < LEAST or time.monotonic() - start < plan.seconds:
                began, turns = time.monotonic(), world.turns
                try:
                    await _round(world, plan)
                    seen = await _look(world, plan)
                except Unrest as unrest:
                    world.faults.append(f"{unrest}\n{(Path(place) / 'log').read_text()[-6000:]}")
                    break
                seen["seconds to rest"] = world.rested
                seen["turns a second"] = (world.turns - turns) / (time.monotonic() - began)
                if warm >= plan.warm and began - start >= plan.seconds / 4:
                    rounds.append(seen)
                    grown = await world.ask_host("GET", "/soak/grown") or grown
                else:
                    warm += 1
                say(_line(len(rounds), seen))
            done = dict(world.done) | {"turns": world.turns}
            return Soaked(rounds, done, world.faults, grown)


class Unrest(Exception):
    """The hive does not come to rest; the message names who does not."""


async def _round(world: World, plan: Plan) -> None:
    load = Load(world, brisk=plan.brisk)
    load.begin()
    await asyncio.sleep(plan.load)
    await load.end()
    began = time.monotonic()
    await _rest(world)
    world.rested = time.monotonic() - began


@asynccontextmanager
async def _living(plan: Plan, place: Path) -> AsyncIterator[World]:
    home, run_, told = place / "home", place / "run", place / "told"
    home.mkdir(mode=0o700)
    run_.mkdir(mode=0o700)
    hive = _started(place / "log", home, run_, told, plan.port, plan.speed, int(plan.trace))
    try:
        port = int(await _said(place / "port", hive, place / "log"))
        token = await _said(home / "operator.token", hive, place / "log")
        world = World(
            home=home,
            run=run_,
            told=told,
            port=port,
            token=token,
            population=plan.agents,
            seed=plan.seed,
        )
        world.open()
        try:
            yield world
        except BaseException:
            print((place / "log").read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            await world.aclose()
    finally:
        hive.terminate()
        try:
            hive.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            hive.kill()
            hive.communicate()


def _started(log: Path, *words: object) -> "subprocess.Popen[bytes]":
    """The hive's process, which writes into ``log``."""
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "soak.hive", *map(str, words)],
            stdin=subprocess.PIPE,  # which ends with this process, however it ends
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd=Path(__file__).resolve().parent.parent,
        )


async def _said(file: Path, hive: "subprocess.Popen[bytes]", log: Path) -> str:
    """What stands in a file, once the hive has written it.

    Raises:
        RuntimeError: it ended before that; with the end of its log.
    """
    async with asyncio.timeout(_LONG):
        while hive.poll() is None:
            with contextlib.suppress(OSError):
                if said := file.read_text().strip():
                    return said
            await asyncio.sleep(0.05)
    raise RuntimeError(f"The hive under soak did not start:\n{log.read_text()[-2000:]}")


async def _fill(world: World) -> None:
    """Spawn the population."""
    async with asyncio.timeout(_LONG):
        while (await world.http.get("/healthz")).status_code != 200:
            await asyncio.sleep(0.05)
    for _ in range(world.population):
        await world.ask("POST", "/api/agents", {"name": world.new()})
    await _rest(world)


async def _rest(world: World) -> None:
    """Wait until nothing is under way, and all agents there should be are there and idle."""
    try:
        async with asyncio.timeout(_LONG):
            while not await _at_rest(world):
                await asyncio.sleep(0.3)
    except TimeoutError:
        busy = [agent for agent in (await world.state())["agents"] if not await _idle(world, agent)]
        why = [await world.ask_host("GET", f"/soak/why/{agent['name']}") for agent in busy[:2]]
        raise Unrest("\n".join([f"the hive does not come to rest: {busy[:3]}", *map(str, why)])) from None


async def _at_rest(world: World) -> bool:
    state = await world.state()
    for question in state["questions"]:
        await world.ask("POST", f"/api/questions/{question['id']}/cancel", {})
    for approval in state["approvals"]:
        await world.ask("POST", f"/api/approvals/{approval['id']}/deny", {"note": "time is up"})
    for draft in state["drafts"]:
        await world.ask("DELETE", f"/api/drafts/{draft['name']}")
    for kept in state["kept"]:
        await world.ask("POST", f"/api/kept/{kept['name']}/purge")
    agents = [agent for agent in state["agents"] if agent["transient"] != "destroying"]
    others = [agent["name"] for agent in agents if agent["name"] not in (MANAGER, PROBED)]
    for name in others[world.population - 1 :]:
        await world.ask("DELETE", f"/api/agents/{name}?purge=true")
    for _ in range(world.population - 1 - len(others)):
        await world.ask("POST", "/api/agents", {"name": world.new()})
    return (
        all([await _idle(world, agent) for agent in state["agents"]]) and len(agents) == world.population + 1
    )


async def _idle(world: World, agent: dict[str, Any]) -> bool:
    # Also in the midst of an operation: who was about it has failed.
    if agent["paused"] or agent["quarantined"]:
        await world.ask("POST", f"/api/agents/{agent['name']}/resume")
        return False
    if agent["transient"]:
        return False
    if agent["container"] == "stopped" and not agent.get("restart_at"):
        await world.ask("POST", f"/api/agents/{agent['name']}/start")
        return False
    working = agent["turn"]["state"] != "idle" or agent["inbox_depth"] > 0
    return not working and agent["container"] == "running" and agent["ready"]


async def _look(world: World, plan: Plan) -> dict[str, float]:
    """What it holds at rest, and how long it takes to answer."""
    latencies = await _latencies(world, plan.probes)
    await _rest(world)
    await asyncio.sleep(0.5)
    return {**(await world.ask_host("GET", "/soak/vitals")), **latencies}


async def _latencies(world: World, number: int) -> dict[str, float]:
    """Milliseconds: medians and 99th percentiles, and each median as a multiple of that of ``/healthz`` beside it."""
    took: dict[str, list[float]] = {key: [] for key in ("healthz", "state", "send", "recv", "event")}
    await world.ask("POST", f"/api/agents/{PROBED}/pause")
    async with mcp(world.door(PROBED)) as line, stream(world.port, world.token, "/api/events") as events:
        for _ in range(number):
            await _probe(world, line, events, took)
    await world.ask("POST", f"/api/agents/{PROBED}/resume")
    found: dict[str, float] = {}
    for key, values in took.items():
        cuts = quantiles(values, n=100)
        found[f"p50 {key}"], found[f"p99 {key}"] = cuts[49], cuts[98]
    for key in ("state", "send", "recv", "event"):
        found[f"p50 {key}/healthz"] = found[f"p50 {key}"] / found["p50 healthz"]
    return found


async def _probe(world: World, line: Any, events: asyncio.StreamReader, took: dict[str, list[float]]) -> None:
    for path, key in (("/healthz", "healthz"), ("/api/state", "state")):
        began = time.perf_counter()
        await world.http.get(path)
        took[key].append((time.perf_counter() - began) * 1e3)
    waiting = asyncio.create_task(line.call("recv", wait_seconds=30))
    await asyncio.sleep(0.01)
    began = time.perf_counter()
    sent = await world.ask("POST", "/api/messages", {"to": PROBED, "body": "Are you there?"})
    took["send"].append((time.perf_counter() - began) * 1e3)
    await waiting
    took["recv"].append((time.perf_counter() - began) * 1e3)
    async with asyncio.timeout(30):
        await until(events, f'"id":{sent["id"]}'.encode())
    took["event"].append((time.perf_counter() - began) * 1e3)


def _line(number: int, seen: dict[str, float]) -> str:
    what = f"round {number}" if number else "warming up"
    words = [f"{seen[key]:.0f} {key}" for key in ("threads", "descriptors", "objects", "rows events")]
    words += [f"{seen[key] / 1024**2:.1f} MiB {key}" for key in ("rss", "hive.sqlite")]
    words += [f"{seen['turns a second']:.0f} turns/s", f"{seen['seconds to rest']:.0f} s to rest"]
    return f"{what}: {', '.join(words)}, load {os.getloadavg()[0]:.1f}"
