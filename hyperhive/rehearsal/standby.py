"""The rehearsal by its address: known at once, loaded and served once the door is open.

Loading it takes as long as all the rest of the daemon's start, and only agents wait for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.rehearsal.keys import Keys
from hyperhive.rehearsal.listener import address, listen
from hyperhive.shortage import persist

if TYPE_CHECKING:
    from hyperhive.rehearsal.server import Rehearsal

log = logging.getLogger(__name__)


class Standby:
    """A rehearsal that listens from the beginning; who calls before it is served waits.

    Args:
        scenario: the operator's own file, checked now; ``None``: the built-in one.
        port: the wanted one; when it is taken, or 0, a free one is chosen.

    Raises:
        Invalid: the file is not as it must be.
        Broken: it could not listen.
    """

    def __init__(self, *, scenario: Path | None, keys: Keys, port: int) -> None:
        self._load: Callable[[], Rehearsal] = lambda: _loaded(keys, None)
        if scenario is not None:
            own = _loaded(keys, scenario)
            self._load = lambda: own
        self._listener = listen("127.0.0.1", port)
        self._rehearsal: Rehearsal | None = None
        self.url = address(self._listener)

    async def serve(self, stop: asyncio.Event) -> None:
        """Load it, in a thread, and answer from now on.

        What it lacks at the moment, descriptors or threads, must not end the hive: it is tried again until ``stop``.
        """

        def failed(error: Exception) -> None:
            log.error("The rehearsal does not answer yet, and is tried again: %s", error)

        await persist(self._serve, stop=stop, failed=failed)

    async def _serve(self) -> None:
        self._rehearsal = await asyncio.to_thread(self._load)
        await self._rehearsal.start(listener=self._listener)

    async def stop(self) -> None:
        """Stop serving, and listening."""
        if self._rehearsal is not None:
            await self._rehearsal.stop()
        with contextlib.suppress(OSError):
            self._listener.close()


def _loaded(keys: Keys, file: Path | None) -> "Rehearsal":
    from hyperhive.rehearsal.scenario import builtin, load
    from hyperhive.rehearsal.server import Rehearsal

    scenario = builtin() if file is None else load(file)
    return Rehearsal(scenario=scenario, keys=keys, refused=keys.refused)
