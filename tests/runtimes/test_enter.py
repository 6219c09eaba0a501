"""Entering a container from a terminal: the caller's own stays outside."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.runtimes.lab import IDLE, Lab
from tests.waiting import eventually

pytestmark = pytest.mark.slow


class Desk:
    """An operator's terminal with a command on it, in a session of its own."""

    def __init__(self, command: tuple[str, ...], *, typed: bool = True) -> None:
        self._keys, self.terminal = pty.openpty()
        os.set_blocking(self._keys, False)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        self._shown = b""
        self.process = subprocess.Popen(
            command,
            stdin=self.terminal if typed else subprocess.DEVNULL,
            stdout=self.terminal,
            stderr=self.terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),
        )

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._keys, keys)

    def tries(self, keys: bytes) -> int:
        """Press as many keys as the terminal takes just now; how many."""
        try:
            return os.write(self._keys, keys)
        except BlockingIOError:
            return 0

    def shows(self, text: str) -> bool:
        """Whether ``text`` came on the screen."""
        with suppress(OSError):
            self._shown += os.read(self._keys, 65536)
        return text.encode() in self._shown

    def close(self) -> None:
        """Leave it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._keys)
        os.close(self.terminal)


@pytest.fixture
def desks() -> Iterator[list[Desk]]:
    """Desks that are left at the end."""
    found: list[Desk] = []
    yield found
    for desk in found:
        desk.close()


@pytest.mark.parametrize("typed", [True, False])
def test_the_callers_terminal_is_not_to_be_had_inside(walled: Lab, desks: list[Desk], typed: bool) -> None:
    handle = walled.start(walled.spec(IDLE))
    script = (
        "for fd in 0 1 2; do stat -L -c 'has %d:%i.' /proc/self/fd/$fd; done; stat -c x /dev/tty; echo end"
    )
    desk = Desk(walled.runtime.enter(handle, ("/bin/sh", "-c", f"({script}) 2>&1")), typed=typed)
    desks.append(desk)
    own = os.fstat(desk.terminal)

    eventually(lambda: desk.shows("end"))
    assert not desk.shows(f"has {own.st_dev}:{own.st_ino}.")
    assert desk.process.wait(60) == 0


@pytest.mark.skipif(
    not Path("/usr/bin/python3").exists(), reason="no python3 in /usr/bin to try it with inside"
)
def test_what_is_inside_cannot_type_for_the_caller(walled: Lab, desks: list[Desk]) -> None:
    handle = walled.start(walled.spec(IDLE))
    inject = "import fcntl,termios\nfor c in b'stolen\\n': fcntl.ioctl(0, termios.TIOCSTI, bytes([c]))"
    command = ("/usr/bin/python3", "-c", f"{inject}\nprint('tried')")
    desk = Desk(walled.runtime.enter(handle, command))
    desks.append(desk)

    eventually(lambda: desk.shows("tried"))
    desk.process.wait(60)
    waiting = fcntl.ioctl(desk.terminal, termios.FIONREAD, bytes(4))
    assert struct.unpack("i", waiting) == (0,)


def test_a_shell_inside_works_as_on_the_callers_terminal(walled: Lab, desks: list[Desk]) -> None:
    handle = walled.start(walled.spec(IDLE))
    desk = Desk(walled.runtime.enter(handle, ("/bin/sh", "-i")))
    desks.append(desk)

    eventually(lambda: desk.shows("$"))
    desk.types(b"stty size; tty\r")
    eventually(lambda: desk.shows("33 99") and desk.shows("/dev/pts/"))
    # Said from below the shell: it has the terminal by then, so what is pressed next is meant for it.
    desk.types(b"sh -c 'echo be$((1))gun; exec sleep 600'\r")
    eventually(lambda: desk.shows("be1gun"))
    desk.types(b"\x03")
    desk.types(b"echo a$((1+1))b; exit 7\r")
    eventually(lambda: desk.shows("a2b"))
    assert desk.process.wait(60) == 7
    assert termios.tcgetattr(desk.terminal) == desk.before


def test_it_ends_with_its_command_whatever_that_left_running(walled: Lab, desks: list[Desk]) -> None:
    handle = walled.start(walled.spec(IDLE))
    script = "trap '' HUP; sleep 600 & echo left; exit 3"
    desk = Desk(walled.runtime.enter(handle, ("/bin/sh", "-c", script)))
    desks.append(desk)

    assert desk.process.wait(60) == 3
    eventually(lambda: desk.shows("left"))


def test_much_that_is_typed_and_shown_at_once_arrives(walled: Lab, desks: list[Desk]) -> None:
    handle = walled.start(walled.spec(IDLE))
    desk = Desk(
        walled.runtime.enter(handle, ("/bin/sh", "-c", "stty raw -echo; echo go; head -c 50000 | cksum"))
    )
    desks.append(desk)

    eventually(lambda: desk.shows("go"))
    left = 50_000

    def all_typed() -> bool:
        nonlocal left
        left -= desk.tries(b"x" * left)
        return left == 0

    eventually(all_typed)
    eventually(lambda: desk.shows(" 50000"))
