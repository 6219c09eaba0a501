"""The commands that change something."""

import sys

from hyperhive.cli.errors import CommandError, NoDaemon
from hyperhive.cli.hive import State, confirm, daemon, find, kept, print_json, segment, state, text_of
from hyperhive.cli.outcome import Outcome, accepted, wait
from hyperhive.cli.parse import Args, whole
from hyperhive.cli.show import line, safe
from hyperhive.cli.wire import Daemon


def spawn(args: Args) -> int:
    """``spawn NAME``"""
    hive = daemon()
    snapshot, name = state(hive), args.word("name")
    begun = accepted(name, "spawn", hive.json("POST", "/api/agents", {"name": name}))
    return finish(args, hive, snapshot, [begun])


def operate(args: Args) -> int:
    """``start``, ``stop``, ``restart``, ``update``, ``pause`` and ``resume``"""
    hive = daemon()
    snapshot = state(hive)
    every = args.on("all")
    names = [a["name"] for a in snapshot["agents"]] if every else [args.word("name")]
    action = args.command.name
    begun = [_try(hive, name, action) if every else _operate(hive, name, action) for name in names]
    return finish(args, hive, snapshot, begun)


def _operate(hive: Daemon, name: str, action: str) -> Outcome:
    return accepted(name, action, hive.json("POST", f"/api/agents/{segment(name)}/{action}"))


def _try(hive: Daemon, name: str, action: str) -> Outcome:
    # With --all one agent's refusal is its own line; the others are asked all the same.
    try:
        return _operate(hive, name, action)
    except NoDaemon:
        raise
    except CommandError as refusal:
        return Outcome(name, None, False, refusal.message)


def destroy(args: Args) -> int:
    """``destroy NAME``"""
    hive = daemon()
    name = args.word("name")
    snapshot = state(hive)
    purge = args.on("purge")
    if purge and kept(snapshot, name):
        return _purge(args, hive, name)
    find(snapshot, name)
    if purge and not args.on("yes"):
        confirm(name, f"deletes all folders of '{name}' for good", "--purge")
    query = "?purge=1" if purge else ""
    begun = accepted(name, "destroy", hive.json("DELETE", f"/api/agents/{segment(name)}{query}"))
    return finish(args, hive, snapshot, [begun])


def _purge(args: Args, hive: Daemon, name: str) -> int:
    if not args.on("yes"):
        confirm(name, f"deletes all that was kept of '{name}' for good", "--purge")
    answer = hive.json("POST", f"/api/kept/{segment(name)}/purge", {})
    if args.on("json"):
        return print_json(answer)
    line(f"What was kept of '{safe(name)}' is deleted.")
    return 0


def finish(args: Args, hive: Daemon, snapshot: State, begun: list[Outcome]) -> int:
    """Say how operations that were begun ended, unless ``--no-wait``; returns the exit code."""
    text = not args.on("json")
    ended: list[Outcome] = []
    if text and not args.on("no_wait"):
        for outcome in begun:
            if outcome.ok is None:
                line(f"{outcome.agent}: {safe(outcome.transient)}…")
        sys.stdout.flush()
    for outcome in begun if args.on("no_wait") else wait(hive, snapshot, begun):
        ended.append(outcome)
        if text:
            _say(args.command.name, outcome)
    if not text:
        values = [outcome._asdict() for outcome in ended]
        print_json(values if args.on("all") else values[0])
    if text and not ended:
        line("There are no agents.")
    return 0 if all(outcome.ok is not False for outcome in ended) else 1


def _say(action: str, outcome: Outcome) -> None:
    note = safe(outcome.note)
    if outcome.ok is False:
        sys.stdout.flush()
        sys.stderr.write(f"hyperhive: {outcome.agent}: {action} failed: {note or 'see its log'}\n")
    elif outcome.ok is None:
        line(f"{outcome.agent}: {safe(outcome.transient)}; the outcome is an event.")
    else:
        line(f"{outcome.agent}: {action} done{f' ({note})' if note else ''}.")


def send(args: Args) -> int:
    """``send NAME TEXT``"""
    message = daemon().json("POST", "/api/messages", {"to": args.word("name"), "body": text_of(args)})
    if args.on("json"):
        return print_json(message)
    line(f"Message {message['id']} is in the inbox of {safe(args.word('name'))}.")
    return 0


def answer(args: Args) -> int:
    """``answer ID TEXT``"""
    number = whole(args.word("id"), "ID")
    text = text_of(args)
    if not text.strip():
        raise CommandError("An empty answer tells the agent nothing; write what it should know.")
    closed = daemon().json("POST", f"/api/questions/{number}/answer", {"answer": text})
    if args.on("json"):
        return print_json(closed)
    line(f"Question {number} is answered; {safe(closed['agent'])} gets it as a message.")
    return 0
