"""A minimal HTTP/1.1 client over the daemon's unix socket.

``http.client`` would take as long to import as all the rest of a command; this does what the daemon needs:
one request a connection, bodies by length, in chunks or until the end, and server-sent events.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from typing import Any, NamedTuple

from hyperhive.cli.errors import CommandError, NoDaemon, Usage

CONNECT = 5.0
"""Seconds to connect."""
ANSWER = 60.0
"""Seconds that an answer, or the next part of one, may take."""
SILENCE = 45.0
"""Seconds a stream may be silent; the daemon says something every 15."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes of one answer."""
MAX_LINE = 8 * 1024 * 1024
"""Bytes of one line of a stream."""
_CUT = "The daemon hung up in the middle of an answer; is it still running?"


class Frame(NamedTuple):
    """One server-sent event."""

    id: str
    event: str
    data: str


def run_folder() -> str:
    """The folder of the daemon's sockets, by the same rule as ``settings.default_run``."""
    if run := os.environ.get("HYPERHIVE_RUN"):
        try:
            return os.path.abspath(os.path.expanduser(run))
        except FileNotFoundError:
            raise CommandError(
                f"{run}: the current folder was deleted; change to another, or set HYPERHIVE_RUN to a whole path."
            ) from None
    if os.geteuid() == 0:
        return "/run/hyperhive"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return os.path.join(runtime, "hyperhive") if runtime else f"/tmp/hyperhive-{os.geteuid()}"


class Daemon:
    """The daemon, as a command sees it.

    Args:
        path: its socket, ``host.sock`` in the run folder.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path

    def json(self, method: str, target: str, body: object = None) -> Any:
        """The answer to a request, decoded.

        Raises:
            NoDaemon: nothing listens on the socket.
            CommandError: the daemon refused or failed; the message is the daemon's.
        """
        raw = self.text(method, target, body)
        try:
            return json.loads(raw)
        except ValueError:
            raise CommandError(
                f"The daemon's answer to {method} {target} is not JSON; is it of this command's version?"
            ) from None

    def text(self, method: str, target: str, body: object = None) -> str:
        """The answer to a request, as text. Raises as ``json`` does."""
        reply = self._request(method, target, body, accept="*/*", silence=ANSWER)
        try:
            return reply.body().decode(errors="replace")
        finally:
            reply.close()

    def stream(self, target: str) -> Iterator[Frame]:
        """The server-sent events of a route, until the daemon ends them. Raises as ``json`` does."""
        reply = self._request("GET", target, None, accept="text/event-stream", silence=SILENCE)
        try:
            yield from frames(reply.lines())
        finally:
            reply.close()

    def _request(self, method: str, target: str, body: object, *, accept: str, silence: float) -> "_Reply":
        sock = self._connect()
        # The file keeps the connection open; closing it is all that is left to do.
        file = sock.makefile("rb")
        try:
            with sock:
                sock.settimeout(silence)
                with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered half of it
                    sock.sendall(_head(method, target, accept, body))
            reply = _Reply(file)
            if reply.status >= 400:
                raise CommandError(_problem(reply.status, reply.body()))
        except BaseException as error:
            file.close()
            raise _explained(error, f"{method} {target}", silence) from None
        return reply

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(CONNECT)
        try:
            sock.connect(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            reason = "No hive runs here: nothing answers at"
            fix = "start one with 'hyperhive up', or set HYPERHIVE_RUN to the run folder of the one you mean."
        except PermissionError:
            reason = "The hive belongs to another user: no access to"
            fix = "run this as the daemon's user."
        except TimeoutError:
            reason = f"The hive accepted no connection within {CONNECT:.0f} s at"
            fix = "look at its log, and restart it if it is stuck."
        except OSError as error:
            reason = f"No connection to the hive ({error.strerror or error}) at"
            fix = "check HYPERHIVE_RUN; a socket's path has at most 107 bytes."
        else:
            _check_owner(sock, self.path)
            return sock
        sock.close()
        raise NoDaemon(f"{reason} {self.path}; {fix}")


def _check_owner(sock: socket.socket, path: str) -> None:
    """Refuse to talk to another user's server: what it answers is believed, and 'shell' even runs it."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    owner = struct.unpack("3i", raw)[1]
    if owner not in (os.geteuid(), 0):
        sock.close()
        raise CommandError(
            f"What listens at {path} belongs to uid {owner}, not to you; "
            "if that is the hive you mean, run this as that user."
        )


def _explained(error: BaseException, request: str, silence: float) -> BaseException:
    match error:
        case TimeoutError():
            return CommandError(
                f"The daemon did not answer {request} within {silence:.0f} s; "
                "whether it took effect shows in 'hyperhive events'."
            )
        case OSError():
            return NoDaemon(f"The daemon hung up: {error.strerror or error}; is it still running?")
    return error


def _head(method: str, target: str, accept: str, body: object) -> bytes:
    try:
        payload = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Usage(
            "What was typed is not UTF-8 text; type it as such, or see to the terminal's locale."
        ) from None
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Accept: {accept}", "Connection: close"]
    if body is not None:
        lines.append("Content-Type: application/json")
    if method != "GET":
        lines.append(f"Content-Length: {len(payload)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + payload


def _problem(status: int, body: bytes) -> str:
    try:
        problem = json.loads(body)
        said = problem.get("detail") or problem.get("title")
    except (ValueError, AttributeError):
        said = None
    return str(said) if said else f"The daemon answered {status}; its log says more."


class _Reply:
    """An answer being read. Raises ``CommandError`` when it is cut off or no HTTP."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        status = self._file.readline(65_536).split(None, 2)
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].isdigit():
            raise NoDaemon("The daemon hung up without an answer; is it stopping?")
        self.status = int(status[1])
        self._headers = self._read_headers()

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while (line := self._file.readline(65_536)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def body(self) -> bytes:
        """All of it."""
        parts, size = [], 0
        for part in self._parts():
            size += len(part)
            if size > MAX_BODY:
                raise CommandError(f"The daemon's answer is longer than {MAX_BODY} bytes; ask for less.")
            parts.append(part)
        return b"".join(parts)

    def lines(self) -> Iterator[str]:
        """Line by line, as they come, without their ends."""
        rest = b""
        for part in self._parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r").decode(errors="replace")
            if len(rest) > MAX_LINE:
                raise CommandError(f"The daemon sent a line longer than {MAX_LINE} bytes; its log says more.")

    def close(self) -> None:
        """Hang up."""
        self._file.close()

    def _parts(self) -> Iterator[bytes]:
        try:
            if self._headers.get("transfer-encoding", "").lower() == "chunked":
                yield from self._chunks()
            elif (length := self._headers.get("content-length")) is not None:
                yield self._exactly(int(length))
            else:
                while part := self._file.read1(65_536):
                    yield part
        except TimeoutError:
            raise CommandError("The daemon fell silent; look at its log.") from None
        except OSError as error:
            raise NoDaemon(f"The daemon hung up: {error.strerror or error}; is it still running?") from None
        except ValueError:
            raise CommandError("The daemon's answer is not HTTP; what listens on that socket?") from None

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().split(b";")[0], 16):
            yield self._exactly(size)
            self._file.readline(16)

    def _line(self) -> bytes:
        found = self._file.readline(1024)
        if not found:
            raise NoDaemon(_CUT)
        return found

    def _exactly(self, size: int) -> bytes:
        if size > MAX_BODY:
            raise CommandError(f"The daemon's answer is longer than {MAX_BODY} bytes; ask for less.")
        data = self._file.read(size)
        if len(data) < size:
            raise NoDaemon(_CUT)
        return data


def frames(lines: Iterator[str]) -> Iterator[Frame]:
    """Server-sent events out of a stream's lines; a comment comes as an event ``comment``, a sign of life."""
    id_, event, data = "", "", list[str]()
    for line in lines:
        if not line:
            if data or event:
                yield Frame(id_, event or "message", "\n".join(data))
            id_, event, data = "", "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                yield Frame("", "comment", value)
            case "id":
                id_ = value
            case "event":
                event = value
            case "data":
                data.append(value)
