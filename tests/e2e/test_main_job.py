"""The main job, from the command that starts a hive to the manager's report, with two versions of Claude Code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.claude_versions import bundled_claude, need_other_claude
from tests.e2e.hive import RealHive, contiguous, hive, in_order

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(params=["bundled", "other"])
def running(request: pytest.FixtureRequest) -> Iterator[RealHive]:
    claude = bundled_claude() if request.param == "bundled" else need_other_claude()
    with hive(scenario=None, env={"HYPERHIVE_CLAUDE": str(claude)}) as made:
        made.up()
        yield made


def test_the_operators_wish_comes_back_as_a_report(running: RealHive) -> None:
    assert running.state()["hive"]["mode"] == "rehearsal"
    running.spawn("alice")
    running.quiet()
    before, after = running.newest(), running.seq
    running.send("manager", "How is the machine?")
    report = running.word("manager", after=before)
    running.quiet()

    assert report.startswith("alice reports:\nReport of alice")
    _the_work_is_real(running.folder("alice") / "state" / "report.md", report)
    _the_messages_are_recorded(running, before)
    _the_events_are_streamed(running, after)


def _the_work_is_real(file: Path, report: str) -> None:
    written = file.read_text()
    assert written.startswith("# Report of alice\n")
    assert written.strip() in report


def _the_messages_are_recorded(running: RealHive, before: int) -> None:
    rows = running.rows(
        "SELECT sender, recipient FROM messages WHERE id > ? AND sender != 'system' ORDER BY id", before
    )
    assert rows == [
        ("operator", "manager"),
        ("manager", "alice"),
        ("alice", "manager"),
        ("manager", "operator"),
    ]
    # The operator has not read the report; every other message was worked on.
    assert [m["state"] for m in running.messages() if m["id"] > before and m["from"] != "system"] == [
        "read",
        "read",
        "read",
        "unread",
    ]


def _the_events_are_streamed(running: RealHive, after: int) -> None:
    newest = running.seq
    streamed = []
    for event in running.stream(after=0):
        streamed.append(event)
        if event["seq"] == newest:
            break
    assert streamed[0]["seq"] == 1
    assert contiguous(streamed)
    assert streamed == running.events()
    assert in_order(
        [event for event in streamed if event["seq"] > after],
        {"kind": "message_sent", "from": "operator", "to": "manager"},
        {"kind": "turn_started", "agent": "manager", "from": "operator"},
        {"kind": "message_sent", "from": "manager", "to": "alice"},
        {"kind": "turn_started", "agent": "alice", "from": "manager"},
        {"kind": "message_sent", "from": "alice", "to": "manager"},
        {"kind": "turn_started", "agent": "manager", "from": "alice"},
        {"kind": "message_sent", "from": "manager", "to": "operator"},
        {"kind": "turn_ended", "agent": "manager", "ok": True},
    )
