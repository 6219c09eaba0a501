"""What waits for the host: numbered, ordered, bounded."""

import json
from datetime import UTC, datetime
from typing import Any

from hyperhive.domain.turns import MAX_ITEM, Outcome, TurnItem, TurnState
from hyperhive.domain.wire import FROM_HARNESS, MAX_LINE, StateChanged, Trouble, TurnOver
from hyperhive.harness.outbox import MAX_ITEM_BYTES, MAX_ITEMS, MAX_REPORTS, Outbox


def item(text: str = "x") -> TurnItem:
    return TurnItem(turn=1, ts=datetime.now(UTC), type="text", text=text)


def drain(outbox: Outbox) -> list[dict[str, Any]]:
    lines = []
    while (line := outbox.next_line()) is not None:
        assert len(line) < MAX_LINE and line.endswith(b"\n")
        FROM_HARNESS.validate_json(line)
        lines.append(json.loads(line))
    return lines


def test_reports_and_items_keep_their_order() -> None:
    outbox = Outbox()
    outbox.report(Trouble(note="1"))
    outbox.item(item("a"))
    outbox.item(item("b"))
    outbox.report(Trouble(note="2"))
    outbox.item(item("c"))
    shown = [
        line["n"] if line["type"] == "report" else [i["text"] for i in line["items"]]
        for line in drain(outbox)
    ]
    assert shown == [1, ["a", "b"], 2, ["c"]]
    assert not outbox.waiting and not outbox.settled


def test_a_new_connection_gets_what_was_not_acknowledged() -> None:
    outbox = Outbox()
    for note in "123":
        outbox.report(Trouble(note=note))
    drain(outbox)
    outbox.acked(1)
    outbox.connected(acked=2)
    assert [line["n"] for line in drain(outbox)] == [3]
    outbox.acked(3)
    assert outbox.settled


def test_the_end_of_a_turn_is_never_forgotten_however_much_is_said() -> None:
    outbox = Outbox()
    outbox.report(TurnOver(turn=7, outcome=Outcome.DONE))
    for _ in range(MAX_REPORTS * 2):
        outbox.report(StateChanged(state=TurnState.OFFLINE))
    assert outbox.owes_end_of(7) and not outbox.owes_end_of(8)
    lines = drain(outbox)
    assert len(lines) == MAX_REPORTS and lines[0]["n"] == 1 and lines[-1]["n"] == MAX_REPORTS * 2 + 1
    outbox.acked(1)
    assert not outbox.owes_end_of(7)


def test_items_are_bounded_in_number_and_what_is_missing_is_told() -> None:
    outbox = Outbox()
    for _ in range(MAX_ITEMS + 5):
        outbox.item(item())
    lines = drain(outbox)
    assert sum(len(line["items"]) for line in lines) == MAX_ITEMS
    assert max(len(line["items"]) for line in lines) <= 200
    outbox.item(item("later"))
    [line] = drain(outbox)
    assert [(i["type"], i["data"]) for i in line["items"]] == [("elided", {"count": 5}), ("text", {})]


def test_items_are_bounded_in_bytes_also_where_json_makes_them_longer() -> None:
    outbox = Outbox()
    for _ in range(MAX_ITEMS):
        outbox.item(item("\x01" * MAX_ITEM))
    assert sum(len(json.dumps(line)) for line in drain(outbox)) < MAX_ITEM_BYTES * 1.1
