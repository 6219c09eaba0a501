"""The listening socket and its connections: small answers leave at once, and connections are counted."""

import asyncio
import socket

import pytest
from starlette.applications import Starlette

from hyperhive.web import server as web_server
from hyperhive.web.server import Server, bind, serve


def test_connections_hold_no_small_answer_back() -> None:
    async def accepted() -> int:
        held = asyncio.get_running_loop().create_future()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sock = writer.get_extra_info("socket")
            held.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind("127.0.0.1", 0) as bound:
            server = await asyncio.start_server(connected, sock=bound)
            with socket.create_connection(bound.getsockname()):
                option: int = await asyncio.wait_for(held, 40)
            server.close()
        return option

    assert asyncio.run(accepted())


async def test_connections_beyond_a_number_are_answered_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "MOST_CONNECTIONS", 3)
    server = Server(app=Starlette())
    bound = bind("127.0.0.1", 0)
    serving = asyncio.create_task(serve(server, bound))
    port = bound.getsockname()[1]
    try:
        assert await _asked(port) == b"HTTP/1.1 404 Not Found"
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await _asked(port) == b"HTTP/1.1 503 Service Unavailable"
        for _, writer in others:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(60):
            while await _asked(port) != b"HTTP/1.1 404 Not Found":
                pass
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize("turns", range(5))
async def test_who_is_being_let_in_when_the_server_stops_holds_up_no_end_of_it(
    turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(app=Starlette())
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    serving = asyncio.create_task(serve(server, bound))
    assert await _asked(port) == b"HTTP/1.1 404 Not Found"
    with socket.create_connection(("127.0.0.1", port), timeout=60):
        for _ in range(turns):
            await asyncio.sleep(0)
        server.should_exit = True
        await asyncio.wait_for(serving, 60)
    assert "shutdown exceeded" not in caplog.text


async def _asked(port: int) -> bytes:
    """The first line of an answer on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    try:
        async with asyncio.timeout(60):
            return (await reader.readline()).strip()
    finally:
        writer.close()
        await writer.wait_closed()
