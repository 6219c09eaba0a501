"""Streams over a real server: resuming, ending, and how many there may be."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from hyperhive.domain.events import Paused, Rebuilt, Resumed
from hyperhive.web.protocol import BoundedProtocol
from hyperhive.web.sessions import ABSOLUTE, IDLE, Sessions
from tests.fakes.hive import FakeHive
from tests.fakes.samples import agent_view, snapshot, turn_items
from tests.waiting import eventually_async
from tests.web.conftest import BEARER, TOKEN, Clock, Served, serving

Frame = dict[str, str]


async def _frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    frame: Frame = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            key, _, value = line.partition(": ")
            frame[key] = value
        elif frame:
            yield frame
            frame = {}


@asynccontextmanager
async def _reading(served: Served, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Frame]]:
    async with served.client(**headers) as client, client.stream("GET", path) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-store"
        yield _frames(answer)


async def test_a_reader_resumes_without_gap_or_double(served: Served) -> None:
    for _ in range(3):
        served.hive.publish(Paused(agent="manager"))
    async with _reading(served, "/api/events?after=1") as frames:
        served.hive.publish(Resumed(agent="manager"))
        got = [await anext(frames) for _ in range(3)]
    assert [frame["id"] for frame in got] == ["2", "3", "4"]
    assert [frame["event"] for frame in got] == ["paused", "paused", "resumed"]
    assert [json.loads(frame["data"])["seq"] for frame in got] == [2, 3, 4]


async def test_the_last_id_beats_the_address(served: Served) -> None:
    for _ in range(3):
        served.hive.publish(Paused(agent="manager"))
    async with _reading(served, "/api/events?after=0", **{"Last-Event-ID": "2"}) as frames:
        assert (await anext(frames))["id"] == "3"


async def test_without_a_number_a_reader_begins_now(served: Served) -> None:
    served.hive.publish(Paused(agent="manager"))
    async with _reading(served, "/api/events") as frames:
        await eventually_async(lambda: served.hive.feed.readers == 1)
        served.hive.publish(Resumed(agent="manager"))
        assert (await anext(frames))["id"] == "2"


async def test_only_the_kinds_asked_for_come(served: Served) -> None:
    async with _reading(served, "/api/events?after=0&kinds=resumed,%20spawned") as frames:
        await eventually_async(lambda: served.hive.feed.readers == 1)
        served.hive.publish(Paused(agent="manager"))
        served.hive.publish(Resumed(agent="manager"))
        assert (await anext(frames))["event"] == "resumed"


async def test_views_begin_with_the_state_and_go_on_with_patches(served: Served) -> None:
    async with _reading(served, "/api/events?after=0&views=1") as frames:
        state = await anext(frames)
        assert (state["event"], "id" in state) == ("state", False)
        assert json.loads(state["data"])["agents"][0]["name"] == "manager"
        served.hive.replace(agent_view("manager", inbox_depth=9))
        patch = await anext(frames)
        assert patch["event"] == "patch"
        assert json.loads(patch["data"])["agents"][0]["inbox_depth"] == 9


@pytest.mark.parametrize("after", ["0", "9999"])
async def test_what_is_gone_or_never_was_resyncs_and_ends(after: str) -> None:
    hive = FakeHive(snapshot("manager", seq=500))
    hive.publish(Paused(agent="manager"))
    async with serving(hive) as served, _reading(served, f"/api/events?after={after}") as frames:
        assert [frame["event"] async for frame in frames] == ["resync"]


async def test_a_reader_that_fell_behind_is_told_to_resync(served: Served) -> None:
    async with _reading(served, "/api/events?after=0") as frames:
        await eventually_async(lambda: served.hive.feed.readers == 1)
        served.hive.feed.resync()
        assert [frame["event"] async for frame in frames] == ["resync"]


async def test_a_comment_comes_while_nothing_happens(served: Served) -> None:
    async with served.client() as client, client.stream("GET", "/api/events") as answer:
        lines = answer.aiter_lines()
        seen = [await anext(lines) for _ in range(4)]
    assert seen[2].startswith(":")


async def test_a_reader_that_leaves_leaves_nothing_behind(served: Served) -> None:
    async with _reading(served, "/api/events"), _reading(served, "/api/agents/manager/turns?follow=1"):
        await eventually_async(lambda: served.streams.count == 2)
    await eventually_async(lambda: served.streams.count == 0 and served.hive.feed.readers == 0)


async def test_one_stream_too_many_is_told_so(hive: FakeHive) -> None:
    async with serving(hive, most=1) as served, _reading(served, "/api/events"), served.client() as client:
        for path in ("/api/events", "/api/agents/manager/logs?follow=1"):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
            assert int(refused.headers["retry-after"]) > 0
        assert (await client.get("/api/state")).status_code == 200


async def test_a_server_that_stops_ends_its_streams_at_once(served: Served) -> None:
    async with (
        _reading(served, "/api/events") as events,
        _reading(served, "/api/agents/manager/logs?follow=1") as logs,
    ):
        await eventually_async(lambda: served.streams.count == 2)
        served.server.config.timeout_graceful_shutdown = 600  # nobody waits for it
        served.server.should_exit = True
        async with asyncio.timeout(60):
            assert [frame async for frame in events] == []
            assert [frame async for frame in logs] == []
            await served.task


async def test_a_logout_ends_the_sessions_streams_and_no_others(served: Served) -> None:
    async with (
        httpx.AsyncClient(base_url=served.url) as browser,
        _reading(served, "/api/events?after=0") as other,
    ):
        await browser.get(served.security.entry_link())
        async with browser.stream("GET", "/api/events") as answer:
            await eventually_async(lambda: served.streams.count == 2)
            assert (await browser.post("/logout")).status_code == 303
            async with asyncio.timeout(60):
                await answer.aread()
        served.hive.publish(Paused(agent="manager"))
        assert (await anext(other))["event"] == "paused"


async def test_turns_are_followed_from_where_the_reader_was(served: Served) -> None:
    items = turn_items()
    for item in items[:3]:
        served.hive.add_turn_item("manager", item)
    async with _reading(served, "/api/agents/manager/turns?follow=1", **{"Last-Event-ID": "1"}) as frames:
        first = [await anext(frames), await anext(frames)]
        served.hive.add_turn_item("manager", items[3])
        first.append(await anext(frames))
    assert [(frame["id"], frame["event"]) for frame in first] == [("2", "turn"), ("3", "turn"), ("4", "turn")]
    assert json.loads(first[1]["data"])["text"] == "ls notes | wc -l"


async def test_a_log_line_cannot_forge_a_frame(served: Served) -> None:
    served.hive.logs_of["manager"] = ["fine", "bad\rid: 7\n\nevent: paused\rdata: x"]
    async with served.client() as client, client.stream("GET", "/api/agents/manager/logs?follow=1") as answer:
        raw = b""
        async for chunk in answer.aiter_raw():
            raw += chunk
            if b"data: x" in raw:
                break
    fields = [line for line in raw.replace(b"\r", b"\n").split(b"\n") if line]
    assert all(field.startswith((b"event: log", b"data: ", b"data:")) for field in fields), fields


async def test_an_unknown_agent_is_refused_before_a_stream_begins(served: Served) -> None:
    async with served.client() as client:
        for what in ("logs", "turns"):
            answer = await client.get(f"/api/agents/nobody/{what}?follow=1")
            assert answer.status_code == 404
            assert "there are: manager" in answer.json()["detail"]


async def test_a_stream_keeps_its_session_in_use_and_ends_with_it(hive: FakeHive) -> None:
    clock = Clock()
    async with (
        serving(hive, sweep=0.02, sessions=Sessions(clock=clock)) as served,
        httpx.AsyncClient(base_url=served.url) as browser,
    ):
        await browser.get(served.security.entry_link())
        async with browser.stream("GET", "/api/events") as answer:
            lines = answer.aiter_lines()
            for _ in range(4):  # unused for 24 days, were it not for the stream
                clock.now += IDLE - 86_400
                for _ in range(8):
                    await anext(lines)
            assert served.streams.count == 1
            clock.now += ABSOLUTE
            async with asyncio.timeout(60):
                assert [line async for line in lines if not line.startswith(":") and line] == []
        assert (await browser.get("/api/state")).json()["code"] == "session-over"


async def test_a_reader_that_takes_nothing_is_cut_off(hive: FakeHive) -> None:
    async with serving(hive, stalled=0.05, sweep=0.02) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        lines = [f"Host: 127.0.0.1:{served.port}", f"Authorization: {BEARER['Authorization']}", "", ""]
        writer.write("\r\n".join(["GET /api/events?after=0 HTTP/1.1", *lines]).encode())
        await eventually_async(lambda: hive.feed.readers == 1)
        for _ in range(500):
            hive.publish(Rebuilt(agent="manager", ok=False, note="x" * 60_000))
        await eventually_async(lambda: served.streams.count == 0 and hive.feed.readers == 0)
        writer.close()
        assert not reader.at_eof()


class _Hasty(BoundedProtocol):
    head_deadline = 1.0


@pytest.mark.slow
async def test_a_head_that_does_not_end_is_cut_off(hive: FakeHive) -> None:
    async with serving(hive, protocol=_Hasty) as served:
        assert (await served.raw(b"")).startswith(b"HTTP/1.1 408")
        assert (await served.raw(b"GET / HTTP/1.1\r\nHost: x\r\n")).startswith(b"HTTP/1.1 408")
        async with _reading(served, "/api/events?after=0") as frames:
            assert (await served.raw(b"")).startswith(b"HTTP/1.1 408")
            served.hive.publish(Paused(agent="manager"))
            assert (await anext(frames))["event"] == "paused"


async def test_a_head_that_grows_too_large_is_refused(served: Served) -> None:
    answer = await served.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert answer.startswith(b"HTTP/1.1 431")


async def test_no_credential_reaches_a_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    link = served.security.entry_link()
    with caplog.at_level(logging.DEBUG):
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(link)).status_code == 303
            assert (await browser.get(link)).status_code == 303
            await browser.post(f"{served.url}/login", data={"token": TOKEN})
        async with served.client() as client:
            await client.get("/api/nothing")
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    code = link.partition("entry=")[2]
    assert not [line for line in ours if code in line or TOKEN in line]


def _request(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


ODD: list[tuple[list[str], int]] = [
    (["Host: {own}"], 200),
    ([], 421),
    (["Host: {own}", "Host: evil.example"], 421),
    (["Host: evil.example", "Host: {own}"], 421),
    (["Host: {own}", "X-Forwarded-Host: evil.example", "X-Forwarded-For: 10.0.0.1"], 200),
    (["Host: evil.example", "X-Forwarded-Host: {own}"], 421),
    (["Host: {own}", "Authorization: Bearer wrong"], 401),
    (["Host: {own}", "Cookie: hyperhive_session={a,;;;=", "Cookie: x"], 200),
    (["Host: {own}", "Content-Length: 1", "Transfer-Encoding: chunked"], 400),
    (["Host: {own}", "Content-Length: 1", "Content-Length: 2"], 400),
]


async def test_odd_headers_over_the_wire(served: Served) -> None:
    own = f"127.0.0.1:{served.port}"
    for headers, status in ODD:
        shown = [header.replace("{own}", own) for header in headers]
        head = ["GET /api/state HTTP/1.1", f"Authorization: {BEARER['Authorization']}", *shown]
        answer = await served.raw(_request(*head))
        assert int(answer.split(b" ", 2)[1]) == status, headers
        assert b"\r\nserver:" not in answer.lower()


async def test_an_absolute_target_does_not_beat_the_host_header(served: Served) -> None:
    answer = await served.raw(
        _request(f"GET http://127.0.0.1:{served.port}/healthz HTTP/1.1", "Host: evil.example")
    )
    assert answer.split(b" ", 2)[1] in (b"421", b"400")


async def test_a_websocket_from_elsewhere_is_refused(served: Served) -> None:
    upgrade = [
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    for origin in ("http://evil.example", f"http://127.0.0.1:{served.port}"):
        lines = [f"Host: 127.0.0.1:{served.port}", f"Origin: {origin}", *upgrade]
        head = "\r\n".join(
            ["GET /api/agents/manager/terminal HTTP/1.1", "Connection: Upgrade", *lines, "", ""]
        )
        answer = await served.raw(head.encode())
        assert answer.split(b" ", 2)[1] == b"403", answer


async def test_a_broken_request_ends_in_one_answer(served: Served) -> None:
    answer = await served.raw(_request("POST /api/messages HTTP/1.1", "Content-Length: -5"))
    assert answer.split(b" ", 2)[1] == b"400"


async def test_a_build_is_followed_until_it_has_ended(served: Served) -> None:
    hive = served.hive
    hive.begin_build("manager")
    async with _reading(served, "/api/agents/manager/build?follow=1") as frames:
        first = await anext(frames)
        hive.append_build("manager", "Rendering generation 2.")
        second = await anext(frames)
        hive.end_build("manager")
        rest = [frame async for frame in frames]
    assert (first["event"], first["data"]) == ("build", "Building manager.")
    assert second["data"] == "Rendering generation 2."
    assert [frame["event"] for frame in rest] == ["end"]
    async with served.client() as client:
        whole = await client.get("/api/agents/manager/build")
    assert whole.text == "Building manager.\nRendering generation 2.\n"
