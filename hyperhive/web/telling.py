"""Events and decisions as sentences, for pages that read without scripts; ``static/js/events.js`` says the same."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.names import OPERATOR
from hyperhive.domain.views import ApprovalView

Event = Mapping[str, Any]
_Words = tuple[str, str, str]


class Told(NamedTuple):
    """An event as a line: who, what, and what was said of it. ``tone``: fine, working, attention, fault, off.

    ``title``: what the text says in short, whole.
    """

    seq: int
    ts: datetime
    kind: str
    tone: str
    who: str
    text: str
    note: str
    where: str
    title: str = ""


_STATES = {
    State.PENDING: ("attention", "Waiting"),
    State.APPROVED: ("fine", "Approved"),
    State.BUILDING: ("fine", "Approved"),
    State.DEPLOYED: ("fine", "Approved"),
    State.FAILED: ("fault", "Approved"),
    State.DENIED: ("off", "Denied"),
    State.REVISE: ("off", "Sent back for a revision"),
    State.WITHDRAWN: ("off", "Withdrawn"),
    State.SUPERSEDED: ("off", "Superseded"),
    State.EXPIRED: ("off", "Expired"),
}
_DECIDED = {
    "revise": "was sent back for a revision",
    "superseded": "was superseded by a newer one",
    "expired": "expired undecided",
}
_BY_ITSELF = frozenset({"superseded", "expired"})
"""Ends that nobody decided: who and why say nothing new."""
_ASKED = {
    Kind.SPAWN: "the new agent",
    Kind.SPAWN_COMMIT: "the new agent from a draft",
    Kind.APPLY_COMMIT: "the config change",
}
_ACTIONS = {
    "spawn": "spawn it",
    "start": "start it",
    "stop": "stop it",
    "restart": "restart it",
    "update": "rebuild it",
    "pause": "pause it",
    "resume": "resume it",
    "destroy": "destroy it",
    "revive": "revive it",
    "purge": "purge it",
    "rollback": "roll it back",
    "draft": "begin its draft",
    "discard": "discard its draft",
    "propose": "propose a commit for it",
    "answer": "answer its question",
    "cancel": "dismiss its question",
    "login": "log it in",
    "shell": "open a shell in it",
    "log-in": "log in",
    "log-out": "log out",
    "end-sessions": "end all sessions",
    "show-token": "see the token",
    "entry-link": "get an entry link",
}


def state(approval: ApprovalView) -> tuple[str, str]:
    """The tone and the word of where an approval is."""
    return _STATES[approval.state]


def through(where: str) -> str:
    """The door of a decision, in words: ``dashboard 10.0.0.7`` is ``at the dashboard from 10.0.0.7``."""
    door, _, address = where.partition(" ")
    if where == "command line":
        return "at the command line"
    words = {"dashboard": "at the dashboard", "HTTP": "over HTTP", "MCP": "over MCP"}.get(door)
    if words is None:
        return where
    return f"{words} from {address}" if address else words


def you(who: str) -> str:
    """The operator reads their own name as ``you``."""
    return "you" if who == OPERATOR else who


def told(event: Event) -> Told:
    """An envelope as a line."""
    words = _SAID.get(str(event["kind"]))
    tone, text, note = words(event) if words else ("off", str(event["kind"]).replace("_", " "), "")
    return Told(
        seq=int(event["seq"]),
        ts=datetime.fromisoformat(str(event["ts"])),
        kind=str(event["kind"]),
        tone=tone,
        who=str(event["agent"] or "The hive"),
        text=text,
        note=note,
        where=through(str(event.get("where") or "")),
        title=_proposed(event)[1] if event["kind"] == "audit" else "",
    )


def _resolved(event: Event) -> _Words:
    asked = _ASKED.get(event["approval"], "the request")
    decision = str(event["decision"])
    decided = decision not in _BY_ITSELF
    by = f" by {you(event['by'])}" if event.get("by") and decided else ""
    words = f"{_DECIDED.get(decision, f'was {decision}')}{by}"
    tone = "fine" if decision == "approved" else "off"
    note = str(event.get("note") or "") if decided else ""
    return tone, f": {asked} (no. {event['id']}) {words}", note


def _proposed(event: Event) -> tuple[str, str]:
    """What was proposed, and its commit; empty: the event is of another action."""
    if event["action"] != "propose":
        return "", ""
    kind, _, commit = str(event.get("note") or "").partition(" ")
    what = {"apply-commit": "a change", "spawn-commit": "it from a draft", "spawn": "it as a new agent"}
    return what.get(kind, ""), commit


def _audit(event: Event) -> _Words:
    action = str(event["action"])
    what, commit = _proposed(event)
    if what:
        short = f" ({commit[:7]}…)" if len(commit) > 7 else f" ({commit})" if commit else ""
        return "off", f": {you(str(event['by']))} proposed {what}{short}", ""
    said = _ACTIONS.get(action, action.replace("-", " "))
    return "off", f": {you(str(event['by']))} asked to {said}", str(event.get("note") or "")


def _ended(good: str, bad: str) -> Callable[[Event], _Words]:
    def words(event: Event) -> _Words:
        note = str(event.get("note") or "")
        return (
            ("fine", good, note or str(event.get("revision") or "")) if event["ok"] else ("fault", bad, note)
        )

    return words


def _plain(tone: str, text: str, *notes: str) -> Callable[[Event], _Words]:
    """``text`` with what stands under ``notes``; ``{key}`` in it is filled in, the operator as ``you``."""

    def words(event: Event) -> _Words:
        filled = text.format_map(
            {key: you(value) if isinstance(value, str) else value for key, value in event.items()}
        )
        return tone, filled, ", ".join(str(event[key]) for key in notes if event.get(key))

    return words


_SAID: dict[str, Callable[[Event], _Words]] = {
    "approval_resolved": _resolved,
    "audit": _audit,
    "spawned": _ended("was spawned", "could not be spawned"),
    "rebuilt": _ended("was rebuilt", "could not be rebuilt"),
    "started": _plain("fine", "started"),
    "stopped": _plain("off", "was stopped by {by}"),
    "destroyed": _plain("off", "was destroyed"),
    "container_crash": _plain("fault", "crashed", "exit", "note"),
    "needs_login": _plain("attention", "needs a login"),
    "logged_in": _plain("fine", "is logged in"),
    "needs_update": _plain("attention", "is stale: a rebuild is due"),
    "agent_recovered": _plain("attention", "recovered, attempt {attempt}", "error"),
    "agent_quarantined": _plain("fault", "was quarantined", "error"),
    "transient_set": _plain("working", "is {transient}"),
    "transient_cleared": _plain("off", "is done with it"),
    "paused": _plain("off", "was paused"),
    "resumed": _plain("fine", "was resumed"),
    "approval_requested": _plain("attention", "waits for your approval, no. {id}"),
    "draft_created": _plain("off", "was begun as a draft by {by}"),
    "draft_discarded": _plain("off", "was discarded as a draft by {by}"),
    "config_applied": _plain("fine", "is built from {sha:.7} now", "tag"),
    "mcp_server_failed": _plain("attention", "could not start the MCP server {server}", "error"),
    "question_asked": _plain("attention", "asked you question no. {id}"),
    "question_answered": _plain("fine", "got an answer from {by}", "answer"),
    "message_sent": _plain("off", "wrote to {to}"),
    "message_delivered": _plain("off", "took message no. {id}"),
    "turn_started": _plain("working", "began turn {turn}, woken by {from}"),
    "turn_ended": _plain("off", "ended turn {turn}", "note"),
}

KINDS = frozenset(_SAID)
"""The kinds of event that have a sentence of their own."""
