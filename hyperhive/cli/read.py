"""The commands that only look."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from hyperhive.cli.errors import CommandError, NoDaemon
from hyperhive.cli.hive import State, daemon, find, headline, print_json, segment, state, waiting
from hyperhive.cli.parse import Args
from hyperhive.cli.show import ago, cut, line, moment, paint, safe, size, table
from hyperhive.cli.wire import Daemon, Frame

RECENT = 50
"""Events shown when no number is given."""
MAX_LINES = 10_000
"""Lines of a log that the daemon gives at once."""
MAX_TAKES = 100
"""Batches of messages taken at once: more than an inbox holds."""
_ENVELOPE = ("seq", "ts", "kind", "agent")


def list_agents(args: Args) -> int:
    """``list``"""
    snapshot = state(daemon())
    if args.on("json"):
        return print_json(
            {key: snapshot[key] for key in ("version", "seq", "hive", "agents", "drafts", "kept")}
        )
    line(paint(headline(snapshot), "bold"))
    head = ("NAME", "CONTAINER", "LOGIN", "REVISION", "TURN", "INBOX", "MODEL", "NOTE")
    table(head, [_row(agent) for agent in snapshot["agents"]])
    if snapshot["drafts"]:
        line(f"Drafts: {', '.join(_draft(draft) for draft in snapshot['drafts'])}.")
    if snapshot["kept"]:
        line(f"Kept folders of: {', '.join(_kept(kept) for kept in snapshot['kept'])}.")
    count = len(waiting(snapshot)) + len(_open(snapshot))
    if count:
        waits = "1 thing waits" if count == 1 else f"{count} things wait"
        line(f"{waits} for you: 'hyperhive pending', 'hyperhive questions'.")
    return 0


def _draft(draft: dict[str, Any]) -> str:
    return f"{safe(draft['name'])} ({size(draft['size'])}, begun {ago(draft['created'])} ago by {safe(draft['by'])})"


def _kept(kept: dict[str, Any]) -> str:
    login = "with a login" if kept["logged_in"] else "no login"
    return f"{safe(kept['name'])} ({size(kept['size'])}, destroyed {ago(kept['since'])} ago, {login})"


def _row(agent: dict[str, Any]) -> tuple[object, ...]:
    turn = "paused" if agent["paused"] else agent["turn"]["state"]
    return (
        agent["name"], agent["container"], agent["login"], agent["revision"],
        turn, agent["inbox_depth"], agent["model"], cut(_note(agent), 60),
    )  # fmt: skip


def _note(agent: dict[str, Any]) -> str:
    if agent["transient"]:
        return f"{agent['transient']}…"
    if agent["quarantined"]:
        return f"quarantined: {agent['quarantined']}"
    return agent["last_error"] or " ".join(agent["warnings"])


def show(args: Args) -> int:
    """``show NAME``"""
    snapshot = state(daemon())
    agent = find(snapshot, args.word("name"))
    if args.on("json"):
        return print_json(agent)
    line(paint(headline(snapshot), "bold"))
    width = max(len(key) for key in agent)
    for key, value in agent.items():
        line(f"{key.replace('_', ' '):<{width}}  {_value(key, value)}")
    return 0


def _value(key: str, value: object) -> str:
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(safe(one) for one in value)
        case dict():
            return ", ".join(f"{k} {_value(k, v)}" for k, v in value.items() if v is not None)
        case _:
            since = key in ("since", "until", "restart_at", "last_activity", "transient_since")
            return safe(moment(value) if since else value)


def inbox(args: Args) -> int:
    """``inbox``"""
    hive = daemon()
    messages = _taken(hive) if args.on("take") else state(hive)["inbox"]
    if args.on("json"):
        return print_json(messages)
    for message in messages:
        line(paint(f"#{message['id']} from {safe(message['from'])}, {moment(message['ts'])}", "bold"))
        line(safe(message["body"], lines=True))
        line()
    return _none(messages, "No messages for you.")


def _taken(hive: Daemon) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = []
    for _ in range(MAX_TAKES):
        batch = hive.json("POST", "/api/inbox/take", {})["messages"]
        taken += batch
        if not batch:
            break
    return taken


def questions(args: Args) -> int:
    """``questions``"""
    asking = _open(state(daemon()))
    if args.on("json"):
        return print_json(asking)
    for asked in asking:
        until = f", until {moment(asked['deadline'])}" if asked["deadline"] else ""
        line(paint(f"#{asked['id']} {safe(asked['agent'])} asks, {moment(asked['asked'])}{until}", "bold"))
        line(safe(asked["question"], lines=True))
        for option in asked["options"]:
            line(f"  - {safe(option)}")
        line(f"  Answer: hyperhive answer {asked['id']} TEXT{' (name several)' if asked['multi'] else ''}")
        line()
    return _none(asking, "No questions wait for you.")


def _open(snapshot: State) -> list[dict[str, Any]]:
    return [question for question in snapshot["questions"] if question["state"] == "open"]


def _none(found: list[Any], text: str) -> int:
    if not found:
        line(text)
    return 0


def stats(args: Args) -> int:
    """``stats [NAME]``"""
    hive = daemon()
    name = args.words.get("name")
    if name is not None:
        find(state(hive), name)
    answer = hive.json("GET", "/api/stats" + (f"?agent={segment(name)}" if name else ""))
    if args.on("json"):
        return print_json(answer)
    rows = answer["turns"]
    if rows:
        totals = _totals(rows)
        table(("AGENT", "TURNS", "FAILED", "IN", "OUT", "CACHED", "COST"), totals)
    return _none(rows, "No turns in the last day.")


def _totals(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    sums: dict[str, list[float]] = {}
    for row in rows:
        usage = row | (row.get("usage") or {})
        adds = (
            1, 0 if row.get("ok") else 1, usage.get("input_tokens") or 0, usage.get("output_tokens") or 0,
            usage.get("cache_read_tokens") or 0, usage.get("cost_usd") or 0,
        )  # fmt: skip
        old = sums.get(row["agent"], [0.0] * len(adds))
        sums[row["agent"]] = [a + b for a, b in zip(old, adds, strict=True)]
    return [(name, *(f"{n:.0f}" for n in row[:-1]), f"${row[-1]:.2f}") for name, row in sorted(sums.items())]


def logs(args: Args) -> int:
    """``logs NAME``"""
    lines = args.number("lines", MAX_LINES)
    query = f"lines={100 if lines is None else lines}"
    target = f"/api/agents/{segment(args.word('name'))}/logs?{query}"
    if not args.on("follow"):
        text = daemon().text("GET", target)
        if args.on("json"):
            return print_json({"agent": args.word("name"), "log": text})
        for row in text.splitlines():
            line(safe(row, lines=True))
        return 0
    for frame in daemon().stream(f"{target}&follow=1"):
        if frame.event == "comment":
            continue
        for row in frame.data.split("\n"):
            line(json.dumps({"line": row}) if args.on("json") else safe(row, lines=True))
        sys.stdout.flush()
    raise NoDaemon("The log stream ended; is the hive still running?")


def events(args: Args) -> int:
    """``events``"""
    hive = daemon()
    after = args.number("after")
    newest = int(state(hive)["seq"])
    follow = args.on("follow")
    start = after if after is not None else max(0, newest - RECENT)
    if not follow and start >= newest:
        return 0
    for frame in _numbered(hive, start):
        line(frame.data if args.on("json") else _told(json.loads(frame.data)))
        sys.stdout.flush()
        if not follow and int(frame.id) >= newest:
            return 0
    raise NoDaemon("The event stream ended; is the hive still running?")


def _numbered(hive: Daemon, after: int) -> Iterator[Frame]:
    for frame in hive.stream(f"/api/events?after={after}"):
        if frame.event == "resync":
            raise CommandError(
                f"Events behind {after} are no longer kept, or this reader fell behind; "
                "leave --after out to see the last ones."
            )
        if frame.id.isdigit():
            yield frame


def _told(event: dict[str, Any]) -> str:
    fields = _audited(event) if event["kind"] == "audit" else _fields(event)
    when = moment(event["ts"])
    kind = paint(safe(event["kind"]), "bold")
    return f"{event['seq']:>6}  {when}  {safe(event['agent'] or '-'):<12} {kind} {fields}".rstrip()


def _audited(event: dict[str, Any]) -> str:
    where = f" ({safe(event['where'])})" if event["where"] else ""
    kind, _, commit = event["note"].partition(" ")
    what = {"apply-commit": "a change", "spawn-commit": "a draft", "spawn": "a new agent"}.get(kind)
    if event["action"] == "propose" and what is not None:
        short = f"{commit[:7]}…" if len(commit) > 7 else commit
        return f"{safe(event['by'])}{where} proposed {what}" + (f" ({safe(short)})" if commit else "")
    note = f": {safe(event['note'])}" if event["note"] else ""
    return f"{safe(event['by'])}{where} {safe(event['action'])}{note}"


def _fields(event: dict[str, Any]) -> str:
    own = {key: value for key, value in event.items() if key not in _ENVELOPE and value not in ("", None)}
    return " ".join(f"{key}={_field(value)}" for key, value in own.items())


def _field(value: object) -> str:
    quoted = isinstance(value, bool) or (isinstance(value, str) and " " in value)
    return json.dumps(value) if quoted else safe(value)
