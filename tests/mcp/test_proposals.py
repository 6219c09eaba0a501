"""Drafts, requests for the operator's approval and their withdrawal, over every door in both generations."""

import re

import pytest

from hyperhive.domain.approvals import Kind
from tests.fakes.hive import FakeHive
from tests.fakes.samples import agent_view
from tests.mcp.doors import Connect, in_memory, refusal, structured

pytestmark = pytest.mark.filterwarnings("error")

CONFIG = {"agent.toml": 'model = "haiku"\n'}


async def test_an_agent_is_drafted_committed_and_asked_for(connect: Connect, hive: FakeHive) -> None:
    async with connect("manager") as client:
        draft = structured(await client.call_tool("request_spawn_draft", {"name": "carol"}))
        assert draft["name"] == "carol"
        assert draft["config"] == "$HYPERHIVE_AGENTS/carol/config"
        assert draft["state"] == "$HYPERHIVE_AGENTS/carol/state"
        assert "request_spawn_commit with 'carol'" in draft["next"]
        sha = hive.commit("carol", CONFIG)
        asked = structured(
            await client.call_tool(
                "request_spawn_commit",
                {"name": "carol", "commit_ref": sha, "note": "Counts files.", "ttl_seconds": 60},
            )
        )
    assert (asked["id"], asked["agent"], asked["state"]) == (1, "carol", "pending")
    assert (asked["sha"], asked["tag"], asked["thread"]) == (sha, "proposal/1", 1)
    assert asked["deadline"] is not None and "Do not wait" in asked["next"]
    (pending,) = hive.snapshot().approvals
    assert (pending.kind, pending.requested_by, pending.description) == (
        Kind.SPAWN_COMMIT,
        "manager",
        "Counts files.",
    )


async def test_another_config_is_asked_for_sent_back_and_asked_for_again(
    connect: Connect, hive: FakeHive
) -> None:
    async with connect("manager") as client:
        first = hive.commit("bob", CONFIG, summary="Use haiku")
        ask = {"name": "bob", "commit_ref": first[:10]}
        assert structured(await client.call_tool("request_apply_commit", ask))["sha"] == first
        await hive.decide(1, decision="revise", note="Sonnet, please.", by="operator")
        second = hive.commit("bob", {"agent.toml": 'model = "sonnet"\n'}, summary="Use sonnet")
        asked = structured(
            await client.call_tool("request_apply_commit", {"name": "bob", "commit_ref": second})
        )
        assert (asked["id"], asked["thread"]) == (2, 1)
        requests = structured(await client.call_tool("list_requests", {}))
    assert [(r["id"], r["state"], r["tag"]) for r in requests["pending"]] == [(2, "pending", "proposal/2")]
    (decided,) = requests["decided"]
    assert (decided["id"], decided["state"], decided["tag"]) == (1, "revise", "revise/1")
    assert (decided["note"], decided["by"], decided["summary"]) == (
        "Sonnet, please.",
        "operator",
        "Use haiku",
    )


async def test_a_request_is_taken_back_once_and_by_who_asked(connect: Connect, hive: FakeHive) -> None:
    async with connect("manager") as client:
        structured(await client.call_tool("request_spawn", {"name": "carol", "note": "For reports."}))
        taken = structured(await client.call_tool("withdraw", {"id": 1}))
        assert (taken["state"], taken["by"], taken["sha"], taken["tag"]) == (
            "withdrawn",
            "manager",
            None,
            None,
        )
        again = refusal(await client.call_tool("withdraw", {"id": 1}))
        assert again.startswith("Approval 1 was decided already: withdrawn by manager")
        await hive.request_spawn("dave", by="operator")
        assert "operator" in refusal(await client.call_tool("withdraw", {"id": 2}))


async def test_what_the_operators_client_asks_for_is_the_operators(connect: Connect, hive: FakeHive) -> None:
    async with connect("operator") as client:
        draft = structured(await client.call_tool("request_spawn_draft", {"name": "carol"}))
        assert draft["config"] == "agents/carol/proposed"
        sha = hive.commit("carol", CONFIG)
        ask = {"name": "carol", "commit_ref": sha}
        asked = structured(await client.call_tool("request_spawn_commit", ask))
        assert asked["next"].endswith("hyperhive approve 1.")
        structured(
            await client.call_tool(
                "request_apply_commit", {"name": "bob", "commit_ref": hive.commit("bob", CONFIG)}
            )
        )
        structured(await client.call_tool("withdraw", {"id": 2}))
        structured(await client.call_tool("request_spawn", {"name": "dave"}))
    did = [(call.verb, call.args["by"]) for call in hive.calls]
    assert did == [
        ("request_draft", "operator"),
        ("request_commit", "operator"),
        ("request_commit", "operator"),
        ("withdraw", "operator"),
        ("request_spawn", "operator"),
    ]


async def test_an_agent_asks_for_nothing_of_the_kind(connect: Connect, hive: FakeHive) -> None:
    async with connect("alice") as client:
        for name in ("request_spawn", "request_spawn_draft", "request_apply_commit", "list_requests"):
            assert refusal(await client.call_tool(name, {})).startswith(f"There is no tool '{name}'")
    assert hive.calls == []


async def test_the_list_of_agents_tells_what_runs_and_what_does_not_hold(
    connect: Connect, hive: FakeHive
) -> None:
    warning = "limits.memory does not hold here: there is no writable cgroup."
    hive.replace(agent_view("bob", generation=7, commit="c" * 40, warnings=(warning,)))
    async with connect("manager") as client:
        bob = structured(await client.call_tool("list_agents", {}))["agents"][-1]
    assert (bob["generation"], bob["commit"], bob["warnings"]) == (7, "c" * 40, [warning])


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("request_spawn", {"name": "Carol"}, "'Carol' cannot name an agent"),
        ("request_spawn", {"name": "bob"}, "There is already an agent 'bob'"),
        ("request_spawn", {"name": "c", "note": "x" * 9_000}, "request_spawn cannot take this 'note'"),
        ("request_spawn", {"name": "c", "note": "a\0b"}, "A note is plain text"),
        ("request_spawn", {"name": "c", "ttl_seconds": 0}, "request_spawn cannot take this 'ttl_seconds'"),
        ("request_spawn_draft", {"name": "../x"}, "'../x' cannot name an agent"),
        ("request_spawn_draft", {"name": "bob"}, "There is already an agent 'bob'"),
        ("request_spawn_commit", {"name": "bob", "commit_ref": "1" * 40}, "There is no draft 'bob'"),
        ("request_spawn_commit", {"name": "bob"}, "request_spawn_commit needs the argument 'commit_ref'"),
        ("request_apply_commit", {"name": "bob", "commit_ref": "main"}, "Name a commit by 7 to 40 hex"),
        ("request_apply_commit", {"name": "bob", "commit_ref": "--all"}, "Name a commit by 7 to 40 hex"),
        ("request_apply_commit", {"name": "bob", "commit_ref": "1" * 40}, "There is no commit 111"),
        ("request_apply_commit", {"name": "nobody", "commit_ref": "1" * 40}, "There is no agent 'nobody'"),
        ("withdraw", {"id": 99}, "There is no approval 99"),
        ("withdraw", {"id": 0}, "withdraw cannot take this 'id'"),
        ("withdraw", {"id": "one"}, "withdraw cannot take this 'id'"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_in_one_sentence(
    hive: FakeHive, tool: str, arguments: dict[str, object], says: str
) -> None:
    before = hive.snapshot()
    async with in_memory(hive, "manager", "auto") as client:
        said = refusal(await client.call_tool(tool, arguments))
    assert said.startswith(says) and said.endswith(".") and len(said) < 300
    assert hive.snapshot() == before


async def test_a_newer_request_says_whose_place_it_takes(hive: FakeHive) -> None:
    async with in_memory(hive, "manager", "auto") as client:
        said = []
        for model in ("opus", "haiku"):
            sha = hive.commit("bob", {"agent.toml": f'model = "{model}"\n'})
            asked = {"name": "bob", "commit_ref": sha}
            said.append(structured(await client.call_tool("request_apply_commit", asked)))
    first, second = said
    assert "takes the place" not in first["next"]
    assert second["next"].startswith(f"It takes the place of request {first['id']}, which is superseded. ")


async def test_a_config_that_does_not_fit_is_refused_with_file_key_and_reason(hive: FakeHive) -> None:
    async with in_memory(hive, "manager", "auto") as client:
        structured(await client.call_tool("request_spawn_draft", {"name": "carol"}))
        sha = hive.commit("carol", {"agent.toml": 'modle = "haiku"\n'})
        said = refusal(await client.call_tool("request_spawn_commit", {"name": "carol", "commit_ref": sha}))
    assert re.match(r"agent\.toml: modle: unknown key", said)
    assert hive.snapshot().approvals == ()
