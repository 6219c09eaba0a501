"""Who comes in, by which name, and from where."""

import re

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from hyperhive.web.app import build
from hyperhive.web.security import Security
from tests.fakes.hive import FakeHive
from tests.web.conftest import BEARER, PORT, TOKEN, Clock, Face, fake_mcp

OPEN = {"/healthz", "/login", "/static/{version}/{path:path}"}
FILLED = {"{name}": "manager", "{id}": "1", "{version}": "v", "{path:path}": "x.css"}


def _every(app: Starlette) -> list[tuple[str, str, str]]:
    """Method, address and pattern of every route there is."""
    found = []
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is of a kind this test does not know"
        path = re.sub(r"\{[^}]+\}", lambda match: FILLED[match[0]], route.path)
        found += [(method, path, route.path) for method in sorted(route.methods or ())]
    return found


async def test_every_route_refuses_who_is_not_logged_in(face: Face) -> None:
    seen = set()
    async with face.client() as stranger:
        for method, path, pattern in _every(face.app):
            if pattern in OPEN:
                continue
            answer = await stranger.request(method, path)
            seen.add(pattern)
            assert answer.status_code in (401, 303), f"{method} {path}: {answer.status_code}"
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/login"), path
    assert len(seen) > 20
    assert not face.hive.calls


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "::", "192.168.1.2"])
@pytest.mark.parametrize("foreign", ["evil.example", "evil.example:7000", "127.0.0.1.evil.example:7000"])
async def test_every_route_refuses_a_foreign_host(hive: FakeHive, bound: str, foreign: str) -> None:
    security = Security(token=TOKEN, port=PORT, host=bound)
    face = Face(hive, security, build(hive=hive, security=security, mcp_app=fake_mcp))
    async with face.client(Host=foreign, **BEARER) as rebound:
        for method, path, _ in _every(face.app):
            answer = await rebound.request(method, path)
            assert answer.status_code == 421, f"{method} {path}"
            assert method == "HEAD" or answer.json()["code"] == "wrong-host"
    assert not face.hive.calls


async def test_every_change_refuses_another_sites_page(face: Face) -> None:
    async with face.browser() as victim:
        for method, path, _ in _every(face.app):
            if method in ("GET", "HEAD"):
                continue
            for header in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                answer = await victim.request(method, path, headers=header)
                assert answer.status_code == 403, f"{method} {path} {header}"
    assert not face.hive.calls


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{PORT + 1}"},
        {"Origin": f"http://localhost:{PORT}"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"http://127.0.0.1:{PORT}"},
        {"Sec-Fetch-Site": "nonsense"},
    ],
)
async def test_another_port_of_this_machine_is_foreign_too(face: Face, headers: dict[str, str]) -> None:
    async with face.browser() as victim:
        answer = await victim.post("/api/agents", json={"name": "evil"}, headers=headers)
        read = await victim.get("/api/state", headers=headers)
    assert (answer.status_code, read.status_code) == (403, 403)
    assert face.hive.snapshot().agent("evil") is None


async def test_the_hives_own_page_may_change_things(face: Face) -> None:
    own = {"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-origin"}
    async with face.browser() as browser:
        answer = await browser.post("/api/agents/manager/pause", headers=own)
    assert answer.status_code == 202
    agent = face.hive.snapshot().agent("manager")
    assert agent is not None and agent.paused


@pytest.mark.parametrize("host", ["127.0.0.1:7000", "localhost:7000", "LOCALHOST", "[::1]:7000", "[::1]"])
def test_the_server_answers_to_loopback(host: str) -> None:
    assert Security(token="t", port=7000).answers_to(host, None)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost:7001",
        "localhost.",
        "127.0.0.1.evil.example",
        "x@localhost:7000",
        "0.0.0.0:7000",
        "127.1",
    ],
)
def test_the_server_answers_to_no_other_name(host: str) -> None:
    assert not Security(token="t", port=7000, host="0.0.0.0").answers_to(host, "10.0.0.5")


def test_the_server_answers_to_what_it_is_bound_to_and_told_of() -> None:
    bound = Security(
        token="t", port=7000, host="192.168.1.2", allowed_hosts=["Hive.Example", "hive.example:443"]
    )
    for host in ("192.168.1.2:7000", "hive.example", "hive.example:7000", "hive.example:443"):
        assert bound.answers_to(host, None), host
    everywhere = Security(token="t", port=7000, host="::")
    assert everywhere.answers_to("10.0.0.5:7000", "10.0.0.5")
    assert everywhere.answers_to("[fd00::1]:7000", "fd00::1")
    assert not everywhere.answers_to("10.0.0.6:7000", "10.0.0.5")


@pytest.mark.parametrize(
    "value", ["Bearer wrong", "Bearer", "Basic b3BlcmF0b3I6eA==", "", "Bearer \u00e9", "bearer  "]
)
async def test_a_wrong_bearer_is_refused_even_with_a_good_cookie(face: Face, value: str) -> None:
    async with face.browser() as browser:
        answer = await browser.get("/api/state", headers={b"Authorization": value.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "bad-token"


async def test_mcp_wants_the_bearer_and_its_exact_address(face: Face) -> None:
    async with face.browser() as browser, face.client(**BEARER) as client:
        assert (await browser.post("/mcp")).status_code == 401
        for method in ("GET", "POST", "DELETE"):
            answer = await client.request(method, "/mcp")
            assert (answer.status_code, answer.text) == (200, f"{method} /mcp")
        assert (await client.post("/mcp/")).status_code == 404
        assert (await client.put("/mcp")).status_code == 405


async def test_a_page_of_a_stranger_leads_to_the_login_and_back(face: Face) -> None:
    async with face.client(Accept="text/html") as stranger:
        answer = await stranger.get("/agents/manager?tab=logs")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fagents%2Fmanager%3Ftab%3Dlogs"


async def test_a_link_on_another_site_reaches_the_page_of_who_is_logged_in(face: Face) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with face.client() as without_strict_cookie:
        answer = await without_strict_cookie.get("/agents/a%22%3Eb?x=%22&y=<", headers=elsewhere)
    assert answer.status_code == 200
    assert 'content="0;url=/agents/a%22%3Eb?x=%22&amp;y=%3C"' in answer.text


async def test_no_bounce_leaves_the_origin(face: Face) -> None:
    async with face.client() as client:
        answer = await client.get(
            "http://127.0.0.1:7000//evil.example/", headers={"Sec-Fetch-Site": "cross-site"}
        )
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=")


async def test_a_session_ends_for_programs_with_a_code_of_its_own(face: Face) -> None:
    async with face.browser() as browser:
        assert (await browser.get("/api/state")).status_code == 200
        await browser.post("/logout")
        browser.cookies.set(face.security.cookie, "what-it-was", domain="127.0.0.1")
        answer = await browser.get("/api/state")
        assert answer.status_code == 401
        assert answer.json()["code"] == "session-over"
        assert (await browser.get("/")).status_code == 303


async def test_the_login_throttle_forgets_with_time() -> None:
    from hyperhive.web.throttle import Throttle

    clock = Clock()
    throttle = Throttle(each=2, total=3, window=60, clock=clock)
    throttle.fail("a")
    throttle.fail("a")
    assert throttle.wait("a") == 60
    assert throttle.wait("b") == 0
    throttle.fail("b")
    assert throttle.wait("c") == 60
    clock.now += 60
    assert throttle.wait("a") == throttle.wait("c") == 0


async def test_every_answer_carries_the_secure_headers(face: Face) -> None:
    async with face.client(**BEARER) as client:
        answers: list[httpx.Response] = [
            await client.get("/"),
            await client.get("/api/state"),
            await client.get("/api/nothing"),
            await client.post("/api/agents", content=b"x" * 300_000),
            await client.get("/healthz", headers={"Host": "evil"}),
            await client.get("/login"),
        ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
