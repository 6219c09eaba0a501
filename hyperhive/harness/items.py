"""What Claude Code says, as happenings. Only this module knows the SDK's message types; it never raises."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from hyperhive.domain.turns import TurnState, TurnUsage
from hyperhive.harness.claude import (
    ApiError,
    Began,
    Context,
    Ended,
    Happening,
    Limited,
    NotCompacted,
    Noted,
    Phase,
)

_RETRY_STATES = {"rate_limit": TurnState.RATE_LIMITED, "authentication_failed": TurnState.THINKING}
_CONNECTED = frozenset({"connected", "pending"})


def happenings(message: object) -> Iterator[Happening]:
    """What ``message`` of the SDK's means; nothing for what is of no interest or cannot be read."""
    try:
        found = tuple(_of(message))
    except Exception as error:  # a newer Claude Code may say anything; no turn ends by it
        yield Noted("trouble", f"A message of Claude Code's could not be read: {error!r:.300}")
        return
    yield from found


def _of(message: object) -> Iterator[Happening]:
    match message:
        case AssistantMessage():
            yield from _blocks(message.content)
            if message.error is not None:
                yield ApiError(str(message.error))
            elif message.parent_tool_use_id is None and message.usage is not None:
                usage = _usage(message.usage, 0)
                yield Context(usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens)
        case UserMessage(content=list() as content):
            yield from (item for item in _blocks(content) if item.type == "tool_result")
        case ResultMessage():
            yield from _result(message)
        case RateLimitEvent():
            yield from _rate_limit(message)
        case SystemMessage():
            yield from _system(message.subtype, message.data)


def _blocks(content: list[Any]) -> Iterator[Noted]:
    for block in content:
        match block:
            case TextBlock():
                yield Noted("text", block.text)
            case ThinkingBlock():
                if block.thinking:
                    yield Noted("thinking", block.thinking)
            case ToolUseBlock():
                yield Noted("tool_use", _json(block.input), {"tool": block.name, "call": block.id})
            case ToolResultBlock():
                data = {"call": block.tool_use_id, "error": bool(block.is_error)}
                yield Noted("tool_result", _flat(block.content), data)


def _result(message: ResultMessage) -> Iterator[Happening]:
    ok = not message.is_error and message.subtype == "success"
    text = message.result or "; ".join(str(error) for error in message.errors or ())
    usage = _usage(message.usage or {}, message.duration_ms)
    counted = {name: count for name, count in asdict(usage).items() if name != "cost_usd"}
    data = {"ok": ok, "rounds": message.num_turns, **counted}
    yield Noted("result", text, data)
    yield Ended(
        ok=ok,
        status=message.api_error_status,
        reason=message.terminal_reason or message.subtype,
        text=text,
        session=_session(message.session_id) or None,
        total_cost=float(message.total_cost_usd or 0.0),
        usage=usage,
    )


def _usage(usage: dict[str, Any], duration_ms: int) -> TurnUsage:
    def count(key: str) -> int:
        value = usage.get(key)
        return value if isinstance(value, int) and value > 0 else 0

    return TurnUsage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
        cache_write_tokens=count("cache_creation_input_tokens"),
        duration_ms=max(0, int(duration_ms)),
    )


def _rate_limit(message: RateLimitEvent) -> Iterator[Happening]:
    info = message.rate_limit_info
    if info.status == "rejected":
        resets = datetime.fromtimestamp(info.resets_at, UTC) if info.resets_at else None
        yield Limited(resets)


def _system(subtype: str, data: dict[str, Any]) -> Iterator[Happening]:
    match subtype:
        case "init":
            servers = [server for server in data.get("mcp_servers") or () if isinstance(server, dict)]
            own = (str(server.get("status")) for server in servers if server.get("name") == "hyperhive")
            unavailable = next((status for status in own if status not in _CONNECTED), "")
            version = str(data.get("claude_code_version", ""))[:100]
            yield Began(_session(data.get("session_id")), unavailable, version)
        case "api_retry":
            kind, attempt, most = data.get("error"), data.get("attempt"), data.get("max_retries")
            status = data.get("error_status")
            note = f"The API answers {status or 'nothing'} ({kind}); attempt {attempt} of {most}."
            yield Noted("retry", note, {"attempt": attempt, "max": most, "status": status, "error": kind})
            yield Phase(_RETRY_STATES.get(str(kind), TurnState.OFFLINE), note)
        case "status":
            yield from _status(data)
        case "compact_boundary":
            tokens = data.get("compact_metadata") or {}
            before, after = tokens.get("pre_tokens"), tokens.get("post_tokens")
            yield Noted(
                "compact",
                f"Compacted: {before} tokens before, {after} after.",
                {"before": before, "after": after},
            )


def _status(data: dict[str, Any]) -> Iterator[Happening]:
    if data.get("status") == "compacting":
        yield Phase(TurnState.COMPACTING)
    result = data.get("compact_result")
    if result not in (None, "success"):
        yield NotCompacted(f"{result} {data.get('compact_error') or ''}".strip()[:300])


def _session(value: object) -> str:
    """A session id as the wire takes it; anything else is none."""
    return value if isinstance(value, str) and value.isascii() and len(value) <= 128 else ""


def _flat(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a tool's result; what is no text is named."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = (
        str(part.get("text", "")) if part.get("type") == "text" else f"[{part.get('type', 'something')}]"
        for part in content
    )
    return "\n".join(parts)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
