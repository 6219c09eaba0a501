"""Approvals and drafts, from submission to what becomes of them, on a whole tree with real repositories."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from hyperhive.actors import approving, proposals
from hyperhive.actors.gatekeeper import HOUSEKEEPING, Decide, Submit, Sweep
from hyperhive.actors.reply import Waiter
from hyperhive.actors.store import Write
from hyperhive.domain.approvals import ENDED, Kind, State
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import Handle
from hyperhive.domain.views import ApprovalView, DraftView
from hyperhive.errors import Broken, Deadline, HiveError, Invalid, Refused, Unknown
from hyperhive.repos.git import Git, GitFailed
from hyperhive.repos.repositories import Repositories
from hyperhive.store.database import Tx
from tests.actors.petitioner import (
    approval,
    commit,
    decide,
    discard,
    draft,
    expected,
    gate,
    git,
    state,
    submit,
    tagged,
    withdraw,
)
from tests.actors.rig import Quiet, Rig
from tests.waiting import eventually

pytestmark = pytest.mark.slow

OPUS, HAIKU = 'model = "opus"\n', 'model = "haiku"\n'


def told(rig: Rig, kind: str) -> list[dict[str, Any]]:
    """The events of a kind, whole."""
    events = rig.database.reader().events.after(0, 10_000, frozenset({kind}))
    return [json.loads(event.text) for event in events]


def deployed(rig: Rig, id: int) -> ApprovalView:
    eventually(lambda: state(rig, id) is State.DEPLOYED)
    return approval(rig, id)


def shown(rig: Rig) -> list[int]:
    return [view.id for view in rig.tree.board.snapshot.approvals]


def inside(rig: Rig, path: str) -> bool:
    """Whether the manager's container shows a path."""
    return (rig.runtime.shared(rig.layout.agent("manager").container) / path).exists()


# -- from submission to deployment


def test_what_is_approved_is_what_was_submitted_and_it_is_built(rig: Rig) -> None:
    rig.spawn("alice")
    first = rig.record("alice").built_commit
    sha = commit(rig, "alice", OPUS, summary="Use opus")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", sha[:10], note="It thinks better.")
    assert (view.sha, view.summary, view.description) == (sha, "Use opus", "It thinks better.")
    assert (view.base, view.files, view.state) == (first, 1, State.PENDING)
    assert shown(rig) == [view.id]
    assert tagged(rig, "alice", view.id) == {f"proposal/{view.id}"}
    commit(rig, "alice", HAIKU, summary="Something else")
    git(rig, "alice", "reset", "--quiet", "--hard", first)
    decided = decide(rig, view.id, note="fine")
    assert (decided.by, decided.where, decided.note) == ("operator", "dashboard", "fine")
    deployed(rig, view.id)
    rig.settled("alice")
    assert rig.record("alice").built_commit == rig.repos.main("alice") == sha
    assert rig.view("alice").model == "opus"
    assert tagged(rig, "alice", view.id) == expected(rig, view.id)
    event = told(rig, "approval_resolved")[-1]
    assert {
        key: event[key] for key in ("id", "approval", "decision", "sha", "tag", "note", "by", "where")
    } == {
        "id": view.id,
        "approval": "apply-commit",
        "decision": "approved",
        "sha": sha,
        "tag": f"approved/{view.id}",
        "note": "fine",
        "by": "operator",
        "where": "dashboard",
    }
    assert rig.told("alice", "config_applied", "rebuilt")[-2:] == ["config_applied", "rebuilt"]
    assert rig.database.reader().generations.of("alice")[0].approval == view.id


def test_a_new_agent_from_the_first_config_comes_up_though_nobody_waits(rig: Rig) -> None:
    view = submit(rig, Kind.SPAWN, "alice")
    assert (view.sha, view.base) == (None, None)
    replies = [Waiter[ApprovalView]() for _ in range(10)]
    for reply in replies:
        rig.tree.services.gatekeeper.tell(Decide(view.id, "approve", "", "operator", "", reply))
    decided = 0
    for reply in replies:
        try:
            reply.get(60)
            decided += 1
        except Refused as refusal:
            assert "decided already: approved by operator at 2026-" in refusal.message
    assert decided == 1
    rig.settled("alice")
    assert rig.told("alice", "approval_resolved", "spawned") == ["approval_resolved", "spawned"]
    assert deployed(rig, view.id).sha == rig.repos.main("alice")
    assert tagged(rig, "alice", view.id) == expected(rig, view.id)


def test_a_draft_becomes_an_agent_from_the_commit_that_was_approved(rig: Rig) -> None:
    made = draft(rig, "alice")
    assert (made.by, made.kept) == ("manager", False)
    assert [view.name for view in rig.tree.board.snapshot.drafts] == ["alice"]
    assert inside(rig, "alice/config/agent.toml")
    assert inside(rig, "alice/state")
    assert rig.tree.board.agent("alice") is None
    (rig.layout.agent("alice").state / "notes.md").write_text("Mind the gap.")
    view = submit(rig, Kind.SPAWN_COMMIT, "alice", commit(rig, "alice", OPUS))
    assert view.kind is Kind.SPAWN_COMMIT
    assert rig.tree.board.snapshot.drafts[0].size > 0
    decide(rig, view.id)
    rig.settled("alice")
    deployed(rig, view.id)
    assert rig.tree.board.snapshot.drafts == ()
    assert rig.view("alice").model == "opus"
    assert (rig.layout.agent("alice").state / "notes.md").read_text() == "Mind the gap."
    assert rig.told("alice", "draft_created", "approval_requested", "approval_resolved", "spawned") == [
        *("draft_created", "approval_requested", "approval_resolved", "spawned")
    ]


def test_a_draft_whose_first_build_fails_is_a_draft_again(rig: Rig) -> None:
    draft(rig, "alice")
    view = submit(rig, Kind.SPAWN_COMMIT, "alice", commit(rig, "alice", OPUS))
    rig.runtime.fail_next_start = "no room"
    decide(rig, view.id)
    eventually(lambda: rig.tree.board.snapshot.drafts)
    assert rig.database.reader().agents.get("alice") is None
    failed = approval(rig, view.id)
    assert failed.state is State.FAILED
    assert "no room" in failed.outcome
    eventually(lambda: tagged(rig, "alice", view.id) == expected(rig, view.id))
    again = submit(rig, Kind.SPAWN_COMMIT, "alice", commit(rig, "alice", HAIKU))
    decide(rig, again.id)
    deployed(rig, again.id)
    assert rig.settled("alice").model == "haiku"


def test_a_build_that_fails_leaves_what_ran(rig: Rig) -> None:
    rig.spawn("alice")
    ran = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", HAIKU))
    decide(rig, ran.id)
    deployed(rig, ran.id)
    before = rig.record("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    rig.runtime.fail_next_start = "no room"
    decide(rig, view.id)
    eventually(lambda: state(rig, view.id) is State.FAILED)
    rig.settled("alice")
    after = rig.record("alice")
    assert (after.built_commit, after.generation) == (before.built_commit, before.generation)
    assert rig.repos.main("alice") == before.built_commit == ran.sha
    assert tagged(rig, "alice", view.id) == expected(rig, view.id)
    assert git(rig, "alice", "cat-file", "-t", f"failed/{view.id}", where="applied") == "tag"
    assert not told(rig, "rebuilt")[-1]["ok"]


# -- what waits


def test_a_newer_submission_takes_the_place_of_the_older_in_one_thread(rig: Rig) -> None:
    rig.spawn("alice")
    rig.spawn("bob")
    first = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    other = submit(rig, Kind.APPLY_COMMIT, "bob", commit(rig, "bob", OPUS))
    second = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", HAIKU))
    assert shown(rig) == [other.id, second.id]
    assert second.thread == first.thread
    assert (approval(rig, first.id).state, approval(rig, first.id).by) == (State.SUPERSEDED, "manager")
    for view in (first, second, other):
        assert tagged(rig, view.agent, view.id) == expected(rig, view.id)
    assert [(event["id"], event["decision"]) for event in told(rig, "approval_resolved")] == [
        (first.id, "superseded")
    ]
    with pytest.raises(Refused, match=f"Approval {first.id} was decided already: superseded by manager at"):
        decide(rig, first.id)


def test_the_same_commit_twice_is_one_request_and_what_runs_is_none(rig: Rig) -> None:
    rig.spawn("alice")
    sha = commit(rig, "alice", OPUS)
    view = submit(rig, Kind.APPLY_COMMIT, "alice", sha)
    assert submit(rig, Kind.APPLY_COMMIT, "alice", sha[:8], note="again").id == view.id
    assert len(told(rig, "approval_requested")) == 1
    gate_ = threading.Event()
    rig.runtime.hang_next = gate_
    decide(rig, view.id)
    with pytest.raises(Refused, match="is approved and being built"):
        submit(rig, Kind.APPLY_COMMIT, "alice", sha)
    gate_.set()
    deployed(rig, view.id)
    with pytest.raises(Refused, match="is what 'alice' runs already"):
        submit(rig, Kind.APPLY_COMMIT, "alice", sha)
    spawn = submit(rig, Kind.SPAWN, "bob")
    assert submit(rig, Kind.SPAWN, "bob").id == spawn.id


def test_comments_reach_the_manager_and_its_next_submission_goes_on_with_the_thread(rig: Rig) -> None:
    rig.spawn("alice")
    first = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    with pytest.raises(Invalid, match="Say in a note what to change"):
        decide(rig, first.id, "revise", " ")
    assert state(rig, first.id) is State.PENDING
    decide(rig, first.id, "revise", "Rather haiku.")
    assert git(rig, "alice", "tag", "-l", "--format=%(contents)", f"revise/{first.id}", where="applied") == (
        "Rather haiku."
    )
    heard = rig.database.reader().messages.conversation("manager", 0, 100)
    assert [json.loads(m.body)["note"] for m in heard if "approval_resolved" in m.body] == ["Rather haiku."]
    second = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", HAIKU))
    assert second.thread == first.thread == first.id
    decide(rig, second.id, "deny", "No, after all.")
    third = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    assert third.thread == third.id


def test_only_who_asked_takes_a_request_back(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    with pytest.raises(Refused, match=r"requested by manager, who alone can withdraw it; deny it instead"):
        withdraw(rig, view.id, by="operator")
    assert withdraw(rig, view.id).state is State.WITHDRAWN
    assert shown(rig) == []
    assert tagged(rig, "alice", view.id) == expected(rig, view.id)
    with pytest.raises(Refused, match="withdrawn by manager at"):
        withdraw(rig, view.id)
    with pytest.raises(Unknown):
        withdraw(rig, 99)


def test_a_deadline_holds_also_over_a_restart(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS), ttl=60)
    other = submit(rig, Kind.SPAWN, "bob", ttl=6000)
    rig.restart()
    assert state(rig, view.id) is State.PENDING
    rig.wait_for(lambda: state(rig, view.id) is State.EXPIRED)
    assert approval(rig, view.id).by == "system"
    eventually(lambda: tagged(rig, "alice", view.id) == expected(rig, view.id))
    rig.tree.services.gatekeeper.tell(Sweep())
    with pytest.raises(Refused, match="expired by system at"):
        decide(rig, view.id)
    eventually(lambda: shown(rig) == [other.id])
    assert len(told(rig, "approval_resolved")) == 1


def test_what_is_overdue_is_not_approved_though_no_timer_saw_the_clock_set(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS), ttl=6000)
    rig.back = -timedelta(days=1)
    with pytest.raises(Refused, match="expired by system at"):
        decide(rig, view.id)
    assert (state(rig, view.id), approval(rig, view.id).by) == (State.EXPIRED, "system")
    other = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", HAIKU), ttl=6000)
    rig.back -= timedelta(days=1)
    rig.watcher.advance(61)
    eventually(lambda: state(rig, other.id) is State.EXPIRED)
    assert len(told(rig, "approval_resolved")) == 2


@pytest.mark.parametrize("ttl", [0, -1, 1e12])
def test_a_deadline_out_of_bounds_is_refused(rig: Rig, ttl: float) -> None:
    with pytest.raises(Invalid, match="ttl_seconds"):
        submit(rig, Kind.SPAWN, "alice", ttl=ttl)


def test_requests_and_drafts_have_a_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approving, "MAX_PENDING", 3)
    monkeypatch.setattr(approving, "MAX_DRAFTS", 2)
    for number in range(3):
        submit(rig, Kind.SPAWN, f"a{number}")
    with pytest.raises(Refused, match="3 requests wait for the operator already"):
        submit(rig, Kind.SPAWN, "one-more")
    for number in range(2):
        draft(rig, f"d{number}")
    with pytest.raises(Refused, match="There are 2 drafts already; discard one first"):
        draft(rig, "one-more")
    assert not rig.layout.agent("one-more").root.exists()


# -- what is refused


def test_each_kind_wants_its_target(rig: Rig) -> None:
    rig.spawn("alice")
    draft(rig, "bob")
    first = git(rig, "bob", "rev-parse", "HEAD")
    for kind, name, sha, why in (
        (Kind.SPAWN, "alice", None, "There is an agent 'alice' already"),
        (Kind.SPAWN, "bob", None, "There is a draft 'bob'; submit a commit of it, or discard it first"),
        (Kind.SPAWN_COMMIT, "alice", first, "There is an agent 'alice' already"),
        (Kind.SPAWN_COMMIT, "carol", first, "There is no draft 'carol'; make one first"),
        (Kind.APPLY_COMMIT, "carol", first, "There is no agent 'carol'; spawn it first"),
        (Kind.APPLY_COMMIT, "bob", first, "There is no agent 'bob'; it is a draft: use request_spawn_commit"),
        (Kind.APPLY_COMMIT, "alice", "main", "a branch or tag can move"),
        (Kind.APPLY_COMMIT, "alice", "0" * 40, r"No commit in .* begins with"),
        (
            Kind.APPLY_COMMIT,
            "alice",
            commit(rig, "alice", 'modle = "opus"'),
            "agent.toml: modle: unknown key",
        ),
        (Kind.APPLY_COMMIT, "alice", commit(rig, "alice", 'environment = "aws"'), "there is no .*aws.env"),
        (Kind.APPLY_COMMIT, "../alice", first, "cannot name an agent"),
        (Kind.APPLY_COMMIT, "alice", None, "Name the commit"),
    ):
        with pytest.raises(Refused, match=why):
            submit(rig, kind, name, sha)
    with pytest.raises(Refused, match="There is an agent 'alice' already; edit its config"):
        draft(rig, "alice")
    with pytest.raises(Refused, match="There is a draft 'bob' already; edit it"):
        draft(rig, "bob")
    with pytest.raises(Unknown, match="There is no draft 'alice'; there are: bob"):
        discard(rig, "alice")
    assert shown(rig) == []


def test_a_request_is_looked_at_again_when_it_is_approved(rig: Rig) -> None:
    rig.spawn("alice")
    file = rig.layout.environments / "aws.env"
    file.write_text("AWS_REGION=eu\n")
    file.chmod(0o600)
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", 'environment = "aws"'))
    file.chmod(0o644)
    with pytest.raises(Refused, match=f"Approval {view.id} cannot be carried out and waits on: .*chmod 600"):
        decide(rig, view.id)
    assert state(rig, view.id) is State.PENDING
    assert tagged(rig, "alice", view.id) == expected(rig, view.id)
    file.chmod(0o600)
    decide(rig, view.id)
    deployed(rig, view.id)


def test_a_request_for_a_destroyed_agent_is_withdrawn(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    rig.operate(Transient.DESTROYING, "alice").get(60)
    eventually(lambda: shown(rig) == [])
    assert approval(rig, view.id).note == "the agent was destroyed"
    eventually(lambda: tagged(rig, "alice", view.id) == expected(rig, view.id))
    with pytest.raises(Refused, match="withdrawn by system at"):
        decide(rig, view.id)


def test_what_the_operator_spawns_meanwhile_settles_the_request_for_it(rig: Rig) -> None:
    view = submit(rig, Kind.SPAWN, "alice")
    with pytest.raises(Refused, match=rf"waits for the operator \(approval {view.id}\); withdraw it first"):
        draft(rig, "alice")
    rig.spawn("alice")
    assert state(rig, view.id) is State.SUPERSEDED
    assert shown(rig) == []
    with pytest.raises(Refused, match="superseded by operator"):
        decide(rig, view.id)
    draft(rig, "bob")
    with pytest.raises(Refused, match="There is a draft 'bob'"):
        rig.spawn("bob")


def test_what_was_asked_of_an_agent_that_never_came_up_is_withdrawn(rig: Rig) -> None:
    draft(rig, "alice")
    first = submit(rig, Kind.SPAWN_COMMIT, "alice", commit(rig, "alice", OPUS))
    gate_ = threading.Event()
    rig.runtime.hang_next, rig.runtime.fail_next_start = gate_, "no room"
    decide(rig, first.id)
    change = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", HAIKU))
    gate_.set()
    eventually(lambda: rig.tree.board.snapshot.drafts)
    assert (state(rig, first.id), state(rig, change.id)) == (State.FAILED, State.WITHDRAWN)
    for view in (first, change):
        eventually(lambda view=view: tagged(rig, "alice", view.id) == expected(rig, view.id))  # type: ignore[misc]  # binds


# -- when something fails in between


def test_a_decision_that_could_not_be_recorded_is_none_and_leaves_no_tag(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    full, database = threading.Event(), rig.database
    real = database.commit

    def fail_while_full() -> None:
        if full.is_set():
            database.rollback()
            raise Broken("no space left")
        real()

    database.commit = fail_while_full  # type: ignore[method-assign]  # the seam for faults
    full.set()
    with pytest.raises(Broken, match="no space left"):
        decide(rig, view.id, "deny", "no")
    full.clear()
    assert state(rig, view.id) is State.PENDING
    eventually(lambda: tagged(rig, "alice", view.id) == {f"proposal/{view.id}"})
    decide(rig, view.id)
    deployed(rig, view.id)


def test_a_damaged_repository_holds_up_no_refusal_and_is_tagged_once_it_is_mended(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    head = rig.layout.agent("alice").applied / ".git/HEAD"
    whole = head.read_text()
    head.unlink()
    with pytest.raises(HiveError):
        decide(rig, view.id)
    assert state(rig, view.id) is State.PENDING
    assert decide(rig, view.id, "deny", "no").state is State.DENIED
    head.write_text(whole)
    rig.watcher.advance(61)
    eventually(lambda: tagged(rig, "alice", view.id) == expected(rig, view.id))


def test_a_failed_build_is_tagged_once_git_works_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    real = Git.run

    def run(self: Git, *arguments: str, **more: Any) -> bytes:
        if threading.current_thread().name.startswith("job-") or approval(rig, view.id).state in ENDED:
            raise GitFailed("it is gone")
        return real(self, *arguments, **more)

    monkeypatch.setattr(Git, "run", run)
    decide(rig, view.id)
    eventually(lambda: state(rig, view.id) is State.FAILED)
    rig.watcher.advance(61)
    rig.settled("alice")
    assert f"failed/{view.id}" not in tagged(rig, "alice", view.id)
    monkeypatch.undo()
    rig.wait_for(lambda: tagged(rig, "alice", view.id) == expected(rig, view.id))


@contextmanager
def slow_disk(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is written is durable only after whoever waits for it has given up."""
    held, gate = threading.Event(), threading.Event()
    monkeypatch.setattr(proposals, "_DURABLE", 0.3)

    def hold(tx: Tx) -> None:
        held.set()
        gate.wait(60)

    rig.tree.services.store.tell(Write(hold))
    assert held.wait(60)
    try:
        with pytest.raises(Deadline):
            yield
    finally:
        gate.set()
        monkeypatch.undo()


def test_what_was_approved_after_nobody_waited_any_more_is_built(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    change = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    new = submit(rig, Kind.SPAWN, "bob")
    for view in (change, new):
        with slow_disk(rig, monkeypatch):
            decide(rig, view.id)
        deployed(rig, view.id)
    rig.settled("bob")


def test_what_was_recorded_after_nobody_waited_any_more_is_tagged(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    older = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    newer = commit(rig, "alice", HAIKU)
    with slow_disk(rig, monkeypatch):
        submit(rig, Kind.APPLY_COMMIT, "alice", newer)
    eventually(lambda: state(rig, older.id) is State.SUPERSEDED)
    (waits,) = rig.database.reader().approvals.pending()
    with slow_disk(rig, monkeypatch):
        decide(rig, waits.id, "deny", "no")
    eventually(lambda: state(rig, waits.id) is State.DENIED)
    rig.flush()
    rig.watcher.advance(61)
    for id in (older.id, waits.id):
        eventually(lambda id=id: tagged(rig, "alice", id) == expected(rig, id))  # type: ignore[misc]  # binds


def test_nothing_is_approved_for_an_agent_that_is_being_destroyed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    view, gate = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS)), threading.Event()
    real = rig.runtime.stop

    def stop(handle: Handle, *, grace: float) -> None:
        gate.wait(60)
        real(handle, grace=grace)

    monkeypatch.setattr(rig.runtime, "stop", stop)
    done = rig.operate(Transient.DESTROYING, "alice")
    with pytest.raises(Refused, match="'alice' is being destroyed"):
        decide(rig, view.id)
    gate.set()
    assert done.get(60).ok
    assert state(rig, view.id) is State.WITHDRAWN


def test_a_new_agent_does_not_go_on_with_what_was_to_be_revised_of_an_earlier_one(rig: Rig) -> None:
    rig.spawn("alice")
    earlier = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    decide(rig, earlier.id, "revise", "smaller")
    assert rig.operate(Transient.DESTROYING, "alice", purge=True).get(60).ok
    draft(rig, "alice")
    later = submit(rig, Kind.SPAWN_COMMIT, "alice", commit(rig, "alice", HAIKU))
    assert later.thread == later.id


def test_a_restart_makes_the_tags_of_what_waits_again(rig: Rig) -> None:
    rig.spawn("alice")
    view = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    git(rig, "alice", "tag", "-d", f"proposal/{view.id}", where="applied")
    git(rig, "alice", "tag", f"denied/{view.id}", str(view.sha), where="applied")
    rig.restart()
    eventually(lambda: tagged(rig, "alice", view.id) == {f"proposal/{view.id}"})


def test_a_restart_makes_those_tags_of_what_ended_that_are_amiss(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    rig.spawn("bob")
    lost = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", OPUS))
    decide(rig, lost.id, "deny", "no")
    moved = submit(rig, Kind.APPLY_COMMIT, "alice", commit(rig, "alice", HAIKU))
    decide(rig, moved.id)
    deployed(rig, moved.id)
    packed = submit(rig, Kind.APPLY_COMMIT, "alice", str(lost.sha))
    withdraw(rig, packed.id)
    purged = submit(rig, Kind.APPLY_COMMIT, "bob", commit(rig, "bob", OPUS))
    decide(rig, purged.id, "deny", "no")
    assert rig.operate(Transient.DESTROYING, "bob", purge=True).get(60).ok
    rig.spawn("bob")  # another one, that never had the commit
    rig.settled("alice")
    git(rig, "alice", "pack-refs", "--all", where="applied")
    git(rig, "alice", "tag", "-d", f"denied/{lost.id}", where="applied")
    git(rig, "alice", "tag", "-f", f"deployed/{moved.id}", str(lost.sha), where="applied")
    made: list[str] = []
    real = Repositories.tag

    def tag(self: Repositories, name: str, *, make: Any, **more: Any) -> None:
        made.extend(make)
        real(self, name, make=make, **more)

    monkeypatch.setattr(Repositories, "tag", tag)
    rig.restart()
    eventually(lambda: tagged(rig, "alice", lost.id) == expected(rig, lost.id))
    eventually(lambda: git(rig, "alice", "rev-parse", f"deployed/{moved.id}", where="applied") == moved.sha)
    remade = {int(name.partition("/")[2]) for name in made}
    assert remade == {lost.id, moved.id}


def test_submissions_of_one_name_at_once_leave_one_that_waits(rig: Rig) -> None:
    rig.spawn("alice")
    shas = [commit(rig, "alice", f'model = "m{number}"\n') for number in range(5)]
    replies = [Waiter[ApprovalView]() for _ in shas]
    for sha, reply in zip(shas, replies, strict=True):
        rig.tree.services.gatekeeper.tell(Submit(Kind.APPLY_COMMIT, "alice", sha, "manager", reply=reply))
    views = [reply.get(30) for reply in replies]
    assert shown(rig) == [views[-1].id]
    assert {view.thread for view in views} == {views[0].id}
    for view in views:
        assert tagged(rig, "alice", view.id) == expected(rig, view.id)


# -- drafts


def test_a_discarded_draft_takes_its_folders_and_what_waits_about_it_along(rig: Rig) -> None:
    draft(rig, "alice")
    view = submit(rig, Kind.SPAWN_COMMIT, "alice", commit(rig, "alice", OPUS))
    root = rig.layout.agent("alice").root
    discard(rig, "alice")
    assert state(rig, view.id) is State.WITHDRAWN
    assert rig.tree.board.snapshot.drafts == ()
    assert not inside(rig, "alice")
    assert not list(root.parent.glob("*alice*"))
    assert rig.told("alice", "draft_discarded") == ["draft_discarded"]
    draft(rig, "alice")
    assert git(rig, "alice", "tag", where="applied") == ""


def test_a_kept_name_can_be_thought_out_anew_and_stays_kept_when_that_is_discarded(rig: Rig) -> None:
    rig.spawn("alice")
    sha = rig.record("alice").built_commit
    (rig.layout.agent("alice").state / "notes.md").write_text("mine")
    rig.operate(Transient.DESTROYING, "alice").get(60)
    eventually(lambda: rig.tree.board.snapshot.kept)
    since = rig.tree.board.snapshot.kept[0].since
    assert draft(rig, "alice").kept
    assert not rig.tree.board.snapshot.kept
    discard(rig, "alice")
    kept = rig.tree.board.snapshot.kept
    assert [(view.name, view.since) for view in kept] == [("alice", since)]
    assert (rig.layout.agent("alice").state / "notes.md").read_text() == "mine"
    again = submit(rig, Kind.SPAWN, "alice")
    assert again.sha == sha
    decide(rig, again.id)
    rig.settled("alice")
    deployed(rig, again.id)
    assert tagged(rig, "alice", again.id) == expected(rig, again.id)


def test_a_draft_has_its_folders_though_what_was_kept_was_purged_meanwhile(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real = rig.layout.agent("bob").root, approving.draft

    def purged(tx: Tx, name: str, by: str) -> DraftView:
        root.rename(root.with_name(".purged-bob-1"))
        return real(tx, name, by)

    monkeypatch.setattr(approving, "draft", purged)
    draft(rig, "bob")
    assert submit(rig, Kind.SPAWN_COMMIT, "bob", commit(rig, "bob", OPUS)).state is State.PENDING


def test_drafts_are_measured_as_they_grow(rig: Rig) -> None:
    before = draft(rig, "alice").size
    assert before > 0
    (rig.layout.agent("alice").state / "large").write_bytes(b"x" * 500_000)
    rig.watcher.advance(61)
    eventually(lambda: rig.tree.board.snapshot.drafts[0].size > before + 400_000)


def test_drafts_take_turns_where_there_is_no_time_to_measure_all(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "_MEASURING", 0.0)
    before = {name: draft(rig, name).size for name in ("alice", "bob", "carol")}

    def grown_a_minute_later() -> bool:
        rig.watcher.advance(61)
        drafts = rig.tree.board.snapshot.drafts
        return all(view.size > before[view.name] + 400_000 for view in drafts)

    for name in before:
        (rig.layout.agent(name).state / "large").write_bytes(b"x" * 500_000)
    eventually(grown_a_minute_later)


def test_a_draft_outlives_the_daemon_and_is_made_whole(rig: Rig) -> None:
    draft(rig, "alice")
    root = rig.layout.agent("alice").root
    (root / "state/notes.md").write_text("mine")
    rig.down()
    root.rename(root.with_name(".discarded-alice"))  # a daemon was killed in the middle of a discard
    rig.up()
    eventually(lambda: (root / "state/notes.md").exists())
    assert [view.name for view in rig.tree.board.snapshot.drafts] == ["alice"]
    eventually(lambda: inside(rig, "alice/state/notes.md"))
    discard(rig, "alice")
    assert not list(root.parent.glob("*alice*"))


def test_notes_have_a_bound(rig: Rig) -> None:
    with pytest.raises(Invalid, match="A note takes 8192 characters at most"):
        submit(rig, Kind.SPAWN, "alice", note="x" * 10_000)
    with pytest.raises(Invalid, match="plain text; remove the NUL"):
        submit(rig, Kind.SPAWN, "alice", note="\0")
    id = submit(rig, Kind.SPAWN, "alice").id
    with pytest.raises(Invalid, match="A note takes"):
        decide(rig, id, "deny", "x" * 10_000)
    assert gate(rig, lambda reply: Decide(id, "deny", "", "operator", "", reply)).state is State.DENIED


def test_a_gatekeeper_that_was_brought_back_goes_its_rounds_alone(rig: Rig) -> None:
    post = rig.tree.roster.get("#gatekeeper")
    assert post is not None

    def rounds() -> int:
        """Timers of a minute that are left when each that is due has been followed."""
        rig.watcher.advance(HOUSEKEEPING)
        settle()
        return rig.watcher.waits().count(HOUSEKEEPING)

    def settle() -> None:
        for _ in range(3):
            rig.flush()
            reply: Waiter[ApprovalView] = Waiter()
            rig.tree.services.gatekeeper.tell(Decide(7_777, "deny", "", "operator", "dashboard", reply))
            with pytest.raises(HiveError):
                reply.get(60)

    settle()
    before = rounds()
    with Quiet():
        for restarts in range(3):
            post.address.tell(Decide([], "deny", "", "operator"))  # type: ignore[arg-type]  # cannot be looked up
            rig.wait_for(lambda n=restarts: post.restarts > n and post.address.actor is not None)  # type: ignore[misc]  # binds
    settle()
    rounds()
    assert rounds() <= before
