"""What an agent was built from, going back to it, and what its builds said."""

import json
import sys

from hyperhive.cli.act import finish
from hyperhive.cli.errors import NoDaemon
from hyperhive.cli.hive import daemon, find, print_json, segment, state
from hyperhive.cli.outcome import accepted
from hyperhive.cli.parse import Args, whole
from hyperhive.cli.show import cut, line, moment, safe, table


def history(args: Args) -> int:
    """``history NAME``"""
    name = args.word("name")
    found = daemon().json("GET", f"/api/agents/{segment(name)}/history")["generations"]
    if args.on("json"):
        return print_json(found)
    rows = [
        (
            view["number"], "runs now" if view["current"] else "kept" if view["here"] else "gone",
            view["commit"][:12], moment(view["made"]), view["by"], view["approval"], cut(view["summary"], 60),
        )
        for view in found
    ]  # fmt: skip
    if rows:
        table(("GENERATION", "STATE", "COMMIT", "MADE", "BY", "APPROVAL", "SUMMARY"), rows)
    else:
        line(f"Nothing is recorded yet of what '{safe(name)}' was built from; the next rebuild is the first.")
    return 0


def rollback(args: Args) -> int:
    """``rollback NAME [GENERATION]``"""
    name, wanted = args.word("name"), args.words.get("generation")
    body = {} if wanted is None else {"generation": whole(wanted, "GENERATION")}
    hive = daemon()
    snapshot = state(hive)
    find(snapshot, name)
    answer = hive.json("POST", f"/api/agents/{segment(name)}/rollback", body)
    return finish(args, hive, snapshot, [accepted(name, "rollback", answer)])


def build(args: Args) -> int:
    """``build NAME``"""
    name = args.word("name")
    target = f"/api/agents/{segment(name)}/build"
    if not args.on("follow"):
        text = daemon().text("GET", target)
        if args.on("json"):
            return print_json({"agent": name, "build": text})
        for row in text.splitlines():
            line(safe(row, lines=True))
        return 0
    for frame in daemon().stream(f"{target}?follow=1"):
        if frame.event == "end":
            return 0
        if frame.event == "comment":
            continue
        for row in frame.data.split("\n"):
            line(json.dumps({"line": row}) if args.on("json") else safe(row, lines=True))
        sys.stdout.flush()
    raise NoDaemon("The build's stream ended before the build did; is the hive still running?")
