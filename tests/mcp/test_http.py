"""``/mcp`` over real HTTP: loading, shutting down, and requests that are none."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from mcp import Client

from hyperhive.mcp import http as http_door
from hyperhive.mcp.http import MAX_BODY, MAX_SESSIONS, McpHttp
from tests.fakes.hive import FakeHive
from tests.mcp.doors import served, structured
from tests.mcp.test_sockets import INITIALIZE

ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def url(hive: FakeHive) -> AsyncIterator[str]:
    async with served(McpHttp(hive=hive)) as where:
        yield where


async def test_before_it_is_loaded_and_after_it_has_stopped_it_says_come_again(hive: FakeHive) -> None:
    door = McpHttp(hive=hive)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door.app), base_url="http://hive") as http:
        async with door.running():
            assert (await http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200
        answer = await http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_request_while_it_loads_waits_for_it(hive: FakeHive) -> None:
    door = McpHttp(hive=hive)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door.app), base_url="http://hive") as http:
        early = asyncio.create_task(http.post("/mcp", json=INITIALIZE, headers=ACCEPT))
        async with door.running():
            assert (await early).status_code == 200


async def test_a_request_while_it_loads_does_not_hold_up_a_stop(
    hive: FakeHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_door, "LOAD_WAIT", 600.0)
    door = McpHttp(hive=hive)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door.app), base_url="http://hive") as http:
        early = asyncio.create_task(http.post("/mcp", json=INITIALIZE, headers=ACCEPT))
        await asyncio.sleep(0)
        door.stop()
        async with asyncio.timeout(60):
            assert (await early).status_code == 503


async def test_a_request_that_is_too_long_is_refused(url: str) -> None:
    async with httpx.AsyncClient() as http:
        long = INITIALIZE | {"params": {"padding": "x" * MAX_BODY}}
        assert (await http.post(url, json=long, headers=ACCEPT)).status_code == 413
        assert (await http.post(url, json=INITIALIZE, headers=ACCEPT)).status_code == 200


async def test_sessions_are_bounded_and_one_that_ends_makes_room(url: str) -> None:
    async with httpx.AsyncClient() as http:
        opened = []
        for _ in range(MAX_SESSIONS):
            answer = await http.post(url, json=INITIALIZE, headers=ACCEPT)
            assert answer.status_code == 200
            opened.append(answer.headers["mcp-session-id"])
        refused = await http.post(url, json=INITIALIZE, headers=ACCEPT)
        assert refused.status_code == 503
        ended = await http.delete(url, headers=ACCEPT | {"Mcp-Session-Id": opened[0]})
        assert ended.status_code == 200
        assert (await http.post(url, json=INITIALIZE, headers=ACCEPT)).status_code == 200


async def test_the_host_app_alone_judges_hosts(url: str) -> None:
    async with httpx.AsyncClient() as http:
        headers = ACCEPT | {"Host": "hive.example:7000", "Origin": "https://hive.example"}
        assert (await http.post(url, json=INITIALIZE, headers=headers)).status_code == 200


async def test_open_streams_do_not_hold_up_the_end(hive: FakeHive) -> None:
    door = McpHttp(hive=hive)
    async with served(door) as url, Client(url) as client:
        call = asyncio.create_task(client.call_tool("recv", {"wait_seconds": 180}))
        async with client.listen(resource_subscriptions=["hive://agents"]):
            door.stop()
            async with asyncio.timeout(40):
                with pytest.raises(Exception, match=r".+"):
                    await call


NO_REQUESTS: list[tuple[bytes, dict[str, str]]] = [
    (b"hello", {}),
    (b"", {}),
    (b"[]", {}),
    (b"null", {}),
    (b"[" * 500_000, {}),
    (json.dumps([INITIALIZE] * 1_000).encode(), {}),
    (b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}', {}),
    (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', {}),
    (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', {}),
    (json.dumps(INITIALIZE).encode("utf-16"), {}),
    (json.dumps(INITIALIZE).encode(), {"Mcp-Session-Id": "x" * 5_000}),
    (json.dumps(INITIALIZE).encode(), {"Mcp-Session-Id": "%00"}),
    (b'{"a":' * 100_000, {}),
    (json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode(), {}),
    (json.dumps(INITIALIZE).encode(), {"Mcp-Session-Id": "--help"}),
    (json.dumps(INITIALIZE).encode(), {"Mcp-Session-Id": "../../etc/passwd"}),
    (json.dumps(INITIALIZE).encode(), {"MCP-Protocol-Version": "1999-01-01"}),
    (json.dumps(INITIALIZE).encode(), {"MCP-Protocol-Version": "--version"}),
    (json.dumps(INITIALIZE).encode(), {"Accept": "text/html"}),
    (json.dumps(INITIALIZE).encode(), {"Content-Type": "text/plain"}),
    (b"x" * (1024 * 1024 + 1), {}),
]


async def test_what_is_no_request_is_refused_and_the_door_stays_open(
    url: str, hive: FakeHive, caplog: pytest.LogCaptureFixture
) -> None:
    async with httpx.AsyncClient() as http:
        for body, headers in NO_REQUESTS:
            sent = {"Content-Type": "application/json", **ACCEPT, **headers}
            answer = await http.post(url, content=body, headers=sent)
            assert 400 <= answer.status_code < 500, (body[:40], headers)
            assert "Traceback" not in answer.text
        for method in ("PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "GET"):
            assert 400 <= (await http.request(method, url, headers=ACCEPT)).status_code < 500, method
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
    assert hive.calls == []
    async with Client(url) as client:
        assert structured(await client.call_tool("whoami", {}))["name"] == "operator"
