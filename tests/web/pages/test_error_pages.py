"""What a browser sees where nothing is, and when something fails; programs get the problem itself."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hyperhive.errors import Broken
from hyperhive.web.app import build_host
from tests.fakes.hive import FakeHive
from tests.fakes.samples import busy_snapshot

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def broken(request: Request) -> Response:
    """What the store cannot answer."""
    raise Broken("The disk is full; free some space.")


async def odd(request: Request) -> Response:
    """What nobody thought of."""
    raise ZeroDivisionError("a secret")


async def get(path: str, headers: dict[str, str]) -> httpx.Response:
    """The answer at ``path``, without the door before it."""
    app = build_host(hive=FakeHive(busy_snapshot(2)), more=[Route("/broken", broken), Route("/odd", odd)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hive") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "There is nothing here"),
        ("/broken", 503, "The disk is full; free some space."),
        ("/odd", 500, "Something failed"),
    ],
)
async def test_a_browser_gets_a_page_and_a_program_the_problem(path: str, status: int, words: str) -> None:
    page = await get(path, BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert words in page.text
    assert "Back to the hive" in page.text
    assert "a secret" not in page.text
    assert "content-security-policy" in page.headers
    plain = await get(path, {})
    assert (plain.status_code, plain.headers["content-type"]) == (status, "application/problem+json")


async def test_the_api_speaks_to_programs_only() -> None:
    answer = await get("/api/nowhere", BROWSER)
    assert answer.headers["content-type"] == "application/problem+json"
