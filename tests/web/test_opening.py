"""What is answered while the rest of a hive is still being put together."""

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from hyperhive.web.opening import Opening, first_page
from hyperhive.web.security import Security
from tests.fakes.hive import FakeHive
from tests.fakes.samples import busy_snapshot
from tests.web.conftest import BEARER, PORT, TOKEN

DEADLINE = 20.0


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the whole app: says what reached it."""
    await PlainTextResponse(f"whole {scope['path']}")(scope, receive, send)


@pytest.fixture
def opening() -> Opening:
    security = Security(token=TOKEN, port=PORT)
    return Opening(first_page(hive=FakeHive(busy_snapshot(3)), security=security))


def client(app: Opening) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://127.0.0.1:{PORT}")


async def test_the_first_page_is_there_before_the_rest_and_comes_from_the_whole_afterwards(
    opening: Opening,
) -> None:
    async with client(opening) as browser:
        early = await browser.get("/", headers=BEARER)
        assert early.status_code == 200
        assert "worker-01" in early.text
        assert early.headers["content-security-policy"]
        opening.open(whole)
        assert (await browser.get("/", headers=BEARER)).text == "whole /"


@pytest.mark.parametrize("path", ["/login", "/healthz", "/api/state", "/agents/alice", "/nothing"])
async def test_who_asks_for_more_gets_it_once_it_is_there(opening: Opening, path: str) -> None:
    async with client(opening) as browser:
        asked = asyncio.create_task(browser.get(path))
        assert (await browser.get("/", headers=BEARER)).status_code == 200
        assert not asked.done()
        opening.open(whole)
        assert (await asyncio.wait_for(asked, DEADLINE)).text == f"whole {path}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Cookie": f"hyperhive_session_{PORT}=none"}, 303),
        ({"Authorization": "Bearer wrong"}, 401),
        (BEARER | {"Host": "evil.example"}, 421),
    ],
)
async def test_the_first_page_has_the_same_door_as_all_others(
    opening: Opening, headers: dict[str, str], status: int
) -> None:
    async with client(opening) as stranger:
        refused = await stranger.get("/", headers=headers)
    assert refused.status_code == status
    assert "worker-01" not in refused.text


async def test_the_first_page_takes_no_other_method(opening: Opening) -> None:
    async with client(opening) as browser:
        assert (await browser.post("/", headers=BEARER)).status_code == 405


async def test_a_hive_without_a_record_lets_everybody_wait() -> None:
    opening = Opening(None)
    async with client(opening) as browser:
        asked = asyncio.create_task(browser.get("/"))
        await opening.calm(0.0)
        assert not asked.done()
        opening.open(whole)
        assert (await asyncio.wait_for(asked, DEADLINE)).text == "whole /"


async def test_those_who_were_at_the_door_have_their_page_before_more_is_begun() -> None:
    shown, going = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        going.set()
        await shown.wait()
        await whole(scope, receive, send)

    opening = Opening(slow)
    async with client(opening) as browser:
        page = asyncio.create_task(browser.get("/"))
        await asyncio.wait_for(going.wait(), DEADLINE)
        await opening.calm(0.0)
        calm = asyncio.create_task(opening.calm(10 * DEADLINE))
        await opening.calm(0.0)
        assert not calm.done()
        shown.set()
        await asyncio.wait_for(calm, DEADLINE)
        assert (await page).text == "whole /"


@pytest.mark.parametrize("path", ["/login", "/events", "/api/state"])
async def test_who_still_waits_when_the_daemon_ends_is_told(opening: Opening, path: str) -> None:
    async with client(opening) as browser:
        asked = asyncio.create_task(browser.get(path, headers=BEARER))
        assert (await browser.get("/", headers=BEARER)).status_code == 200
        opening.shut()
        told = await asyncio.wait_for(asked, DEADLINE)
        assert told.status_code == 503
        assert told.json()["code"] == "stopping"
        assert told.headers["content-security-policy"]
        assert (await browser.get("/", headers=BEARER)).status_code == 503


async def test_a_socket_that_waits_when_the_daemon_ends_is_closed(opening: Opening) -> None:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "websocket", "path": "/terminal", "headers": []}
    asked = asyncio.create_task(opening(scope, receive, send))
    await opening.calm(0.0)
    opening.shut()
    await asyncio.wait_for(asked, DEADLINE)
    assert [message["type"] for message in said] == ["websocket.close"]


async def test_what_is_whole_stays_so_at_the_end(opening: Opening) -> None:
    opening.open(whole)
    opening.shut()
    async with client(opening) as browser:
        assert (await browser.get("/login")).text == "whole /login"
