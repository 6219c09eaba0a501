"""Commands that look: what they print, as text and as JSON."""

import json
from dataclasses import fields, replace

import pytest

from hyperhive.domain.events import Audit, ContainerCrash, Started
from hyperhive.domain.views import HiveSnapshot
from tests.cli.conftest import Type
from tests.cli.served import TOKEN, ServedHive
from tests.fakes.hive import FakeHive
from tests.fakes.samples import NOON, agent_view, busy_snapshot


def _becomes(served: ServedHive, snapshot: HiveSnapshot) -> None:
    served.do(
        lambda hive: hive._set(**{field.name: getattr(snapshot, field.name) for field in fields(snapshot)})
    )


def test_list_says_rehearsal_before_it_lists_the_agents(served: ServedHive, type_: Type) -> None:
    said = type_("list")
    assert said.code == 0
    head, columns, *rows = said.out.splitlines()
    assert "REHEARSAL" in head
    assert columns.split()[:2] == ["NAME", "CONTAINER"]
    assert [row.split()[0] for row in rows] == ["manager", "alice"]


def test_list_says_live_where_it_is(served: ServedHive, type_: Type) -> None:
    def live(hive: FakeHive) -> None:
        hive._set(hive=replace(hive.snapshot().hive, mode="live", confined=False))

    served.do(live)
    head = type_("list").out.splitlines()[0]
    assert " live " in head
    assert "REHEARSAL" not in head
    assert "no walls" in head


def test_columns_line_up(served: ServedHive, type_: Type) -> None:
    _becomes(served, busy_snapshot(12))
    lines = type_("list").out.splitlines()
    at = lines[1].index("CONTAINER")
    assert all(line[at - 2 : at] == "  " and line[at] != " " for line in lines[2:14])


def test_list_tells_what_needs_the_operator(served: ServedHive, type_: Type) -> None:
    _becomes(served, busy_snapshot(12))
    said = type_("list").out
    assert "rebuilding…" in said
    assert "quarantined: 5 crashes within 60 s" in said
    assert "Kept folders of: old-hand (50 MiB, " in said
    assert "2 things wait for you" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("list",), {"version", "seq", "hive", "agents", "drafts", "kept"}),
        (("show", "alice"), {"name", "container", "login", "revision", "turn"}),
        (("stats",), {"turns"}),
        (("token",), {"token"}),
        (("sessions",), {"sessions"}),
        (("open",), {"url"}),
        (("version",), {"version"}),
        (("logs", "alice"), {"agent", "log"}),
    ],
)
def test_json_carries_the_names_of_the_api(
    served: ServedHive, type_: Type, words: tuple[str, ...], expected: set[str]
) -> None:
    said = type_(*words, "--json")
    assert said.code == 0
    assert expected <= set(json.loads(said.out))


@pytest.mark.parametrize("command", ["inbox", "pending", "questions"])
def test_what_waits_is_shown_as_text_and_as_json(served: ServedHive, type_: Type, command: str) -> None:
    assert type_(command).out.startswith("No ")
    assert json.loads(type_(command, "--json").out) == []
    _becomes(served, busy_snapshot(3))
    text = {"inbox": "needs a login", "pending": "scribe", "questions": "Which region"}[command]
    assert text in type_(command).out
    assert len(json.loads(type_(command, "--json").out)) == 1


async def test_take_marks_the_inbox_as_read(served: ServedHive, type_: Type) -> None:
    await FakeHive.send(served.hive, sender="alice", to="operator", body="done")
    assert "done" in type_("inbox", "--take").out
    assert "done" not in type_("inbox", "--take").out


def test_show_tells_everything_of_one_agent(served: ServedHive, type_: Type) -> None:
    said = type_("show", "alice")
    assert said.code == 0
    assert "recorded revision" in said.out
    assert "4711" in said.out


def test_an_unknown_agent_is_answered_with_the_known_ones(served: ServedHive, type_: Type) -> None:
    said = type_("show", "bob")
    assert said.code == 1
    assert said.out == ""
    assert said.err == "hyperhive: There is no agent 'bob'. There are: manager, alice.\n"


def test_diff_shows_what_an_approval_would_change(served: ServedHive, type_: Type) -> None:
    _becomes(served, busy_snapshot(2))
    assert "+++ b/agent.toml" in type_("diff", "1").out
    assert "sonnet" in json.loads(type_("diff", "1", "--json").out)["diff"]
    assert type_("diff", "2").code == 1


def test_stats_add_up_the_turns_of_an_agent(served: ServedHive, type_: Type) -> None:
    row = {"agent": "alice", "turn": 1, "ok": True, "input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25}
    served.do(lambda hive: hive.finished_turns.extend([row, row | {"ok": False}]))
    name, turns, failed, tokens_in, *_, cost = type_("stats", "alice").out.splitlines()[1].split()
    assert (name, turns, failed, tokens_in, cost) == ("alice", "2", "1", "20", "$0.50")
    assert type_("stats", "bob").code == 1
    assert type_("stats", "manager").out == "No turns in the last day.\n"


def test_sessions_are_listed_and_all_ended(served: ServedHive, type_: Type) -> None:
    assert type_("sessions").out == "No browser is logged in.\n"
    id = served.security.sessions.open("10.0.0.7")
    head, row = type_("sessions").out.splitlines()
    assert head.split() == ["SESSION", "FROM", "SINCE", "LAST", "USED"]
    assert row.split()[1] == "10.0.0.7" and id not in row
    assert type_("sessions", "--end").out.startswith("Ended: 1.")
    assert served.security.sessions.find(id) is None


def test_events_end_at_the_newest(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: [hive.publish(Started(agent="alice")) for _ in range(3)])
    numbers = [json.loads(line)["seq"] for line in type_("events", "--after", "1", "--json").out.splitlines()]
    assert numbers == [2, 3]
    assert type_("events", "--after", "3").out == ""


def test_events_tell_a_proposal_in_words(served: ServedHive, type_: Type) -> None:
    sha = "506bbc7" + "0" * 33
    note = f"apply-commit {sha}"
    served.do(lambda hive: hive.publish(Audit(agent="alice", action="propose", by="manager", note=note)))
    assert "manager proposed a change (506bbc7…)" in type_("events").out
    assert sha not in type_("events").out
    assert sha in type_("events", "--json").out


def test_events_show_the_last_fifty_unless_told_otherwise(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: [hive.publish(Started(agent="alice")) for _ in range(70)])
    lines = type_("events").out.splitlines()
    assert len(lines) == 50
    assert lines[-1].split()[0] == "70"
    assert lines[-1].endswith("started")


def test_what_agents_write_cannot_steer_the_terminal(served: ServedHive, type_: Type) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202edlrow"
    served.do(lambda hive: hive.replace(agent_view("alice", last_error=evil)))
    served.do(lambda hive: hive.append_log("alice", evil))
    served.do(lambda hive: hive.publish(ContainerCrash(agent="alice", note=evil)))
    for words in (("list",), ("show", "alice"), ("logs", "alice"), ("events",), ("events", "--json")):
        out = type_(*words).out
        assert out
        assert not any(bad in out for bad in "\x1b\x07\x9b\u202e"), words


def test_logs_are_shown_as_they_are(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: hive.logs_of.update(alice=[f"line\t{n}" for n in range(5)]))
    assert type_("logs", "alice", "--lines", "2").out == "line\t3\nline\t4\n"
    assert type_("logs", "bob").code == 1


def test_the_token_and_the_entry_link_are_printed(served: ServedHive, type_: Type) -> None:
    assert type_("token").out == f"{TOKEN}\n"
    first, second = type_("open").out, type_("open").out
    assert first.startswith("http://127.0.0.1:7000/login?entry=")
    assert first != second


def test_a_moment_of_another_day_has_its_date(served: ServedHive, type_: Type) -> None:
    assert str(NOON.year) in type_("show", "alice").out
