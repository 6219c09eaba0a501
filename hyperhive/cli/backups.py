"""Backup and restore: both work on the home's files, with or without a daemon."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hyperhive.cli.ending import tidy
from hyperhive.cli.errors import CommandError, Usage
from hyperhive.cli.hive import print_json
from hyperhive.cli.parse import Args
from hyperhive.cli.show import cut, line, safe, size

T = TypeVar("T")


def backup(args: Args) -> int:
    """``backup FILE``"""
    from hyperhive.archive.backup import back_up

    home, file = _done(lambda: (_home(args), _file(args)))
    with_secrets = args.on("secrets")
    made = _done(lambda: back_up(home, file, secrets=with_secrets, progress=_progress))
    if args.on("json"):
        return print_json(
            {
                "file": str(made.file),
                "home": str(home),
                "bytes": made.bytes,
                "agents": list(made.agents),
                "secrets": made.secrets,
                "logins": list(made.logins),
                "left_out": made.left_out.named,
                "left_out_count": made.left_out.count,
            }
        )
    line(safe(f"{made.file}: {_agents(made.agents)} of {home}, {size(made.bytes)}, read back and whole."))
    for name in made.left_out.named:
        line(safe(f"Left out: {name}"))
    if made.left_out.count > len(made.left_out.named):
        line(f"Left out: {made.left_out.count - len(made.left_out.named)} more")
    if made.secrets:
        line("It holds tokens and logins: whoever reads it is let in. Keep it as private as the home.")
    else:
        line("Not in it: the operator's token, logins, environments. --secrets takes them along.")
    return 0


def restore(args: Args) -> int:
    """``restore FILE``"""
    from hyperhive.archive.restore import restore as restored_from

    home, file = _done(lambda: (_home(args), _file(args)))
    restored = _done(lambda: restored_from(file, home, progress=_progress))
    manifest = restored.manifest
    if args.on("json"):
        return print_json(
            {
                "home": str(home),
                "made": manifest.made,
                "version": manifest.version,
                "agents": list(restored.agents),
                "secrets": manifest.secrets,
                "moved": restored.moved,
            }
        )
    line(safe(f"{home}: {_agents(restored.agents)} as of {manifest.made}, by hyperhive {manifest.version}."))
    if restored.moved:
        line(safe(f"It was in {manifest.home}: its generations stayed behind, agents are built anew."))
    if not manifest.secrets:
        line(
            "Logins and environments were not in it: 'hyperhive login NAME' for agents with one of their own."
        )
    line("The hive it was made from must not run beside it. Start this one with 'hyperhive up'.")
    return 0


def _agents(names: tuple[str, ...]) -> str:
    return f"{len(names)} agent{'s' * (len(names) != 1)} ({cut(', '.join(names))})" if names else "no agents"


def _home(args: Args) -> Path:
    from hyperhive.settings import default_home, whole_path

    given = args.text("home")
    if given == "":
        raise Usage("--home wants a folder.")
    return default_home() if given is None else whole_path(given)


def _file(args: Args) -> Path:
    from hyperhive.settings import whole_path

    word = args.word("file")
    if word in ("", "-") or os.path.isdir(word):
        raise Usage(f"FILE names a file, not '{word}'.")
    return whole_path(word)


def _done(work: Callable[[], T]) -> T:
    from hyperhive.errors import HiveError

    try:
        with tidy():
            return work()
    except HiveError as error:
        raise CommandError(error.message) from None
    finally:
        _clear()


def _progress(text: str) -> None:
    # Only a terminal can take it back.
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{cut(safe(text))} ...")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
