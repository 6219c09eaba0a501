"""Bodies, queries and cookies that are odd, huge or deep: one clear 4xx, nothing done, nobody slowed down."""

import logging

import httpx
import pytest

from tests.fakes.hive import FakeHive
from tests.web.conftest import Face

TO = b'{"to":"manager","body":'
BODIES: dict[str, bytes] = {
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "depth where text belongs": TO + b"[" * 100 + b"]" * 100 + b"}",
    "a number of 5,000 digits": TO + b"9" * 5_000 + b"}",
    "not a number": TO + b"NaN}",
    "an infinite number": TO + b"1e999}",
    "a lone surrogate": TO + b'"\\ud800"}',
    "half of a pair": TO + b'"\\ud83d\\u0041"}',
    "NUL": TO + b'"\\u0000"}',
    "no UTF-8": TO + b'"\xff\xfe"}',
    "an overlong slash": TO + b'"\xc0\xaf"}',
    "UTF-16": '{"to":"manager","body":"x"}'.encode("utf-16"),
    "a mark of byte order": b"\xef\xbb\xbf" + TO + b'"x"}',
    "a comment": TO + b'"x" /* */}',
    "two values": TO + b'"x"}{}',
    "a list": b'[{"to":"manager","body":"x"}]',
    "null": b"null",
    "a key too many": b'{"to":"manager","body":"x","from":"alice"}',
    "somebody else's name as sender": b'{"to":"manager","body":"x","sender":"system"}',
    "another type for a name": b'{"to":["manager"],"body":"x"}',
    "an option as name": b'{"to":"--all","body":"x"}',
    "a path as name": b'{"to":"../../etc/passwd","body":"x"}',
    "a name with a line feed": b'{"to":"manager\\n","body":"x"}',
    "a name in other letters": '{"to":"m\u0430nager","body":"x"}'.encode(),
    "a name of many letters": b'{"to":"' + b"a" * 100_000 + b'","body":"x"}',
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}",
    "only blanks": b" " * 100_000,
    "too long": TO + b'"' + b"x" * 300_000 + b'"}',
}


@pytest.mark.parametrize("what", BODIES)
async def test_an_odd_body_is_refused_in_a_sentence(
    operator: httpx.AsyncClient, hive: FakeHive, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    kind = {"Content-Type": "application/json"}
    answer = await operator.post("/api/messages", content=BODIES[what], headers=kind)
    problem = answer.json()
    assert 400 <= answer.status_code < 500
    assert 0 < len(problem["detail"]) < 400 and "\n" not in problem["detail"]
    assert problem["detail"].isascii()
    assert hive.letters == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x", ""]
)
async def test_a_body_of_a_kind_that_any_page_may_send_is_refused(
    operator: httpx.AsyncClient, hive: FakeHive, kind: str
) -> None:
    body = TO + b'"x"}'
    answer = await operator.post("/api/messages", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert hive.letters == []


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=-1", "limit=1e3", "limit=1001", "limit=" + "9" * 5_000, "limit=\u0661", "limit="),
        *("after=-0", "after=0x1", "after=1&after=x", "after=9007199254740992", "after=%00", "after=1%0a"),
        *("with=--all", "with=../x", "with=%ed%a0%80", "with=" + "a" * 20_000, "with=Operator"),
    ],
)
async def test_an_odd_query_is_refused(operator: httpx.AsyncClient, query: str) -> None:
    answer = await operator.get(f"/api/messages?{query}")
    assert answer.status_code == 422, answer.text
    assert len(answer.json()["detail"]) < 400


@pytest.mark.parametrize(
    "cookie", ["", "x" * 10_000, '"; drop', "\u00e9", "a=b; " * 1_000, "__proto__", "%00", "../../x"]
)
async def test_an_odd_cookie_is_nobodys(face: Face, cookie: str) -> None:
    async with face.client() as client:
        header = f"{face.security.cookie}={cookie}".encode("latin-1")
        answer = await client.get("/api/state", headers={b"Cookie": header})
    assert answer.status_code == 401


async def test_a_cookie_said_twice_lets_nobody_in_but_by_a_good_one(face: Face) -> None:
    async with face.browser() as browser:
        good = browser.cookies[face.security.cookie]
    async with face.client() as client:
        forged = f"{face.security.cookie}=x; {face.security.cookie}=y"
        assert (await client.get("/api/state", headers={"Cookie": forged})).status_code == 401
        own = f"{face.security.cookie}={good}"
        assert (await client.get("/api/state", headers={"Cookie": own})).status_code == 200


@pytest.mark.parametrize(
    "query", ["follow=0&views=", "follow=0&views=x", "limit=0", "follow=2", "kinds=nonsense"]
)
async def test_an_odd_part_of_a_query_is_refused_though_nothing_needs_it(
    operator: httpx.AsyncClient, query: str
) -> None:
    assert (await operator.get(f"/api/events?{query}")).status_code == 422
    answer = await operator.get("/api/events?follow=0&after=x", headers={"Last-Event-ID": "1"})
    assert answer.status_code == 422
