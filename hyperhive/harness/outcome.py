"""How a turn ended, from what was seen of it. Pure."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hyperhive.domain.turns import Outcome
from hyperhive.harness.claude import Ended, Limited

RATE_LIMIT_PAUSE = timedelta(seconds=60)
"""How long to wait for a rate limit that does not say when it resets."""
COMPACT_ABOVE = 150_000
"""Tokens of context above which a session is compacted; the usual window has 200,000."""
MAX_NOTE = 500

AUTH_KINDS = frozenset({"authentication_failed", "oauth_org_not_allowed"})
_AWAY_KINDS = frozenset({"server_error", "overloaded", "billing_error"})


@dataclass(slots=True)
class Evidence:
    """What was seen of a turn: its end or death, the API's last refusal, a limit, the context's size in tokens.

    ``login_refused`` is set as soon as the API refused the login, while Claude Code would try on.
    """

    ended: Ended | None = None
    died: str | None = None
    refused: str | None = None
    limited: Limited | None = None
    context: int = 0
    not_compacted: str | None = None
    login_refused: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended; ``note`` is one sentence where it went wrong."""

    outcome: Outcome
    note: str = ""
    resets_at: datetime | None = None


def overfull(seen: Evidence) -> bool:
    """Whether the session should be compacted before it goes on: it is long, or the API does not take it."""
    ended, elsewhere = seen.ended, seen.refused in AUTH_KINDS | _AWAY_KINDS
    refused = ended is not None and not ended.ok and ended.status in {400, 413} and not elsewhere
    return refused or seen.context > COMPACT_ABOVE


def judge(seen: Evidence, *, stopped: Outcome | None, now: datetime) -> Verdict:
    """Decide how a turn ended.

    Args:
        stopped: why we ended it, if we did; a turn that was done before that took effect is done.
        now: for a rate limit without a reset time.
    """
    ended = seen.ended
    if ended is not None and ended.ok:
        return Verdict(Outcome.DONE)
    if stopped is not None:
        return Verdict(stopped, _STOPPED.get(stopped, ""))
    if ended is None:
        return Verdict(
            Outcome.LOST, f"Claude Code ended in the middle of the turn: {seen.died or 'no reason given'}."
        )
    note = _one_line(ended.text) or ended.reason or "Claude Code ended the turn with an error."
    return _api_verdict(seen, ended, note, now)


_STOPPED = {
    Outcome.DEADLINE: "The turn took longer than it may; it was ended.",
    Outcome.INTERRUPTED: "The turn was interrupted.",
}


def _api_verdict(seen: Evidence, ended: Ended, note: str, now: datetime) -> Verdict:
    status, kind = ended.status, seen.refused
    if status == 401 or kind in AUTH_KINDS:
        ours = seen.login_refused.is_set()  # what it says then is that it was interrupted
        return Verdict(Outcome.LOGIN, "The API refused the login (401)." if ours else note)
    if seen.limited is not None or status == 429 or kind == "rate_limit":
        resets = seen.limited.resets_at if seen.limited is not None else None
        return Verdict(Outcome.RATE_LIMITED, note, resets or now + RATE_LIMIT_PAUSE)
    if kind in _AWAY_KINDS or status in {402, 408} or (status is not None and status >= 500):
        return Verdict(Outcome.OFFLINE, note)
    # A request that got no answer at all has no status; what the API did refuse has one.
    if status is None and kind == "unknown":
        return Verdict(Outcome.OFFLINE, note)
    return Verdict(Outcome.FAILED, note)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_NOTE]
