"""Events as they are recorded and told: numbered, dated, encoded once; ``domain/events.py`` says which there are."""

import json
from datetime import datetime
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # who only reads the record makes none, and a start waits for thirty models
    from hyperhive.domain.events import HelperEvent

_encode = json.JSONEncoder(separators=(",", ":")).encode

TOLD_TO_MANAGER = frozenset(
    {
        "spawned",
        "stopped",
        "rebuilt",
        "destroyed",
        "container_crash",
        "needs_login",
        "logged_in",
        "needs_update",
        "agent_quarantined",
        "approval_resolved",
        "mcp_server_failed",
        "question_answered",
    }
)
"""The kinds that reach the manager's inbox as well."""


class Recorded(NamedTuple):
    """An event as it was recorded: numbered and dated. ``text`` is its envelope, encoded once."""

    seq: int
    ts: datetime
    kind: str
    agent: str | None
    text: str


def envelope(seq: int, ts: datetime, event: "HelperEvent") -> str:
    """The JSON envelope of ``event``: ``seq``, ``ts``, ``kind``, ``agent``, then its own fields.

    One line of ASCII: safe in any stream, whatever an agent put into a field.
    """
    fields: dict[str, Any] = event.model_dump(mode="json", by_alias=True)
    body = {"seq": seq, "ts": stamp(ts), "kind": fields.pop("kind"), "agent": fields.pop("agent"), **fields}
    return _encode(body)


Told = tuple[str, str | None, str]
"""An event by its kind, whom it is about, and the JSON of its own fields."""


def message_sent(about: str | None, id: int, sender: str, to: str) -> Told:
    """What ``MessageSent`` says, made without it: there is one for every message."""
    return "message_sent", about, f'"id":{id},"from":{_quoted(sender)},"to":{_quoted(to)}'


def message_delivered(about: str | None, id: int) -> Told:
    """What ``MessageDelivered`` says, made without it."""
    return "message_delivered", about, f'"id":{id}'


def told_text(seq: int, at: str, kind: str, agent: str | None, fields: str) -> str:
    """The envelope, exactly as ``envelope`` has it; ``at`` is the moment's ``stamp``."""
    about = "null" if agent is None else _quoted(agent)
    return f'{{"seq":{seq},"ts":"{at}","kind":"{kind}","agent":{about},{fields}}}'


def stamp(moment: datetime) -> str:
    """``moment`` (UTC) as RFC 3339 with milliseconds, e.g. ``2026-01-31T12:00:00.000Z``."""
    day = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"  # strftime goes through Python's time and C's
    return (
        f"{day}T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}.{moment.microsecond // 1000:03d}Z"
    )
