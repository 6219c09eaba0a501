"""The listening socket: small answers leave it at once."""

import asyncio
import socket

from hyperhive.web.server import bind


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
                option: int = await asyncio.wait_for(held, 10)
            server.close()
        return option

    assert asyncio.run(accepted())
