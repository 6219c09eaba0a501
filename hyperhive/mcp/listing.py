"""The list of agents as a tool's answer: encoded once per change, however often it is asked for."""

from mcp_types import CallToolResult, TextContent

from hyperhive.domain.views import AgentView
from hyperhive.mcp.results import Agents, AgentStatus


class Listing:
    """Keeps the last answer, and each agent's part in it for as long as its view is the same."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[AgentView, AgentStatus]] = {}
        self._answer: CallToolResult | None = None

    def answer(self, views: tuple[AgentView, ...]) -> CallToolResult:
        """An ``Agents`` that shows ``views``, as content and as text."""
        parts = {view.name: (view, self._status(view)) for view in views}
        changed = len(parts) != len(self._parts) or any(
            part[1] is not was[1] for part, was in zip(parts.values(), self._parts.values(), strict=True)
        )
        if changed or self._answer is None:
            agents = Agents(agents=tuple(status for _, status in parts.values()))
            self._answer = CallToolResult(
                content=[TextContent(type="text", text=agents.model_dump_json())],
                structured_content=agents.model_dump(mode="json"),
            )
        self._parts = parts
        return self._answer.model_copy()

    def _status(self, view: AgentView) -> AgentStatus:
        was, status = self._parts.get(view.name, (None, None))
        return status if was is view and status is not None else AgentStatus.of(view)
