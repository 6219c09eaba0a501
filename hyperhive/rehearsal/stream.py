"""Answers in the shapes of the Messages API: server-sent events, or one JSON object; with token counts."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from hyperhive.rehearsal.engine import Call, Part, Pause, Text

MAX_PIECES = 400
"""Pieces of one streamed text, so that a long one does not take for ever."""
_PIECE = 16
_CHARACTERS_PER_TOKEN = 4


def tokens(characters: int) -> int:
    """About how many tokens so many characters are."""
    return max(1, characters // _CHARACTERS_PER_TOKEN)


def usage(body: dict[str, Any], size: int) -> dict[str, Any]:
    """The input side of ``usage``: what came before the last message counts as read from the cache.

    Args:
        body: the request.
        size: its length, in bytes.
    """
    tail = tokens(len(json.dumps(body["messages"][-1])))
    known = max(0, tokens(size) - tail)
    later = any(isinstance(m, dict) and m.get("role") == "assistant" for m in body["messages"])
    return {
        "input_tokens": min(4, tail),
        "cache_creation_input_tokens": tail if later else known + tail,
        "cache_read_input_tokens": known if later else 0,
    }


def output_tokens(parts: tuple[Part, ...]) -> int:
    """About how many tokens an answer has."""
    return sum(tokens(len(_plain(part))) for part in parts if isinstance(part, Text | Call))


def _plain(part: Text | Call) -> str:
    return part.text if isinstance(part, Text) else part.tool + json.dumps(part.input)


def pieces(text: str, *, size: int = _PIECE) -> list[str]:
    """``text`` cut at the ends of words into at most ``MAX_PIECES`` pieces of about ``size`` characters."""
    size = max(size, len(text) // MAX_PIECES + 1)
    return re.findall(rf"(?s).{{{size}}}\S{{0,{size}}}\s?|.+", text)


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def message(parts: tuple[Part, ...], *, model: str, given: dict[str, Any]) -> dict[str, Any]:
    """The whole answer as one object, as a request without ``stream`` gets it."""
    content = [_block(part, whole=True) for part in parts if isinstance(part, Text | Call)]
    return {
        **envelope(model=model, given=given),
        "content": content,
        "stop_reason": stop_reason(parts),
        "usage": {**given, "output_tokens": output_tokens(parts)},
    }


def envelope(*, model: str, given: dict[str, Any]) -> dict[str, Any]:
    """A message before anything is said in it."""
    return {
        "id": f"msg_{uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**given, "output_tokens": 1},
    }


def stop_reason(parts: tuple[Part, ...]) -> str:
    """Why the answer ends where it ends."""
    return "tool_use" if any(isinstance(part, Call) for part in parts) else "end_turn"


def _block(part: Text | Call, *, whole: bool) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text if whole else ""}
        case Call():
            return {
                "type": "tool_use",
                "id": f"toolu_{uuid4().hex[:24]}",
                "name": part.tool,
                "input": part.input if whole else {},
            }


def block(index: int, part: Text | Call) -> Iterator[bytes]:
    """The events of one content block: its start, its pieces, its stop."""
    yield event("content_block_start", index=index, content_block=_block(part, whole=False))
    match part:
        case Text():
            deltas = ({"type": "text_delta", "text": piece} for piece in pieces(part.text))
        case Call():
            text = json.dumps(part.input)
            deltas = ({"type": "input_json_delta", "partial_json": p} for p in ["", *pieces(text, size=48)])
    for delta in deltas:
        yield event("content_block_delta", index=index, delta=delta)
    yield event("content_block_stop", index=index)


def ending(parts: tuple[Part, ...], *, given: dict[str, Any]) -> bytes:
    """The last two events."""
    spent = {**given, "output_tokens": output_tokens(parts)}
    delta = {"stop_reason": stop_reason(parts), "stop_sequence": None}
    return event("message_delta", delta=delta, usage=spent) + event("message_stop")


def waits(parts: tuple[Part, ...]) -> float:
    """Seconds of silence in an answer."""
    return sum(part.seconds for part in parts if isinstance(part, Pause))
