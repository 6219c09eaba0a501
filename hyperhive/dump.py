"""``kill -USR1``: every thread's stack and every mailbox into the log, whatever hangs.

It is wanted most when nothing else answers, so it relies on as little as can be. The signal's handler in C writes
where the interrupted thread is, at once, though that thread may hold the interpreter and never let go. A thread of
its own writes the rest: the interpreter wakes it from its C handler too, so neither the event loop nor an actor
need run. It takes no lock of the log's and asks no actor.
"""

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType

from hyperhive.domain.terminal import safe
from hyperhive.logs import FORMAT, PlainFormatter

MAX_FRAMES = 60
"""Frames of one stack; the innermost are kept."""
MAX_LINES = 20_000
"""Lines of one dump."""
_NAMES = 12
_NUMBER = signal.SIGUSR1


class Dump:
    """Waits for the signal. Made in the main thread, before anything that may hang.

    ``mailboxes`` gives a line for each mailbox. ``nudge`` is called when another signal came in, from the thread: it
    makes the main thread run its handler, in case another thread was interrupted.

    Args:
        out: the log's file descriptor.
    """

    def __init__(self, *, out: int = 2) -> None:
        self.mailboxes: Callable[[], Iterable[str]] = tuple
        self.nudge: Callable[[], object] = lambda: None
        self._out = out

    def start(self) -> None:
        """Be there from now on, until the process ends."""
        heard, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.signal(_NUMBER, _unheard)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        # Only the interrupted thread's: the others run on meanwhile, and their frames with them.
        faulthandler.register(_NUMBER, file=self._out, all_threads=False, chain=True)
        threading.Thread(target=self._listen, args=(heard,), name="dump", daemon=True).start()

    def _listen(self, pipe: int) -> None:
        while heard := os.read(pipe, 4096):
            if set(heard) != {_NUMBER}:
                self._try("A signal could not be passed on", self.nudge)
            if _NUMBER in heard:
                self._try("SIGUSR1: not all of it could be written", self._write)

    def _try(self, failed: str, step: Callable[[], object]) -> None:
        """Nothing that goes wrong here may end it: there is no other way to look inside."""
        try:
            step()
        except Exception as error:
            with contextlib.suppress(OSError):  # the log itself
                self._say(_record(safe(f"{failed}: {error!r}")), ())

    def _write(self) -> None:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        frames = sys._current_frames()
        self._say(_record(f"SIGUSR1: {len(frames)} threads, their stacks"), stacks(frames, names))
        del frames
        boxes = list(self.mailboxes())
        self._say(_record(f"SIGUSR1: {len(boxes)} mailboxes"), boxes)

    def _say(self, head: str, lines: Iterable[str]) -> None:
        said = [head]
        for line in lines:
            if len(said) > MAX_LINES:
                said.append("  … the rest is left out")
                break
            said.append(f"  {safe(line)}")
        data = memoryview("".join(f"{line}\n" for line in said).encode(errors="replace"))
        while data:
            data = data[os.write(self._out, data) :]


def stacks(frames: Mapping[int, FrameType], names: Mapping[int | None, str]) -> Iterator[str]:
    """A line for the threads that are at one place, and one for each frame, the outermost first."""
    at: dict[tuple[str, ...], list[str]] = {}
    for ident, frame in frames.items():
        at.setdefault(_stack(frame), []).append(names.get(ident, f"thread {ident}"))
    for stack, there in at.items():
        more = f" and {len(there) - _NAMES} more" if len(there) > _NAMES else ""
        yield f"{', '.join(there[:_NAMES])}{more}:"
        yield from stack


def mailbox(name: str, depth: int, busy_with: str, busy_for: float, restarts: int, state: str) -> str:
    """A mailbox's line."""
    doing = state or "idle"
    if busy_with:
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - busy_for))
        doing = f"busy with {busy_with} for {busy_for:.1f} s, since {since}"
    return f"{name}: {depth} waiting, {doing}, {restarts} restarts"


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    found: list[str] = []
    while frame is not None:
        if len(found) == MAX_FRAMES:
            found.append("  …")
            break
        code = frame.f_code
        found.append(f"  {code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
        frame = frame.f_back
    return tuple(reversed(found))


def _record(message: str) -> str:
    record = logging.LogRecord("hyperhive.dump", logging.WARNING, "", 0, message, None, None)
    return PlainFormatter(FORMAT).format(record)


def _unheard(number: int, frame: FrameType | None) -> None:
    """The thread has heard of it already."""
