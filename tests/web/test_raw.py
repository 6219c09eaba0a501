"""Bytes that are no proper HTTP, from strangers and from who holds the token: one refusal, nothing done."""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive.web.app import build_host
from hyperhive.web.protocol import MOST_AHEAD, MOST_HEAD, MOST_LINES, BoundedProtocol
from hyperhive.web.server import Server, serve
from hyperhive.web.strangers import Strangers
from tests.fakes.hive import FakeHive
from tests.waiting import eventually_async
from tests.web.conftest import TOKEN, Served, serving

BODY = b'{"to":"manager","body":"smuggled"}'
SEND = "POST /api/messages HTTP/1.1"
JSON, LENGTH = "Content-Type: application/json", f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
NUL = "\0"


def _head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _send(*lines: str, body: bytes = BODY) -> bytes:
    """A message in a body that ``lines`` frame."""
    return _head(SEND, "Host: {own}", "{auth}", JSON, *lines) + body


def _get(*lines: str, target: str = "/api/state", version: str = "HTTP/1.1") -> bytes:
    return _head(f"GET {target} {version}", "Host: {own}", "{auth}", *lines)


WHOLE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
REFUSED: dict[str, bytes] = {
    "two lengths that agree": _send(LENGTH, LENGTH),
    "two lengths": _send(LENGTH, "Content-Length: 3"),
    "a list of lengths": _send(f"{LENGTH}, {len(BODY)}"),
    "a length with a sign": _send(f"Content-Length: +{len(BODY)}"),
    "a length below nothing": _send("Content-Length: -1"),
    "a length in hex": _send(f"Content-Length: {len(BODY):#x}"),
    "a length beyond all numbers": _send("Content-Length: " + "9" * 40),
    "a length of 2^63": _send(f"Content-Length: {2**63}"),
    "a blank before the colon": _send(f"Content-Length : {len(BODY)}"),
    "length and chunks": _send(LENGTH, CHUNKED, body=b"0\r\n\r\n" + _send(LENGTH)),
    "chunks in disguise": _send("Transfer-Encoding: xchunked", body=WHOLE),
    "chunks that are not last": _send("Transfer-Encoding: chunked, identity", body=WHOLE),
    "a command with chunks in disguise": _head(
        "POST /api/agents/manager/pause HTTP/1.1", "Host: {own}", "{auth}", "Transfer-Encoding: xchunked"
    ),
    "two encodings": _send(CHUNKED, "Transfer-Encoding: x", body=WHOLE),
    "a tab that is none": _send("Transfer-Encoding:\x0bchunked", body=WHOLE),
    "a negative chunk": _send(CHUNKED, body=b"-1\r\n" + BODY),
    "a chunk beyond all numbers": _send(CHUNKED, body=b"f" * 20 + b"\r\n" + BODY),
    "a chunk without its end": _send(CHUNKED, body=b"%x\r\n%sXX0\r\n\r\n" % (len(BODY), BODY)),
    "bare line feeds": _get().replace(b"\r\n", b"\n"),
    "bare carriage returns": _get().replace(b"\r\n", b"\r") + b"\r\n\r\n",
    "a folded header": _get("X: a\r\n b"),
    "a folded credential": _get(f"Authorization: Bearer\r\n {TOKEN}"),
    "an address as target": _get(target="http://{own}/api/state"),
    "another's address as target": _get(target="http://evil.example/api/state"),
    "a name without a path": _get(target="api/state"),
    "a query without a path": _get(target="?x"),
    "a fragment": _get(target="/api/state#x"),
    "a tunnel": _head("CONNECT 127.0.0.1:22 HTTP/1.1", "Host: {own}", "{auth}"),
    "an asterisk": _head("OPTIONS * HTTP/1.1", "Host: {own}", "{auth}"),
    "NUL in the path": _get(target=f"/api/st{NUL}ate"),
    "an escaped NUL": _get(target="/api/agents/a%00b/logs"),
    "NUL in a header": _get(f"X: a{NUL}b"),
    "escapes that are no UTF-8": _get(target="/api/agents/%ff%fe/logs"),
    "escapes that are none": _get(target="/api/agents/%zz/logs"),
    "bytes beyond ASCII": _get(target="/api/agents/\xff/logs"),
    "an escaped surrogate": _get(target="/api/messages?with=%ed%a0%80"),
    "a long target": _get(target="/" + "a" * MOST_HEAD),
    "a long header": _get("X: " + "x" * MOST_HEAD),
    "many headers": _get(*(f"X-{n}: 1" for n in range(10_000))),
    "an option as version": _get(version="--help"),
    "HTTP/0.9": b"GET /api/state\r\n\r\n",
    "HTTP/1.9": _get(version="HTTP/1.9"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "a method in small letters": _get().replace(b"GET", b"get", 1),
    "a method of its own": _get().replace(b"GET", b"SPAWN", 1),
    "a trace": _get().replace(b"GET", b"TRACE", 1),
    "a blank at first": b" " + _get(),
    "a header without a name": _get(": x"),
    "a header without a colon": _get("x"),
    "two hosts": _get("Host: {own}"),
    "no host": _head("GET /api/state HTTP/1.1", "{auth}"),
    "no host, in HTTP/1.0": _head("GET /api/state HTTP/1.0", "{auth}"),
    "an empty host": _head("GET /api/state HTTP/1.1", "Host:", "{auth}"),
    "another host, forwarded": _head(
        "GET /api/state HTTP/1.1",
        "Host: evil.example",
        "X-Forwarded-Host: {own}",
        "Forwarded: host={own}",
        "{auth}",
    ),
    "two credentials": _get("Authorization: Bearer x"),
    "steps up": _get(target="/static/v/../../../../etc/passwd"),
    "escaped steps up": _get(target="/static/v/%2e%2e%2f%2e%2e%2fapp.py"),
    "a file of the daemon's": _get(target="/static/v//etc/passwd"),
    "an upgrade to a websocket with a body": _head(SEND, "Host: {own}", "{auth}", *UPGRADE, LENGTH) + BODY,
    "an upgrade to a websocket by POST": _head(SEND, "Host: {own}", "{auth}", *UPGRADE),
    "an upgrade with a header too long for it": _head(
        "GET / HTTP/1.1", "Host: {own}", *UPGRADE, "X: " + "x" * 20_000
    ),
    "an upgrade with too many headers": _head("GET / HTTP/1.1", "Host: {own}", *UPGRADE, *["X: x"] * 500),
    "a websocket where there is none": _head("GET /healthz HTTP/1.1", "Host: {own}", *UPGRADE),
    "a websocket of an unknown version": _head("GET / HTTP/1.1", "Host: {own}", *UPGRADE).replace(
        b"13", b"99"
    ),
}
"""What is answered with one 4xx, whoever sends it."""
CHUNKED_HEAD = _head("POST /api/agents HTTP/1.1", "Host: {own}", JSON, CHUNKED)


@asynccontextmanager
async def _command_line(hive: FakeHive, path: Path) -> AsyncIterator[None]:
    """``host.sock`` at ``path``."""
    app = build_host(hive=hive)
    server = Server(app=app, stopping=[app.state.streams.close])
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen(100)
        bound.setblocking(False)
        task = asyncio.create_task(serve(server, bound))
        try:
            yield
        finally:
            server.should_exit = True
            async with asyncio.timeout(60):
                await task


def _filled(request: bytes, served: Served, credential: str) -> bytes:
    own = f"127.0.0.1:{served.port}".encode()
    return request.replace(b"{own}", own).replace(b"{auth}", credential.encode())


def _complaints(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    return (
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name not in ("uvicorn.error", "hyperhive.security")
    )


class _Hasty(BoundedProtocol):
    """Ends what says nothing soon, so that an answer is all there is when the connection ends."""

    head_deadline = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = 1


class _Patient(BoundedProtocol):
    """Waits for the end of a head for longer than any test."""

    head_deadline = 600.0


def _statuses(answer: bytes) -> list[int]:
    """The statuses of all answers; a body ends where the next answer begins."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize(
    "credential", [f"Authorization: Bearer {TOKEN}", "X-Nobody: 1"], ids=["operator", "stranger"]
)
@pytest.mark.slow
async def test_what_is_no_proper_request_is_refused_once_and_nothing_is_done(
    hive: FakeHive, caplog: pytest.LogCaptureFixture, credential: str
) -> None:
    async with serving(hive, protocol=_Hasty) as served:
        requests = [_filled(request, served, credential) for request in REFUSED.values()]
        answers = await asyncio.gather(*map(served.raw, requests))
        for name, answer in zip(REFUSED, answers, strict=True):
            statuses = _statuses(answer)
            assert len(statuses) == 1, (name, answer[:300])
            assert 400 <= statuses[0] < 500 or statuses[0] == 303, (name, answer[:300])
            assert b"Traceback" not in answer and TOKEN.encode() not in answer, name
            assert b"\r\nx-content-type-options: nosniff\r\n" in answer.lower() or "websocket" in name, name
        async with served.client() as client:
            assert (await client.get("/api/state")).status_code == 200
    assert hive.calls == []
    assert list(_complaints(caplog)) == []


async def test_the_command_lines_socket_refuses_the_same(
    hive: FakeHive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lenient = ("host", "another", "credential", "websocket where")  # whoever can open it needs neither
    async with _command_line(hive, tmp_path / "host.sock"):
        for name, request in REFUSED.items():
            if any(word in name for word in lenient):
                continue
            reader, writer = await asyncio.open_unix_connection(tmp_path / "host.sock")
            writer.write(request.replace(b"{own}", b"localhost").replace(b"{auth}", b"X-Nobody: 1"))
            async with asyncio.timeout(30):
                answer = await reader.readuntil(b"\r\n")
            assert 400 <= _statuses(answer)[0] < 500, (name, answer)
            writer.transport.abort()
    assert hive.calls == []
    assert list(_complaints(caplog)) == []


async def test_what_stands_behind_a_body_is_no_header(served: Served) -> None:
    def framed(credential: str, *trailers: str) -> bytes:
        lines = (SEND, "Host: {own}", credential, JSON, CHUNKED, "Connection: close")
        whole = _head(*lines) + WHOLE[:-2] + _head(*trailers)
        return _filled(whole, served, "")

    own = f"Authorization: Bearer {TOKEN}"
    assert _statuses(await served.raw(framed("X: 1", own))) == [401]
    forged = ("Host: evil.example", "Origin: http://evil.example", "Authorization: Bearer x")
    assert _statuses(await served.raw(framed(own, *forged))) == [201]
    assert [call.verb for call in served.hive.calls] == ["send"]


@pytest.mark.parametrize(
    "endless",
    [
        CHUNKED_HEAD + b"0\r\n" + b"X: y\r\n" * 60_000,
        CHUNKED_HEAD + b"0\r\nX: " + b"y" * 300_000,
        CHUNKED_HEAD + b"1;" + b"x" * 300_000,
        b"POST / HTTP/1.1\r\nX: " + b"x" * 300_000,
        b"POST / HTTP/1.1\r\n" + b"x" * 300_000,
        b"POST /" + b"x" * 300_000,
    ],
    ids=["trailers", "a trailer", "a chunk's extension", "a header", "a header's name", "a target"],
)
async def test_what_grows_without_end_is_cut_off_while_it_is_small(hive: FakeHive, endless: bytes) -> None:
    """Well before its deadline: a stranger may send a gigabyte until then."""
    async with serving(hive, protocol=_Patient) as served:
        own = f"127.0.0.1:{served.port}".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(endless.replace(b"{own}", own))
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.transport.abort()
        await eventually_async(lambda: not served.server.server_state.connections)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: {own}\r\n\r\n\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: {own}\r\n\r\nGET /he",
        b"GET /healthz HTTP/1.1\r\nHost: {own}\r\nContent-Length: 9\r\n\r\nx",
        b"GET /healthz HTTP/1.1\r\nHost: {own}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\0\0\0",
        b"POST /login HTTP/1.1\r\nHost: {own}\r\n\r\n",
    ],
    ids=["blank lines", "half a request", "half a body", "an upgrade to nothing", "nothing more"],
)
@pytest.mark.slow
async def test_an_answered_connection_that_says_no_more_ends(hive: FakeHive, request_: bytes) -> None:
    async with serving(hive, protocol=_Hasty) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        request = _filled(request_, served, "")
        writer.write(request[:-3])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(request[-3:])
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()


async def test_a_late_body_gets_no_second_answer_and_the_next_request_its_own(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    first = _head("POST /api/agents HTTP/1.1", "Host: {own}", JSON, "Content-Length: 4")
    writer.write(_filled(first, served, ""))
    async with asyncio.timeout(30):
        assert _statuses(await reader.readuntil(b'"login-needed"}')) == [401]
        writer.write(b"{}  " + _filled(_get("Connection: close", target="/healthz"), served, "X: 1"))
        assert _statuses(await reader.read()) == [200]
    writer.close()


async def test_who_leaves_an_answer_unread_is_ended(hive: FakeHive) -> None:
    class Hasty(BoundedProtocol):
        write_deadline = 0.5

    hive.logs_of["manager"] = ["x" * 1_000_000] * 20
    async with serving(hive, protocol=Hasty) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write(
            _filled(
                _get(target="/api/agents/manager/logs?lines=20"), served, f"Authorization: Bearer {TOKEN}"
            )
        )
        await reader.readuntil(b"\r\n")
        await eventually_async(lambda: not served.server.server_state.connections)
        writer.transport.abort()


async def test_who_reads_a_long_answer_slowly_is_not_ended(hive: FakeHive) -> None:
    hive.logs_of["manager"] = ["x" * 1_000_000] * 20
    async with serving(hive) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        log = _get("Connection: close", target="/api/agents/manager/logs?lines=20")
        writer.write(_filled(log, served, f"Authorization: Bearer {TOKEN}"))
        got = len(await reader.readuntil(b"\r\n"))
        (connection,) = served.server.server_state.connections
        assert isinstance(connection, BoundedProtocol)
        await eventually_async(lambda: connection._unread)
        minutes = 0
        async with asyncio.timeout(60):
            while data := await reader.read(65536):
                got += len(data)
                if connection._unread is not None and got > minutes * 1_000_000:
                    minutes += 1
                    connection._unread.cancel()
                    connection._look(connection.transport.get_write_buffer_size() + 1)
        assert minutes > 1
        assert got > 20_000_000
        writer.close()


async def test_a_head_of_too_many_lines_is_refused_however_short_they_are(served: Served) -> None:
    def of(lines: int) -> bytes:
        more = ["X: 1"] * (lines - 2)
        return _filled(_head("GET /healthz HTTP/1.1", "Host: {own}", "Connection: close", *more), served, "")

    assert _statuses(await served.raw(of(MOST_LINES))) == [200]
    assert _statuses(await served.raw(of(MOST_LINES + 1))) == [431]


async def test_requests_that_come_ahead_of_their_answers_are_bounded(hive: FakeHive) -> None:
    async with serving(hive) as served:
        ask = _filled(_head("GET /healthz HTTP/1.1", "Host: {own}"), served, "")
        assert _statuses(await served.raw(ask * MOST_AHEAD + ask[:-2] + b"Connection: close\r\n\r\n")) == [
            200
        ] * (MOST_AHEAD + 1)
        refused = await served.raw(ask * (MOST_AHEAD + 2))
        assert _statuses(refused)[-1] == 400
        assert b"too-many-ahead" in refused


async def test_strangers_take_places_from_each_other_alone(hive: FakeHive) -> None:
    strangers = Strangers(most=3)
    async with serving(hive, strangers=strangers) as served:
        known = await asyncio.open_connection("127.0.0.1", served.port)
        known[1].write(_filled(_get(), served, f"Authorization: Bearer {TOKEN}"))
        await known[0].readuntil(b"\r\n")
        assert strangers.count == 0
        crowd = []
        for n in range(5):
            crowd.append(await asyncio.open_connection("127.0.0.1", served.port))
            await eventually_async(lambda n=n: strangers.count == min(n + 1, 3))  # type: ignore[misc]
        for reader, _ in crowd[:2]:
            async with asyncio.timeout(60):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        late, known_still = crowd[-1], known
        late[1].write(_filled(_get(target="/healthz"), served, "X: 1"))
        assert b"200" in await late[0].readuntil(b"\r\n")
        known_still[1].write(_filled(_get(target="/healthz"), served, "X: 1"))
        assert (await known_still[0].read(100)) != b""
        for _, writer in (*crowd, known):
            writer.transport.abort()
        await eventually_async(lambda: strangers.count == 0)


@pytest.mark.slow
async def test_a_stream_is_not_broken_into_by_what_comes_behind_it(hive: FakeHive) -> None:
    async with serving(hive, protocol=_Hasty) as served:
        own = f"Authorization: Bearer {TOKEN}"
        request = _filled(_get(target="/api/events?views=1"), served, own)
        answer = await served.raw(request + b"GET /he")
    assert _statuses(answer) == [200]
    assert b"event: state" in answer
