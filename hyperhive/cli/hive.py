"""The daemon as the commands ask it: its state, its paths, its JSON on stdout."""

import json
import os
import sys
from typing import Any

from hyperhive.cli.errors import CommandError, Usage
from hyperhive.cli.parse import Args
from hyperhive.cli.show import line, safe
from hyperhive.cli.wire import Daemon, run_folder

State = dict[str, Any]
MAX_STDIN = 1024 * 1024
"""Bytes read from stdin: more than the daemon takes of any text, for not every input ends."""
_SOME = 12
"""How many agents a refusal names."""


def daemon() -> Daemon:
    """The daemon whose socket is in the run folder."""
    return Daemon(path=os.path.join(run_folder(), "host.sock"))


def state(hive: Daemon) -> State:
    """The snapshot of everything."""
    found: State = hive.json("GET", "/api/state")
    return found


def find(snapshot: State, name: str) -> dict[str, Any]:
    """An agent of a snapshot.

    Raises:
        CommandError: there is none; names those there are.
    """
    for agent in snapshot["agents"]:
        if agent["name"] == name:
            found: dict[str, Any] = agent
            return found
    if kept(snapshot, name):
        again = (
            f"'hyperhive spawn {name}' takes them up again, 'hyperhive destroy {name} --purge' deletes them"
        )
        raise CommandError(f"'{name}' was destroyed. Its folders are kept: {again}.")
    raise CommandError(f"There is no agent '{name}'. There are: {_some(snapshot)}.")


def _some(snapshot: State) -> str:
    names = [agent["name"] for agent in snapshot["agents"]]
    rest = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return (", ".join(names[:_SOME]) or "none") + rest


def kept(snapshot: State, name: str) -> dict[str, Any] | None:
    """A destroyed agent whose folders are still there."""
    return next((view for view in snapshot["kept"] if view["name"] == name), None)


def waiting(snapshot: State) -> list[dict[str, Any]]:
    """The approvals of a snapshot that wait for the operator."""
    return [approval for approval in snapshot["approvals"] if approval["state"] == "pending"]


def confirm(name: str, does: str, what: str) -> None:
    """Let the operator type ``name`` before something is deleted.

    Args:
        does: what this does, behind "This".
        what: what asks for it, as it is typed.

    Raises:
        Usage: there is no terminal to ask in.
        CommandError: something else was typed.
    """
    if not sys.stdin.isatty():
        raise Usage(f"{what} {does}; say --yes to mean it.")
    sys.stderr.write(f"This {does}. Type its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise CommandError(f"Nothing was done: what was typed is not '{name}'.")


def segment(word: str) -> str:
    """``word``, the name of an agent, as one segment of a path.

    Raises:
        CommandError: it can be none, and the path would lead elsewhere.
    """
    if not word or "/" in word:
        raise CommandError(f"'{word}' names no agent; 'hyperhive list' shows those there are.")
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "".join(
        char if char in plain else "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogatepass"))
        for char in word
    )


def print_json(value: object) -> int:
    """Print ``value`` as JSON, in ASCII: safe in any terminal. Returns the exit code 0."""
    line(json.dumps(value, indent=2))
    return 0


def headline(snapshot: State) -> str:
    """One line on the hive: whether it rehearses or is live, what it runs on, what troubles it."""
    hive = snapshot["hive"]
    walls = hive["runtime"] if hive["confined"] else f"{hive['runtime']} (no walls)"
    mode = "REHEARSAL (scripted model)" if hive["mode"] == "rehearsal" else "live"
    parts = [safe(hive["name"]), mode, walls, f"hyperhive {hive['version']}", *map(safe, hive["trouble"])]
    return " · ".join(parts)


def text_of(args: Args) -> str:
    """The argument TEXT; ``-`` means what stdin holds.

    Raises:
        CommandError: stdin is not UTF-8, or does not come to an end.
    """
    text = args.word("text")
    if text != "-":
        return text
    content = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(content) > MAX_STDIN:
        raise CommandError(
            f"What came on stdin is longer than {MAX_STDIN >> 20} MiB; put it in a file and name it."
        )
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CommandError(
            "What came on stdin is not UTF-8 text; send text, or put it in a file and name it."
        ) from None
