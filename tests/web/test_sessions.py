"""Who is logged in, ending all of them, and what of it stands in the log and in the record."""

import asyncio
import logging
from pathlib import Path

import httpx
import pytest

from hyperhive.web.app import build_host
from hyperhive.web.security import Security
from hyperhive.web.security_log import QUIET, SecurityLog
from hyperhive.web.sessions import Sessions
from tests.fakes.hive import FakeHive
from tests.web.conftest import BEARER, PORT, TOKEN, Clock, Face, serving


async def test_the_operator_sees_who_is_logged_in(face: Face, operator: httpx.AsyncClient) -> None:
    async with face.browser() as browser:
        cookie = browser.cookies[face.security.cookie]
        answer = await operator.get("/api/sessions")
    (session,) = answer.json()["sessions"]
    assert session["where"] == "127.0.0.1"
    assert session["opened"] == session["used"]
    assert cookie not in answer.text


async def test_all_sessions_end_at_once_with_their_streams_and_links(hive: FakeHive) -> None:
    async with serving(hive) as served, httpx.AsyncClient(base_url=served.url, timeout=30) as browser:
        unused = served.security.entry_link()
        await browser.get(served.security.entry_link())
        async with browser.stream("GET", "/api/events?views=1") as events:
            lines = events.aiter_lines()
            await anext(lines)
            async with served.client() as operator:
                ended = (await operator.delete("/api/sessions")).json()["sessions"]
            assert len(ended) == 1
            assert [line async for line in lines if line.startswith("id:")] == []  # it ends
        assert (await browser.get("/api/state")).status_code == 401
        assert (await browser.get(unused)).status_code == 401
        async with served.client() as operator:
            assert (await operator.get("/api/sessions")).json() == {"sessions": []}
    assert hive.audits[-1] == ("end-sessions", "HTTP 127.0.0.1")


async def test_what_is_written_down_about_the_end_of_all_sessions_has_happened(
    face: Face, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    seen: list[object] = []

    async def looks(action: str, *, by: str) -> None:
        if action == "end-sessions":
            seen.append((face.security.sessions.listed(), caplog.messages[-1]))
            face.security.sessions.open("10.0.0.9")  # who comes in now is no part of it

    monkeypatch.setattr(face.hive, "audit", looks)
    async with face.browser(), face.client(**BEARER) as operator:
        ended = (await operator.delete("/api/sessions")).json()["sessions"]
    assert [one["where"] for one in ended] == ["127.0.0.1"]
    assert seen == [((), "All sessions (1) and open entry links ended, from 127.0.0.1.")]
    assert [one.where for one in face.security.sessions.listed()] == ["10.0.0.9"]


async def test_the_command_line_sees_and_ends_them_too(
    commandline: httpx.AsyncClient, hive: FakeHive
) -> None:
    assert (await commandline.get("/api/sessions")).json() == {"sessions": []}
    assert (await commandline.delete("/api/sessions")).json() == {"sessions": []}
    assert hive.audits == [("end-sessions", "command line")]


async def test_the_command_line_ends_the_browsers_streams_at_once(hive: FakeHive) -> None:
    async with (
        serving(hive, sweep=3600) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as browser,
    ):
        app = build_host(hive=hive, security=served.security, browsers=served.streams)
        await browser.get(served.security.entry_link())
        async with browser.stream("GET", "/api/events?views=1") as events:
            lines = events.aiter_lines()
            await anext(lines)
            at = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=at, base_url="http://localhost") as commandline:
                assert len((await commandline.delete("/api/sessions")).json()["sessions"]) == 1
            async with asyncio.timeout(30):
                assert [line async for line in lines if line.startswith("id:")] == []  # it ends


async def test_a_login_that_is_under_way_when_all_sessions_end_ends_too(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile(action: str, *, by: str) -> None:
        if action == "log-in":
            face.security.sessions.close_all()

    monkeypatch.setattr(face.hive, "audit", meanwhile)
    async with face.browser() as browser:
        assert (await browser.get("/api/state")).status_code == 401


def test_another_token_ends_what_the_old_one_opened(tmp_path: Path) -> None:
    def security() -> Security:
        return Security.from_home(tmp_path, host="127.0.0.1", port=PORT)

    id = security().sessions.open("10.0.0.7")
    assert security().sessions.find(id)
    assert [one.where for one in security().sessions.listed()] == ["10.0.0.7"]
    (tmp_path / "operator.token").unlink()
    changed = security()
    assert changed.sessions.find(id) is None
    assert changed.sessions.listed() == ()


def test_sessions_that_are_over_are_not_listed() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    sessions.open("a")
    clock.now += 8 * 86_400
    sessions.open("b")
    assert [one.where for one in sessions.listed()] == ["b"]


async def test_logins_and_logouts_are_recorded_with_their_address(face: Face) -> None:
    async with face.browser() as browser:
        await browser.post("/logout")
        await browser.post("/login", data={"token": TOKEN})
    at = "dashboard 127.0.0.1"
    assert face.hive.audits == [("log-in", at), ("log-out", at), ("log-in", at)]


async def test_a_look_at_the_token_is_recorded(commandline: httpx.AsyncClient, hive: FakeHive) -> None:
    await commandline.get("/api/token")
    await commandline.post("/api/entry-link")
    assert hive.audits == [("show-token", "command line"), ("entry-link", "command line")]


async def test_who_logs_in_while_nothing_can_be_recorded_gets_in(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hyperhive.errors import Broken

    async def full(action: str, *, by: str) -> None:
        raise Broken("The disk is full; make room.", code="no-space")

    monkeypatch.setattr(face.hive, "audit", full)
    async with face.browser() as browser:
        assert (await browser.get("/")).status_code == 200


async def test_logins_and_refusals_are_in_the_log_without_a_secret(
    face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link = face.security.entry_link()
    secret = "a-guess-that-may-be-near-the-token"
    async with face.client() as stranger:
        await stranger.get(link)
        cookie = stranger.cookies[face.security.cookie]
        await stranger.post("/logout")
        await stranger.get(link)
        await stranger.get("/api/state", headers={"Authorization": f"Bearer {secret}"})
        await stranger.get("/api/state", headers={"Host": f"{secret}.example"})
        await stranger.post("/api/agents", headers={"Origin": f"http://{secret}.example"})
        await stranger.get(f"/api/state?{secret}")
        for _ in range(6):
            await stranger.post("/login", data={"token": secret})
        await stranger.post("/login", data={"token": TOKEN})
    said = [record.getMessage() for record in caplog.records if record.name == "hyperhive.security"]
    assert said[0] == "Logged in with an entry link, from 127.0.0.1."
    assert said[1] == "Logged out, from 127.0.0.1."
    kinds = ("bad-entry", "bad-token", "wrong-host", "cross-site", "login-needed", "throttled")
    assert [line.partition(")")[0] for line in said[2:]] == [f"Refused ({kind}" for kind in kinds]
    text = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    for hidden in (TOKEN, secret, cookie, link.partition("entry=")[2]):
        assert hidden not in text


def test_refusals_without_end_are_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = SecurityLog(clock=clock)
    for _ in range(1_000):
        log.refused("bad-token", "10.0.0.9")
    clock.now += QUIET
    log.refused("bad-token", "10.0.0.8")
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "Refused (bad-token): a request from 10.0.0.9."
    assert (
        second == "Refused (bad-token): a request from 10.0.0.8, and 999 more since the last line about it."
    )


async def test_a_cookie_alone_ends_no_sessions_from_another_site(face: Face) -> None:
    async with face.browser() as victim:
        answer = await victim.delete("/api/sessions", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403
        assert (await victim.get("/api/state", headers=BEARER)).status_code == 200
    assert len(face.security.sessions.listed()) == 1
