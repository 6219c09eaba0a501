"""The history's page as the server makes it: filters, pages, words, and what it never lets through."""

import re

import httpx
import pytest
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.routing import Route

from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.events import AnyEvent, Audit
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Broken
from hyperhive.web import history, pages, telling
from tests.fakes.hive import FakeHive
from tests.fakes.samples import NOON, busy_snapshot


async def get(hive: FakeHive, path: str) -> httpx.Response:
    """The page at ``path``, without the door before it."""
    app = Starlette(routes=[Route("/history", pages.history_page)])
    app.state.hive = hive
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hive") as client:
        return await client.get(path)


def ids(page: httpx.Response) -> list[int]:
    """The decisions that a page shows."""
    return [int(id) for id in re.findall(r'<li class="decision" data-id="(\d+)"', page.text)]


def decided(count: int) -> FakeHive:
    """A hive with many decisions: every third denied, every tenth about bob."""
    hive = FakeHive(busy_snapshot(3))
    for id in range(1, count + 1):
        state = State.DENIED if id % 3 == 0 else State.DEPLOYED
        agent = "bob" if id % 10 == 0 else "alice"
        hive.record[id] = ApprovalView(
            id=id, kind=Kind.APPLY_COMMIT, agent=agent, requested_by="manager", requested=NOON, state=state,
            sha="ab" * 20, by="operator", decided=NOON, where="command line",
        )  # fmt: skip
    return hive


async def test_decisions_come_a_page_at_a_time_and_the_last_page_leads_no_further() -> None:
    hive, path, seen = decided(120), "/history", list[int]()
    while path:
        page = await get(hive, path)
        seen += ids(page)
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == list(range(120, 0, -1))


async def test_a_filter_fills_its_page_from_as_many_decisions_as_it_takes() -> None:
    hive = decided(1_000)
    page = await get(hive, "/history?agent=bob&show=denied")
    assert ids(page) == list(range(990, 0, -30))
    page = await get(hive, "/history?agent=bob")
    assert len(ids(page)) == history.PAGE
    assert "agent=bob" in re.findall(r'rel="next" href="([^"]+)"', page.text)[0]


async def test_a_search_that_finds_little_stops_and_says_where_it_goes_on() -> None:
    hive = decided(history.LOOK + 400)
    page = await get(hive, "/history?show=failed")
    assert ids(page) == []
    assert f"before={401}" in page.text


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "show=%3Cb%3E", "view=other", "before=" + "9" * 40]
)
async def test_what_makes_no_sense_in_the_address_is_left_out(query: str) -> None:
    page = await get(decided(3), f"/history?{query}")
    assert page.status_code == 200
    assert ids(page) == [3, 2, 1]


async def test_a_name_that_cannot_be_one_is_refused_in_place() -> None:
    page = await get(decided(3), "/history?agent=%3Cscript%3Ealert(1)%3C/script%3E")
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert "<script>alert" not in page.text


async def test_the_page_says_so_when_the_store_cannot_tell() -> None:
    hive = decided(3)
    hive.fail_with = Broken("The disk is full; free some space.")
    page = await get(hive, "/history")
    assert page.status_code == 200
    assert "The disk is full; free some space." in page.text


async def test_the_trail_tells_the_newest_first_and_hostile_words_as_words() -> None:
    hive = decided(0)
    hive.publish(
        Audit(agent="alice", action="stop", by="operator", where="HTTP 10.0.0.7", note="</script><b>")
    )
    hive.publish(Audit(agent=None, action="<i>", by="operator"))
    page = await get(hive, "/history?view=trail")
    assert [int(seq) for seq in re.findall(r'data-seq="(\d+)"', page.text)] == [2, 1]
    assert "<i>" not in page.text.replace("</i>", "").split('class="trail"')[1].split("</ol>")[0]
    assert "over HTTP from 10.0.0.7" in page.text
    assert "&lt;/script&gt;&lt;b&gt;" in page.text


async def test_the_trail_tells_a_proposal_in_words_with_its_whole_commit_at_hand() -> None:
    hive, sha = decided(0), "506bbc7" + "0" * 33
    hive.publish(Audit(agent="alice", action="propose", by="operator", note=f"apply-commit {sha}"))
    hive.publish(Audit(agent="bob", action="propose", by="manager", note="spawn"))
    trail = (await get(hive, "/history?view=trail")).text.split('class="trail"')[1].split("</ol>")[0]
    assert f'<p title="{sha}"><span class="name">alice</span>: you proposed a change (506bbc7…)' in trail
    assert '<p><span class="name">bob</span>: manager proposed it as a new agent</p>' in trail
    assert "apply-commit" not in trail


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("command line", "at the command line"),
        ("dashboard 10.0.0.7", "at the dashboard from 10.0.0.7"),
        ("dashboard", "at the dashboard"),
        ("MCP ::1", "over MCP from ::1"),
        ("somewhere else", "somewhere else"),
        ("", ""),
    ],
)
def test_a_door_is_told_in_words(where: str, words: str) -> None:
    assert telling.through(where) == words


SAMPLES: dict[str, object] = {
    "ok": True, "note": "n", "by": "operator", "revision": "r", "exit": "e", "recorded": "a", "current": "b",
    "attempt": 2, "error": "x", "transient": "starting", "id": 4, "approval": "spawn", "decision": "denied",
    "sha": "ab" * 20, "tag": "t", "server": "s", "action": "stop", "where": "command line", "answer": "yes",
    "from": "operator", "to": "alice", "turn": 3,
}  # fmt: skip


def test_every_kind_of_event_is_a_sentence() -> None:
    schema = TypeAdapter[AnyEvent](AnyEvent).json_schema()
    for name, event in schema["$defs"].items():
        kind = event["properties"]["kind"]["const"]
        fields = {key: SAMPLES[key] for key in event["properties"] if key not in ("kind", "agent")}
        line = telling.told(
            {"seq": 1, "ts": "2026-01-31T12:00:00.000Z", "kind": kind, "agent": "alice", **fields}
        )
        assert kind in telling.KINDS, name
        assert line.text
        assert "{" not in line.text
