"""The HTTP server: uvicorn, told what this project needs and nothing that it would tell others."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from hyperhive.web.listener import Complaints, Listener, descriptors
from hyperhive.web.protocol import BoundedProtocol
from hyperhive.web.strangers import MOST_STRANGERS, Strangers

GRACE = 3
"""Seconds that requests under way may take to end when the server stops."""
MOST_CONNECTIONS = 4_000
"""Connections at once; further ones are answered 503."""
_LET_IN = 3
"""Turns of the event loop until who was accepted just now is a connection, which can be ended as all others are."""


class Server(uvicorn.Server):
    """A server that ends its streams when it stops, so that stopping takes no grace period.

    Signals are the daemon's: it sets ``should_exit``.

    Args:
        app: what to serve.
        stopping: called when it stops, each ends streams (``Streams.close``, ``McpHttp.stop``).
        lifespan: whether the app has one.
        protocol: what speaks HTTP on a connection.
        strangers: the connections on which nobody has logged in.
    """

    def __init__(
        self,
        *,
        app: ASGIApp,
        stopping: Iterable[Callable[[], None]] = (),
        lifespan: bool = False,
        protocol: type[BoundedProtocol] = BoundedProtocol,
        strangers: Strangers | None = None,
    ) -> None:
        self._exit = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        share = descriptors() // 4
        strangers = strangers or Strangers(most=min(MOST_STRANGERS, share))
        speaking: Any = partial(protocol, strangers=strangers)
        super().__init__(
            uvicorn.Config(
                app,
                http=speaking,
                ws=cast("type[asyncio.Protocol]", _websocket),
                lifespan="on" if lifespan else "off",
                log_config=None,
                access_log=False,
                # Whoever runs a proxy names its host; what a header says of addresses is not believed.
                proxy_headers=False,
                server_header=False,
                limit_concurrency=min(MOST_CONNECTIONS, 3 * share),
                timeout_keep_alive=30,
                timeout_graceful_shutdown=GRACE,
                ws_max_size=1024 * 1024,
            )
        )
        self._stopping = tuple(stopping)

    @property
    def should_exit(self) -> bool:  # uvicorn's is looked at ten times a second
        """Whether to stop: at once if set on its loop, else within half a second."""
        return self._exiting

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._exiting = value
        with contextlib.suppress(RuntimeError):  # another thread, without a loop
            if value and asyncio.get_running_loop() is self._loop:
                self._exit.set()

    async def main_loop(self) -> None:
        """Serve until ``should_exit``; the date that answers carry is set on the way."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._exit.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: no new connections, streams end, requests under way get ``GRACE`` seconds."""
        for stop in self._stopping:
            stop()
        for bound in sockets or ():
            asyncio.get_running_loop().remove_reader(bound)
        for _ in range(_LET_IN):
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def _websocket(*args: Any, **kwargs: Any) -> asyncio.Protocol:
    """What speaks WebSocket on a connection, imported by the first one: it takes as long as half of a start."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(*args, **kwargs)


async def serve(server: Server, bound: socket.socket) -> None:
    """Serve on ``bound``, which is taken over, until ``server.should_exit``; leaves signals alone."""
    loop = asyncio.get_running_loop()
    if loop.get_exception_handler() is None:
        loop.set_exception_handler(Complaints())
    # serve() would take the process's signals, which are the daemon's.
    with Listener.of(bound) as listener:
        await server._serve([listener])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket: who connects before the server runs waits for it. Port 0: any free one.

    Raises:
        OSError: the address is taken or is not this machine's.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    # asyncio sends small answers at once only on a socket that names its protocol; else each takes 40 ms more.
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(2048)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
