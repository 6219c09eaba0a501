"""How clients reach the daemon: HTTP, ``host.sock``, an agent's MCP socket; each says what is known after."""

import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.e2e.oracle.history import Failed, Lost

ANSWER = 60.0
"""Seconds an answer may take before its client gives up."""
WAITS = 0.5
"""Seconds that an agent's ``recv`` waits for the first message."""


class Door(Protocol):
    """What every way in can do."""

    def send(self, to: str, body: str) -> int:
        """Send a message; its number."""

    def take(self, most: int) -> list[dict[str, Any]]:
        """Take from the own inbox."""

    def close(self) -> None:
        """Hang up."""


class Wire(http.client.HTTPConnection):
    """HTTP over TCP, or over a unix socket; what could not be connected leaves nothing open."""

    def __init__(self, *, url: str, socket: Path | None = None, timeout: float = ANSWER) -> None:
        parts = urlsplit(url)
        super().__init__(parts.hostname or "", parts.port, timeout=timeout)
        self._path = socket

    def connect(self) -> None:
        """See ``HTTPConnection``."""
        if self._path is None:
            super().connect()
            return
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(self.timeout)
        try:
            made.connect(str(self._path))
        except OSError:
            made.close()
            raise
        self.sock = made


class Web:
    """HTTP, over TCP with a token or a browser's cookie, or over ``host.sock``."""

    def __init__(self, *, url: str, token: str = "", cookie: str = "", socket: Path | None = None) -> None:
        self._headers = {"Content-Type": "application/json"}
        if cookie:
            self._headers["Cookie"] = cookie
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._wire = Wire(url=url, socket=socket)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer to a request.

        Raises:
            Failed, Lost: see there.
        """
        wire = self._wire
        try:
            if wire.sock is None:
                wire.connect()
        except OSError as error:
            raise Failed(f"not reached: {error}") from None
        try:
            wire.request(method, path, None if body is None else json.dumps(body), self._headers)
            with wire.getresponse() as answer:
                status, said = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            wire.close()
            raise Lost(f"{type(error).__name__}: {error}") from None
        if status >= 500:
            raise Lost(said[:500].decode(errors="replace"))
        if status >= 400:
            raise Failed(said[:500].decode(errors="replace"))
        return json.loads(said)

    def post(self, path: str, body: object = None) -> Any:
        """POST."""
        return self.call("POST", path, body)

    def get(self, path: str) -> Any:
        """GET."""
        return self.call("GET", path)

    def send(self, to: str, body: str) -> int:
        """See ``Door``."""
        return int(self.post("/api/messages", {"to": to, "body": body})["id"])

    def take(self, most: int) -> list[dict[str, Any]]:
        """See ``Door``."""
        return list(self.post("/api/inbox/take", {"max": most})["messages"])

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


class Mcp:
    """MCP's stdio framing on an agent's socket; connects anew when the connection was lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._lines: Any = None
        self._next = 0

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answers.

        Raises:
            Failed, Lost: see there. A tool's own error counts as lost: it may come from a write that is on its way.
        """
        if self._socket is None:
            try:
                self._connect()
            except (OSError, ValueError, EOFError) as error:
                self.close()
                raise Failed(f"not reached: {error}") from None
        try:
            answer = self._ask("tools/call", {"name": tool, "arguments": arguments})
        except (OSError, ValueError, EOFError) as error:
            self.close()
            raise Lost(f"{type(error).__name__}: {error}") from None
        if "error" in answer or answer["result"].get("isError"):
            raise Lost(json.dumps(answer)[:500])
        found: dict[str, Any] = answer["result"]["structuredContent"]
        return found

    def close(self) -> None:
        """Hang up."""
        for end in (self._lines, self._socket):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()
        self._socket = self._lines = None

    def send(self, to: str, body: str) -> int:
        """See ``Door``."""
        return int(self.call("send", to=to, body=body)["id"])

    def take(self, most: int) -> list[dict[str, Any]]:
        """See ``Door``."""
        return list(self.call("recv", wait_seconds=WAITS, max=most)["messages"])

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER)
        self._socket.connect(str(self._path))
        self._lines = self._socket.makefile("rb")
        client = {"name": "oracle", "version": "1"}
        self._ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._next += 1
        self._say({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        while line := self._lines.readline():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._next:
                return message
        raise EOFError("the connection ended")

    def _say(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        self._socket.sendall(json.dumps(message).encode() + b"\n")
