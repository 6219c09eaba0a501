"""The watcher thread: waits on pidfds, file watches and timers, and tells who asked. Nothing is polled."""

import contextlib
import ctypes
import errno
import heapq
import itertools
import logging
import os
import selectors
import threading
import time
from collections.abc import Callable

import inotify_simple
from inotify_simple import INotify, flags

from hyperhive.domain.records import Handle
from hyperhive.runtimes.proc import is_alive

log = logging.getLogger(__name__)

# It would start a program to find the C library, which this process has; it does where this says nothing to it.
inotify_simple._libc = ctypes.CDLL(None, use_errno=True)

_FILE_EVENTS = (
    flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.DELETE_SELF | flags.ONLYDIR
)
_COALESCE = 0.02
"""Seconds over which changes of one folder are told as one."""

_LONGEST = 3600.0
"""Seconds one wait may take: what epoll is given must fit, however far away a timer is."""

_CROWD = 1024
"""Timers from which on the cancelled ones are cleared away before they are due: most are cancelled early."""

Cancel = Callable[[], None]


class _Folder:
    """Somebody's watch of a folder; called, it ends. ``watch``: the kernel's number of it."""

    __slots__ = ("_end", "names", "then", "watch")

    def __init__(
        self, watch: int, names: frozenset[str], then: Callable[[], None], end: "Callable[[_Folder], None]"
    ) -> None:
        self.watch, self.names, self.then, self._end = watch, names, then, end

    def __call__(self) -> None:
        self._end(self)


class _Leader:
    """Somebody's watch of a leader; called, it ends. ``fd``: the pidfd."""

    __slots__ = ("_end", "fd", "then")

    def __init__(self, fd: int, then: Callable[[], None], end: "Callable[[_Leader], None]") -> None:
        self.fd, self.then, self._end = fd, then, end

    def __call__(self) -> None:
        self._end(self)


class Watcher:
    """One thread for all agents.

    ``trouble`` names what it cannot watch, so that the tick is all there is; ``on_trouble`` is told of it once.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._lock = threading.Lock()
        self._timers: list[tuple[float, int, list[Callable[[], None] | None]]] = []
        self._crowded = _CROWD
        self._order = itertools.count()
        self._folders: dict[int, tuple[_Folder, ...]] = {}
        # Bound once: there are three of these for each agent.
        self._end_folder: Callable[[_Folder], None] = self._leave_folder
        self._end_leader: Callable[[_Leader], None] = self._leave_leader
        self._stopped = False
        self.trouble: str | None = None
        self.on_trouble: Callable[[str], None] = lambda trouble: None
        self._inotify = self._open_inotify()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; what is still due is not told."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join(timeout=2)
        if not self._thread.is_alive():
            self._close()

    # -- what can be asked for, from any thread

    def after(self, delay: float, then: Callable[[], None]) -> Cancel:
        """Call ``then`` in ``delay`` seconds."""
        cell: list[Callable[[], None] | None] = [then]
        with self._lock:
            if len(self._timers) >= self._crowded:
                self._timers = [timer for timer in self._timers if timer[2][0] is not None]
                heapq.heapify(self._timers)
                self._crowded = max(_CROWD, 2 * len(self._timers))
            heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), cell))
            first = self._timers[0][2] is cell
        if first:
            self._poke()

        def cancel() -> None:
            cell[0] = None

        return cancel

    def leader(self, handle: Handle, then: Callable[[], None]) -> Cancel:
        """Call ``then`` once when the leader has ended; at once when it already has."""
        try:
            fd = _pidfd(handle)
        except OSError as error:  # no descriptor to be had says nothing of the process
            self._in_trouble(
                f"cannot watch containers ({error.strerror}): their ends are seen by the tick only"
            )
            return lambda: None
        if fd is None:
            return self.after(0, then)
        with self._lock:
            if self._stopped:
                os.close(fd)
                return lambda: None
            self._selector.register(fd, selectors.EVENT_READ, then)
        self._poke()

        return _Leader(fd, then, self._end_leader)

    def _leave_leader(self, leader: _Leader) -> None:
        self.after(0, lambda: self._release(leader.fd, leader.then))

    def folder(
        self, path: str, names: frozenset[str], then: Callable[[], None], *, growing: bool = False
    ) -> Cancel:
        """Call ``then``, coalesced, when one of ``names`` in the folder at ``path`` changed.

        Args:
            growing: also while a file is still open for writing; else only when it was closed.
        """
        if self._inotify is None:
            return lambda: None
        # A folder has one mask, whoever watches it: add to it, or another's watch loses what it waits for.
        mask = _FILE_EVENTS | flags.MASK_ADD | (flags.MODIFY if growing else 0)
        try:
            with self._lock:
                if self._stopped:
                    return lambda: None
                watch = self._inotify.add_watch(path, mask)
                folder = _Folder(watch, names, then, self._end_folder)
                self._folders[watch] = (*self._folders.get(watch, ()), folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self._in_trouble(f"cannot watch files ({error.strerror}): changes are seen by the tick only")
            return lambda: None

        return folder

    def _leave_folder(self, folder: _Folder) -> None:
        with self._lock:
            there = self._folders.get(folder.watch, ())
            left = tuple(other for other in there if other is not folder)
            if left:
                self._folders[folder.watch] = left
            elif self._folders.pop(folder.watch, None) is not None and self._inotify is not None:
                with contextlib.suppress(OSError):
                    self._inotify.rm_watch(folder.watch)

    # -- the thread

    def _open_inotify(self) -> INotify | None:
        try:
            inotify = INotify(nonblocking=True)
        except OSError as error:
            self.trouble = f"no file watches ({error.strerror}): raise fs.inotify.max_user_instances"
            return None
        self._selector.register(inotify.fileno(), selectors.EVENT_READ, None)
        return inotify

    def _close(self) -> None:
        with self._lock:
            for key in list(self._selector.get_map().values()):
                self._selector.unregister(key.fd)
                if self._inotify is None or key.fd != self._inotify.fileno():
                    os.close(key.fd)
            self._selector.close()
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None

    def _in_trouble(self, trouble: str) -> None:
        if self.trouble is None:
            self.trouble = trouble
            self.after(0, lambda: self.on_trouble(trouble))

    def _poke(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if not self._stopped:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._turn()
            except Exception:
                log.exception("The watcher stumbled and goes on.")

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._until_next()):
            if key.fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            elif key.data is None:
                self._read_folders()
            else:
                self._release(key.fd, key.data)
                try:
                    key.data()
                except Exception:
                    log.exception("A watch failed.")
        self._run_timers()

    def _until_next(self) -> float | None:
        with self._lock:
            while self._timers and self._timers[0][2][0] is None:
                heapq.heappop(self._timers)
            if not self._timers:
                return None
            return min(_LONGEST, max(0.0, self._timers[0][0] - time.monotonic()))

    def _run_timers(self) -> None:
        while True:
            with self._lock:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                cell = heapq.heappop(self._timers)[2]
            if cell[0] is not None:
                try:
                    cell[0]()
                except Exception:
                    log.exception("A timer failed.")

    def _release(self, fd: int, then: Callable[[], None]) -> None:
        with self._lock:
            registered = self._selector.get_map().get(fd)
            if registered is None or registered.data is not then:
                return
            self._selector.unregister(fd)
            os.close(fd)

    def _read_folders(self) -> None:
        if self._inotify is None:
            return
        due: set[_Folder] = set()
        for event in self._inotify.read(timeout=0):
            with self._lock:
                there = self._folders.get(event.wd, ())
                if event.mask & flags.IGNORED:
                    self._folders.pop(event.wd, None)  # the folder is gone, and its number may be used again
            due.update(
                folder for folder in there if event.name in folder.names or event.mask & flags.DELETE_SELF
            )
        for folder in due:
            self.after(_COALESCE, folder.then)


def _pidfd(handle: Handle) -> int | None:
    """A descriptor of exactly that process; ``None`` when it has ended."""
    try:
        fd = os.pidfd_open(handle.pid)
    except ProcessLookupError:
        return None
    try:
        alive = is_alive(handle.pid, handle.start_ticks)
    except OSError:
        os.close(fd)
        raise
    if alive:
        return fd
    os.close(fd)
    return None
