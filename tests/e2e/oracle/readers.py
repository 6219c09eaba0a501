"""Readers of the event stream, who come back with their last number whenever they lose it."""

import http.client
import random
import threading
from pathlib import Path

from tests.e2e.oracle.doors import Wire
from tests.e2e.oracle.history import Gate

SILENCE = 40.0
"""Seconds without a word after which a stream is opened anew; a comment comes every 15."""


class Reader(threading.Thread):
    """Keeps what it was told, in the order in which it was told it.

    Args:
        after: the number it begins behind.
        leaves: hangs up by itself after so many events, on average; 0: never.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        token: str,
        gate: Gate,
        after: int,
        socket: Path | None = None,
        leaves: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._url, self._token, self._gate = url, token, gate
        self._uds, self._leaves, self._random = socket, leaves, random.Random(seed)
        self._began = self.last = after
        self._told: list[tuple[int, str]] = []
        self._grown = threading.Condition()
        self.resyncs = 0
        self.connections = 0

    def run(self) -> None:
        """Read until the gate is closed for good."""
        while not self._gate.over:
            wire = Wire(url=self._url, socket=self._uds, timeout=SILENCE)
            try:
                self._follow(wire)
            except (OSError, http.client.HTTPException):
                self._gate.pause(0.05)
            finally:
                wire.close()

    def _follow(self, wire: Wire) -> None:
        headers = {"Last-Event-ID": str(self.last), "Authorization": f"Bearer {self._token}"}
        leave = self._random.randrange(1, 2 * self._leaves) if self._leaves else 0
        wire.request("GET", "/api/events", headers=headers)
        with wire.getresponse() as answer:
            if answer.status != 200:
                self._gate.pause(0.1)
                return
            self.connections += 1
            frame: dict[str, str] = {}
            while not self._gate.over and (raw := answer.readline()):
                line = raw.decode().rstrip("\n").rstrip("\r")
                key, _, value = line.partition(": ")
                if line and key:
                    frame[key] = value
                elif frame:
                    self._take(frame)
                    frame = {}
                    leave -= 1
                    if leave == 0:
                        return

    def _take(self, frame: dict[str, str]) -> None:
        with self._grown:
            if frame.get("event") == "resync":
                self.resyncs += 1
            elif "id" in frame:
                self.last = int(frame["id"])
                self._told.append((self.last, frame["data"]))
                self._grown.notify_all()

    def reached(self, seq: int, deadline: float) -> bool:
        """Whether it was told everything up to ``seq`` within ``deadline`` seconds."""
        with self._grown:
            return self._grown.wait_for(lambda: self.last >= seq, deadline)

    def drain(self, upto: int) -> tuple[int, list[tuple[int, str]]]:
        """Behind which number it began, and what it was told since, up to ``upto``; it goes on from there."""
        with self._grown:
            began, told = self._began, [one for one in self._told if one[0] <= upto]
            self._began, self._told = upto, [one for one in self._told if one[0] > upto]
            return began, told
