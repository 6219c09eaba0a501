"""The daemon's process: its limits and its locks, before anything is imported that a hive is made of."""

import asyncio
import gc
import ipaddress
import os
import sys

from hyperhive import logs
from hyperhive.domain.terminal import safe
from hyperhive.dump import Dump
from hyperhive.ending import Ending
from hyperhive.errors import HiveError, Refused
from hyperhive.home import Claim, check_room, check_run, raise_open_files
from hyperhive.memory import share_arena
from hyperhive.settings import Settings


def run(settings: Settings, *, open_browser: bool = False) -> int:
    """Run a hive until SIGTERM or SIGINT.

    Args:
        settings: everything that can be set.
        open_browser: open the dashboard once it answers.

    Returns:
        The exit status: 0, or 1 with one line on stderr when it could not start or go on.
    """
    logs.set_up(settings.log_level)
    share_arena()
    dump = Dump()
    dump.start()
    os.umask(0o077)
    raise_open_files()
    try:
        check_host(settings)
        check_run(settings.run, home=settings.home)
        with Claim(settings.home), Claim(settings.run):
            check_room(settings.home)
            _serve(settings, dump, open_browser=open_browser)
        gc.freeze()  # the interpreter would look through all of it once more before it ends: up to two seconds
    except HiveError as error:
        print(f"hyperhive: {safe(error.message)}", file=sys.stderr)  # noqa: T201 - the one line a failed start leaves
        return 1
    return 0


def _serve(settings: Settings, dump: Dump, *, open_browser: bool) -> None:
    ending = Ending()
    # What takes a while to answer is asked before what takes a while to import.
    from hyperhive.programs import Programs

    with Programs(settings) as programs:
        from hyperhive.daemon import Daemon

        asyncio.run(Daemon(settings, programs, dump, ending, open_browser=open_browser).main())


def check_host(settings: Settings) -> None:
    """Refuse to listen beyond loopback unless that was asked for.

    Raises:
        Refused: with the flag that asks for it.
    """
    what = "is"
    try:
        loopback = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback, what = False, "is a name, no address as 127.0.0.1, and perhaps"
    if not loopback and not settings.public:
        raise Refused(
            f"{settings.host} {what} reachable from other machines; add --public if that is meant "
            "(the dashboard then wants TLS in front of it).",
            code="not-loopback",
        )
