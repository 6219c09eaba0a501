"""What is around a container, run by path in a process of its own; only the standard library.

``make``, before a container starts: takes its limits on, and makes a mount namespace around it where host
folders are staged that it could not reach itself, and where a hub is: a small file system whose mounts
propagate into it. ``show``, while it runs: enters that namespace from outside and mounts in the hub what is
to be seen inside.

Usage: outer.py make [--cgroup FILE]... [--stage HOST PLACE]... [--hub] -- COMMAND [ARGUMENT...]
       outer.py show PID START_TICKS     (PID: what ``make`` became; the shares as JSON on stdin)
"""

import ctypes
import errno
import json
import os
import sys
from contextlib import suppress

PORCH = "/sys"
"""Where the namespace keeps its own: there on every host, passable by all, and nothing of it is for a container."""
HUB = f"{PORCH}/hub"
NO_HUB = 3
"""Exit code of ``show`` where there is none."""

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 2, 4, 8, 4096, 16384
MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 18, 1 << 19, 1 << 20
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
AT_EMPTY_PATH, AT_RECURSIVE, AT_FDCWD = 0x1000, 0x8000, -100
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442  # the same on all machines since Linux 5.2

LIBC = ctypes.CDLL(None, use_errno=True)


class Share:
    """A folder of the host that is to be seen inside.

    Args:
        inside: where, relative to the hub.
        host: its path.
        trusted: the part of ``host`` where links are followed.
    """

    def __init__(self, inside: str, host: str, trusted: str, writable: bool) -> None:
        self.inside, self.host, self.trusted, self.writable = inside, host, trusted, writable


def main(argv: list[str]) -> int:
    """Do as the arguments say; an exit code."""
    try:
        return show(int(argv[2]), int(argv[3])) if argv[1] == "show" else make(argv[2:])
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        what = "needs Linux 5.12 or newer" if error.errno == errno.ENOSYS else error.strerror
        os.write(2, f"{where}{what}\n".encode())
        return 1


def make(words: list[str]) -> int:
    """Make what the options say, then become the command."""
    stages: list[tuple[str, str]] = []
    hub = False
    while (word := words.pop(0)) != "--":
        if word == "--cgroup":
            join_cgroup(words.pop(0))
        elif word == "--stage":
            stages.append((words.pop(0), words.pop(0)))
        else:
            hub = True
    if stages or hub:
        part(may_map=not stages)
        mount("none", PORCH, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m,nr_inodes=4096")
        for host, place in stages:
            stage(host, place)
    if hub:
        os.mkdir(HUB)  # noqa: PTH102 - a cheap start
        mount("hub", HUB, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m,nr_inodes=65536")
        mount(None, HUB, None, MS_SHARED)
    os.execvp(words[0], words)


def join_cgroup(file: str) -> None:
    """Go into the control group with this list of processes, with all that comes after."""
    with open(file, "w") as members:  # noqa: PTH123 - a cheap start
        members.write("0")


def part(*, may_map: bool) -> None:
    """Part from the host's mount namespace; its later mounts still arrive, nothing goes back.

    Args:
        may_map: whether who may not do that is to do it in a user namespace, with only its own user in it.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        call(LIBC.unshare(CLONE_NEWNS))
    except PermissionError:
        if not may_map:
            raise
        call(LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - a cheap start
                file.write(text)
    mount(None, "/", None, MS_REC | MS_SLAVE)


def stage(host: str, place: str) -> None:
    """Show ``host`` at ``place`` in the porch."""
    os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 - a cheap start
    if os.path.isdir(host):  # noqa: PTH112 - as above
        os.mkdir(place)  # noqa: PTH102 - as above
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    mount(host, place, None, MS_BIND | MS_REC)


def show(pid: int, ticks: int) -> int:
    """Make the hub show exactly the shares of stdin; those that are no folders stand on stdout."""
    shares = [Share(*fields) for fields in json.load(sys.stdin)]
    enter(pid, ticks)
    if not os.path.ismount(HUB):
        return NO_HUB
    missing: list[str] = []
    here = set(shown(HUB))
    right = {share.inside for share in shares if share.inside in here and is_right(share)}
    for inside in here - right:
        call(LIBC.umount2(f"{HUB}/{inside}".encode(), MNT_DETACH | UMOUNT_NOFOLLOW), inside)
    for share in shares:
        if share.inside not in right and not attach(share):
            missing.append(share.host)
    tidy(HUB)
    json.dump(missing, sys.stdout)
    return 0


def enter(pid: int, ticks: int) -> None:
    """Join the mount namespace of the process, and the user namespace that it is in."""
    proc = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY)
    with open(os.open("stat", os.O_RDONLY, dir_fd=proc), "rb") as file:  # noqa: PTH123 - by descriptor
        if int(file.read().rpartition(b")")[2].split()[19]) != ticks:
            raise ProcessLookupError(3, f"process {pid} has ended")
    user, mounts = (os.open(f"ns/{name}", os.O_RDONLY, dir_fd=proc) for name in ("user", "mnt"))
    if os.fstat(user).st_ino != os.stat("/proc/self/ns/user").st_ino:  # noqa: PTH116 - a cheap start
        call(LIBC.setns(user, CLONE_NEWUSER))
    call(LIBC.setns(mounts, CLONE_NEWNS))


def open_plain(share: Share) -> int:
    """Open the folder without following a link that an agent may have made."""
    fd = os.open(share.trusted, os.O_PATH | os.O_DIRECTORY)
    for name in os.path.relpath(share.host, share.trusted).split("/"):
        above = fd
        try:
            fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return fd


def shown(hub: str, below: str = "") -> "list[str]":
    """What is mounted in the hub, by its place."""
    own = os.stat(hub).st_dev  # noqa: PTH116 - a cheap start
    found: list[str] = []
    with os.scandir(f"{hub}/{below}") as entries:
        for entry in entries:
            place = f"{below}{entry.name}"
            if entry.stat(follow_symlinks=False).st_dev != own:
                found.append(place)
            else:
                found += shown(hub, f"{place}/")
    return found


def is_right(share: Share) -> bool:
    """Whether what is shown there is this folder, as writable as it should be."""
    try:
        source = open_plain(share)
    except OSError:
        return False
    try:
        there, here = os.stat(f"{HUB}/{share.inside}"), os.fstat(source)  # noqa: PTH116 - a cheap start
        closed = not share.writable or bool(os.fstatvfs(source).f_flag & os.ST_RDONLY)
    finally:
        os.close(source)
    same = (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    return same and bool(os.statvfs(f"{HUB}/{share.inside}").f_flag & os.ST_RDONLY) == closed


def attach(share: Share) -> bool:
    """Mount it in the hub, all flags set before anybody sees it; whether it is a folder at all."""
    try:
        source = open_plain(share)
    except OSError:
        return False
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE
    try:
        tree = call(LIBC.syscall(SYS_OPEN_TREE, source, b"", flags), share.host)
    finally:
        os.close(source)
    try:
        attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (0 if share.writable else MOUNT_ATTR_RDONLY)
        wanted = (ctypes.c_uint64 * 4)(attributes, 0, MS_PRIVATE, 0)
        whole = AT_EMPTY_PATH | AT_RECURSIVE
        call(LIBC.syscall(SYS_MOUNT_SETATTR, tree, b"", whole, ctypes.byref(wanted), 32), share.host)
        place = f"{HUB}/{share.inside}"
        os.makedirs(place, exist_ok=True)  # noqa: PTH103 - a cheap start
        call(
            LIBC.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, place.encode(), MOVE_MOUNT_F_EMPTY_PATH), place
        )
    finally:
        os.close(tree)
    return True


def tidy(hub: str) -> None:
    """Remove the folders in the hub that nothing is mounted in."""
    own = os.stat(hub).st_dev  # noqa: PTH116 - a cheap start
    for name in os.listdir(hub):  # noqa: PTH208 - a cheap start
        folder = f"{hub}/{name}"
        if os.stat(folder).st_dev == own:  # noqa: PTH116 - a cheap start
            tidy(folder)
            with suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106 - a cheap start


def mount(source: "str | None", target: str, kind: "str | None", flags: int, data: str = "") -> None:
    """mount(2)."""
    words = (word.encode() if word is not None else None for word in (source, target, kind))
    call(LIBC.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def call(result: int, what: "str | None" = None) -> int:
    """The result of a call into the kernel, or its error."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv))
