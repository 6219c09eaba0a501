"""The pages: first paint carries the snapshot, readable without JavaScript; ES modules take it from there."""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from hyperhive.domain.plain import as_json
from hyperhive.domain.recorded import stamp
from hyperhive.domain.views import ApprovalView, HiveSnapshot, MessageView
from hyperhive.errors import HiveError
from hyperhive.hive import Hive
from hyperhive.web import history as past
from hyperhive.web import standing, telling
from hyperhive.web.compiled import CompiledTemplates

HERE = Path(__file__).parent
STATIC = HERE / "static"
RECENT_EVENTS = 200
"""Events that the log begins with."""
RECENT_MESSAGES = 100
"""Messages that the flow begins with."""
FEW_ROUNDS = 20
"""Approvals whose earlier rounds the first paint tells."""
VIEWS = ("agents", "messages", "events")
_FIRST = ("shell.html", "live.html", "parts.html", "hive.html")
TABS = ("turns", "logs", "messages", "config", "build", "facts")


async def hive_page(request: Request) -> HTMLResponse:
    """``GET /``: the whole hive."""
    hive: Hive = request.app.state.hive
    snapshot = hive.snapshot()
    messages = await _messages(hive, None)
    return _page(
        "hive.html",
        _live(snapshot, messages)
        | {
            "recent": await _recent(hive, snapshot.seq),
            "view": _one_of(request.query_params.get("view"), VIEWS, ""),
            "filter": request.query_params.get("q", "")[:100],
            "breadth": standing.breadth(snapshot.agents),
            "groups": standing.groups(snapshot.agents),
            "waiting": standing.waiting(snapshot),
            "earlier": await _earlier(hive, snapshot),
            "beginning": standing.beginning(snapshot, messages),
        },
    )


async def agent_page(request: Request) -> HTMLResponse:
    """``GET /agents/{name}``: one agent; a page of its own when there is none by that name."""
    hive: Hive = request.app.state.hive
    snapshot = hive.snapshot()
    name = str(request.path_params["name"])
    agent = snapshot.agent(name)
    if agent is None:
        kept = any(kept.name == name for kept in snapshot.kept)
        return _unknown_agent(name, kept)
    waiting = standing.waiting(snapshot)
    return _page(
        "agent.html",
        _live(snapshot, await _messages(hive, name))
        | {
            "recent": await _recent(hive, snapshot.seq, name),
            "agent": agent,
            "stand": standing.of(agent),
            "tab": _one_of(request.query_params.get("tab"), TABS, TABS[0]),
            "waiting": [item for item in waiting if item.agent == name],
            "earlier": await _earlier(hive, snapshot),
            "waiting_count": len(waiting),
        },
    )


async def history_page(request: Request) -> HTMLResponse:
    """``GET /history``: decisions and the audit trail, a page at a time."""
    hive: Hive = request.app.state.hive
    snapshot = hive.snapshot()
    wanted = past.asked(request)
    only = request.query_params.get("approval", "")
    number = int(only) if only.isascii() and only.isdigit() and len(only) < 16 else None
    kinds = past.TRAIL[wanted.show][1] if wanted.view else frozenset({"approval_resolved"})
    choices = past.TRAIL if wanted.view else past.DECISIONS
    return _page(
        "history.html",
        _live(snapshot, ())
        | await past.history(hive, wanted, approval=number)
        | {
            "recent": Markup("[]"),
            "only": number,
            "kinds": ",".join(sorted(kinds or ())),
            "choices": [(key, label) for key, (label, _) in choices.items()],
            "waiting_count": len(standing.waiting(snapshot)),
        },
    )


def prepare_first() -> None:
    """Load what ``GET /`` is made of."""
    static_version()
    for name in _FIRST:
        _environment().get_template(name)


def prepare() -> None:
    """Load the other templates too: a daemon goes on with those it began with."""
    for name in _environment().list_templates(["html"]):
        _environment().get_template(name)


def login_page(request: Request, error: str | None = None, status: int = 200) -> HTMLResponse:
    """The login form.

    Args:
        error: why the last try was refused, one sentence.
        status: of the response, e.g. 401 or 429.
    """
    return _page("login.html", {"error": error, "next": safe_next(request.query_params.get("next"))}, status)


def error_page(status: int, title: str, detail: str) -> HTMLResponse:
    """A page that says what happened and what to do."""
    return _page("error.html", {"status": status, "title": title, "detail": detail}, status)


def safe_next(target: str | None) -> str:
    """A path of this origin to go on to after the login; ``/`` for anything else."""
    if target is None or not target.isprintable() or len(target) > 512:
        return "/"
    inside = target in ("/", "/history") or target.startswith(("/?", "/agents/", "/history?"))
    return target if inside and "\\" not in target else "/"


@cache
def static_version() -> str:
    """A hash over all static files: part of their path, so that a changed file is never an old one from a cache."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(STATIC):
        folders.sort()
        for name in sorted(names):
            if (file := Path(folder, name)).is_file():
                digest.update(f"{folder[len(str(STATIC)) :]}/{name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def static_url(path: str) -> str:
    """Where ``path`` below ``static/`` is served, e.g. ``js/hive.js``."""
    return f"/static/{static_version()}/{path}"


def embedded(value: Any) -> Markup:
    """``value`` as JSON (or JSON text as it is) that cannot end the script element it stands in."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    for sign, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, escape)
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def ago(moment: datetime, now: datetime | None = None) -> str:
    """``moment`` in words: ``3 min ago``."""
    words = lasted(moment, now)
    return "now" if words == "0 s" else f"{words} ago"


def until(moment: datetime, now: datetime | None = None) -> str:
    """The time to ``moment``: ``in 3 min``."""
    now = now or datetime.now(UTC)
    return "now" if moment <= now else f"in {lasted(now, moment)}"


def lasted(moment: datetime, now: datetime | None = None) -> str:
    """The time since ``moment``: ``12 s``, ``3 min``, ``2 h 5 min``, ``3 d``. ``static/js/time.js`` says the same."""
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 60:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d"


def ordinal(count: int) -> str:
    """``2nd``."""
    end = "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{end}"


def size(count: int) -> str:
    """Bytes in words: ``340 B``, ``12 kB``, ``4.8 MB``. ``static/js/time.js`` says the same."""
    value, unit = float(count), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, bigger
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def _page(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    text = _environment().get_template(template).render(**values)
    # One character that UTF-8 cannot say, in whatever is quoted, would else be the end of every page.
    return HTMLResponse(text.encode(errors="replace"), status, headers={"Cache-Control": "no-store"})


def _live(snapshot: HiveSnapshot, messages: tuple[MessageView, ...]) -> dict[str, Any]:
    """What every live page needs: the snapshot as value and as JSON, the last messages likewise."""
    return {
        "snapshot": snapshot,
        "snapshot_json": embedded(as_json(snapshot)),
        "messages": messages,
        "messages_json": embedded(as_json(messages)),
    }


async def _messages(hive: Hive, peer: str | None) -> tuple[MessageView, ...]:
    """The last messages; none when the store cannot tell now, for the page must come all the same."""
    try:
        return await hive.messages(peer=peer, limit=RECENT_MESSAGES)
    except HiveError:
        return ()


async def _earlier(hive: Hive, snapshot: HiveSnapshot) -> dict[int, tuple[ApprovalView, ...]]:
    """The earlier rounds of what waits, the last one first; by the id of what waits."""
    found: dict[int, tuple[ApprovalView, ...]] = {}
    later = [one for one in snapshot.approvals if one.thread not in (0, one.id)]
    for one in later[:FEW_ROUNDS]:
        try:
            found[one.id] = tuple(
                other for other in reversed(await hive.approval(one.id)) if other.id < one.id
            )
        except HiveError:
            continue
    return found


async def _recent(hive: Hive, seq: int, agent: str | None = None) -> Markup:
    """The last events, oldest first; with ``agent`` also the last of that agent's own, however long ago."""
    try:
        events = await hive.events(after=max(0, seq - RECENT_EVENTS), limit=RECENT_EVENTS)
        own = await hive.past(agent=agent, before=seq + 1, limit=RECENT_EVENTS) if agent else []
    except HiveError:
        events, own = [], []
    found = {json.loads(event)["seq"]: event for event in (*own, *events)} if own else {}
    ordered = [found[number] for number in sorted(found)] if own else events
    return embedded(f"[{','.join(ordered)}]")


def _unknown_agent(name: str, kept: bool) -> HTMLResponse:
    title = f"No agent is called {name[:40]}"
    detail = (
        "It was destroyed and its folders are kept. Revive it from the list of the kept on the hive's page."
        if kept
        else "It may have been destroyed, or the address is mistyped."
    )
    return error_page(404, title, detail)


def _one_of(value: str | None, allowed: tuple[str, ...], default: str) -> str:
    return value if value in allowed else default


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=CompiledTemplates(settings=(__file__,)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        static_url=static_url,
        words=standing.words,
        gathered=standing.gathered,
        first=standing.first,
        asked_for=standing.asked,
        state=telling.state,
        through=telling.through,
        you=telling.you,
        changed_since=standing.changed_since,
        weight=lambda cards: sum(len(card.agents) or 1 for card in cards),
        now=lambda: stamp(datetime.now(UTC)),
    )
    environment.filters.update(
        ago=ago, lasted=lasted, until=until, size=size, ordinal=ordinal, stamp=stamp, words=standing.words
    )
    return environment
