"""RecordedHive: what a page shows of a hive whose actors do not run yet."""

import asyncio

from hyperhive.actors.board import Board
from hyperhive.domain.views import ApprovalView, HiveSnapshot, MessageView
from hyperhive.hive import Hive
from hyperhive.store.database import Database


class RecordedHive(Hive):
    """The hive as the record has it. It says what the first page asks for, and does nothing."""

    def __init__(self, *, board: Board, database: Database) -> None:
        self._board = board
        self._database = database

    def snapshot(self) -> HiveSnapshot:
        """The hive as of its last event."""
        return self._board.snapshot

    async def events(
        self, *, after: int = 0, limit: int = 1000, kinds: frozenset[str] | None = None
    ) -> list[str]:
        """Recorded events behind ``after``."""
        read = self._database.reader().events.after
        return [event.text for event in await asyncio.to_thread(read, after, limit, kinds)]

    async def messages(
        self, *, peer: str | None = None, after: int = 0, limit: int = 200
    ) -> tuple[MessageView, ...]:
        """Messages behind ``after``."""
        read = self._database.reader().messages.conversation
        return tuple(await asyncio.to_thread(read, peer, after, limit))

    async def approval(self, id: int) -> tuple[ApprovalView, ...]:
        """An approval and the others of its thread."""
        return tuple(await asyncio.to_thread(self._database.reader().approvals.thread, id))
