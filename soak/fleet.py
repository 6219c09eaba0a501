"""The runtime of the soak: tiny processes as containers, and word of each that started."""

import json
import socket
from pathlib import Path

from hyperhive.domain.records import Handle
from hyperhive.runtimes.base import LaunchSpec
from tests.fakes.runtime import FakeRuntime


class Fleet(FakeRuntime):
    """A fake runtime that keeps no record of its own, and says whose container started as which process.

    Args:
        told: a datagram socket that hears of it.
    """

    def __init__(self, told: Path) -> None:
        super().__init__(lifetime="14400")
        self._told = str(told)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        """Start it and say so."""
        handle = super().start(spec, deadline=deadline)
        with self._lock:  # only what a test would look at
            self.starts.clear()
            self.stops.clear()
            self.shown.clear()
            self._ever.clear()
            self._ends.clear()
        self._socket.sendto(json.dumps([spec.name, handle.pid]).encode(), self._told)
        return handle

    def end_all(self) -> None:
        """End what runs."""
        with self._lock:
            self._ever.extend(self._handles.items())
        super().end_all()
