"""What is proposed, what it would change, and what the operator says to it, over HTTP."""

import httpx
import pytest

from hyperhive.domain.approvals import Kind
from tests.fakes.hive import Call, FakeHive
from tests.fakes.repositories import FIRST

OPUS = {"agent.toml": 'model = "opus"\n'}


async def _proposed(hive: FakeHive, name: str = "worker-01", model: str = "opus") -> int:
    sha = hive.commit(name, {"agent.toml": f'model = "{model}"\n'}, summary=f"Use {model}")
    view = await hive.request_commit(Kind.APPLY_COMMIT, name, sha[:10], by="manager", note="It thinks more.")
    return view.id


async def test_a_proposal_is_sent_back_resubmitted_and_approved_on_one_thread(
    operator: httpx.AsyncClient, hive: FakeHive
) -> None:
    first = await _proposed(hive)
    sent_back = await operator.post(f"/api/approvals/{first}/revise", json={"note": "Smaller, please."})
    assert sent_back.json()["state"] == "revise"
    second = await _proposed(hive, model="haiku")
    found = (await operator.get(f"/api/approvals/{second}")).json()
    assert (found["approval"]["id"], found["approval"]["summary"]) == (second, "Use haiku")
    assert [(view["id"], view["note"]) for view in found["thread"]] == [
        (first, "Smaller, please."),
        (second, ""),
    ]
    assert (await operator.post(f"/api/approvals/{second}/approve")).json()["state"] == "approved"
    again = await operator.post(f"/api/approvals/{second}/deny")
    assert again.status_code == 409
    assert again.json()["detail"].startswith(
        f"Approval {second} was decided already: approved by operator at "
    )
    hive.settle("worker-01")
    assert (await operator.get("/api/agent-config/worker-01")).text == 'model = "haiku"\n'


async def test_decided_ones_come_newest_first_page_by_page(
    operator: httpx.AsyncClient, hive: FakeHive
) -> None:
    ids = [await _proposed(hive, model=model) for model in ("opus", "haiku", "sonnet")]
    page = (await operator.get("/api/approvals?limit=1")).json()["approvals"]
    assert [(view["id"], view["state"]) for view in page] == [(ids[1], "superseded")]
    older = (await operator.get(f"/api/approvals?before={ids[1]}")).json()["approvals"]
    assert [view["id"] for view in older] == [ids[0]]


async def test_a_diff_is_read_as_text_or_in_parts_against_what_is_asked_for(
    operator: httpx.AsyncClient, hive: FakeHive
) -> None:
    await _proposed(hive)
    id = await _proposed(hive, model="haiku")
    text = await operator.get(f"/api/approvals/{id}/diff")
    assert text.headers["content-type"].startswith("text/plain")
    assert '-model = "sonnet"' in text.text
    assert '+model = "haiku"' in text.text
    last = await operator.get(f"/api/approvals/{id}/diff?against=proposal")
    assert '-model = "opus"' in last.text
    parts = (await operator.get(f"/api/approvals/{id}/diff?format=json")).json()
    assert (parts["base"], parts["files"][0]["path"]) == (FIRST.sha, "agent.toml")
    assert {"kind": "added", "old": None, "new": 1, "text": 'model = "haiku"', "more": 0, "no_newline": False} in [
        line for hunk in parts["files"][0]["hunks"] for line in hunk["lines"]
    ]  # fmt: skip


async def test_who_has_a_diff_already_is_told_so(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    id = await _proposed(hive)
    tag = (await operator.get(f"/api/approvals/{id}/diff")).headers["etag"]
    again = await operator.get(f"/api/approvals/{id}/diff", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    hive.repository("worker-01").main = hive.commit("worker-01", OPUS)
    assert (
        await operator.get(f"/api/approvals/{id}/diff", headers={"If-None-Match": tag})
    ).status_code == 200


async def test_the_operator_proposes_too_for_an_agent_or_a_draft(
    operator: httpx.AsyncClient, hive: FakeHive
) -> None:
    body = {"name": "worker-01", "commit": hive.commit("worker-01", OPUS)[:7], "note": "Mine."}
    change = await operator.post("/api/approvals", json=body)
    assert change.status_code == 201
    assert (change.json()["kind"], change.json()["requested_by"], change.json()["description"]) == (
        "apply-commit",
        "operator",
        "Mine.",
    )
    made = await operator.post("/api/drafts", json={"name": "scout"})
    assert (made.status_code, made.json()["by"]) == (201, "operator")
    body = {"name": "scout", "commit": hive.commit("scout", OPUS)}
    new = (await operator.post("/api/approvals", json=body)).json()
    assert new["kind"] == "spawn-commit"
    assert (await operator.post(f"/api/approvals/{new['id']}/withdraw")).json()["state"] == "withdrawn"
    assert (await operator.delete("/api/drafts/scout")).json()["name"] == "scout"
    assert (await operator.delete("/api/drafts/scout")).status_code == 404


async def test_who_did_not_ask_does_not_withdraw(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    id = await _proposed(hive)
    answer = await operator.post(f"/api/approvals/{id}/withdraw", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-yours")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/approvals", {"name": "ghost", "commit": "abcdef0"}, 404, "unknown-agent"),
        ("/api/approvals", {"name": "../x", "commit": "abcdef0"}, 422, "bad-name"),
        ("/api/approvals", {"name": "worker-01", "commit": "main"}, 422, "bad-commit"),
        ("/api/approvals", {"name": "worker-01", "commit": "0000000"}, 409, "unknown-commit"),
        ("/api/approvals", {"name": "worker-01"}, 422, "bad-body"),
        ("/api/approvals", {"name": "worker-01", "commit": "abcdef0", "kind": "spawn"}, 422, "bad-body"),
        ("/api/approvals/1/withdraw", {"note": "x"}, 422, "bad-body"),
        ("/api/approvals/1/revise", {}, 422, "note-missing"),
        ("/api/approvals/99/deny", {"note": "x" * 8_192}, 404, "unknown-approval"),
        ("/api/approvals/99/deny", {"note": "x" * 8_193}, 422, "bad-body"),
        ("/api/approvals/99/approve", {}, 404, "unknown-approval"),
        ("/api/approvals/0/approve", {}, 422, "bad-number"),
        ("/api/drafts", {"name": "worker-01"}, 409, "exists"),
        ("/api/drafts", {}, 422, "bad-body"),
        ("/api/agents/worker-01/rollback", {"generation": 0}, 422, "bad-body"),
        ("/api/agents/worker-01/rollback", {"generation": 9}, 409, "unknown-generation"),
        ("/api/agents/ghost/rollback", {}, 404, "unknown-agent"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_reason(
    operator: httpx.AsyncClient, path: str, body: dict[str, object], status: int, code: str
) -> None:
    answer = await operator.post(path, json=body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "path",
    [
        "/api/approvals/1/diff?against=x",
        "/api/approvals/1/diff?format=xml",
        "/api/approvals?before=0",
        "/api/approvals?limit=501",
    ],
)
async def test_a_query_that_asks_for_what_is_not_there_is_refused(
    operator: httpx.AsyncClient, path: str
) -> None:
    assert (await operator.get(path)).status_code == 422


async def test_generations_are_listed_and_gone_back_to(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    id = await _proposed(hive)
    await operator.post(f"/api/approvals/{id}/approve")
    hive.settle("worker-01")
    found = (await operator.get("/api/agents/worker-01/history")).json()["generations"]
    assert [(g["number"], g["summary"], g["current"], g["approval"]) for g in found] == [
        (2, "Use opus", True, id),
        (1, "First config", False, None),
    ]
    back = await operator.post("/api/agents/worker-01/rollback", json={})
    assert (back.status_code, back.json()["transient"]) == (202, "rebuilding")
    assert hive.calls[-1] == Call(
        "rollback", {"name": "worker-01", "generation": None, "by": "operator", "wait": 0.0}
    )
    hive.settle("worker-01")
    agent = hive.snapshot().agent("worker-01")
    assert agent is not None and (agent.generation, agent.commit) == (1, FIRST.sha)
    forth = await operator.post("/api/agents/worker-01/rollback?wait=5", json={"generation": 1})
    assert (forth.status_code, forth.json()["note"]) == (200, "It runs generation 1 already.")
