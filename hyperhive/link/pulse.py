"""Many moments of many connections by few timers: what is due together costs one."""

import asyncio
import logging
from typing import Protocol

_log = logging.getLogger(__name__)


class Beats(Protocol):
    """Whose moment comes."""

    def beat(self) -> None:
        """It has come."""


class Pulse:
    """Tells each that its moment has come, on the event loop."""

    def __init__(self) -> None:
        self._due: dict[float, set[Beats]] = {}

    def at(self, when: float, who: Beats) -> None:
        """Tell ``who`` at ``when``, by the loop's clock."""
        if (group := self._due.get(when)) is None:
            group = self._due[when] = set()
            asyncio.get_running_loop().call_at(when, self._tell, when)
        group.add(who)

    def cancel(self, when: float, who: Beats) -> None:
        """Do not tell ``who`` at ``when``."""
        if (group := self._due.get(when)) is not None:
            group.discard(who)

    def _tell(self, when: float) -> None:
        for who in self._due.pop(when):
            try:
                who.beat()
            except Exception:
                _log.exception("The beat of a connection failed.")  # that of the others is due all the same
