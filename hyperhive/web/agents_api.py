"""``/api/agents`` and ``/api/kept``: the agents' commands, logs, turns, configs, builds and generations."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING

from pydantic import Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.value import Value
from hyperhive.errors import HiveError, Unknown
from hyperhive.hive import Action, Hive, Operated
from hyperhive.web import asked
from hyperhive.web.streams import Streams
from hyperhive.web.told import Told

if TYPE_CHECKING:
    from sse_starlette import ServerSentEvent

MOST_LINES = 10_000
"""Lines of a log in one answer."""
MOST_ITEMS = 2_000
"""Turn events in one answer."""
LONGEST_WAIT = 300
"""Seconds that a command may wait for its outcome."""

_CONFIG, _PROMPT = "agent.toml", "prompt.md"
_OPERATED = TypeAdapter(Operated)


class NewAgent(Value):
    """``POST /api/agents``."""

    name: str


class Back(Value):
    """``POST /api/agents/{name}/rollback``: to which generation; ``None``: the one before the present one."""

    generation: int | None = Field(default=None, ge=1, le=asked.HIGHEST)


class AgentsApi:
    """The routes about agents.

    Args:
        hive: the hive.
        streams: where followed logs and turns count.
    """

    def __init__(self, *, hive: Hive, streams: Streams) -> None:
        self._hive = hive
        self._streams = streams

    def routes(self) -> list[Route]:
        """The routes."""
        agent = "/api/agents/{name}"
        return [
            Route("/api/agents", self.spawn, methods=["POST"]),
            Route(agent, self.destroy, methods=["DELETE"]),
            *(Route(f"{agent}/{a}", self._operation(a), methods=["POST"], name=a) for a in Action),
            Route(f"{agent}/logs", self.logs),
            Route(f"{agent}/turns", self.turns),
            Route(f"{agent}/history", self.history),
            Route(f"{agent}/rollback", self.rollback, methods=["POST"]),
            Route(f"{agent}/build", self.build),
            Route("/api/agent-config/{name}", self.config),
            Route("/api/kept/{name}/revive", self.revive, methods=["POST"]),
            Route("/api/kept/{name}/purge", self.purge, methods=["POST"]),
        ]

    async def spawn(self, request: Request) -> Response:
        new = await asked.body(request, NewAgent)
        return _accepted(await self._hive.spawn(check_name(new.name), by=OPERATOR))

    async def destroy(self, request: Request) -> Response:
        name, purge = asked.name(request), asked.flag(request, "purge")
        return _accepted(await self._hive.destroy(name, purge=purge, by=OPERATOR))

    async def logs(self, request: Request) -> Response:
        name = self._known(request)
        lines = asked.query(request, "lines", default=100, most=MOST_LINES)
        if not asked.flag(request, "follow"):
            return PlainTextResponse(await self._hive.logs(name, lines=lines))
        from hyperhive.web import following

        return self._follow(request, following.lines("log", self._hive.follow_logs(name, lines=lines)))

    async def turns(self, request: Request) -> Response:
        name = self._known(request)
        after = asked.resume(request) or 0
        if not asked.flag(request, "follow"):
            limit = asked.query(request, "limit", default=500, least=1, most=MOST_ITEMS)
            items = await self._hive.turns(name, after=after, limit=limit)
            return Told({"items": items})
        from hyperhive.web import following

        return self._follow(request, following.turns(self._hive.follow_turns(name, after=after)))

    async def history(self, request: Request) -> Response:
        found = await self._hive.history(asked.name(request))
        return Told({"generations": found})

    async def rollback(self, request: Request) -> Response:
        name, wait = asked.name(request), _wait(request)
        target = await asked.body(request, Back)
        operated = await self._hive.rollback(name, generation=target.generation, by=OPERATOR, wait=wait)
        return _accepted(operated, waited=wait > 0)

    async def build(self, request: Request) -> Response:
        name = self._known(request, drafts=True)
        if not asked.flag(request, "follow"):
            return PlainTextResponse(await self._hive.build_log(name))
        from hyperhive.web import following

        lines = following.lines("build", self._hive.follow_build(name))
        return self._follow(request, following.ended(lines))

    async def config(self, request: Request) -> Response:
        name = asked.name(request)
        if asked.choice(request, "file", (_CONFIG, _PROMPT), default=_CONFIG) == _PROMPT:
            if (prompt := await self._hive.agent_prompt(name)) is None:
                raise Unknown(f"What '{name}' was built from has no {_PROMPT}.", code="no-prompt")
            return PlainTextResponse(prompt)
        config, more = await self._hive.agent_config(name), {}
        with contextlib.suppress(HiveError):  # what is asked for can be shown all the same
            if await self._hive.agent_prompt(name) is not None:
                more["link"] = f'</api/agent-config/{name}?file={_PROMPT}>; rel="related"'
        return PlainTextResponse(config, headers=more)

    async def revive(self, request: Request) -> Response:
        return _accepted(await self._hive.revive(asked.name(request), by=OPERATOR))

    async def purge(self, request: Request) -> Response:
        kept = await self._hive.purge(asked.name(request), by=OPERATOR)
        return Told(kept)

    def _operation(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def operate(request: Request) -> Response:
            name, wait = asked.name(request), _wait(request)
            operated = await self._hive.operate(action, name, by=OPERATOR, wait=wait)
            return _accepted(operated, waited=wait > 0)

        return operate

    def _known(self, request: Request, *, drafts: bool = False) -> str:
        """The name in the path, of what exists: a stream cannot refuse once it has begun.

        Args:
            drafts: a draft will do too; it may have been built, and failed.
        """
        name, snapshot = asked.name(request), self._hive.snapshot()
        found = drafts and any(draft.name == name for draft in snapshot.drafts)
        if not found and snapshot.agent(name) is None:
            known = ", ".join(agent.name for agent in snapshot.agents) or "none"
            raise Unknown(f"There is no agent '{name}'; there are: {known}.", code="unknown-agent")
        return name

    def _follow(self, request: Request, frames: "AsyncGenerator[ServerSentEvent, None]") -> Response:
        from hyperhive.web import following

        self._streams.check()
        return following.response(self._streams.guard(request.scope, frames))


def _wait(request: Request) -> float:
    return float(asked.query(request, "wait", default=0, most=LONGEST_WAIT))


def _accepted(operated: Operated, *, waited: bool = False) -> Response:
    """202, also when nothing was to be done; 200 for an outcome that was waited for."""
    status = 200 if waited and operated.ok is not None else 202
    return JSONResponse(_OPERATED.dump_python(operated, mode="json"), status)
