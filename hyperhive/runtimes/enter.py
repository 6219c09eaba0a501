"""Runs a command in a container, by path in a process of its own; only the standard library.

What ``nsenter`` does, and more: it finds the user namespace that owns the mounts (the one inside may be a
child of it, without rights over them), it drops all capabilities and gains no new ones, it clears the
environment, and it keeps the caller's terminal outside: whoever has the same user inside could hold on to it, read
what is typed there later, and type for its owner. The command gets a terminal of the container's own instead.
The container's limits are the command's, too, for what it runs may be the agent's: its shell's startup files are.

Usage: enter.py [--cgroup FILE]... PID START_TICKS COMMAND [ARGUMENT...]
       (FILE: the list of processes of a control group of the container's; one that cannot be joined is passed over)
"""

import ctypes
import fcntl
import os
import select
import signal
import sys
import termios
import tty
from contextlib import suppress
from typing import NoReturn

NS_GET_USERNS = 0xB701
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
CHUNK = 65536
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

LIBC = ctypes.CDLL(None, use_errno=True)


def main(argv: list[str]) -> int:
    """Enter and run; returns the command's exit code, 128 + n after signal n."""
    words, groups = argv[1:], []
    while words[0] == "--cgroup":
        with suppress(OSError):
            groups.append(os.open(words[1], os.O_WRONLY | os.O_CLOEXEC))
        words = words[2:]
    pid, ticks, command = int(words[0]), int(words[1]), words[2:]
    # Nobody inside may look into this process while it is half in and half out.
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    proc = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY)
    if started(proc) != ticks:
        return fail(f"The container's leader {pid} has ended.")
    cwd = os.readlink("cwd", dir_fd=proc)
    try:
        join(proc)
        terminal = Terminal.of_caller()
    except OSError as error:
        return fail(f"Cannot enter the container of {pid}: {error.strerror}.")
    child = os.fork()
    if child == 0:
        for group in groups:
            with suppress(OSError):
                os.write(group, b"0")
        run(command, cwd, terminal)
    status = wait(child) if terminal is None else terminal.carry(child)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def wait(child: int) -> int:
    """Wait for a command without a terminal; its wait status. An interrupt is handed on."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(child, number))
    return os.waitpid(child, 0)[1]


class Terminal:
    """A terminal of the container's own, and what goes between it and the caller's.

    Args:
        places: which of the descriptors 0 to 2 are the caller's terminal; the others are left as they are.
    """

    def __init__(self, places: tuple[int, ...]) -> None:
        self._places = places
        self._typed = 0 in places
        self._screen = next((fd for fd in (1, 2) if fd in places), 0)
        self._own, self._inner = os.openpty()

    @classmethod
    def of_caller(cls) -> "Terminal | None":
        """One where the caller has one; made in the mount namespace that was joined."""
        places = tuple(fd for fd in (0, 1, 2) if os.isatty(fd))
        return cls(places) if places else None

    def take(self) -> None:
        """In the command's process: make it the controlling terminal, in the caller's place."""
        fcntl.ioctl(self._inner, termios.TIOCSCTTY, 0)
        for fd in self._places:
            os.dup2(self._inner, fd)

    def carry(self, child: int) -> int:
        """Carry bytes until the command has ended; its wait status. The caller's terminal is left as it was."""
        os.close(self._inner)
        os.set_blocking(self._own, False)
        before = termios.tcgetattr(self._places[0])
        self._resize()
        signal.signal(signal.SIGWINCH, lambda *_: self._resize())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            if self._typed:
                tty.setraw(0)
            else:
                signal.signal(signal.SIGINT, lambda *_: os.kill(child, signal.SIGINT))
            self._pump(os.pidfd_open(child))
        finally:
            termios.tcsetattr(self._places[0], termios.TCSADRAIN, before)
        return os.waitpid(child, 0)[1]

    def _resize(self) -> None:
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, fcntl.ioctl(self._screen, termios.TIOCGWINSZ, bytes(8)))

    def _pump(self, ended: int) -> None:
        """Carry both ways; what is typed faster than it is read waits, and nothing is read meanwhile."""
        pending, typed, open_ = b"", self._typed, True
        while True:
            wanted = [ended, *((self._own,) if open_ else ()), *((0,) if typed and not pending else ())]
            ready, takes, _ = select.select(wanted, [self._own] if pending else [], [])
            if 0 in ready:
                pending = os.read(0, 1024)
                typed = bool(pending)
            if takes:
                pending = pending[self._put(pending) :]
            data = self._read() if self._own in ready else b""
            show(self._screen, data or b"")
            open_ = open_ and data is not None
            # What processes it left behind still say is nobody's any more.
            if ended in ready and not data:
                return

    def _put(self, data: bytes) -> int:
        try:
            return os.write(self._own, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _read(self) -> bytes | None:
        """What came, ``None`` when nobody has it open any more."""
        try:
            return os.read(self._own, CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            return None


def show(screen: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(screen, data) :]


def started(proc: int) -> int | None:
    """The start time of the process behind a descriptor of its folder."""
    try:
        fd = os.open("stat", os.O_RDONLY, dir_fd=proc)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def join(proc: int) -> None:
    """Join all its namespaces but the network, which is the host's."""
    spaces = {name: os.open(f"ns/{name}", os.O_RDONLY, dir_fd=proc) for name in ("mnt", "pid", "ipc", "uts")}
    leaf = os.open("ns/user", os.O_RDONLY, dir_fd=proc)
    owner = fcntl.ioctl(spaces["mnt"], NS_GET_USERNS)
    if os.geteuid() == 0:
        os.setgroups([])
    setns(owner)
    for fd in spaces.values():
        setns(fd)
    if os.fstat(leaf).st_ino != os.fstat(owner).st_ino:
        setns(leaf)


def setns(fd: int) -> None:
    """Join the namespace behind ``fd``."""
    if LIBC.setns(fd, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run(command: list[str], cwd: str, terminal: Terminal | None) -> NoReturn:
    """Give up all rights and execute the command, in a session without the caller's terminal."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    try:
        os.setsid()
        if terminal is not None:
            terminal.take()
        os.closerange(3, 256)
        drop()
        os.chdir(cwd)
        name, home, shell = who()
        kept = {key: os.environ[key] for key in ("TERM", "COLORTERM") if key in os.environ}
        fixed = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": home, "SHELL": shell, "USER": name, "LOGNAME": name}
        os.execvpe(command[0], command, {**kept, **fixed})
    except OSError as error:
        fail(f"{command[0]}: {error.strerror}.")
    finally:
        os._exit(127)


def drop() -> None:
    """Drop all capabilities, for good."""
    for cap in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)
    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if LIBC.capset(header, nothing) or LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def who() -> tuple[str, str, str]:
    """Name, home and shell of the user inside."""
    with open("/etc/passwd", encoding="utf-8") as file:  # noqa: PTH123 - a cheap start
        for line in file:
            fields = line.rstrip("\n").split(":")
            if fields[2] == str(os.getuid()):
                return fields[0], fields[5], fields[6]
    return "agent", "/", "/bin/sh"


def fail(text: str) -> int:
    """Say why not."""
    os.write(2, f"{text}\n".encode())
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv))
