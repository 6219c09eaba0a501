"""The daemon's time of day, which the test sets while it runs: the machine's own stays as it is."""

import mmap
import shutil
import struct
import subprocess
import sysconfig
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tests.e2e.oracle.record import Event, at

SOURCE = Path(__file__).with_name("clock.c")
NEAR = 5.0
"""Seconds by which a reading may lie outside of the stretch it was made in: the machine is busy."""
_NANO = 10**9


@dataclass(frozen=True, slots=True)
class Stretch:
    """From a moment on, in seconds since 1970 by the machine's clock, the daemon's was ``ahead`` by these seconds.

    Args:
        behind: the newest event of the time before.
    """

    since: float
    ahead: float
    behind: int = 0


MACHINE = (Stretch(0.0, 0.0),)
"""Nobody ever set it."""


@cache
def missing() -> str:
    """Why no time of day can be set here; empty when it can."""
    words = [_compiler() or "true", "-fsyntax-only", str(SOURCE)]
    if _compiler() is None or subprocess.run(words, capture_output=True, timeout=60, check=False).returncode:
        return "no C compiler that works: install gcc and libc6-dev"
    if not sysconfig.get_config_var("HAVE_SEM_CLOCKWAIT"):
        return "this Python measures its waits by the time of day"
    return ""


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


class Clock:
    """A time of day of its own for processes that are started with ``env``.

    Args:
        folder: for its library and its setting; there as long as anybody reads the time.
    """

    def __init__(self, folder: Path) -> None:
        library, setting = folder / "clock.so", folder / "clock"
        words = [_compiler() or "cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"]
        made = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False)
        assert made.returncode == 0, made.stderr
        setting.write_bytes(bytes(8))
        with setting.open("r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), 8)
        self.env = {"LD_PRELOAD": str(library), "ORACLE_CLOCK": str(setting)}
        self.stretches = [*MACHINE]

    def set(self, ahead: float, behind: int) -> None:
        """Be so many seconds ahead of the machine's from now on; ``behind``: see ``Stretch``."""
        self._ahead[:] = struct.pack("q", int(ahead * _NANO))
        self.stretches.append(Stretch(time.time(), ahead, behind))


def true_moment(event: Event, stretches: Sequence[Stretch], ended: float) -> float | None:
    """When an event was told, by the machine's clock; ``None``: the daemon's never said what it says.

    Args:
        ended: by that clock, when the event was there: a reading that lies behind it is none. One that was stamped
            before the clock was set back and stored after would else be read as of later.
    """
    told, found = at(event), list[tuple[int, float]]()
    ends = [*(later.since for later in stretches[1:]), ended]
    for number, (stretch, end) in enumerate(zip(stretches, ends, strict=True)):
        moment = told - stretch.ahead
        if stretch.since - NEAR <= moment <= end + NEAR:
            found.append((number, moment))
    # A small step leaves two readings: the number of the event says which stretch it was of.
    due = max(number for number, one in enumerate(stretches) if number == 0 or event["seq"] > one.behind)
    return min(found, key=lambda one: abs(one[0] - due))[1] if found else None


def straightened(events: Iterable[Event], stretches: Sequence[Stretch], ended: float) -> tuple[Event, ...]:
    """The events with the times that the machine's clock would have given them."""
    return tuple(
        event if moment is None else event | {"ts": datetime.fromtimestamp(moment, UTC).isoformat()}
        for event in events
        for moment in [true_moment(event, stretches, ended)]
    )


def times_follow_the_clock(
    events: Iterable[Event], stretches: Sequence[Stretch], began: float, ended: float
) -> list[str]:
    """Each event bears a time that the daemon's clock said between these two moments of the machine's."""
    wrong = []
    for event in events:
        moment = true_moment(event, stretches, ended)
        if moment is None or moment < began - NEAR:
            wrong.append(f"event {event['seq']} bears {event['ts']}, which no clock said in this round")
    return wrong
