"""What the routes answer, and how they refuse."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hyperhive.domain.events import Paused
from hyperhive.errors import Broken, Deadline, Gone, HiveError, Invalid, Refused, Unknown
from tests.fakes.hive import Call, FakeHive
from tests.fakes.samples import turn_items
from tests.web.conftest import Face

BAD_NAMES = [
    "Manager",
    "x" * 32,
    "9lives",
    "a_b",
    "all",
    "a%0ab",
    "a%00",
    "..",
    "%2e%2e",
    "a b",
    "ünï",
    "a%5Cb",
]


async def test_the_state_goes_out_as_the_hive_encoded_it(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    answer = await operator.get("/api/state")
    assert answer.content == hive.snapshot_json()
    assert answer.headers["content-type"] == "application/json"


async def test_the_operator_spawns_by_its_own_name(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    answer = await operator.post("/api/agents", json={"name": "alice"})
    assert answer.status_code == 202
    assert answer.json() == {"agent": "alice", "transient": "spawning", "ok": None, "note": ""}
    assert hive.calls[-1] == Call("spawn", {"name": "alice", "by": "operator"})


@pytest.mark.parametrize("action", ["start", "stop", "restart", "update", "pause", "resume"])
async def test_every_action_reaches_the_hive(
    operator: httpx.AsyncClient, hive: FakeHive, action: str
) -> None:
    answer = await operator.post(f"/api/agents/manager/{action}?wait=0")
    assert answer.status_code == 202
    assert hive.calls[-1].args | {"wait": 0} == {
        "action": action, "name": "manager", "by": "operator", "wait": 0,
    }  # fmt: skip


async def test_an_outcome_that_was_waited_for_is_no_mere_acceptance(operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/api/agents/manager/pause?wait=5")
    assert answer.status_code == 200
    assert answer.json()["ok"] is True


async def test_destroy_keeps_the_folders_unless_told(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    assert (await operator.delete("/api/agents/worker-01")).status_code == 202
    assert hive.calls[-1].args["purge"] is False
    assert (await operator.post("/api/kept/worker-01/revive")).status_code == 202
    assert (await operator.delete("/api/agents/worker-01?purge=1")).status_code == 202
    assert hive.calls[-1].args["purge"] is True
    assert (await operator.post("/api/kept/old-hand/purge")).json()["name"] == "old-hand"


async def test_messages_go_out_and_come_back(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    sent = await operator.post("/api/messages", json={"to": "manager", "body": "hej \u00e9 \U0001f41d"})
    assert sent.status_code == 201
    assert (sent.json()["from"], sent.json()["to"]) == ("operator", "manager")
    await hive.send(sender="manager", to="operator", body="done")
    found = (await operator.get("/api/messages?with=operator&after=1")).json()["messages"]
    assert [message["body"] for message in found] == ["done"]
    odd = await operator.post("/api/inbox/take", json={"max": True})
    assert (odd.status_code, odd.json()["code"]) == (422, "bad-body")
    taken = (await operator.post("/api/inbox/take", json={"max": 5})).json()["messages"]
    assert [message["body"] for message in taken] == ["done"]
    assert (await operator.post("/api/inbox/take")).json() == {"messages": []}


async def test_questions_and_approvals_are_decided_once(operator: httpx.AsyncClient) -> None:
    answered = await operator.post("/api/questions/1/answer", json={"answer": "Berlin"})
    assert (answered.json()["state"], answered.json()["by"]) == ("answered", "operator")
    again = await operator.post("/api/questions/1/cancel")
    assert (again.status_code, again.json()["detail"]) == (409, "Question 1 was answered by operator.")
    diff = await operator.get("/api/approvals/1/diff")
    assert diff.headers["content-type"].startswith("text/plain")
    assert (await operator.post("/api/approvals/1/approve", json={"note": "ok"})).json()[
        "state"
    ] == "approved"
    assert (await operator.post("/api/approvals/1/deny")).status_code == 409
    assert (await operator.post("/api/approvals/2/revise")).status_code == 404


async def test_logs_turns_config_and_stats_are_read(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    hive.logs_of["manager"] = ["one", "two", "three"]
    assert (await operator.get("/api/agents/manager/logs?lines=2")).text == "two\nthree\n"
    for item in turn_items():
        hive.add_turn_item("manager", item)
    items = (await operator.get("/api/agents/manager/turns?after=3&limit=1")).json()["items"]
    assert [(item["id"], item["type"]) for item in items] == [(4, "tool_result")]
    config = await operator.get("/api/agent-config/manager")
    assert 'model = "sonnet"' in config.text
    assert config.headers["content-type"].startswith("text/plain")
    assert "link" not in config.headers
    none = await operator.get("/api/agent-config/manager?file=prompt.md")
    assert (none.status_code, none.json()["detail"]) == (
        404,
        "What 'manager' was built from has no prompt.md.",
    )
    repository = hive.repository("manager")
    repository.main = repository.commit({"prompt.md": "Be kind."}, "Say how")
    link = (await operator.get("/api/agent-config/manager")).links["related"]["url"]
    prompt = await operator.get(link)
    assert (prompt.text, prompt.headers["content-type"]) == ("Be kind.", "text/plain; charset=utf-8")
    assert (await operator.get("/api/agent-config/manager?file=../hive.sqlite")).status_code == 422
    hive.finished_turns = [{"agent": "manager", "turn": 1}]
    assert (await operator.get("/api/stats?since=60&agent=manager")).json() == {"turns": hive.finished_turns}


async def test_recorded_events_come_without_a_stream_too(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    hive.publish(Paused(agent="manager"))
    hive.publish(Paused(agent="worker-01"))
    events = (await operator.get("/api/events?follow=0&after=1")).json()["events"]
    assert [(event["seq"], event["agent"]) for event in events] == [(2, "worker-01")]


async def test_health_says_nothing_but_that_it_is_alive(face: Face) -> None:
    async with face.client() as anyone:
        answer = await anyone.get("/healthz")
    assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_is_refused_at_the_door(
    operator: httpx.AsyncClient, hive: FakeHive, name: str
) -> None:
    for method, path in [
        ("POST", f"/api/agents/{name}/start"),
        ("DELETE", f"/api/agents/{name}"),
        ("GET", f"/api/agents/{name}/logs"),
        ("GET", f"/api/agents/{name}/turns?follow=1"),
        ("GET", f"/api/agent-config/{name}"),
        ("POST", f"/api/kept/{name}/purge"),
    ]:
        answer = await operator.request(method, path)
        assert answer.status_code in (404, 405, 422), f"{method} {path}"
        assert answer.json()["code"] in ("bad-name", "reserved-name", "no-such-route", "method-not-allowed")
    assert not hive.calls


@pytest.mark.parametrize("name", ["manager%2Flogs", "..%2F..%2Fetc%2Fpasswd", "%2F", "a%2F..%2Fmanager"])
async def test_an_encoded_slash_reaches_no_agent(
    operator: httpx.AsyncClient, hive: FakeHive, name: str
) -> None:
    answer = await operator.delete(f"/api/agents/{name}")
    assert answer.status_code in (404, 405)
    assert not hive.calls


@pytest.mark.parametrize(
    "path",
    [
        "/api/events?after=-1",
        "/api/events?after=x",
        "/api/events?after=",
        "/api/events?after=99999999999999999999",
        "/api/events?after=9007199254740992",
        "/api/events?after=%EF%BC%91",
        "/api/events?after=1e3",
        "/api/events?follow=2",
        "/api/events?views=yes",
        "/api/events?kinds=paused,nonsense",
        "/api/messages?limit=0",
        "/api/messages?limit=1001",
        "/api/messages?with=../x",
        "/api/agents/manager/logs?lines=10001",
        "/api/agents/manager/turns?after=0x1",
        "/api/approvals/0/diff",
        "/api/approvals/-1/diff",
        "/api/approvals/1.0/diff",
        "/api/approvals/18446744073709551616/diff",
        "/api/stats?since=-5",
        "/api/stats?agent=ALL",
    ],
)
async def test_a_bad_number_or_word_is_refused(
    operator: httpx.AsyncClient, hive: FakeHive, path: str
) -> None:
    answer = await operator.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert not hive.calls


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed-json"),
        (b"\xff", 400, "malformed-json"),
        (b'{"to":"manager","body":"\\ud800"}', 400, "malformed-json"),
        (b"[" * 100_000, 400, "malformed-json"),
        (b"[]", 422, "bad-body"),
        (b"null", 422, "bad-body"),
        (b"", 422, "bad-body"),
        (b'{"to":"manager"}', 422, "bad-body"),
        (b'{"to":"manager","body":7}', 422, "bad-body"),
        (b'{"to":"manager","body":"x","from":"manager"}', 422, "bad-body"),
        (b'{"to":"manager","body":" "}', 422, "empty-body"),
        (b'{"to":"../x","body":"x"}', 422, "bad-name"),
        (b'{"to":"nobody","body":"x"}', 404, "unknown-agent"),
    ],
)
async def test_a_bad_body_is_refused_with_its_reason(
    operator: httpx.AsyncClient, content: bytes, status: int, code: str
) -> None:
    answer = await operator.post(
        "/api/messages", content=content, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(answer.content) < 1_000


async def test_another_content_type_is_refused(operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/api/messages", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "not-json")


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(300):
        yield b" " * 1024


@pytest.mark.parametrize("path", ["/api/messages", "/login", "/api/approvals/1/approve"])
async def test_a_body_too_long_is_refused_announced_or_in_chunks(
    operator: httpx.AsyncClient, path: str
) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded" if path == "/login" else "application/json"}
    for content in (b" " * 300_000, _chunks()):
        answer = await operator.post(path, content=content, headers=kind)
        assert (answer.status_code, answer.json()["code"]) == (413, "body-too-long")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid("no"), 422),
        (Unknown("no"), 404),
        (Gone("no"), 410),
        (Refused("no", code="busy"), 409),
        (Deadline("no"), 504),
        (Broken("no"), 503),
        (HiveError("no"), 500),
    ],
)
async def test_what_the_hive_refuses_is_a_problem(
    operator: httpx.AsyncClient, hive: FakeHive, error: HiveError, status: int
) -> None:
    hive.fail_with = error
    answer = await operator.post("/api/agents/manager/start")
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    assert (answer.status_code, problem["status"], problem["detail"]) == (status, status, "no")
    assert problem["code"] == error.code


async def test_a_bug_is_logged_once_and_not_shown(
    operator: httpx.AsyncClient, hive: FakeHive, caplog: pytest.LogCaptureFixture
) -> None:
    hive.fail_with = RuntimeError("secret inside")
    with caplog.at_level(logging.WARNING):
        answer = await operator.post("/api/agents/manager/start")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_name_cannot_forge_a_line_of_the_log(
    operator: httpx.AsyncClient, hive: FakeHive, caplog: pytest.LogCaptureFixture
) -> None:
    hive.fail_with = Broken("no")
    with caplog.at_level(logging.WARNING):
        await operator.get("/api/messages%0Aforged")
        await operator.get("/api/stats")
    assert all("\n" not in record.getMessage() for record in caplog.records)


async def test_head_answers_as_get_without_a_body(operator: httpx.AsyncClient) -> None:
    for path in ("/", "/healthz", "/api/state", "/api/events", "/api/agents/manager/logs", "/metrics"):
        answer = await operator.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path


async def test_a_wrong_method_is_told_which_are_right(operator: httpx.AsyncClient) -> None:
    for path, allowed in {
        "/api/messages": "GET, HEAD, POST",
        "/api/state": "GET, HEAD",
        "/login": "GET, HEAD, POST",
        "/api/agents/manager/start": "POST",
    }.items():
        answer = await operator.patch(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["code"] == "method-not-allowed"


async def test_an_unknown_address_is_a_problem(operator: httpx.AsyncClient) -> None:
    for path in ("/api/nothing", "/nothing", "/api/state/", "/API/state"):
        answer = await operator.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "no-such-route")


async def test_static_files_are_kept_under_their_version_only(face: Face) -> None:
    from hyperhive.web import pages

    async with face.client() as anyone:
        now = await anyone.get(pages.static_url("icon.svg"))
        assert (now.status_code, now.headers["content-type"]) == (200, "image/svg+xml")
        assert "immutable" in now.headers["cache-control"]
        old = await anyone.get("/static/older/icon.svg")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
        same = await anyone.get("/static/older/icon.svg", headers={"If-None-Match": old.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        for path in (
            "..%2fpages.py",
            "../pages.py",
            "%2e%2e/templates/login.html",
            "%2fetc/passwd",
            "",
            "js",
            "a%00.js",
        ):
            assert (await anyone.get(f"/static/x/{path}")).status_code in (303, 404), path


async def test_the_command_line_needs_no_login(commandline: httpx.AsyncClient, hive: FakeHive) -> None:
    assert (await commandline.get("/api/state")).content == hive.snapshot_json()
    assert (await commandline.get("/api/state", headers={"Host": "whatever"})).status_code == 200
    link = (await commandline.post("/api/entry-link")).json()["url"]
    assert "/login?entry=" in link
    assert len((await commandline.get("/api/token")).json()["token"]) > 32


async def test_links_and_token_are_for_the_command_line_alone(operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/api/entry-link")).status_code == 404
    assert (await operator.get("/api/token")).status_code == 404
