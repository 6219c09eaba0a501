"""Desk: what the manager has before it, the config and state folders of every agent and draft, while it runs."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from hyperhive.actors.clerk import Clerk
from hyperhive.actors.layout import Layout
from hyperhive.domain.names import MANAGER
from hyperhive.domain.records import Handle
from hyperhive.errors import HiveError
from hyperhive.runtimes.base import Bind, Runtime
from hyperhive.store.database import Database

log = logging.getLogger(__name__)

_SHOWN = (("proposed", "config", True), ("state", "state", True), ("applied", "applied", False))


class Desk:
    """Shows the manager's container ``<name>/config`` and ``state`` (to write) and ``applied`` (to read).

    Every refresh computes the whole from what is recorded, so that one that failed or came too early is made up
    for by the next. Any thread may call; of those that come while one is under way, one does it for all.

    Args:
        clerk: does what ``soon`` asks for.

    ``on_trouble`` hears what was in the way and what is now, whenever that changes; from any thread.
    """

    def __init__(self, *, runtime: Runtime, layout: Layout, database: Database, clerk: Clerk) -> None:
        self._runtime = runtime
        self._layout = layout
        self._database = database
        self._clerk = clerk
        self._handle: Handle | None = None
        self._asked = 0
        self._done = 0
        self._count = threading.Lock()
        self._sharing = threading.Lock()
        self._waits = False
        self.trouble: str | None = None
        self.on_trouble: Callable[[str | None, str | None], None] = lambda was, now: None

    def launched(self, handle: Handle) -> None:
        """The manager's container was started or found again; show it everything. Blocks, never fails."""
        self._handle = handle
        self.refresh()

    def refresh(self) -> None:
        """Show what there is now; returns when it is shown. Blocks, never fails: ``trouble`` says why it is not."""
        with self._count:
            self._asked += 1
            mine = self._asked
        with self._sharing:
            if self._done < mine:
                with self._count:
                    covered = self._asked
                self._share()
                self._done = covered

    def soon(self) -> None:
        """Refresh in a moment, beside the caller. Never blocks, never fails."""
        with self._count:
            if self._waits:
                return
            self._waits = True
        try:
            self._clerk.run(self._now)
        except HiveError as error:
            self._waits = False
            log.warning("The manager's folders are not shown anew: %s", error.message)

    def _now(self) -> None:
        with self._count:
            self._waits = False
        self.refresh()

    def _share(self) -> None:
        was = self.trouble
        try:
            handle = self._running()
            if handle is not None:
                self._runtime.share(self._layout.agent(MANAGER).container, handle, self.shares())
            self.trouble = None
        except HiveError as error:
            self.trouble = error.message if error.code != "not-running" else None  # it ended just now
        except OSError as error:
            self.trouble = str(error)
        if self.trouble is not None:
            self.trouble = f"The manager does not see all agents' folders: {self.trouble}"
            log.warning("%s", self.trouble)
        if self.trouble != was:
            self.on_trouble(was, self.trouble)

    def _running(self) -> Handle | None:
        record = self._database.reader().agents.get(MANAGER)
        for handle in (self._handle, record.handle if record is not None else None):
            if handle is not None and self._runtime.alive(handle):
                return handle
        return None

    def shares(self) -> tuple[Bind, ...]:
        """What the manager sees: the folders that are there, of all agents and drafts."""
        reader = self._database.reader()
        names = {record.name for record in reader.agents.all()} | {
            draft.name for draft in reader.drafts.all()
        }
        return tuple(bind for name in sorted(names) for bind in self._of(name))

    def _of(self, name: str) -> tuple[Bind, ...]:
        root = self._layout.agent(name).root
        return tuple(
            Bind(host=root / folder, inside=Path(name, shown), writable=writable)
            for folder, shown, writable in _SHOWN
            if (root / folder).is_dir()
        )
