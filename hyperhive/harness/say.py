"""The turn loop's way to the host."""

from typing import Protocol

from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import Report


class Say(Protocol):
    """What the turn loop needs of the connection; nothing here blocks."""

    def report(self, report: Report) -> None:
        """Tell the host for sure."""

    def item(self, item: TurnItem) -> None:
        """Tell the host if there is room."""

    def owes_end_of(self, turn: int) -> bool:
        """Whether the end of ``turn`` was said and is not acknowledged."""
