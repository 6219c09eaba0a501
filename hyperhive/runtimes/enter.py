"""Runs a command in a container, by path in a process of its own; only the standard library.

What ``nsenter`` does, and more: it finds the user namespace that owns the mounts (the one inside may be a
child of it, without rights over them), it drops all capabilities and gains no new ones, and it clears the
environment.

Usage: enter.py PID START_TICKS COMMAND [ARGUMENT...]
"""

import ctypes
import fcntl
import os
import signal
import sys
from typing import NoReturn

NS_GET_USERNS = 0xB701
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

LIBC = ctypes.CDLL(None, use_errno=True)


def main(argv: list[str]) -> int:
    """Enter and run; returns the command's exit code, 128 + n after signal n."""
    pid, ticks, command = int(argv[1]), int(argv[2]), argv[3:]
    # Nobody inside may look into this process while it is half in and half out.
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    proc = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY)
    if started(proc) != ticks:
        return fail(f"The container's leader {pid} has ended.")
    cwd = os.readlink("cwd", dir_fd=proc)
    try:
        join(proc)
    except OSError as error:
        return fail(f"Cannot enter the container of {pid}: {error.strerror}.")
    child = os.fork()
    if child == 0:
        run(command, cwd)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


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


def run(command: list[str], cwd: str) -> NoReturn:
    """Give up all rights and execute the command."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    os.closerange(3, 256)
    try:
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
