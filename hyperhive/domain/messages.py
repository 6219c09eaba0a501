"""Messages between agents and the operator, and their limits."""

from dataclasses import dataclass
from datetime import datetime

from hyperhive.domain.plain import Plain
from hyperhive.errors import Invalid

MAX_BODY = 64 * 1024
"""Bytes of UTF-8 in one message."""
MAX_UNREAD = 2_000
"""Unread messages in one inbox; further ones are refused until it is read."""
MAX_BATCH = 32
"""Messages handed over in one wake-up or one ``recv``."""
MAX_BATCH_BYTES = 128 * 1024
"""Bytes of bodies handed over in one wake-up or one ``recv``; a single message may always pass."""
MAX_ATTEMPTS = 5
"""Deliveries of one message that may end in a crash or an error of the turn before it is set aside."""
MAX_WAIT = 180.0
"""Seconds that one ``recv`` may wait."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Message(Plain):
    """One message. ``id`` orders all messages of a hive."""

    id: int
    sender: str
    to: str
    body: str
    ts: datetime
    state: str = "unread"
    turn: int | None = None


def check_body(body: str) -> str:
    """Return ``body`` if it may be sent.

    Raises:
        Invalid: when it is empty, too long, or holds NUL or a lone surrogate.
    """
    if not isinstance(body, str) or not body.strip():
        raise Invalid("A message needs a body; send some text.", code="empty-body")
    if "\0" in body:
        raise Invalid("A message cannot hold NUL characters; remove them.", code="bad-body")
    try:
        size = len(body.encode())
    except UnicodeEncodeError:
        raise Invalid(
            "A message must be valid Unicode; it holds a lone surrogate.", code="bad-body"
        ) from None
    if size > MAX_BODY:
        raise Invalid(
            f"The message has {size} bytes, {MAX_BODY} are allowed; put the rest in a file and name it.",
            code="body-too-long",
        )
    return body
