"""The API answers as the real one would: who may ask, what is refused, and how it starts and stops."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hyperhive.errors import Invalid
from hyperhive.rehearsal import server
from hyperhive.rehearsal.engine import Failure, Text
from hyperhive.rehearsal.faults import MAX_REMEMBERED, Faults
from hyperhive.rehearsal.keys import Keys
from hyperhive.rehearsal.scenario import Fail, parse
from hyperhive.rehearsal.server import Rehearsal, agent_of

SCENARIO = parse(
    r"""
pace = 0.0
[[rule]]
matches = '^fail'
[[rule.step]]
error = 429
retry_after = 7
[[rule]]
matches = '^login'
[[rule.step]]
error = 401
seconds = 60
[[rule]]
matches = '^break'
[[rule.step]]
say = "So far."
[[rule.step]]
error = 529
[[rule]]
matches = '^hang'
[[rule.step]]
hang = 3600
[[rule]]
matches = '^cut'
[[rule.step]]
say = "one two three four five six seven eight nine ten eleven twelve"
cut = true
[[rule]]
matches = '^wait'
[[rule.step]]
wait = 0.01
[[rule.step]]
say = "Waited."
[[rule]]
[[rule.step]]
say = "Hello {agent}."
""",
    file="test.toml",
)


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


KEY = {"x-api-key": "sk-rehearsal-alice-00ff"}


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    rehearsal = Rehearsal(scenario=SCENARIO)
    yield rehearsal
    await rehearsal.stop()


@pytest.fixture
async def api(rehearsal: Rehearsal) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=await rehearsal.start(), timeout=30) as client:
        yield client


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "messages": [{"role": "user", "content": text}],
        "tools": [{"name": "Bash"}],
        **more,
    }


def kinds(text: str) -> list[str]:
    return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]


async def test_an_answer_comes_whole_or_as_a_stream(api: httpx.AsyncClient) -> None:
    whole = (await api.post("/v1/messages?beta=true", headers=KEY, json=ask("hi"))).json()
    assert whole["content"] == [{"type": "text", "text": "Hello alice."}]
    assert whole["stop_reason"] == "end_turn"
    streamed = await api.post("/v1/messages", headers=KEY, json=ask("hi", stream=True))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert kinds(streamed.text) == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"x-api-key": b"sk-ant"},
        {b"authorization": b"Bearer sk-rehearsal-Alice-00"},
        {b"x-api-key": b"\xe9"},
    ],
)
async def test_a_key_that_names_no_agent_is_refused(
    api: httpx.AsyncClient, headers: dict[bytes, bytes]
) -> None:
    refused = await api.post("/v1/messages", headers=headers, json=ask("hi"))
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"


async def test_the_owner_of_the_keys_decides_whose_a_key_is() -> None:
    rehearsal = Rehearsal(scenario=SCENARIO, keys={"secret": "bob"}.get)
    try:
        async with httpx.AsyncClient(base_url=await rehearsal.start()) as api:
            bearer = {"authorization": "Bearer secret"}
            answer = (await api.post("/v1/messages", headers=bearer, json=ask("hi"))).json()
            assert answer["content"][0]["text"] == "Hello bob."
            assert (await api.post("/v1/messages", headers=KEY, json=ask("hi"))).status_code == 401
    finally:
        await rehearsal.stop()


def test_without_an_owner_of_keys_the_key_itself_names_the_agent() -> None:
    assert agent_of("sk-rehearsal-a-b-c-00ff") == "a-b-c"


async def test_a_login_that_is_refused_for_a_while_is_told_and_gets_a_new_key_after_it() -> None:
    clock = Clock()
    keys = Keys(secret=b"s" * 16, clock=clock)
    rehearsal = Rehearsal(scenario=SCENARIO, keys=keys, refused=keys.refused)
    old = keys.of("alice")
    try:
        async with httpx.AsyncClient(base_url=await rehearsal.start()) as api:
            refused = await api.post("/v1/messages", headers={"x-api-key": old}, json=ask("login"))
            assert refused.status_code == 401
    finally:
        await rehearsal.stop()
    assert keys.of("alice") == old
    clock.time += 60
    assert keys.of("alice") != old


async def test_an_error_on_demand_has_status_type_and_retry_after(api: httpx.AsyncClient) -> None:
    failed = await api.post("/v1/messages", headers=KEY, json=ask("fail", stream=True))
    assert failed.status_code == 429
    assert failed.headers["retry-after"] == "7"
    assert failed.json()["error"]["type"] == "rate_limit_error"


async def test_an_error_after_the_first_words_comes_within_the_stream(api: httpx.AsyncClient) -> None:
    broken = await api.post("/v1/messages", headers=KEY, json=ask("break", stream=True))
    assert broken.status_code == 200
    assert kinds(broken.text)[-2:] == ["content_block_stop", "error"]
    assert (await api.post("/v1/messages", headers=KEY, json=ask("break"))).status_code == 529


async def test_a_cut_stream_breaks_off_in_the_middle_of_a_word(api: httpx.AsyncClient) -> None:
    got = b""
    with pytest.raises(httpx.RemoteProtocolError):
        async with api.stream("POST", "/v1/messages", headers=KEY, json=ask("cut", stream=True)) as response:
            async for chunk in response.aiter_bytes():
                got += chunk
    assert kinds(got.decode())[-1] == "content_block_delta"


async def test_a_wait_is_filled_with_pings(api: httpx.AsyncClient) -> None:
    waited = await api.post("/v1/messages", headers=KEY, json=ask("wait", stream=True))
    assert kinds(waited.text)[:4] == ["message_start", "ping", "ping", "content_block_start"]


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[]", 400), (b"{}", 400), (b"[" * 100_000, 400)],
)
async def test_a_malformed_request_is_refused(api: httpx.AsyncClient, content: bytes, status: int) -> None:
    assert (await api.post("/v1/messages", headers=KEY, content=content)).status_code == status


async def test_a_request_that_is_too_long_is_refused(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_REQUEST", 1000)
    refused = await api.post("/v1/messages", headers=KEY, json=ask("x" * 2000))
    assert refused.status_code == 413
    assert refused.json()["error"]["type"] == "request_too_large"


async def test_no_agent_fills_the_memory_with_requests_that_never_end(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_READING", 1000)
    half_sent, go_on = asyncio.Event(), asyncio.Event()
    whole = json.dumps(ask("x" * 600)).encode()

    async def slowly() -> AsyncIterator[bytes]:
        yield whole[:500]
        half_sent.set()
        await go_on.wait()
        yield whole[500:]

    first = asyncio.create_task(api.post("/v1/messages", headers=KEY, content=slowly()))
    await half_sent.wait()
    refused = await api.post("/v1/messages", headers=KEY, content=whole)
    others = await api.post("/v1/messages", headers={"x-api-key": "sk-rehearsal-bob-00ff"}, content=whole)
    go_on.set()
    assert (refused.status_code, others.status_code) == (529, 200)
    assert (await first).status_code == 200
    assert (await api.post("/v1/messages", headers=KEY, content=whole)).status_code == 200


async def test_who_hangs_up_while_it_asks_leaves_no_word_in_the_log(
    rehearsal: Rehearsal, caplog: pytest.LogCaptureFixture
) -> None:
    port = int((await rehearsal.start()).rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY['x-api-key']}\r\nContent-Length: 9\r\n\r\nhalf"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await rehearsal.stop()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_text_that_is_no_valid_unicode_comes_back_as_it_went(api: httpx.AsyncClient) -> None:
    asked = json.dumps(ask("\ud800", model="\ud800")).encode()
    answer = await api.post("/v1/messages", headers=KEY, content=asked)
    assert answer.status_code == 200
    assert json.loads(answer.content)["model"] == "\ud800"


async def test_what_claude_code_asks_besides_is_answered(api: httpx.AsyncClient) -> None:
    assert (await api.head("/")).status_code == 200
    assert (await api.head("/api/hello")).status_code == 200
    assert (await api.get("/v1/models")).json()["data"]
    assert (await api.get("/v1/models/claude-x")).json()["id"] == "claude-x"
    counted = await api.post("/v1/messages/count_tokens", headers=KEY, json=ask("x" * 4000))
    assert counted.json()["input_tokens"] > 1000
    missing = await api.get("/v1/files")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


async def test_it_listens_on_the_wanted_port_or_else_on_a_free_one(rehearsal: Rehearsal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        base = await rehearsal.start(port=port)
        assert base != f"http://127.0.0.1:{port}"
    await rehearsal.stop()
    assert await rehearsal.start(port=port) == f"http://127.0.0.1:{port}"


async def test_it_refuses_to_listen_beyond_loopback(rehearsal: Rehearsal) -> None:
    with pytest.raises(Invalid, match="loopback only"):
        await rehearsal.start(host="0.0.0.0")


async def test_it_stops_in_spite_of_a_stream_that_hangs(rehearsal: Rehearsal) -> None:
    async with httpx.AsyncClient(base_url=await rehearsal.start(), timeout=30) as api:
        stream = api.stream("POST", "/v1/messages", headers=KEY, json=ask("hang", stream=True))
        with pytest.raises(httpx.HTTPError):
            async with stream as response:
                lines = response.aiter_lines()
                assert await anext(lines) == "event: message_start"
                stopping = asyncio.create_task(rehearsal.stop())
                async for _ in lines:
                    pass
        await asyncio.wait_for(stopping, 30)


def test_an_error_with_an_end_is_over_after_it_and_says_when() -> None:
    clock = Clock()
    faults = Faults(clock=clock, now=lambda: 1_000.0)
    failure, after = Failure(Fail(error=429, seconds=20), key="k"), Text("after")
    assert faults.due((failure, after)) == (failure,)
    clock.time += 5
    response = faults.response(failure)
    assert response.headers["retry-after"] == "15"
    assert response.headers["anthropic-ratelimit-unified-reset"] == "1015"
    assert json.loads(bytes(response.body))["type"] == "error"
    clock.time += 15
    assert faults.due((failure, after)) == (after,)


def test_an_error_without_an_end_stays() -> None:
    clock = Clock()
    failure = Failure(Fail(error=401), key="k")
    faults = Faults(clock=clock)
    assert faults.due((failure,)) == (failure,)
    clock.time += 1e6
    assert faults.due((failure,)) == (failure,)


def test_remembered_errors_are_bounded() -> None:
    clock = Clock()
    faults = Faults(clock=clock)
    first = Failure(Fail(error=429, seconds=20), key="first")
    faults.due((first,))
    clock.time += 30
    assert faults.due((first,)) == ()
    for n in range(MAX_REMEMBERED):
        faults.due((Failure(Fail(error=429, seconds=20), key=str(n)),))
    assert faults.due((first,)) == (first,)  # forgotten, so it begins anew
