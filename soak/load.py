"""What goes on in a hive while it is under load: each of these runs until it is cancelled."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable

import httpx

from soak.clients import HELLO, connection, drain, mcp, stream
from soak.world import MANAGER, World

SERVICES = ("#store", "#hub", "#broker", "#gatekeeper")
_FAILED = (OSError, asyncio.IncompleteReadError, TimeoutError, httpx.HTTPError, ValueError)
_INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
_PROGRAMS = {"Accept": "application/json, text/event-stream"}


class Load:
    """Starts all of it, and ends it again.

    Args:
        brisk: how much of it there is; 1 for a hive of two hundred on two cores.
    """

    def __init__(self, world: World, *, brisk: float = 1.0) -> None:
        self._world = world
        self._brisk = brisk
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Everything at once."""
        many: list[tuple[Callable[[World], Awaitable[None]], int, float]] = [
            (_write, 2, 0.1),
            (_watch, 12, 0.2),
            (_stall, 2, 0.2),
            (_browse, 2, 0.2),
            (_follow, 3, 0.3),
            (_log_in, 1, 1.0),
            (_mcp_over_http, 1, 0.5),
            (_decide, 1, 0.5),
            (_operate, 1, 0.5),
            (_replace, 1, 1.0),
            (_propose, 1, 1.5),
            (_draft, 1, 3.0),
            (_kill, 1, 1.0),
            (_crash, 1, 1.5),
            (_hang_up, 1, 0.5),
            (_knock, 1, 0.5),
        ]
        for act, number, pause in many:
            for _ in range(number):
                self._tasks.append(asyncio.create_task(self._repeat(act, pause / self._brisk)))

    async def end(self) -> None:
        """Everything stops."""
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=1.0)  # a library may take a cancellation for its own
        self._tasks.clear()

    async def _repeat(self, act: Callable[[World], Awaitable[None]], pause: float) -> None:
        world = self._world
        while True:
            await asyncio.sleep(pause * world.random.uniform(0.5, 1.5))
            with contextlib.suppress(*_FAILED):
                await act(world)
                world.done[act.__name__.strip("_")] += 1


async def _write(world: World) -> None:
    await world.ask("POST", "/api/messages", {"to": world.any(), "body": "Go on. " * 30})


async def _watch(world: World) -> None:
    """A browser's stream, from a while ago, for a while."""
    after = max(0, (await world.state())["seq"] - 500) if world.random.random() < 0.2 else None
    path = "/api/events?views=1" + (f"&after={after}" if after is not None else "")
    async with stream(world.port, world.token, path) as reader:
        await drain(reader, world.random.uniform(0.2, 6.0))


async def _stall(world: World) -> None:
    """A reader that does not read."""
    async with stream(world.port, world.token, "/api/events?views=1"):
        await asyncio.sleep(world.random.uniform(1.0, 6.0))


async def _browse(world: World) -> None:
    name = world.any()
    pages = ["/", "/history", f"/agents/{name}", f"/agents/{name}?tab=messages", "/api/state", "/metrics"]
    pages += [f"/api/agents/{name}/{what}" for what in ("logs", "turns", "history", "build")]
    pages += ["/api/messages?limit=200", f"/api/messages?with={name}", "/api/stats", "/api/approvals"]
    await world.ask("GET", world.random.choice(pages))


async def _follow(world: World) -> None:
    what = world.random.choice(["logs?follow=1", "turns?follow=1", "build?follow=1"])
    async with stream(world.port, world.token, f"/api/agents/{world.any()}/{what}") as reader:
        await drain(reader, world.random.uniform(0.2, 3.0))


async def _log_in(world: World) -> None:
    """A browser that comes by a link, looks, and leaves, with or without a word."""
    link = (await world.ask_host("POST", "/api/entry-link"))["url"]
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as browser:
        await browser.get(link)
        if world.random.random() < 0.5:
            await browser.post(f"http://127.0.0.1:{world.port}/logout")


async def _mcp_over_http(world: World) -> None:
    began = await world.http.post("/mcp", json=_INITIALIZE, headers=_PROGRAMS)
    headers = _PROGRAMS | {"Mcp-Session-Id": began.headers.get("mcp-session-id", "")}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_agents"}}
    await world.http.post("/mcp", json=call, headers=headers)
    await world.http.request("DELETE", "/mcp", headers=headers)


async def _decide(world: World) -> None:
    """The operator settles what waits, and reads the mail."""
    state = await world.state()
    for question in state["questions"]:
        await world.ask("POST", f"/api/questions/{question['id']}/answer", {"answer": "a"})
    for approval in state["approvals"]:
        what = world.random.choice(["approve", "approve", "deny", "revise"])
        await world.ask("POST", f"/api/approvals/{approval['id']}/{what}", {"note": "as you like"})
    await world.ask("POST", "/api/inbox/take", {"max": 32})


async def _operate(world: World) -> None:
    name = world.any()
    if world.random.random() < 0.5:
        config = world.home / "agents" / name / "applied" / "agent.toml"
        model = world.random.choice(["haiku", "sonnet", "opus"])
        await asyncio.to_thread(config.write_text, f'model = "{model}"\n')
    for action in world.random.choice([["restart"], ["update"], ["pause", "resume"], ["stop", "start"]]):
        await world.ask("POST", f"/api/agents/{name}/{action}")


async def _replace(world: World) -> None:
    """One agent goes and another comes."""
    purge = world.random.random() < 0.8
    await world.ask("DELETE", f"/api/agents/{world.any()}?purge={'true' if purge else 'false'}")
    await world.ask("POST", "/api/agents", {"name": world.new()})


async def _propose(world: World) -> None:
    """The manager commits a change and asks for it."""
    name = world.any()
    sha = await _commit(world, name)
    async with mcp(world.door(MANAGER)) as line:
        await line.call("request_apply_commit", name=name, commit_ref=sha)


async def _commit(world: World, name: str) -> str:
    folder = world.home / "agents" / name / "proposed"
    (folder / "agent.toml").write_text(f'model = "{random.choice(["haiku", "sonnet"])}"\n')
    (folder / "prompt.md").write_text(f"Be brief. {random.random()}\n")
    await _git(folder, "add", "--all")
    await _git(folder, "commit", "--quiet", "--message", "Change the prompt")
    return await _git(folder, "rev-parse", "HEAD")


async def _git(folder: os.PathLike[str], *words: str) -> str:
    who = {f"GIT_{role}_{what}": "soak" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **who}
    git = await asyncio.create_subprocess_exec(
        "git", "-C", str(folder), *words, env=env, stdout=-1, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        said, _ = await git.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            git.kill()
        await git.wait()
        raise
    return said.decode().strip()


async def _draft(world: World) -> None:
    name = world.new()
    async with mcp(world.door(MANAGER)) as line:
        await line.call("request_spawn_draft", name=name)
        if world.random.random() < 0.5:
            await line.call("request_spawn_commit", name=name, commit_ref=await _commit(world, name))
    await world.ask("DELETE", f"/api/drafts/{name}")


async def _kill(world: World) -> None:
    if (pid := world.pid(world.any())) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _crash(world: World) -> None:
    name = world.random.choice(SERVICES) if world.random.random() < 0.2 else world.any()
    await world.ask_host("POST", f"/soak/crash/{name.replace('#', '%23')}")


async def _hang_up(world: World) -> None:
    world.hang_up(world.any())


async def _knock(world: World) -> None:
    """Strangers at every door: half a request, a line that is none, no word at all."""
    name, junk = world.any(), os.urandom(200)
    for path in (world.run / "agents" / name / "hive.sock", world.door(name)):
        async with connection(path) as (reader, writer):
            writer.write(junk + b"\n" if world.random.random() < 0.5 else b"")
            await drain(reader, world.random.uniform(0.1, 1.0))
    async with connection(world.port) as (_, writer):
        writer.write(world.random.choice([b"GET / HTTP/1.1\r\nHo", b"\x00\xff\r\n\r\n", junk]))
        await asyncio.sleep(0.2)
