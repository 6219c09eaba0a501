"""What must hold at a moment of rest. Pure: each check takes values and returns the violations, one line each."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tests.e2e.oracle.history import Op
from tests.e2e.oracle.record import Event, Letter, Record

OPERATOR = "operator"
BATCH = 32
"""Messages that one call takes at most."""


# -- events


def events_are_gapless(events: Sequence[Event]) -> list[str]:
    """No number is missing, doubled or out of order."""
    return [
        f"event {two['seq']} follows event {one['seq']}"
        for one, two in pairwise(events)
        if two["seq"] != one["seq"] + 1
    ]


def readers_saw_the_record(
    name: str, began: int, told: Sequence[tuple[int, str]], texts: dict[int, str]
) -> list[str]:
    """A reader behind ``began`` was told everything since, once, in order, as it is recorded."""
    wrong = []
    expected = began + 1
    for seq, text in told:
        if seq != expected:
            wrong.append(f"{name} was told event {seq} where {expected} was due")
        if texts.get(seq) != text:
            wrong.append(f"{name} was told of event {seq} what is not in the record: {text}")
        expected = seq + 1
    newest = max(texts, default=began)
    if expected != newest + 1:
        wrong.append(f"{name} was told up to event {expected - 1} of {newest}")
    return wrong


def the_young_are_kept(kept: Sequence[int], first: int, keep: int) -> list[str]:
    """Of the events behind ``first`` nothing is gone but what is beyond the newest ``keep``."""
    newest = max(kept, default=0)
    gone = sorted(set(range(max(first, newest - keep) + 1, newest + 1)) - set(kept))
    return [f"{len(gone)} young events are gone, {gone[0]} the first"] if gone else []


def visits_are_let_in(ops: Iterable[Op]) -> list[str]:
    """Who is logged in stays so, and is shown messages by their numbers, whatever the time of day."""
    wrong = []
    for op in ops:
        if op.kind != "visit":
            continue
        if op.outcome == "fail" and any(word in op.result for word in ("session-over", "login-needed")):
            wrong.append(f"a session was thrown out: {op.result}")
        if op.outcome == "ok" and op.result != sorted(set(op.result)):
            wrong.append(f"messages were listed as {op.result}")
    return wrong


# -- messages


def sends_are_kept(ops: Iterable[Op], record: Record) -> list[str]:
    """Acknowledged: there exactly once; refused: not there; neither: at most once. In each sender's order."""
    found: dict[str, list[Letter]] = defaultdict(list)
    for letter in record.letters:
        found[letter.body].append(letter)
    told = Counter(e["id"] for e in record.events if e["kind"] == "message_sent")
    wrong = []
    last: dict[tuple[str, str], int] = {}
    for op in ops:
        if op.kind != "send":
            continue
        rows = found.get(op.value, [])
        if op.outcome == "ok" and [row.id for row in rows] != [op.result]:
            wrong.append(
                f"{op.value!r} was acknowledged as {op.result} and is there as {[r.id for r in rows]}"
            )
        if op.outcome == "fail" and rows:
            wrong.append(f"{op.value!r} was refused and is there as {[r.id for r in rows]}")
        if op.outcome == "unknown" and len(rows) > 1:
            wrong.append(f"{op.value!r} is there {len(rows)} times")
        for row in rows:
            key = (op.process, op.about)
            if row.id <= last.get(key, 0):
                wrong.append(f"{op.value!r} is message {row.id}, behind a later one of {op.process}")
            last[key] = max(row.id, last.get(key, 0))
            if told[row.id] != 1:
                wrong.append(f"message {row.id} was told as sent {told[row.id]} times")
            if row.to != op.about:
                wrong.append(f"{op.value!r} went to {row.to} instead of {op.about}")
    return wrong


def deliveries_keep_the_order(record: Record) -> list[str]:
    """Each inbox is a queue: nothing is handed over for the first time before an older message of that inbox."""
    to = {letter.id: letter.to for letter in record.letters}
    wrong, newest, seen = [], defaultdict(int), set()  # type: tuple[list[str], dict[str, int], set[int]]
    for event in record.events:
        if event["kind"] != "message_delivered":
            continue
        id = event["id"]
        if id not in to:
            wrong.append(f"message {id} was delivered and does not exist")
        elif id not in seen:
            if id < newest[to[id]]:
                wrong.append(f"message {id} reached {to[id]} behind message {newest[to[id]]}")
            newest[to[id]] = max(newest[to[id]], id)
        seen.add(id)
    return wrong


def mail_is_settled(record: Record) -> list[str]:
    """At rest nothing is in work, and what is read was handed over."""
    delivered = {e["id"] for e in record.events if e["kind"] == "message_delivered"}
    wrong = []
    for letter in record.letters:
        if letter.state in ("unread", "taken"):
            wrong.append(f"message {letter.id} to {letter.to} is still {letter.state}")
        if letter.state == "read" and letter.id not in delivered:
            wrong.append(f"message {letter.id} to {letter.to} is read and was never delivered")
    return wrong


def takes_get_everything(inbox: str, ops: Iterable[Op], record: Record, *, again: bool = False) -> list[str]:
    """Who takes gets each message once, in order and as it was sent; only a lost answer loses any.

    Args:
        again: what was taken last may come again: the daemon, or its disk, failed before that was written down.
    """
    letters = {letter.id: letter for letter in record.letters if letter.to == inbox}
    got: list[int] = []
    wrong, lost = [], 0
    for op in ops:
        if op.kind != "take" or op.about != inbox:
            continue
        if op.outcome == "unknown":
            lost += 1
        for id, body in op.result if op.outcome == "ok" else ():
            if not again or id not in got[-2 * BATCH :]:
                got.append(id)
            if id not in letters or letters[id].body != body:
                wrong.append(f"{inbox} took message {id} as {body[:80]!r}, which is not what was sent")
    wrong += [f"{inbox} took message {id} {n} times" for id, n in Counter(got).items() if n > 1]
    wrong += [f"{inbox} took message {two} behind {one}" for one, two in pairwise(got) if two < one]
    missing = [l.id for l in letters.values() if l.state == "read" and l.id not in set(got)]  # noqa: E741
    if len(missing) > BATCH * lost:
        wrong.append(f"{inbox} never got {missing}, with {lost} answers lost")
    return wrong


# -- turns


def turns_settle_their_mail(record: Record) -> list[str]:
    """Turns alternate with their ends; what a good one took is done with, what a bad one took comes again."""
    by_agent: dict[str, list[Event]] = defaultdict(list)
    for event in record.events:
        if event["agent"] and event["kind"] in ("turn_started", "turn_ended", "message_delivered"):
            by_agent[event["agent"]].append(event)
    wrong = []
    for agent, events in by_agent.items():
        if any(event["kind"] == "turn_started" for event in events):
            wrong += _turns_of(agent, events, {letter.id: letter.state for letter in record.letters})
    return wrong


def _turns_of(agent: str, events: Sequence[Event], states: dict[int, str]) -> list[str]:
    wrong: list[str] = []
    turn: int | None = None
    holds: set[int] = set()
    woke: set[int] = set()
    again: set[int] = set()
    done: set[int] = set()
    for event in events:
        match event["kind"]:
            case "message_delivered":
                if event["id"] in done:
                    wrong.append(f"message {event['id']} came to {agent} again after its turn was done")
                holds.add(event["id"])
                again.discard(event["id"])
            case "turn_started":
                if turn is not None:
                    wrong.append(f"turn {event['turn']} of {agent} began within turn {turn}")
                turn, woke = event["turn"], set(holds)
            case "turn_ended":
                if event["turn"] != turn:
                    wrong.append(f"turn {event['turn']} of {agent} ended, and {turn} was open")
                # What ``recv`` took within a turn is put back when its caller was gone before the answer.
                (done if event["ok"] else again).update(woke if event["ok"] else holds)
                turn, holds, woke = None, set(), set()
    if turn is not None:
        wrong.append(f"turn {turn} of {agent} never ended")
    wrong += [f"message {id} came to {agent} outside of any turn" for id in holds if turn is None]
    late = [id for id in again if states.get(id) not in ("set-aside", "dropped")]
    return wrong + [f"message {id} of a lost turn did not come to {agent} again" for id in late]


def work_is_done(agent: str, ops: Iterable[Op], record: Record, worked: set[str]) -> list[str]:
    """What an agent was given to do, and acknowledged, it did at least once."""
    states = {letter.body: letter.state for letter in record.letters if letter.to == agent}
    return [
        f"{op.value!r} was acknowledged by {agent} and never done"
        for op in ops
        if op.kind == "send" and op.about == agent and op.value.startswith("work ")
        if states.get(op.value) == "read" and op.value.removeprefix("work ") not in worked
    ]


# -- questions


def questions_are_answered_once(ops: Iterable[Op], record: Record) -> list[str]:
    """Each acknowledged question is there, asked and answered once, and by whom it was acknowledged to."""
    ops = tuple(ops)
    asked = Counter(e["id"] for e in record.events if e["kind"] == "question_asked")
    closed = Counter(e["id"] for e in record.events if e["kind"] == "question_answered")
    rows = {question.id: question for question in record.questions}
    wrong = []
    for id, row in rows.items():
        if (asked[id], closed[id]) != (1, 1):
            wrong.append(f"question {id} was told as asked {asked[id]} times, as closed {closed[id]} times")
        if row.state == "open":
            wrong.append(f"question {id} is still open")
    taken: dict[int, str] = {}
    for op in ops:
        if op.kind == "ask" and op.outcome == "ok":
            if op.result not in rows or rows[op.result].question != op.value:
                wrong.append(f"question {op.result} ({op.value!r}) was acknowledged and is not there")
        elif op.kind == "answer" and op.outcome == "ok":
            id = int(op.about)
            if id in taken:
                wrong.append(f"question {id} was answered twice: {taken[id]!r}, {op.value!r}")
            taken[id] = op.value
            if id in rows and rows[id].answer != op.value:
                wrong.append(f"question {id} was answered {op.value!r} and has {rows[id].answer!r}")
    for op in ops:
        if op.kind == "ask":
            there = sum(row.question == op.value for row in rows.values())
            if there > 1 or (op.outcome == "fail" and there):
                wrong.append(f"question {op.value!r} ({op.outcome}) is there {there} times")
    return wrong


def answers_reach_who_asked(record: Record) -> list[str]:
    """The answer to each question is one message to who asked, unless that agent is gone."""
    living = {agent.name for agent in record.agents}
    wrong = []
    for row in record.questions:
        head = f"Question {row.id}: "
        count = sum(letter.to == row.agent and letter.body.startswith(head) for letter in record.letters)
        if row.agent in living and count != 1:
            wrong.append(f"the answer to question {row.id} reached {row.agent} {count} times")
    return wrong


# -- backups


def backups_are_made_or_not_there(
    codes: Sequence[int], there: Sequence[bool], left: Sequence[str]
) -> list[str]:
    """One that ended well is there; one that nobody killed ends well; what killed ones leave is swept by the next.

    Args:
        codes: how each ended, in their order; negative: by a signal.
        there: whether each is there by its name.
        left: what else lies there.
    """
    wrong = [f"a backup ended with {code}" for code in codes if code > 0]
    wrong += [
        "a backup was made and is not there" for c, t in zip(codes, there, strict=True) if c == 0 and not t
    ]
    killed = next((n for n, code in enumerate(reversed(codes)) if code == 0), len(codes))
    if len(left) > killed or not all(name.startswith(".") for name in left):
        wrong.append(f"{killed} killed backups left {', '.join(left)}")
    return wrong


def backups_hold(ops: Iterable[Op], event: int, restored: Record, texts: dict[int, str]) -> list[str]:
    """What a backup brings back: all that was acknowledged before it began, and nothing that never was.

    Args:
        ops: the calls that had ended before it began.
        event: the newest event then.
        texts: the record it was made of, later.
    """
    ops = tuple(ops)
    letters = {letter.id: letter.body for letter in restored.letters}
    asked = {question.id: question.question for question in restored.questions}
    changes, agents = {change.id for change in restored.changes}, {agent.name for agent in restored.agents}
    ended = {op.about for op in ops if op.kind == "destroy"}
    wrong = [f"restored: {fault}" for fault in restored.faults]
    wrong += [f"restored: {line}" for line in events_are_gapless(restored.events)]
    if max(restored.texts, default=0) < event:
        wrong.append(f"a backup that began behind event {event} ends with {max(restored.texts, default=0)}")
    wrong += [
        f"event {seq} was restored otherwise" for seq, t in restored.texts.items() if texts.get(seq) != t
    ]
    for op in ops:
        if op.outcome != "ok":
            continue
        lost = (
            (op.kind == "send" and letters.get(op.result) != op.value)
            or (op.kind == "ask" and asked.get(op.result) != op.value)
            or (op.kind == "propose" and op.result not in changes)
            or (op.kind == "spawn" and op.about not in agents | ended)
        )
        if lost:
            wrong.append(
                f"{op.kind} {op.value or op.about!r} was acknowledged before a backup and is not in it"
            )
    return wrong
