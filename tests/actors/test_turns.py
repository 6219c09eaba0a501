"""Mail becomes turns: one wake-up a burst, acknowledged or put back, held while there is reason to."""

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from hyperhive.actors.agent import Pause, Resume
from hyperhive.actors.broker import Recv
from hyperhive.actors.observer import CREDENTIALS
from hyperhive.actors.reply import Waiter
from hyperhive.domain.axes import Transient
from hyperhive.domain.messages import MAX_ATTEMPTS
from hyperhive.domain.turns import Outcome, TurnState
from hyperhive.domain.wire import StateChanged, TurnBegan, TurnOver
from hyperhive.errors import Broken
from tests.actors.rig import Harness, Rig
from tests.waiting import eventually


@pytest.fixture
def alice(rig: Rig) -> Rig:
    """A hive with an agent that works."""
    rig.spawn("alice")
    return rig


def states(rig: Rig) -> list[str]:
    rows = rig.database.reader().messages.conversation("alice", 0, 100)
    return [row.state for row in rows if row.to == "alice"]


def test_a_burst_is_one_turn_and_read_when_it_is_done(alice: Rig) -> None:
    with alice.busy("alice"):  # a busy machine takes its time from one message to the next
        for number in range(5):
            alice.send("operator", "alice", f"{number}")
    harness = alice.harness("alice")
    work = harness.next_work()
    assert [m.body for m in work.messages] == ["0", "1", "2", "3", "4"]
    eventually(lambda: alice.view("alice").turn.state is TurnState.THINKING)
    n = harness.over()
    eventually(lambda: harness.acked == n)
    assert states(alice) == ["read"] * 5
    assert alice.view("alice").turn.state is TurnState.IDLE
    assert alice.told("alice", "turn_started", "turn_ended") == ["turn_started", "turn_ended"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.DEADLINE, Outcome.OFFLINE, Outcome.INTERRUPTED])
def test_a_turn_that_did_not_end_well_puts_its_messages_back(alice: Rig, outcome: Outcome) -> None:
    alice.send("operator", "alice", "once more")
    harness = alice.harness("alice")
    harness.next_work()
    harness.over(outcome, note="why")
    eventually(lambda: "turn_ended" in alice.told("alice"))
    alice.watcher.advance(6)
    assert [m.body for m in harness.next_work(2).messages] == ["once more"]


def test_a_message_whose_turns_keep_failing_is_set_aside_and_the_operator_is_told(alice: Rig) -> None:
    alice.send("operator", "alice", "poison")
    harness = alice.harness("alice")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        harness.next_work(attempt)
        harness.over(Outcome.FAILED)
        eventually(lambda n=attempt: alice.told("alice", "turn_ended") == ["turn_ended"] * n)  # type: ignore[misc]  # binds
        alice.watcher.advance(400)
    assert states(alice) == ["set-aside"]
    eventually(lambda: any("was set aside" in m.body for m in alice.tree.board.snapshot.inbox))
    assert len(harness.work) == MAX_ATTEMPTS


@pytest.mark.parametrize("naive", [False, True])
def test_a_rate_limit_parks_until_its_reset_and_work_goes_on_by_itself(alice: Rig, naive: bool) -> None:
    alice.send("operator", "alice")
    harness = alice.harness("alice")
    harness.next_work()
    resets = alice.now() + timedelta(seconds=600)
    harness.over(Outcome.RATE_LIMITED, resets_at=resets.replace(tzinfo=None) if naive else resets)
    eventually(lambda: alice.view("alice").turn.state is TurnState.RATE_LIMITED)
    assert alice.view("alice").turn.until == resets
    alice.watcher.advance(500)
    alice.crash_actor("alice")  # what it waits for survives its actor
    eventually(lambda: "agent_recovered" in alice.told("alice"))
    harness.connect()
    eventually(lambda: alice.view("alice").ready)
    assert len(harness.work) == 1
    alice.watcher.advance(101)
    harness.next_work(2)


def test_a_rate_limit_still_parks_after_the_daemon_was_restarted(alice: Rig) -> None:
    alice.send("operator", "alice")
    harness = alice.harness("alice")
    harness.next_work()
    harness.over(Outcome.RATE_LIMITED, resets_at=alice.now() + timedelta(days=1))
    eventually(lambda: alice.record("alice").parked_until)
    alice.restart()
    harness.connect()
    eventually(lambda: alice.view("alice").ready)
    assert alice.view("alice").turn.state is TurnState.RATE_LIMITED
    assert len(harness.work) == 1


def test_a_reset_in_a_far_future_holds_for_days_at_most(alice: Rig) -> None:
    alice.send("operator", "alice")
    harness = alice.harness("alice")
    harness.next_work()
    harness.over(Outcome.RATE_LIMITED, resets_at=alice.now().replace(year=9999))
    eventually(lambda: alice.view("alice").turn.state is TurnState.RATE_LIMITED)
    alice.watcher.advance(8 * 86400 + 1)
    harness.next_work(2)


def test_a_refused_login_is_told_once_and_another_login_goes_on(rig: Rig) -> None:
    rig.down()
    rig.env = {}
    rig.up()
    rig.log_in("alice", "old")
    rig.spawn("alice")
    rig.send("operator", "alice", "hi")
    harness = rig.harness("alice")
    harness.next_work()
    harness.over(Outcome.LOGIN, note="401")
    eventually(lambda: rig.view("alice").login == "needs-login")
    rig.watcher.advance(60)
    rig.flush()
    assert rig.told("alice", "needs_login") == ["needs_login"]
    assert len(harness.work) == 1
    rig.log_in("alice", "new")
    assert [m.body for m in harness.next_work(2).messages] == ["hi"]
    assert rig.told("alice", "needs_login", "logged_in") == ["needs_login", "logged_in"]


def _nothing(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _huge(path: Path) -> None:
    path.write_text(path.read_text() + " " * 300_000)
    os.utime(path, (0, 0))


def _broken(path: Path) -> None:
    path.write_text('{"claudeAiOauth": ')
    os.utime(path, (0, 0))


def _gone(path: Path) -> None:
    path.unlink()
    path.parent.rename(path.parent.with_name("moved"))


@pytest.mark.parametrize("hostile", [_nothing, _folder, _pipe, _link, _huge, _broken, _gone])
def test_a_login_that_is_no_file_of_a_login_is_none(rig: Rig, hostile: object) -> None:
    rig.down()
    rig.env = {}
    rig.up()
    rig.log_in("alice")
    rig.spawn("alice")
    assert rig.view("alice").login == "logged-in"
    hostile(rig.layout.agent("alice").claude / CREDENTIALS)  # type: ignore[operator]  # one of the above
    rig.watcher.advance(12)
    eventually(lambda: rig.view("alice").login == "needs-login")
    folder = rig.layout.agent("alice").claude
    folder.mkdir(exist_ok=True)
    if (folder / CREDENTIALS).is_dir():
        (folder / CREDENTIALS).rmdir()
    rig.log_in("alice", "again")
    rig.watcher.advance(12)
    eventually(lambda: rig.view("alice").login == "logged-in")
    assert rig.told("alice", "needs_login", "logged_in") == ["needs_login", "logged_in"]


def test_a_changed_config_or_a_newer_hyperhive_makes_stale_once_and_a_rebuild_current(alice: Rig) -> None:
    alice.config("alice", 'model = "opus"\n')
    eventually(lambda: alice.view("alice").revision == "stale")  # by the file watch: no tick was due
    assert alice.operate(Transient.REBUILDING, "alice").get(60).ok
    assert alice.settled("alice").revision == "up-to-date"
    alice.down()
    alice.own = "2.0+bbbb"
    alice.up()
    eventually(lambda: alice.view("alice").revision == "stale")
    assert alice.told("alice", "needs_update") == ["needs_update", "needs_update"]


def test_a_paused_agent_takes_no_mail_until_it_is_resumed(alice: Rig) -> None:
    for _ in range(2):
        paused: Waiter[object] = Waiter()
        alice.address("alice").tell(Pause(paused))
        paused.get(60)
    alice.send("operator", "alice")
    alice.watcher.advance(30)
    alice.flush()
    assert alice.harness("alice").work == []
    assert alice.view("alice").inbox_depth == 1
    alice.address("alice").tell(Resume(by="operator"))
    alice.harness("alice").next_work()
    assert alice.told("alice", "paused", "resumed") == ["paused", "resumed"]


def test_a_crash_in_a_turn_puts_its_message_back_and_it_is_worked_on_again(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    alice.harness("alice").next_work()
    first = alice.harness("alice")
    alice.runtime.crash("alice")
    eventually(lambda: alice.harness("alice") is not first)
    assert [m.body for m in alice.harness("alice").next_work().messages] == ["work"]
    assert alice.told("alice", "turn_ended", "container_crash") == ["turn_ended", "container_crash"]


def test_a_planned_stop_in_a_turn_costs_its_message_no_attempt(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    for start in range(MAX_ATTEMPTS + 1):
        alice.harness("alice").next_work()
        assert alice.operate(Transient.RESTARTING, "alice").get(60).ok, start
        alice.settled("alice")
    assert alice.harness("alice").next_work().messages[0].body == "work"


def test_an_actor_that_fails_in_a_turn_goes_on_with_it(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    harness = alice.harness("alice")
    turn = harness.next_work().turn
    harness.report(TurnBegan(turn=turn, session="s-1"))
    alice.crash_actor("alice")
    eventually(lambda: harness.closed)
    harness.connect()
    eventually(lambda: alice.view("alice").ready)
    assert alice.view("alice").turn.turn == turn
    n = harness.over(session="s-2")
    eventually(lambda: harness.acked == n)
    assert alice.told("alice", "turn_started", "turn_ended") == ["turn_started", "turn_ended"]
    assert alice.record("alice").session == "s-2"


def test_a_report_that_comes_twice_counts_once(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    harness = alice.harness("alice")
    harness.next_work()
    harness.over()
    harness.n -= 1
    harness.over()
    eventually(lambda: harness.acked == harness.n)
    alice.flush()
    assert alice.told("alice", "turn_ended") == ["turn_ended"]


def test_a_turn_that_does_not_end_is_interrupted_and_then_its_container_restarted(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    harness = alice.harness("alice")
    turn = harness.next_work().turn
    alice.watcher.advance(alice.turn_deadline + 61)
    eventually(lambda: harness.interrupted == [turn])
    alice.watcher.advance(61)
    eventually(lambda: alice.harness("alice") is not harness)
    alice.harness("alice").next_work()
    assert "container_crash" not in alice.told("alice")


def test_a_state_of_a_turn_is_shown(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    harness = alice.harness("alice")
    harness.next_work()
    harness.report(StateChanged(state=TurnState.COMPACTING, note="long talk"))
    eventually(lambda: alice.view("alice").turn.state is TurnState.COMPACTING)
    assert alice.view("alice").turn.note == "long talk"


def test_what_an_agent_takes_in_a_turn_is_put_back_with_it(alice: Rig) -> None:
    alice.send("operator", "alice", "first")
    harness = alice.harness("alice")
    harness.next_work()
    alice.send("operator", "alice", "second")
    taken: Waiter[object] = Waiter()
    alice.tree.services.broker.tell(Recv(next(alice.tree.room.tokens), "alice", 5, 0.0, taken))
    assert len(taken.get(60)) == 1  # type: ignore[arg-type]  # a tuple of messages
    harness.over(Outcome.FAILED)
    eventually(lambda: "turn_ended" in alice.told("alice"))
    alice.watcher.advance(6)
    assert [m.body for m in harness.next_work(2).messages] == ["first", "second"]


def test_a_turn_of_another_number_ends_nothing(alice: Rig) -> None:
    alice.send("operator", "alice", "work")
    harness = alice.harness("alice")
    turn = harness.next_work().turn
    n = harness.report(TurnOver(turn=turn + 7, outcome=Outcome.DONE))
    eventually(lambda: harness.acked == n)
    assert states(alice) == ["taken"]


def test_a_clock_that_is_set_back_holds_no_retry_up(alice: Rig) -> None:
    harness = alice.harness("alice")
    alice.send("operator", "alice")
    harness.next_work()
    harness.over(Outcome.FAILED, note="no answer")
    eventually(lambda: "turn_ended" in alice.told("alice"))
    alice.back = timedelta(hours=1)
    alice.watcher.advance(6)
    assert harness.next_work(2).messages


def test_a_harness_that_greeted_while_nothing_could_be_stored_greets_again_and_is_heard(alice: Rig) -> None:
    """Else its reports would be numbered below those of the harness before it, and be taken for known."""
    before = alice.harness("alice")
    for _ in range(3):
        before.report(StateChanged(state=TurnState.THINKING))
    eventually(lambda: before.acked == 3)

    harness = Harness(alice, "alice", boot="another")
    with alice.failing("disk I/O error"):
        harness.connect()
        with alice.busy("alice"), suppress(Broken):
            alice.flush()  # what it was about to store has failed by now
    alice.wait_for(lambda: harness.closed)
    harness.connect()
    alice.send("operator", "alice", "work")
    harness.next_work()
    harness.over()
    eventually(lambda: "turn_ended" in alice.told("alice"))
    assert states(alice) == ["read"]
