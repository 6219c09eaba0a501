"""``/api/state``, ``/api/events``, messages, questions, stats; ``/healthz`` and ``/metrics``."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hyperhive.domain.messages import MAX_BATCH
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.value import Value
from hyperhive.hive import Hive
from hyperhive.web import asked, metrics
from hyperhive.web.streams import Streams
from hyperhive.web.told import Told

MOST_EVENTS = 10_000
"""Events in one answer that is no stream."""
MOST_MESSAGES = 1_000
"""Messages in one answer."""
LONGEST_SINCE = 366 * 86_400
"""Seconds that the series go back."""


class NewMessage(Value):
    """``POST /api/messages``."""

    to: str
    body: str


class Answer(Value):
    """``POST /api/questions/{id}/answer``."""

    answer: str = Field(min_length=1, max_length=16_000)


class Take(Value):
    """``POST /api/inbox/take``."""

    max: int = Field(default=MAX_BATCH, ge=1, le=MAX_BATCH)


class HiveApi:
    """The routes about the hive as a whole."""

    def __init__(self, *, hive: Hive, streams: Streams) -> None:
        self._hive = hive
        self._streams = streams

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        question = "/api/questions/{id}"
        return [
            Route("/healthz", self.healthz),
            Route("/metrics", self.metrics),
            Route("/api/state", self.state),
            Route("/api/events", Events(hive=self._hive, streams=self._streams), methods=["GET"]),
            Route("/api/messages", self.messages, methods=["GET"]),
            Route("/api/messages", self.send, methods=["POST"]),
            Route("/api/inbox/take", self.take, methods=["POST"]),
            Route(f"{question}/answer", self.answer, methods=["POST"]),
            Route(f"{question}/cancel", self.cancel, methods=["POST"]),
            Route("/api/stats", self.stats),
        ]

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        samples = [*self._hive.metrics(), ("hyperhive_http_streams", {}, float(self._streams.count))]
        return Response(metrics.render(samples), media_type=metrics.CONTENT_TYPE)

    async def state(self, request: Request) -> Response:
        return Response(self._hive.snapshot_json(), media_type="application/json")

    async def messages(self, request: Request) -> Response:
        peer = asked.peer(request.query_params.get("with"))
        after = asked.query(request, "after", default=0)
        limit = asked.query(request, "limit", default=200, least=1, most=MOST_MESSAGES)
        found = await self._hive.messages(peer=peer, after=after, limit=limit)
        return Told({"messages": found})

    async def send(self, request: Request) -> Response:
        new = await asked.body(request, NewMessage)
        to = new.to if new.to == OPERATOR else check_name(new.to)
        sent = await self._hive.send(sender=OPERATOR, to=to, body=new.body)
        return Told(sent, 201)

    async def take(self, request: Request) -> Response:
        wanted = await asked.body(request, Take)
        taken = await self._hive.recv(OPERATOR, limit=wanted.max)
        return Told({"messages": taken})

    async def answer(self, request: Request) -> Response:
        id, given = asked.id(request), await asked.body(request, Answer)
        question = await self._hive.answer(id, answer=given.answer, by=OPERATOR)
        return Told(question)

    async def cancel(self, request: Request) -> Response:
        question = await self._hive.cancel_question(asked.id(request), by=OPERATOR)
        return Told(question)

    async def stats(self, request: Request) -> Response:
        since = asked.query(request, "since", default=86_400, most=LONGEST_SINCE)
        agent = request.query_params.get("agent")
        checked = None if agent is None else check_name(agent)
        rows = await self._hive.stats(since=float(since), agent=checked)
        return Response(b'{"turns":%b}' % rows, media_type="application/json")


class Events:
    """``GET /api/events``, plain ASGI: the hub's bytes go out as they are."""

    def __init__(self, *, hive: Hive, streams: Streams) -> None:
        self._hive = hive
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        after, kinds = asked.resume(request), asked.kinds(request)
        views = asked.flag(request, "views")
        limit = asked.query(request, "limit", default=1_000, least=1, most=MOST_EVENTS)
        if not asked.flag(request, "follow", default=True):
            found = await self._hive.events(after=after or 0, limit=limit, kinds=kinds)
            answer = Response(f'{{"events":[{",".join(found)}]}}', media_type="application/json")
            await answer(scope, receive, send)
            return
        self._streams.check()
        frames = self._hive.stream(after=after, kinds=kinds, views=views)
        await self._streams.send(scope, receive, send, frames)
