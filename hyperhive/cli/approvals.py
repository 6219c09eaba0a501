"""What is proposed and what the operator says to it: approvals, their diffs, drafts."""

import sys
from collections.abc import Iterator
from typing import Any

from hyperhive.cli.errors import CommandError, Usage
from hyperhive.cli.hive import State, confirm, daemon, print_json, segment, state, waiting
from hyperhive.cli.parse import Args, whole
from hyperhive.cli.show import ago, cut, line, moment, paint, safe, size, table

MOST = 500
"""Decided approvals that the daemon gives at once."""
RECENT = 50
"""Decided approvals shown when no number is given."""
_WORDS = {
    "approved": "approved",
    "building": "approved, being built",
    "deployed": "approved, runs",
    "failed": "approved, failed",
    "denied": "denied",
    "revise": "sent back",
    "withdrawn": "withdrawn",
    "superseded": "superseded",
    "expired": "expired",
}
"""What became of an approval; a later hyperhive may say others."""
_TONES = {"+": "good", "-": "bad", "@": "dim", "\\": "dim"}


def pending(args: Args) -> int:
    """``pending``"""
    found = waiting(state(daemon()))
    if args.on("json"):
        return print_json(found)
    if found:
        head = ("ID", "KIND", "AGENT", "CHANGES", "ASKED BY", "AGE", "EXPIRES", "SUMMARY")
        table(head, [_row(view) for view in found])
        line("'hyperhive diff ID' shows one; 'approve ID', 'deny ID' or 'revise ID --note TEXT' decides it.")
    else:
        line("No approvals wait for you.")
    return 0


def _row(view: dict[str, Any]) -> tuple[object, ...]:
    said = " — ".join(text for text in (view["summary"], view["description"]) if text)
    expires = moment(view["deadline"]) if view["deadline"] else "never"
    return (
        view["id"], view["kind"], view["agent"], f"+{view['added']} -{view['removed']}",
        view["requested_by"], ago(view["requested"]), expires, cut(said, 60),
    )  # fmt: skip


def decided(args: Args) -> int:
    """``decided``"""
    limit = args.number("limit", MOST, lowest=1)
    answer = daemon().json("GET", f"/api/approvals?limit={RECENT if limit is None else limit}")
    if args.on("json"):
        return print_json(answer["approvals"])
    rows = [
        (
            view["id"], view["kind"], view["agent"], _word(view), view["by"], view["where"],
            moment(view["decided"]), cut(view["outcome"] or view["note"] or view["summary"], 60),
        )
        for view in answer["approvals"]
    ]  # fmt: skip
    if rows:
        table(("ID", "KIND", "AGENT", "DECISION", "BY", "FROM", "WHEN", "SAID"), rows)
    else:
        line("Nothing was decided yet.")
    return 0


def _word(view: dict[str, Any]) -> str:
    return safe(_WORDS.get(view["state"], view["state"]))


def diff(args: Args) -> int:
    """``diff ID``"""
    number = whole(args.word("id"), "ID")
    against = args.text("against") or "running"
    text = daemon().text("GET", f"/api/approvals/{number}/diff?against={against}")
    if args.on("json"):
        return print_json({"id": number, "against": against, "diff": text})
    for row, tone in _toned(text):
        line(paint(safe(row, lines=True), tone))
    if not text.strip():
        sys.stderr.write(f"Approval {number} changes nothing against that.\n")
    return 0


def _toned(text: str) -> Iterator[tuple[str, str]]:
    # Split as git does, at line feeds alone: what an agent wrote may hold every other kind of line end.
    inside = False
    for row in text.removesuffix("\n").split("\n"):
        if row.startswith("diff --git "):
            inside = False
        inside = inside or row.startswith("@@")
        yield row, _TONES.get(row[:1], "") if inside else "bold"


def decide(args: Args) -> int:
    """``approve``, ``deny`` and ``revise``"""
    number = whole(args.word("id"), "ID")
    note = args.text("note") or ""
    if args.command.name == "revise" and not note.strip():
        raise Usage(f"revise wants --note: what is to be changed. Usage: {args.command.usage}")
    view = daemon().json("POST", f"/api/approvals/{number}/{args.command.name}", {"note": note})
    if args.on("json"):
        return print_json(view)
    line(f"Approval {number} ({safe(view['kind'])} of {safe(view['agent'])}): {_word(view)}.")
    line(_follows(view))
    return 0


def _follows(view: dict[str, Any]) -> str:
    """What happens now."""
    agent, asker = safe(view["agent"]), safe(view["requested_by"])
    yours = asker == "operator"
    if view["state"] == "approved":
        done = "is rebuilt" if view["kind"] == "apply-commit" else "is made"
        of = f" from {safe(view['sha'][:12])}" if view["sha"] else ""
        return f"'{agent}' {done}{of} now; 'hyperhive build {agent} --follow' shows how that goes."
    if view["state"] == "revise":
        told = "The" if yours else f"{asker} gets your note; its"
        return f"{told} next proposal for '{agent}' goes on from this one."
    return "Nothing changes." if yours else f"{asker} is told; nothing changes."


def propose(args: Args) -> int:
    """``propose NAME COMMIT``"""
    body = {"name": args.word("name"), "commit": args.word("commit"), "note": args.text("note") or ""}
    view = daemon().json("POST", "/api/approvals", body)
    if args.on("json"):
        return print_json(view)
    files = "1 file" if view["files"] == 1 else f"{view['files']} files"
    changes = f"+{view['added']} -{view['removed']} in {files}"
    line(f"Approval {view['id']} ({safe(view['kind'])} of {safe(view['agent'])}): pending, {changes}.")
    if view["supersedes"] is not None:
        line(f"It takes the place of approval {view['supersedes']}, which is superseded.")
    line(f"'hyperhive diff {view['id']}' shows it, 'hyperhive approve {view['id']}' lets it take effect.")
    return 0


def withdraw(args: Args) -> int:
    """``withdraw ID``"""
    number = whole(args.word("id"), "ID")
    view = daemon().json("POST", f"/api/approvals/{number}/withdraw", {})
    if args.on("json"):
        return print_json(view)
    line(f"Approval {number} ({safe(view['kind'])} of {safe(view['agent'])}): {_word(view)}.")
    return 0


def draft(args: Args) -> int:
    """``draft NAME``"""
    view = daemon().json("POST", "/api/drafts", {"name": args.word("name")})
    if args.on("json"):
        return print_json(view)
    name = safe(view["name"])
    line(f"'{name}' is a draft. Its config repository is agents/{name}/proposed in the hive's home:")
    line(f"commit there, then 'hyperhive propose {name} COMMIT'.")
    return 0


def discard(args: Args) -> int:
    """``discard NAME``"""
    hive = daemon()
    name = args.word("name")
    found = _draft(state(hive), name)
    if not args.on("yes"):
        left = "; what was kept of it stays" if found["kept"] else ""
        confirm(name, f"deletes the draft '{name}' ({size(found['size'])}) for good{left}", "discard")
    view = hive.json("DELETE", f"/api/drafts/{segment(name)}")
    if args.on("json"):
        return print_json(view)
    line(f"The draft '{safe(view['name'])}' is discarded.")
    return 0


def _draft(snapshot: State, name: str) -> dict[str, Any]:
    for view in snapshot["drafts"]:
        if view["name"] == name:
            found: dict[str, Any] = view
            return found
    known = ", ".join(view["name"] for view in snapshot["drafts"]) or "none"
    raise CommandError(f"There is no draft '{name}'. There are: {known}.")
