"""Tells subscribers which resources changed, in both protocol generations. Without any, nothing runs."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ResourceUpdated, ServerEvent
from mcp_types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from hyperhive.errors import Refused
from hyperhive.mcp.resources import Resources

PACE = 0.05
"""Seconds over which changes are gathered into one notification per resource."""
MAX_SUBSCRIPTIONS = 256
"""Resources that one connection may subscribe to."""

_log = logging.getLogger(__name__)
_STATE = "hyperhive.subscriptions"


class HiveBus:
    """The SDK's ``SubscriptionBus``, fed from ``Hive.changes`` while there is a listener.

    Runs on the event loop. A listener is told of a resource at most once per ``PACE``.
    """

    def __init__(self, *, resources: Resources) -> None:
        self._resources = resources
        self._listeners: dict[object, Callable[[ServerEvent], None]] = {}
        self._changed: frozenset[str] = frozenset()
        self._flush: asyncio.TimerHandle | None = None
        self._feeder: asyncio.Task[None] | None = None

    async def publish(self, event: ServerEvent) -> None:
        """Tell every listener."""
        self._tell(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register ``listener``; what is returned takes it back, once or more often."""
        token = object()
        self._listeners[token] = listener
        if self._feeder is None or self._feeder.done():
            self._feeder = asyncio.get_running_loop().create_task(self._feed())

        def unsubscribe() -> None:
            self._listeners.pop(token, None)
            if not self._listeners:
                self._rest()

        return unsubscribe

    def _rest(self) -> None:
        if self._feeder is not None:
            self._feeder.cancel()
            self._feeder = None
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    async def _feed(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for names in self._resources.hive.changes():
                self._changed |= names
                if self._flush is None:
                    self._flush = loop.call_later(PACE, self._publish_changed)
        except Exception:
            # Subscribers only lose the hint that there is news; the next one to subscribe starts it again.
            _log.exception("The feed of changed resources ended.")

    def _publish_changed(self) -> None:
        self._flush = None
        names, self._changed = self._changed, frozenset()
        for uri in self._resources.changed(names):
            self._tell(ResourceUpdated(uri=uri))

    def _tell(self, event: ServerEvent) -> None:
        for listener in tuple(self._listeners.values()):
            listener(event)


class _Subscriber:
    """One connection's subscriptions of the older generation, with one task that notifies it.

    What has not gone out yet is a set: a client that does not read costs its subscriptions, no more.
    """

    def __init__(self, *, bus: HiveBus, connection: Connection) -> None:
        self.uris: set[str] = set()
        self._connection = connection
        self._pending: dict[str, None] = {}
        self._news = asyncio.Event()
        self._unsubscribe = bus.subscribe(self._hear)
        self._task = asyncio.get_running_loop().create_task(self._notify())

    async def aclose(self) -> None:
        """End it."""
        self._unsubscribe()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _hear(self, event: ServerEvent) -> None:
        if isinstance(event, ResourceUpdated) and event.uri in self.uris:
            self._pending[event.uri] = None
            self._news.set()

    async def _notify(self) -> None:
        while await self._news.wait():
            self._news.clear()
            while self._pending:
                uri = next(iter(self._pending))
                del self._pending[uri]
                await self._connection.send_resource_updated(uri)


class LegacySubscriptions:
    """``resources/subscribe`` and ``resources/unsubscribe``, which the SDK leaves to the server."""

    def __init__(self, *, bus: HiveBus) -> None:
        self._bus = bus

    async def subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        """Subscribe the connection to a resource; one that does not exist never changes."""
        subscriber = self._subscriber(ctx)
        if len(subscriber.uris) >= MAX_SUBSCRIPTIONS and params.uri not in subscriber.uris:
            raise Refused(f"At most {MAX_SUBSCRIPTIONS} subscriptions a connection; end some first.")
        subscriber.uris.add(params.uri)
        return EmptyResult()

    async def unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """Take a subscription back."""
        self._subscriber(ctx).uris.discard(params.uri)
        return EmptyResult()

    def _subscriber(self, ctx: ServerRequestContext[Any, Any]) -> _Subscriber:
        # The SDK wants a connection's clean-up on its exit stack, but gives handlers no public way to it.
        connection: Connection = ctx.session._connection
        found = connection.state.get(_STATE)
        if isinstance(found, _Subscriber):
            return found
        made = _Subscriber(bus=self._bus, connection=connection)
        connection.state[_STATE] = made
        connection.exit_stack.push_async_callback(made.aclose)
        return made
