"""The byte pump between Claude Code's stdio and the MCP socket."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hyperhive.harness.command import PUMP


@asynccontextmanager
async def pump(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(PUMP), str(path), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_bytes_pass_both_ways_unchanged_and_the_end_of_one_side_is_the_end(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.write(b"bye")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(echo, tmp_path / "s")
    blob = os.urandom(3_000_000)
    async with pump(tmp_path / "s") as process:
        out, err = await asyncio.wait_for(process.communicate(blob), 60)
        assert (out, err, process.returncode) == (blob + b"bye", b"", 0)
    server.close()


async def test_it_ends_when_the_socket_ends_though_stdin_stays_open(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "s")
    async with pump(tmp_path / "s") as process:
        assert await asyncio.wait_for(process.wait(), 30) == 0
        assert process.stdin is not None
        process.stdin.close()
    server.close()


@pytest.mark.slow
async def test_it_ends_when_stdin_ends_though_the_socket_stays_open(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def sit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await released.wait()
        writer.close()

    server = await asyncio.start_unix_server(sit, tmp_path / "s")
    async with pump(tmp_path / "s") as process:
        await asyncio.wait_for(process.communicate(b""), 30)
    released.set()
    server.close()


async def test_it_waits_for_a_socket_that_is_late(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with pump(tmp_path / "s") as process:
        server = await asyncio.start_unix_server(greet, tmp_path / "s")
        assert process.stdout is not None and process.stdin is not None
        assert await asyncio.wait_for(process.stdout.read(), 30) == b"hello"
        await asyncio.wait_for(process.wait(), 30)
        process.stdin.close()
        server.close()


INITIALIZE: dict[str, object] = {"jsonrpc": "2.0", "id": 0, "method": "initialize"}
INITIALIZED: dict[str, object] = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def encoded(*messages: dict[str, object]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


async def test_it_goes_over_to_a_daemon_that_was_started_again(tmp_path: Path) -> None:
    heard: list[tuple[int, str]] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while line := await reader.readline():
            message = json.loads(line)
            heard.append((number, message["method"]))
            if message["method"] == "lost":
                break
            if "id" in message:
                writer.write(encoded({"jsonrpc": "2.0", "id": message["id"], "result": {"by": number}}))
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    async with pump(tmp_path / "s") as process:
        assert process.stdin is not None and process.stdout is not None

        async def call(*messages: dict[str, object]) -> dict[str, object]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(encoded(*messages))
            answer: dict[str, object] = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            return answer

        assert (await call(INITIALIZE))["result"] == {"by": 1}
        lost = await call(INITIALIZED, {"jsonrpc": "2.0", "id": "a", "method": "lost"})
        assert (lost["id"], "error" in lost) == ("a", True)
        assert (await call({"jsonrpc": "2.0", "id": 2, "method": "again"}))["result"] == {"by": 2}
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    opening = ["initialize", "notifications/initialized"]
    assert heard == [*((1, m) for m in (*opening, "lost")), *((2, m) for m in (*opening, "again"))]
    server.close()
