"""Sessions, the entry link, the form and the token's file."""

import json
from pathlib import Path

import pytest

from hyperhive.errors import Refused
from hyperhive.web.security import ENTRY_LIFE, Security
from hyperhive.web.sessions import ABSOLUTE, IDLE, MOST, Sessions
from hyperhive.web.token import load_or_create_token
from tests.web.conftest import PORT, TOKEN, Clock, Face


async def test_an_entry_link_logs_in_once(face: Face) -> None:
    link = face.security.entry_link()
    assert link.startswith(f"http://127.0.0.1:{PORT}/login?entry=")
    async with face.client() as first, face.client() as second:
        entered = await first.get(link)
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert (await first.get("/")).status_code == 200
        refused = await second.get(link)
        assert refused.status_code == 401
        assert "hyperhive open" in refused.text
        assert "set-cookie" not in refused.headers
        again = await first.get(link)
        assert (again.status_code, again.headers["location"]) == (303, "/")


async def test_the_cookie_is_for_this_server_alone(face: Face) -> None:
    async with face.client() as browser:
        cookie = (await browser.get(face.security.entry_link())).headers["set-cookie"]
    assert cookie.startswith(f"hyperhive_session_{PORT}=")
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert "secure" not in parts
    assert not any(part.startswith("domain") for part in parts)


async def test_over_https_the_cookie_is_secure(face: Face) -> None:
    async with face.client() as browser:
        link = face.security.entry_link().replace("http:", "https:")
        answer = await browser.get(link)
    assert "Secure" in answer.headers["set-cookie"]


async def test_a_forwarded_header_makes_no_secure_cookie(face: Face) -> None:
    async with face.client(**{"X-Forwarded-Proto": "https"}) as browser:
        answer = await browser.get(face.security.entry_link())
    assert "Secure" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}])
async def test_a_preview_does_not_burn_the_link(face: Face, headers: dict[str, str]) -> None:
    link = face.security.entry_link()
    async with face.client() as browser:
        assert (await browser.get(link, headers=headers)).status_code == 204
        assert (await browser.head(link)).status_code == 204
        assert (await browser.get(link)).status_code == 303


async def test_an_entry_opened_from_another_site_still_arrives_with_its_cookie(face: Face) -> None:
    async with face.client() as browser:
        answer = await browser.get(face.security.entry_link(), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "set-cookie" in answer.headers
    assert 'content="0;url=/"' in answer.text


def test_an_entry_link_grows_old() -> None:
    clock = Clock()
    security = Security(token=TOKEN, port=PORT, clock=clock)
    code = security.entry_link().partition("entry=")[2]
    clock.now += ENTRY_LIFE
    assert not security.redeem(code)


def test_entry_links_are_bounded() -> None:
    security = Security(token=TOKEN, port=PORT)
    codes = [security.entry_link().partition("entry=")[2] for _ in range(40)]
    assert not security.redeem(codes[0])
    assert security.redeem(codes[-1])


async def test_the_token_logs_in_and_leads_on(face: Face) -> None:
    async with face.client() as browser:
        form = {"token": f" {TOKEN}\n", "next": "/agents/manager?tab=logs"}
        answer = await browser.post("/login", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/agents/manager?tab=logs")
        assert (await browser.get("/api/state")).status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", ""]
)
async def test_the_login_leads_nowhere_else(face: Face, target: str) -> None:
    async with face.client() as browser:
        answer = await browser.post("/login", data={"token": TOKEN, "next": target})
    assert answer.headers["location"] == "/"


async def test_wrong_tokens_are_slowed_down(face: Face) -> None:
    async with face.client() as guesser:
        for _ in range(5):
            assert (await guesser.post("/login", data={"token": "wrong"})).status_code == 401
        answer = await guesser.post("/login", data={"token": TOKEN})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert "hyperhive open" in answer.text
        assert "set-cookie" not in answer.headers
        assert (await guesser.get(face.security.entry_link())).status_code == 303


async def test_a_form_that_is_none_is_refused(face: Face) -> None:
    async with face.client() as client:
        assert (await client.post("/login", json={"token": TOKEN})).status_code == 415
        many = "&".join(f"a{n}=1" for n in range(50))
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await client.post("/login", content=many, headers=kind)).status_code == 400
        assert (await client.post("/login", content=b"\xff\xfe=1", headers=kind)).status_code == 400


async def test_a_logout_ends_the_session_everywhere(face: Face) -> None:
    async with face.browser() as browser:
        cookie = browser.cookies[face.security.cookie]
        answer = await browser.post("/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        browser.cookies.set(face.security.cookie, cookie, domain="127.0.0.1")
        assert (await browser.get("/api/state")).status_code == 401


def test_sessions_survive_a_restart_as_hashes(tmp_path: Path) -> None:
    file = tmp_path / "sessions.json"
    id = Sessions(path=file).open()
    assert id not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert Sessions(path=file).find(id) is not None


def test_a_session_ends_when_unused_and_in_any_case(tmp_path: Path) -> None:
    clock = Clock()
    sessions = Sessions(path=tmp_path / "sessions.json", clock=clock)
    unused, used = sessions.open(), sessions.open()
    began = clock.now
    clock.now += IDLE - 1
    assert sessions.find(used)
    clock.now += 1
    assert sessions.find(unused) is None
    while clock.now + IDLE / 2 < began + ABSOLUTE:
        clock.now += IDLE / 2
        assert sessions.find(used)
    clock.now = began + ABSOLUTE
    assert sessions.find(used) is None
    assert json.loads((tmp_path / "sessions.json").read_text())["open"] == {}


@pytest.mark.parametrize("years", [-10, 10])
def test_a_time_of_day_that_is_set_years_off_ends_no_session_and_lengthens_none(
    tmp_path: Path, years: int
) -> None:
    file, clock, day = tmp_path / "sessions.json", Clock(), Clock()

    def begun() -> Sessions:
        return Sessions(path=file, clock=clock, day=day, boot="of today")

    id = begun().open()
    day.now += years * 365 * 86_400
    sessions = begun()
    assert sessions.find(id)
    clock.now += 1
    day.now += 1
    (shown,) = sessions.listed()
    assert (shown.opened, shown.used) == (day.now - 1, day.now - 1)
    clock.now += IDLE - 2
    day.now -= years * 365 * 86_400
    sessions = begun()
    assert sessions.find(id)
    assert begun().find(id)
    clock.now += IDLE
    assert begun().find(id) is None


def test_after_a_reboot_a_session_is_as_old_as_the_time_of_day_says(tmp_path: Path) -> None:
    file, clock, day = tmp_path / "sessions.json", Clock(), Clock()
    Sessions(path=file, clock=clock, day=day, boot="one").open()
    day.now += IDLE - 1
    clock.now = 5.0

    def begun() -> Sessions:
        return Sessions(path=file, clock=clock, day=day, boot="two")

    assert len(begun().listed()) == 1
    day.now += 2
    assert begun().listed() == ()
    day.now = 0.0  # a battery that is empty: it counts from now on
    sessions = begun()
    clock.now += IDLE - 1
    assert len(sessions.listed()) == 1
    clock.now += 1
    assert sessions.listed() == ()


def test_sessions_are_bounded() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    ids = []
    for _ in range(MOST + 1):
        clock.now += 1
        ids.append(sessions.open())
    assert sessions.find(ids[0]) is None
    assert all(sessions.find(id) for id in ids[1:])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1}', '{"token": 1, "open": 2}', '{"a": ["x", 2]}', "\x00"]
)
def test_a_broken_file_of_sessions_logs_everyone_out(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sessions.json"
    file.write_text(text)
    sessions = Sessions(path=file)
    assert sessions.find("x") is None
    id = sessions.open()
    assert Sessions(path=file).find(id)


@pytest.mark.parametrize("moment", ["1" * 400, "[]", "null", '"x"'])
def test_sessions_whose_times_are_none_log_everyone_out(tmp_path: Path, moment: str) -> None:
    file = tmp_path / "sessions.json"
    Sessions(path=file).close_all()
    file.write_text(file.read_text().replace('"open": {}', f'"open": {{"key": [{moment}, 1, "here"]}}'))
    assert Sessions(path=file).listed() == ()


def test_sessions_of_an_older_version_end_with_one_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "sessions.json"
    file.write_text(json.dumps({"0" * 64: [1.0, 2.0], "1" * 64: [1.0, 2.0]}))
    assert Sessions(path=file).listed() == ()
    assert caplog.messages == [
        f"{file} is of an older hyperhive: its 2 browser sessions ended; log in again."
    ]
    caplog.clear()
    file.write_text("{}")  # nobody was logged in
    Sessions(path=file)
    assert caplog.messages == []


def test_the_token_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "operator.token"
    token = load_or_create_token(file)
    assert len(token) >= 43
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_or_create_token(file) == token


def test_a_token_open_to_others_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "operator.token"
    load_or_create_token(file)
    file.chmod(0o640)
    with pytest.raises(Refused, match=r"open to others.*delete it"):
        load_or_create_token(file)


@pytest.mark.parametrize("text", ["", "short", "two\nlines-that-are-long-enough-to-be-a-token", "é" * 40])
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "operator.token"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(Refused, match="holds no token"):
        load_or_create_token(file)


def test_a_link_in_the_tokens_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(TOKEN)
    (tmp_path / "operator.token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="cannot be opened"):
        load_or_create_token(tmp_path / "operator.token")
