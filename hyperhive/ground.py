"""The ground a hive stands on: what is checked and opened before its actors are made."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hyperhive.actors.board import Board
from hyperhive.actors.layout import Layout
from hyperhive.actors.painting import Painter
from hyperhive.actors.watcher import Watcher
from hyperhive.bridge import Bridge
from hyperhive.domain.names import MANAGER
from hyperhive.domain.views import HiveView
from hyperhive.mode import Mode
from hyperhive.runtimes.base import Runtime
from hyperhive.settings import Settings
from hyperhive.store.database import Database


class Ground(NamedTuple):
    """All of it.

    Args:
        view: the hive's own.
        claude: the Claude Code binary.
    """

    settings: Settings
    runtime: Runtime
    claude: Path
    layout: Layout
    database: Database
    watcher: Watcher
    bridge: Bridge
    mode: Mode
    view: HiveView
    now: Callable[[], datetime]

    def board(self) -> Board | None:
        """The hive as it was left, from the record alone; ``None``: it has not begun yet."""
        reader = self.database.reader()
        if reader.agents.get(MANAGER) is None:
            return None
        painter = Painter(database=self.database, layout=self.layout, runtime=self.runtime, now=self.now)
        board = Board(hive=self.view, seq=reader.events.newest())
        board.apply((), (*painter.agents(), *painter.sections(board)))
        return board
