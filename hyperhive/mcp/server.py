"""HiveServer: the SDK's server with refusals in one sentence, resources from the hive, and bounded calls."""

import logging
from collections.abc import Iterable
from typing import Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    CallToolResult,
    InputRequiredResult,
    Resource,
    ResourceTemplate,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl, ValidationError

import hyperhive
from hyperhive.errors import HiveError
from hyperhive.mcp.changes import HiveBus, LegacySubscriptions
from hyperhive.mcp.resources import MIME, Resources

MAX_CALLS = 64
"""Requests of one surface that may be under way at once, over all its connections."""


class HiveServer(MCPServer[dict[str, Any]]):
    """One surface. Who it acts for is bound in its tools.

    Logging must be set up before the first one is made: the SDK configures the root logger if nobody has.

    Args:
        instructions: what a model is told of the surface, in a sentence or two.
    """

    def __init__(self, *, instructions: str, tools: list[Tool], resources: Resources) -> None:
        # The SDK logs every refusal with whatever the caller named; a hostile agent would fill the log with it.
        logging.getLogger("mcp").setLevel(logging.WARNING)
        bus = HiveBus(resources=resources)
        super().__init__(
            "hyperhive",
            instructions=instructions,
            version=hyperhive.__version__,
            tools=tools,
            subscriptions=bus,
            middleware=[_BoundedCalls()],
        )
        self._resources = resources
        legacy = LegacySubscriptions(bus=bus)
        self.lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, legacy.subscribe)
        self.lowlevel.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, legacy.unsubscribe
        )

    @property
    def lowlevel(self) -> Server[dict[str, Any]]:
        """The SDK's own server beneath, which transports drive; the SDK has no public name for it yet."""
        return self._lowlevel_server

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. A refusal is a ``ToolError`` of one sentence; a bug is masked and logged."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            cause = error.__cause__
            match cause:
                case HiveError():
                    raise ToolError(cause.message) from None
                case ValidationError():
                    raise ToolError(_misfit(name, cause)) from cause
                case ToolError() if not isinstance(error, UnexpectedToolError):
                    raise ToolError(str(cause)) from None
                case None:
                    known = ", ".join(tool.name for tool in await self.list_tools())
                    raise ToolError(f"There is no tool {ascii(name)[:60]}; there are: {known}.") from None
                case _:
                    broken = f"{name} failed by a fault of the hive; its log says more. Try once more later."
                    raise UnexpectedToolError(broken) from cause

    async def list_resources(self) -> list[Resource]:
        """The resources as of now."""
        return self._resources.list()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """Patterns of resources."""
        return list(self._resources.templates)

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[dict[str, Any], Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """One resource as JSON."""
        try:
            return [ReadResourceContents(content=await self._resources.read(str(uri)), mime_type=MIME)]
        except HiveError as error:
            raise ResourceError(error.message) from None


class _BoundedCalls:
    """Middleware: a caller that floods is refused, nobody else notices. Refusals become protocol errors."""

    def __init__(self) -> None:
        self._under_way = 0

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:
            return await call_next(ctx)
        if self._under_way >= MAX_CALLS:
            raise MCPError(
                INTERNAL_ERROR, f"More than {MAX_CALLS} calls at once; wait until some have ended."
            )
        self._under_way += 1
        try:
            return await call_next(ctx)
        except HiveError as error:
            raise MCPError(INVALID_REQUEST, error.message) from None
        finally:
            self._under_way -= 1


def _misfit(tool: str, error: ValidationError) -> str:
    """What is wrong with the arguments, without repeating them."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ascii(".".join(str(part) for part in first["loc"]))[1:-1][:60]
    match first["type"]:
        case "extra_forbidden":
            return f"{tool} takes no argument '{where}'; leave it out."
        case "missing":
            return f"{tool} needs the argument '{where}'; give it."
        case _:
            reason = first["msg"][:1].lower() + first["msg"][1:]
            return f"{tool} cannot take this '{where}': {reason}."
