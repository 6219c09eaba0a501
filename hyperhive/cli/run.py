"""Runs one command line and turns whatever happens into an exit code and at most one line on stderr."""

import os
import sys
from importlib import import_module

from hyperhive.cli.errors import CommandError
from hyperhive.cli.parse import parse
from hyperhive.cli.show import safe

INTERRUPTED = 130


def run(argv: list[str] | None) -> int:
    """Run a command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
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
        # The reader (head, less) has seen enough; stdout must not be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
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


def _tolerant() -> None:
    # A terminal that cannot show a character gets an escape instead of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _say(message: str) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.write(f"hyperhive: {safe(message)}\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
