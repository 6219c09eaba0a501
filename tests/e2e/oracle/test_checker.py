"""The checks let a whole record pass, and see each fault that is planted in it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.oracle import checker, lives
from tests.e2e.oracle.history import Op
from tests.e2e.oracle.lives import Kill, Seen
from tests.e2e.oracle.record import Agent, Change, Event, Letter, Question, Record, at

Alter = Callable[[Record], Record]


def stamp(second: float) -> str:
    return f"2026-01-31T12:00:{second:06.3f}Z"


def moment(second: float) -> float:
    return at({"ts": stamp(second)})


def events(*told: tuple[float, str, str | None, dict[str, Any]]) -> tuple[Event, ...]:
    return tuple(
        {"seq": seq, "ts": stamp(second), "kind": kind, "agent": agent, **more}
        for seq, (second, kind, agent, more) in enumerate(told, 7)
    )


MAIL = Record(
    events=events(
        (1, "message_sent", "alice", {"id": 1}),
        (1, "message_sent", "alice", {"id": 2}),
        (2, "message_delivered", "alice", {"id": 1}),
        (2, "turn_started", "alice", {"turn": 1}),
        (3, "turn_ended", "alice", {"turn": 1, "ok": False}),
        (4, "message_delivered", "alice", {"id": 1}),
        (4, "message_delivered", "alice", {"id": 2}),
        (4, "turn_started", "alice", {"turn": 2}),
        (5, "turn_ended", "alice", {"turn": 2, "ok": True}),
        (6, "message_sent", None, {"id": 3}),
        (6, "message_sent", None, {"id": 4}),
        (7, "message_delivered", None, {"id": 3}),
        (7, "message_delivered", None, {"id": 4}),
    ),
    letters=(
        Letter(1, "operator", "alice", "work s.1"),
        Letter(2, "operator", "alice", "work s.2"),
        Letter(3, "paul", "operator", "note p.1"),
        Letter(4, "paul", "operator", "note p.2"),
    ),
)
SENT = (
    Op("s", "send", "alice", "work s.1", "ok", 1),
    Op("s", "send", "alice", "work s.2", "unknown"),
    Op("p", "send", "operator", "note p.1", "ok", 3),
    Op("p", "send", "operator", "note p.2", "ok", 4),
    Op("s", "send", "alice", "work s.3", "fail"),
    Op("t", "take", "operator", 8, "ok", [(3, "note p.1")]),
    Op("t", "take", "operator", 8, "ok", [(4, "note p.2")]),
)


def mail(
    record: Record, ops: tuple[Op, ...] = SENT, worked: frozenset[str] = frozenset({"s.1", "s.2"})
) -> list[str]:
    return [
        *checker.events_are_gapless(record.events),
        *checker.sends_are_kept(ops, record),
        *checker.deliveries_keep_the_order(record),
        *checker.mail_is_settled(record),
        *checker.takes_get_everything("operator", ops, record),
        *checker.turns_settle_their_mail(record),
        *checker.work_is_done("alice", ops, record, set(worked)),
    ]


def without(*seqs: int) -> Alter:
    return lambda record: replace(record, events=tuple(e for e in record.events if e["seq"] not in seqs))


def changed(number: int, **fields: Any) -> Alter:
    return lambda record: replace(
        record, events=tuple(e | fields if e["seq"] == number else e for e in record.events)
    )


def twice(number: int) -> Alter:
    return lambda record: replace(
        record, events=tuple(e for e in record.events for _ in range(1 + (e["seq"] == number)))
    )


def letter(number: int, **fields: Any) -> Alter:
    return lambda record: replace(
        record,
        letters=tuple(replace(l, **fields) if l.id == number else l for l in record.letters),  # noqa: E741
    )


def test_a_whole_record_of_mail_passes() -> None:
    assert mail(MAIL) == []


@pytest.mark.parametrize(
    ("fault", "alter", "word"),
    [
        ("a lost acknowledgement", letter(1, body="other"), "was acknowledged as 1 and is there as []"),
        ("one that is there twice", letter(2, body="work s.1"), "is there as [1, 2]"),
        ("a refused one that is there", letter(2, body="work s.3"), "was refused and is there"),
        ("one at another place", letter(1, to="bob"), "went to bob instead of alice"),
        ("one told as sent twice", changed(8, id=1), "was told as sent 2 times"),
        ("a number that is missing", without(17), "event 18 follows event 16"),
        ("a number that comes twice", changed(18, seq=17), "event 17 follows event 17"),
        ("an order turned round", letter(3, body="note p.2"), "is there as"),
        ("a delivery out of order", changed(9, id=2), "message 1 reached alice behind message 2"),
        ("a delivery of nothing", changed(18, id=99), "does not exist"),
        ("one that stays in work", letter(2, state="taken"), "is still taken"),
        ("one that stays unread", letter(4, state="unread"), "is still unread"),
        ("one that was never delivered", without(19), "is read and was never delivered"),
        ("a lost turn's message that does not come again", without(12), "did not come to alice again"),
        ("a good turn's message that comes again", changed(11, ok=True), "came to alice again"),
        ("a turn that never ends", without(15), "never ended"),
        ("a turn within a turn", without(11), "began within turn 1"),
        ("an end without a beginning", without(14), "ended, and None was open"),
        ("mail outside of turns", changed(18, agent="alice"), "outside of any turn"),
    ],
)
def test_a_planted_fault_of_the_mail_is_seen(fault: str, alter: Alter, word: str) -> None:
    assert any(word in line for line in mail(alter(MAIL))), (fault, mail(alter(MAIL)))


@pytest.mark.parametrize(
    ("place", "op", "word"),
    [
        (5, Op("t", "take", "operator", 8, "ok", []), "never got [3], with 0 answers lost"),
        (6, Op("t", "take", "operator", 8, "ok", [(3, "note p.1")]), "took message 3 2 times"),
        (5, Op("t", "take", "operator", 8, "ok", [(4, "note p.2")]), "took message 4 2 times"),
        (6, Op("t", "take", "operator", 8, "ok", [(4, "other")]), "which is not what was sent"),
        (1, Op("s", "send", "alice", "work s.2", "ok", 9), "was acknowledged as 9"),
    ],
)
def test_a_planted_answer_is_seen(place: int, op: Op, word: str) -> None:
    ops = (*SENT[:place], op, *SENT[place + 1 :])
    assert any(word in line for line in mail(MAIL, ops)), mail(MAIL, ops)


def test_takes_in_the_wrong_order_are_seen_and_a_lost_answer_excuses() -> None:
    turned = (*SENT[:5], SENT[6], SENT[5])
    assert mail(MAIL, turned) == ["operator took message 3 behind 4"]
    again = (*SENT, SENT[5], SENT[6])
    assert len(mail(MAIL, again)) == 3
    assert checker.takes_get_everything("operator", again, MAIL, again=True) == []
    lost = (*SENT[:6], replace(SENT[6], outcome="unknown"))
    assert mail(MAIL, lost) == []


def test_a_senders_messages_in_the_wrong_order_are_seen() -> None:
    swapped = (replace(SENT[2], result=4, value="note p.2"), replace(SENT[3], result=3, value="note p.1"))
    (found,) = checker.sends_are_kept(swapped, MAIL)
    assert "behind a later one of p" in found


def test_work_that_was_acknowledged_and_not_done_is_seen() -> None:
    assert mail(MAIL, worked=frozenset({"s.1"})) == ["'work s.2' was acknowledged by alice and never done"]


TEXTS = {8: "a", 9: "b", 10: "c"}


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ([(8, "a"), (10, "c")], "event 10 where 9 was due"),
        ([(8, "a"), (9, "b"), (9, "b"), (10, "c")], "event 9 where 10 was due"),
        ([(9, "b"), (8, "a"), (10, "c")], "event 9 where 8 was due"),
        ([(8, "a"), (9, "x"), (10, "c")], "not in the record"),
        ([(8, "a"), (9, "b")], "up to event 9 of 10"),
        ([(8, "a"), (9, "b"), (10, "c"), (11, "d")], "not in the record"),
    ],
)
def test_a_reader_that_was_told_something_else_is_seen(told: list[tuple[int, str]], word: str) -> None:
    assert checker.readers_saw_the_record("r", 7, [(8, "a"), (9, "b"), (10, "c")], TEXTS) == []
    assert any(word in line for line in checker.readers_saw_the_record("r", 7, told, TEXTS))


ASKED = Record(
    events=events((1, "question_asked", "paul", {"id": 1}), (2, "question_answered", "paul", {"id": 1})),
    letters=(Letter(1, "operator", "paul", "Question 1: why?\nThe operator answers: a.1"),),
    questions=(Question(1, "paul", "why?", "answered", "a.1"),),
    agents=(Agent("paul"),),
)
ANSWERS = (
    Op("q", "ask", "q", "why?", "ok", 1),
    Op("a", "answer", "1", "a.1", "ok"),
    Op("b", "answer", "1", "b.1", "fail"),
)


def questions(record: Record, ops: tuple[Op, ...] = ANSWERS) -> list[str]:
    return checker.questions_are_answered_once(ops, record) + checker.answers_reach_who_asked(record)


@pytest.mark.parametrize(
    ("alter", "word"),
    [
        (lambda r: replace(r, questions=()), "was acknowledged and is not there"),
        (lambda r: replace(r, questions=(*r.questions, replace(r.questions[0], id=2))), "is there 2 times"),
        (without(8), "as closed 0 times"),
        (changed(8, kind="question_asked"), "as asked 2 times"),
        (lambda r: replace(r, questions=(replace(r.questions[0], state="open"),)), "is still open"),
        (lambda r: replace(r, questions=(replace(r.questions[0], answer="b.1"),)), "and has 'b.1'"),
        (lambda r: replace(r, letters=()), "reached paul 0 times"),
        (lambda r: replace(r, letters=r.letters * 2), "reached paul 2 times"),
    ],
)
def test_a_planted_fault_of_questions_is_seen(alter: Alter, word: str) -> None:
    assert questions(ASKED) == []
    assert any(word in line for line in questions(alter(ASKED))), questions(alter(ASKED))


def test_a_question_that_two_were_told_they_answered_is_seen() -> None:
    both = (*ANSWERS[:2], replace(ANSWERS[2], outcome="ok"))
    assert any("was answered twice" in line for line in questions(ASKED, both))


LIFE = Record(
    events=events(
        (1, "container_crash", "dan", {"note": ""}),
        (2, "transient_set", "dan", {"transient": "starting"}),
        (3, "started", "dan", {}),
        (3, "transient_cleared", "dan", {}),
        (10, "transient_set", "dan", {"transient": "stopping"}),
        (12, "stopped", "dan", {"by": "operator"}),
        (12, "transient_cleared", "dan", {}),
        (20, "transient_set", "dan", {"transient": "rebuilding"}),
        (21, "rebuilt", "dan", {"ok": True}),
        (21, "transient_cleared", "dan", {}),
        (30, "needs_login", "dan", {}),
        (31, "logged_in", "dan", {}),
    ),
    agents=(Agent("dan", intended="stopped", container="stopped"), Agent("eve", pid=5, start=1)),
)
KILLS = [Kill("dan", moment(0.9))]
SEEN = (Seen("dan", None, 0, False, "stopped"), Seen("eve", 5, 1))


def life(record: Record, kills: list[Kill] = KILLS, seen: tuple[Seen, ...] = SEEN) -> list[str]:
    return [
        *lives.operations_end_once(record),
        *lives.crashes_are_told_once(kills, record.events),
        *lives.axes_alternate(record.events),
        *lives.axes_agree(record, seen),
    ]


def stuck(record: Record) -> Record:
    return replace(record, agents=(record.agents[0], replace(record.agents[1], transient="starting")))


@pytest.mark.parametrize(
    ("fault", "alter", "word"),
    [
        ("an operation that never ends", without(16), "never ended rebuilding"),
        ("one that begins within another", without(10), "began stopping while starting"),
        ("one that ends without a beginning", without(11), "had not begun"),
        ("one that does not say how it ended", without(15), "told 0 times"),
        ("one that says so twice", twice(9), "told 2 times"),
        ("a crash that was not told", without(7), "1 kills, 1 of them at rest, and 0 crashes told"),
        ("a planned stop told as a crash", changed(12, kind="container_crash"), "and 2 crashes told"),
        ("an end told twice", changed(13, kind="stopped"), "of what had ended already"),
        ("a login lost twice", changed(18, kind="needs_login"), "twice in a row"),
        ("a transient that is stuck", stuck, "recorded as starting"),
        (
            "a container that should not run",
            lambda r: replace(r, agents=(Agent("dan"), *r.agents[1:])),
            "is seen as",
        ),
        ("an agent nobody recorded", lambda r: replace(r, agents=r.agents[:1]), "shown and not recorded"),
    ],
)
def test_a_planted_fault_of_a_life_is_seen(fault: str, alter: Alter, word: str) -> None:
    assert life(LIFE) == []
    assert any(word in line for line in life(alter(LIFE))), (fault, life(alter(LIFE)))


@pytest.mark.parametrize(
    "one",
    [
        Seen("eve", 5, 2),
        Seen("eve", 5, 0),
        Seen("eve", 6, 1),
        Seen("eve", 5, 1, ready=False),
        Seen("eve", None, 0, False, "stopped"),
    ],
)
def test_two_containers_none_or_another_are_seen(one: Seen) -> None:
    assert any("is seen as" in line for line in life(LIFE, seen=(SEEN[0], one)))


def test_a_kill_within_an_operation_may_be_told_or_not_and_never_twice() -> None:
    within = [*KILLS, Kill("dan", moment(11))]
    assert lives.crashes_are_told_once(within, LIFE.events) == []
    told = changed(18, kind="container_crash")(changed(17, kind="container_crash")(LIFE))
    assert lives.crashes_are_told_once(within, told.events) != []


def test_a_last_word_that_is_forgotten_is_seen() -> None:
    ops = (Op("o", "restart", "dan"), Op("o", "stop", "dan"), Op("o", "pause", "eve"))
    assert lives.last_words_count(ops, (LIFE.agents[0], replace(LIFE.agents[1], paused=1))) == []
    found = lives.last_words_count(ops, (replace(LIFE.agents[0], intended="running"), LIFE.agents[1]))
    assert [line.partition(" is ")[0] for line in found] == ["dan", "eve"]
    unsure = (Op("o", "start", "dan"), replace(ops[1], outcome="unknown"))
    assert lives.last_words_count(unsure, (replace(LIFE.agents[0], intended="running"),)) == []


def test_spawns_and_ends_that_are_lost_doubled_or_made_up_are_seen() -> None:
    record = Record(events=events((1, "spawned", "tmp", {"ok": True})), agents=(Agent("tmp"),))
    spawn = Op("m", "spawn", "tmp")
    assert lives.spawns_and_ends_happen_once([spawn], record) == []
    assert lives.spawns_and_ends_happen_once([spawn], Record())
    assert lives.spawns_and_ends_happen_once([replace(spawn, outcome="fail")], record)
    assert lives.spawns_and_ends_happen_once([spawn], replace(record, events=record.events * 2))
    ended = replace(record, events=events((1, "destroyed", "tmp", {})))
    assert lives.spawns_and_ends_happen_once([replace(spawn, kind="destroy")], ended)


def test_changes_that_are_lost_or_decided_twice_are_seen() -> None:
    record = Record(
        events=events((1, "approval_resolved", "dan", {"id": 3, "decision": "approved"})),
        changes=(Change(3, "dan", "deployed"),),
    )
    ops = (Op("o", "propose", "dan", 1, "ok", 3), Op("o", "approve", "dan", 3))
    assert lives.changes_are_decided_once(ops, record) == []
    assert len(lives.changes_are_decided_once(ops, Record())) == 2
    assert lives.changes_are_decided_once(ops, replace(record, events=record.events * 2))
    assert lives.changes_are_decided_once(ops, replace(record, changes=(Change(3, "dan", "approved"),)))


def test_what_ends_or_begins_by_itself_is_seen() -> None:
    calm = Record(agents=(Agent("eve", pid=5),))
    assert lives.nothing_happens_by_itself({"eve": 5}, [], [], calm) == []
    assert lives.nothing_happens_by_itself({"eve": 6}, [], [], calm)
    assert lives.nothing_happens_by_itself({"eve": 6}, [Kill("eve", 0.0)], [], calm) == []
    begun = replace(calm, events=events((1, "transient_set", "eve", {"transient": "restarting"})))
    assert lives.nothing_happens_by_itself({"eve": 5}, [], [], begun)
    assert lives.nothing_happens_by_itself({"eve": 5}, [], [Op("o", "restart", "eve")], begun) == []
