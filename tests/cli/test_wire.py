"""The small HTTP client: bodies in every framing, server-sent events, and servers that misbehave."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.cli import wire
from hyperhive.cli.errors import CommandError, NoDaemon, Usage
from hyperhive.cli.wire import Daemon, Frame, frames


class Speaker:
    """Answers one connection with fixed bytes, then hangs up or holds the line."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "host.sock")
        self.heard = b""
        self._hang_up = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread: threading.Thread | None = None

    def says(self, answer: bytes, *, hold: bool = False) -> Daemon:
        """A daemon that gives this answer."""
        self._thread = threading.Thread(target=self._serve, args=(answer, hold))
        self._thread.start()
        return Daemon(path=self.path)

    def close(self) -> None:
        """End the connection and the listener."""
        self._hang_up.set()
        if self._thread is not None:
            self._thread.join(60)
        self._listener.close()

    def _serve(self, answer: bytes, hold: bool) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.heard = connection.recv(65_536)
            connection.sendall(answer)
            if hold:
                self._hang_up.wait(60)


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Speaker]:
    """A speaker on a socket of its own."""
    there = Speaker(tmp_path)
    yield there
    there.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 9\r\n\r\n" + b'{"a": 1}\n' + b"rest",
        OK + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n5;x=y\r\n: 1}\n\r\n0\r\n\r\n',
        OK + b"\r\n" + b'{"a": 1}\n',
    ],
    ids=["by length", "in chunks", "until the end"],
)
def test_a_body_is_read_in_every_framing(speaker: Speaker, answer: bytes) -> None:
    assert speaker.says(answer).json("GET", "/api/state") == {"a": 1}


def test_a_request_carries_its_body_as_json(speaker: Speaker) -> None:
    speaker.says(OK + b"Content-Length: 2\r\n\r\n{}").json("POST", "/api/messages", {"body": "grüße"})
    head, _, body = speaker.heard.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/messages HTTP/1.1\r\nHost: localhost\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"", NoDaemon, "hung up"),
        (b"220 smtp ready\r\n", NoDaemon, "hung up"),
        (OK + b"Content-Length: 100\r\n\r\nshort", NoDaemon, "in the middle"),
        (OK + b"Content-Length: 99999999999\r\n\r\n", CommandError, "longer than"),
        (OK + b"Content-Length: x\r\n\r\n", CommandError, "not HTTP"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", NoDaemon, "in the middle"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", CommandError, "not HTTP"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", CommandError, "longer than"),
        (OK + b"Content-Length: 5\r\n\r\nhello", CommandError, "not JSON"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", CommandError, "answered 500"),
        (b'HTTP/1.1 409 No\r\nContent-Length: 20\r\n\r\n{"detail":"Not now"}', CommandError, "Not now"),
    ],
)
def test_an_answer_that_is_none_is_told_in_one_line(
    speaker: Speaker, answer: bytes, error: type[CommandError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        speaker.says(answer).json("GET", "/api/state")
    assert "\n" not in raised.value.message


def test_silence_has_a_deadline(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER", 0.05)
    with pytest.raises(CommandError, match="did not answer"):
        speaker.says(b"", hold=True).json("GET", "/api/state")


@pytest.mark.slow
def test_a_silent_stream_has_a_deadline(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SILENCE", 1.0)
    stream = speaker.says(OK + b"\r\nid: 1\ndata: a\n\n", hold=True).stream("/api/events")
    assert next(stream) == Frame("1", "message", "a")
    with pytest.raises(CommandError, match="fell silent"):
        next(stream)


def test_server_sent_events_are_read_as_the_standard_says() -> None:
    lines = ["id: 1", "event: started", "data: a", "data: b", "", ": alive", "data:c", "", "", "data: cut"]
    assert list(frames(iter(lines))) == [
        Frame("1", "started", "a\nb"),
        Frame("", "comment", "alive"),
        Frame("", "message", "c"),
    ]


def test_a_socket_that_may_not_be_opened_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(socket.socket):
        def connect(self, _: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Closed)
    with pytest.raises(NoDaemon, match="belongs to another user"):
        Daemon(path=str(tmp_path / "host.sock")).json("GET", "/api/state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can listen as somebody else")
def test_another_users_server_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "host.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        os.seteuid(65534)
        try:
            listener.listen(1)
        finally:
            os.seteuid(0)
        with pytest.raises(CommandError, match="belongs to uid 65534"):
            Daemon(path=str(path)).json("GET", "/api/state")


def test_roots_server_is_believed_by_whoever_may_reach_it(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can listen as root")
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    daemon = speaker.says(OK + b"Content-Length: 2\r\n\r\n{}")
    assert daemon.json("GET", "/") == {}


def test_an_answer_to_half_a_request_is_heard(speaker: Speaker) -> None:
    said = b'{"detail": "A body may have 9 bytes here."}'
    daemon = speaker.says(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
    with pytest.raises(CommandError, match="may have 9 bytes") as caught:
        daemon.json("POST", "/api/messages", {"body": "x" * 8_000_000})
    assert caught.value.exit_code == 1


def test_what_is_no_text_is_not_sent() -> None:
    with pytest.raises(Usage, match="not UTF-8"):
        wire._head("POST", "/api/messages", "*/*", {"body": "a\udcff"})
