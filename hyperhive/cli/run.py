"""Runs one command line and turns whatever happens into an exit code and at most one line on stderr."""

import os
import sys
from contextlib import suppress
from importlib import import_module

from hyperhive.cli.errors import CommandError
from hyperhive.cli.parse import parse
from hyperhive.cli.show import safe

INTERRUPTED = 130
MAX_SAID = 2_000
"""Characters of the line on stderr: what was typed may be in it, and be of any length."""


def run(argv: list[str] | None) -> int:
    """Run a command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    _open()
    _tolerant()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except CommandError as error:
        _say(error.message)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _mute()  # the reader (head, less) has seen enough
        return 0
    except OSError as error:
        _mute()
        _say(f"{error.filename or 'The output'} cannot be read or written: {error.strerror or error}.")
        return 1
    return code


def _dispatch(words: list[str]) -> int:
    if not words:
        from hyperhive.cli.usage import overview

        overview()
        return 2
    aliases = {"--help": "help", "-h": "help", "--version": "version"}
    args = parse([aliases.get(words[0], words[0]), *words[1:]])
    module, _, function = args.command.target.partition(":")
    code = getattr(import_module(f"hyperhive.cli.{module}"), function)(args)
    return int(code)


def _open() -> None:
    """Put nothing where a standard stream was closed: else the next connection or file would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115 - until the end


def _mute() -> None:
    """What is still to be written must not be written at the exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tolerant() -> None:
    # For a character that a terminal cannot show, or sends in another encoding, an escape instead of a traceback.
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _say(message: str) -> None:
    said = safe(message)
    try:
        sys.stdout.flush()
    except OSError:
        _mute()
    with suppress(OSError):
        sys.stderr.write(f"hyperhive: {said[:MAX_SAID]}{'…' if len(said) > MAX_SAID else ''}\n")
