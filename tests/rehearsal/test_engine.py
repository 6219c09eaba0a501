"""A scenario decides what is said and done next, and the request alone tells where the turn stands."""

import json
from typing import Any

from hyperhive.rehearsal.conversation import read
from hyperhive.rehearsal.engine import Call, Failure, Text, answer
from hyperhive.rehearsal.scenario import Scenario, parse
from tests.rehearsal.conversing import Conversing, prompt

SEND = "mcp__hyperhive__send"


def scenario(text: str) -> Scenario:
    return parse(text, file="test.toml")


def echo(given: dict[str, Any]) -> str:
    return f"ran {given.get('command', '')}"


WORK = scenario(r"""
[[rule]]
matches = '^work on (?P<what>\w+)'
[[rule.step]]
say = "On it."
[[rule.step]]
use = "Bash"
input = { command = "count {what}", nested = [{ deep = "{from}" }] }
keep = "whole"
find = { found = 'ran (\w+)', missing = 'absent' }
[[rule.step]]
if = "{missing}"
use = "Bash"
input = { command = "never" }
[[rule.step]]
unless = "{missing}"
use = "send"
input = { to = "{from}", body = "{found}: {whole}" }
[[rule.step]]
say = "Done with {what} for {from}, {agent} ({role}); peers {peers}."

[[rule]]
matches = '^loop'
[[rule.step]]
use = "Bash"
input = { command = "{n}" }
repeat = 3

[[rule]]
matches = '^fail'
[[rule.step]]
error = 429

[[rule]]
from = "system"
once = true
[[rule.step]]
say = "Noted."
""")


def test_results_shape_what_follows() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo, SEND: lambda given: "sent"})
    said = alice.turn(prompt(("bob", "work on files")))
    assert alice.calls == [
        Call("Bash", {"command": "count files", "nested": [{"deep": "bob"}]}),
        Call(SEND, {"to": "bob", "body": "count: ran count files"}),
    ]
    assert said == ["On it.", "Done with files for bob, alice (agent); peers alice, bob, operator."]


def test_each_message_of_a_turn_gets_its_own_rule_in_order() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo, SEND: lambda given: "sent"})
    alice.turn(prompt(("bob", "work on files"), ("carol", "work on mail")))
    assert [call.input.get("to") for call in alice.calls if call.tool == SEND] == ["bob", "carol"]


def test_a_rule_that_counts_once_is_not_repeated_for_a_burst() -> None:
    alice = Conversing(WORK, "alice")
    alice.tools = {"Bash": echo}
    assert alice.turn(prompt(("system", "{}"), ("system", "{}"), ("system", "{}"))) == ["Noted."]


def test_a_repeated_step_ends() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo})
    assert alice.turn("loop") == ["Done."]
    assert [call.input["command"] for call in alice.calls] == ["1", "2", "3"]


def test_a_message_that_no_rule_is_about_is_answered_plainly() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo})
    assert alice.turn(prompt(("bob", "hello"))) == ["The rehearsal has no rule for this message from bob."]


def test_later_turns_of_a_session_begin_at_the_first_step() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo, SEND: lambda given: "sent"})
    alice.turn(prompt(("bob", "work on files")))
    alice.turn(prompt(("bob", "work on files")))
    assert [call.tool for call in alice.calls] == ["Bash", SEND] * 2


def test_a_deferred_tool_is_searched_for_and_then_used() -> None:
    tools = {"Bash": echo, SEND: lambda given: "sent", "ToolSearch": lambda given: "found"}
    alice = Conversing(WORK, "alice", tools=tools, deferred={SEND})
    alice.turn(prompt(("bob", "work on files")))
    assert [call.tool for call in alice.calls] == ["Bash", "ToolSearch", SEND]
    assert alice.calls[1].input["query"] == f"select:{SEND}"
    assert alice.calls[2].input["body"] == "count: ran count files"


def test_a_tool_that_is_not_offered_ends_the_turn_with_a_word() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo})
    assert "which is not offered here" in alice.turn(prompt(("bob", "work on files")))[-1]


def test_a_search_that_finds_nothing_ends_the_turn_too() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo, "ToolSearch": lambda given: "nothing"})
    assert "which is not offered here" in alice.turn(prompt(("bob", "work on files")))[-1]


def test_a_tool_under_another_servers_name_is_found_by_its_last_part() -> None:
    other = "mcp__fleet__send"
    alice = Conversing(WORK, "alice", tools={"Bash": echo, other: lambda given: "sent"})
    alice.turn(prompt(("bob", "work on files")))
    assert alice.calls[-1].tool == other


def test_an_error_has_the_same_key_whenever_its_message_comes_again() -> None:
    def key(body: str) -> str:
        request = {"messages": [{"role": "user", "content": body}], "tools": [{"name": "Bash"}]}
        (part,) = answer(WORK, agent="alice", talk=read(request))
        assert isinstance(part, Failure)
        return part.key

    assert key(prompt(("bob", "fail"))) == key("something before\n\n" + prompt(("bob", "fail")))
    assert key(prompt(("bob", "fail"))) != key(prompt(("bob", "fail please")))


def test_a_side_request_gets_what_its_schema_wants_and_runs_no_rule() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "tags": {"type": "array"},
            "kind": {"enum": ["a", "b"]},
            "sure": {"type": "boolean"},
        },
    }
    request = {
        "messages": [{"role": "user", "content": "work on files"}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }
    (part,) = answer(WORK, agent="alice", talk=read(request))
    assert isinstance(part, Text)
    assert json.loads(part.text) == {"title": "Rehearsal", "tags": [], "kind": "a", "sure": True}


def test_a_summary_holds_what_was_asked_and_said() -> None:
    alice = Conversing(WORK, "alice", tools={"Bash": echo, SEND: lambda given: "sent"})
    alice.turn("work on files")
    (summary,) = alice.turn("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.")
    assert "<summary>" in summary
    assert "Asked: work on files" in summary
    assert "Said: Done with files" in summary
