"""Proposals, drafts, builds and generations, through the façade over a running tree with real repositories."""

import asyncio
import json

import pytest

from hyperhive.domain.approvals import Against, Kind, State
from hyperhive.errors import Broken, Refused, Unknown
from hyperhive.hive import Action
from hyperhive.origin import coming_from
from tests.actors.rig import Rig
from tests.repos.rig import Proposer
from tests.running.conftest import Running
from tests.waiting import eventually_async

pytestmark = pytest.mark.slow

OPUS = b'model = "opus"\n'
HAIKU = b'model = "haiku"\n'


def _proposer(rig: Rig, name: str) -> Proposer:
    return Proposer(rig.layout.agent(name).root / "proposed")


def _commit(rig: Rig, name: str, config: bytes, message: str) -> str:
    return _proposer(rig, name).commit({"agent.toml": config}, message)


async def _runs(rig: Rig, name: str, generation: int) -> None:
    def there() -> bool:
        view = rig.view(name)
        return bool(view and view.generation == generation and view.ready and not view.transient)

    await eventually_async(there)


async def _made(running: Running, name: str = "alice") -> None:
    """Draft, propose and approve an agent; wait until it runs."""
    hive, rig = running
    await hive.request_draft(name, by="manager")
    sha = _commit(rig, name, OPUS, "Begin with opus")
    asked = await hive.request_commit(Kind.SPAWN_COMMIT, name, sha[:12], by="manager")
    await hive.decide(asked.id, decision="approve", by="operator")
    await _runs(rig, name, 1)


async def test_a_draft_becomes_an_agent_with_what_was_approved(hive: Running) -> None:
    running, _ = hive
    await _made(hive)
    assert await running.agent_config("alice") == OPUS.decode()
    (only,) = await running.history("alice")
    assert (only.number, only.summary, only.current, only.here) == (1, "Begin with opus", True, True)
    (decided,) = await running.decided()
    assert (decided.state, decided.sha, only.approval) == (State.DEPLOYED, only.commit, decided.id)
    assert not running.snapshot().drafts


async def test_a_diff_is_against_what_runs_the_last_proposal_or_what_was_approved_last(hive: Running) -> None:
    running, rig = hive
    await _made(hive)
    first = await running.request_commit(
        Kind.APPLY_COMMIT, "alice", _commit(rig, "alice", HAIKU, "Use haiku"), by="manager"
    )
    await running.decide(first.id, decision="revise", note="Rather sonnet.", by="operator")
    sha = _commit(rig, "alice", b'model = "sonnet"\n', "Use sonnet")
    second = await running.request_commit(Kind.APPLY_COMMIT, "alice", sha, by="manager", note="As you said.")
    assert [view.id for view in await running.approval(second.id)] == [first.id, second.id]
    for against, gone in (
        (Against.RUNNING, '-model = "opus"'),
        (Against.PROPOSAL, '-model = "haiku"'),
        (Against.APPROVED, '-model = "opus"'),
    ):
        text = await running.approval_diff(second.id, against=against)
        assert gone in text.splitlines()
        assert '+model = "sonnet"' in text.splitlines()
    changes = await running.approval_changes(second.id)
    assert (changes.sha, [(file.path, file.added, file.removed) for file in changes.files]) == (
        sha,
        [("agent.toml", 1, 1)],
    )


async def test_a_one_shot_spawn_shows_the_first_config(hive: Running) -> None:
    running, _ = hive
    asked = await running.request_spawn("bob", by="manager", note="A scout.")
    assert '+model = "sonnet"' in await running.approval_diff(asked.id)
    changes = await running.approval_changes(asked.id)
    assert (changes.base, changes.files[0].path, changes.files[0].change) == (None, "agent.toml", "added")
    with pytest.raises(Unknown):
        await running.approval_diff(99)
    with pytest.raises(Unknown):
        await running.approval(99)
    taken_back = await running.withdraw(asked.id, by="manager")
    assert taken_back.state is State.WITHDRAWN


async def test_what_went_with_a_discarded_draft_is_nothing_to_compare_with(hive: Running) -> None:
    running, rig = hive
    for config in (OPUS, HAIKU):
        await running.request_draft("alice", by="manager")
        sha = _commit(rig, "alice", config, "Begin")
        asked = await running.request_commit(Kind.SPAWN_COMMIT, "alice", sha, by="manager")
        text = await running.approval_diff(asked.id, against=Against.PROPOSAL)
        assert "new file mode" in text
        await running.discard_draft("alice", by="manager")
    with pytest.raises(Unknown, match="no config repository"):
        await running.approval_diff(asked.id)


async def test_a_rollback_goes_back_to_what_was_built(hive: Running) -> None:
    running, rig = hive
    await _made(hive)
    with pytest.raises(Refused, match="no earlier generation"):
        await running.rollback("alice", by="operator")
    files = {"agent.toml": HAIKU, "prompt.md": b"Be kind.\n"}
    sha = _proposer(rig, "alice").commit(files, "Use haiku")
    change = await running.request_commit(Kind.APPLY_COMMIT, "alice", sha, by="manager")
    assert await running.agent_prompt("alice") is None
    await running.decide(change.id, decision="approve", by="operator")
    await _runs(rig, "alice", 2)
    assert await running.agent_prompt("alice") == "Be kind.\n"
    with pytest.raises(Refused, match="runs generation 2 already"):
        await running.rollback("alice", generation=2, by="operator")
    with pytest.raises(Refused, match="no generation 7"):
        await running.rollback("alice", generation=7, by="operator")
    back = await running.rollback("alice", by="operator", wait=20)
    assert back.ok, back.note
    await _runs(rig, "alice", 1)
    assert await running.agent_config("alice") == OPUS.decode()
    assert await running.agent_prompt("alice") is None
    assert [(view.number, view.current) for view in await running.history("alice")] == [(2, False), (1, True)]


async def test_a_build_is_followed_to_its_end(hive: Running) -> None:
    running, rig = hive
    await _made(hive)
    sha = _commit(rig, "alice", HAIKU, "Use haiku")
    change = await running.request_commit(Kind.APPLY_COMMIT, "alice", sha, by="manager")
    await running.decide(change.id, decision="approve", by="operator")

    async def follow() -> list[str]:
        return [line async for line in running.follow_build("alice")]

    # Asked for at once, before it has begun: the log of the build before is not its.
    lines = await asyncio.wait_for(follow(), 60)
    assert "rendering" in "".join(lines)
    assert "] done" in lines[-1]
    assert lines == (await running.build_log("alice")).splitlines()
    await _runs(rig, "alice", 2)
    again = await asyncio.wait_for(follow(), 60)
    assert again == lines, "one that has ended is told whole, and that is all"
    with pytest.raises(Unknown):
        await running.build_log("ghost")


async def _audited(running: Running) -> list[tuple[str, str | None, str, str]]:
    events = [json.loads(text) for text in await running[0].events(kinds=frozenset({"audit"}))]
    assert all(event["by"] == "operator" for event in events)
    return [(event["action"], event["agent"], event["where"], event["note"]) for event in events]


async def test_what_the_operator_commands_is_written_down_with_its_door(hive: Running) -> None:
    running, rig = hive
    with coming_from("dashboard 127.0.0.1"):
        await running.request_draft("alice", by="operator")
        sha = _commit(rig, "alice", OPUS, "Begin")
        asked = await running.request_commit(Kind.SPAWN_COMMIT, "alice", sha, by="operator")
        await running.withdraw(asked.id, by="operator")
        await running.discard_draft("alice", by="operator")
    with coming_from("command line"):
        await running.spawn("bob", by="operator")
        await _runs(rig, "bob", 1)
        await running.operate(Action.PAUSE, "bob", by="operator")
        question = await running.ask("bob", question="Where?")
        await running.answer(question.id, answer="Here.", by="operator")
        await running.login_folder("bob", by="operator")
        await running.destroy("bob", by="operator")
        await eventually_async(lambda: rig.tree.roster.get("bob") is None and running.snapshot().kept)
        await running.purge("bob", by="operator")
    here, line = "dashboard 127.0.0.1", "command line"
    assert await _audited(hive) == [
        ("draft", "alice", here, ""),
        ("propose", "alice", here, f"spawn-commit {sha}"),
        ("discard", "alice", here, ""),
        ("spawn", "bob", line, ""),
        ("pause", "bob", line, ""),
        ("answer", "bob", line, f"question {question.id}"),
        ("login", "bob", line, ""),
        ("destroy", "bob", line, ""),
        ("purge", "bob", line, ""),
    ]


async def test_a_purge_that_could_not_be_recorded_leaves_what_was_kept(hive: Running) -> None:
    running, rig = hive
    await running.spawn("bob", by="operator")
    await _runs(rig, "bob", 1)
    await running.destroy("bob", by="operator")
    await eventually_async(lambda: running.snapshot().kept)
    root, real, database = rig.layout.agent("bob").root, rig.database.commit, rig.database

    def refuse() -> None:
        if root.exists():  # the audit, ahead of the purge
            real()
            return
        database.rollback()
        raise Broken("no space left")

    database.commit = refuse  # type: ignore[method-assign]  # the seam for faults
    with pytest.raises(Broken, match="no space left"):
        await running.purge("bob", by="operator")
    assert (root / "state").is_dir()
    assert [view.name for view in running.snapshot().kept] == ["bob"]
    database.commit = real  # type: ignore[method-assign]
    await running.purge("bob", by="operator")
    assert not root.exists()


async def test_what_the_manager_does_is_no_command_of_the_operators(hive: Running) -> None:
    running, _ = hive
    await running.request_draft("alice", by="manager")
    await running.request_spawn("bob", by="manager")
    assert await _audited(hive) == []


async def test_a_decision_is_recorded_with_who_and_from_where(hive: Running) -> None:
    running, _ = hive
    asked = await running.request_spawn("bob", by="manager")
    with coming_from("HTTP 192.0.2.7"):
        await running.decide(asked.id, decision="deny", note="Not yet.", by="operator")
    (decided,) = await running.decided()
    assert (decided.by, decided.where, decided.note) == ("operator", "HTTP 192.0.2.7", "Not yet.")
    (told,) = await running.events(kinds=frozenset({"approval_resolved"}))
    assert (json.loads(told)["by"], json.loads(told)["where"]) == ("operator", "HTTP 192.0.2.7")
