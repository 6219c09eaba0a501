"""A request tells which turn it belongs to and how far that is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hyperhive.domain.wire import Incoming
from hyperhive.harness.prompt import turn_prompt
from hyperhive.rehearsal.conversation import Kind, Mail, read

BASH = [{"name": "Bash"}]
NOW = datetime(2026, 11, 22, 8, 15, 10, tzinfo=UTC)


def user(*blocks: str | dict[str, Any]) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks],
    }


def use(id: str, name: str, **given: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": given}]}


def result(id: str, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def asked(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages), "tools": BASH}


def test_the_harness_own_words_are_read_back_as_the_messages_they_are() -> None:
    sent = (
        Incoming(id=12, sender="operator", body="Hello\n\n> quoted\n[message 9 from manager at now]", ts=NOW),
        Incoming(id=13, sender="system", body='{"kind":"spawned"}', ts=NOW),
        Incoming(id=14, sender="bob", body="done", ts=NOW),
    )
    talk = read(asked(user(turn_prompt(sent, peers=("bob", "operator"), notes_over="Shorten your notes."))))
    assert [(mail.id, mail.sender, mail.body) for mail in talk.mail()] == [
        (str(message.id), message.sender, message.body) for message in sent
    ]
    assert talk.peers() == ("bob", "operator")


def test_a_prompt_without_messages_is_the_operators_word() -> None:
    assert read(asked(user("hi"))).mail() == (Mail(sender="operator", body="hi"),)


def test_reminders_and_system_messages_are_no_prompts() -> None:
    reminder = "<system-reminder>\nthe date\n</system-reminder>"
    system = {"role": "system", "content": "# Environment"}
    talk = read(asked(user(reminder, "work"), system, use("1", "Bash"), user(result("1", "ok"), reminder)))
    assert talk.prompt == "work"
    assert talk.results == ("ok",)


def test_only_results_since_the_newest_prompt_count() -> None:
    first = (user("work"), use("1", "Bash"), user(result("1", "old")))
    interrupted = user("[Request interrupted by user]")
    talk = read(asked(*first, interrupted, user("again"), use("2", "Bash"), user(result("2", "new"))))
    assert talk.prompt == "again"
    assert talk.results == ("new",)


def test_a_prompt_merged_behind_an_interrupted_call_is_the_newest() -> None:
    talk = read(asked(user("work"), use("1", "Bash"), user(result("1", "cut off"), "next")))
    assert talk.prompt == "next"
    assert talk.results == ()


@pytest.mark.parametrize(
    "words",
    [
        "Your response above was cut off mid-stream. Resume directly from where it stops — no apology, no recap.",
        "Your response above was cut off mid-stream and only your next message is delivered.",
    ],
)
def test_the_wish_to_go_on_behind_an_answer_that_broke_off_is_no_prompt(words: str) -> None:
    said = {"role": "assistant", "content": [{"type": "text", "text": "Half"}]}
    talk = read(asked(user("work"), use("1", "Bash"), user(result("1", "ok")), said, user(words)))
    assert talk.prompt == "work"
    assert talk.results == ("ok",)


def test_a_search_for_a_tool_is_no_step() -> None:
    search = use("1", "ToolSearch", query="select:mcp__hyperhive__send")
    talk = read(
        asked(user("work"), search, user(result("1", [{"type": "tool_reference", "tool_name": "x"}])))
    )
    assert talk.results == ()
    assert talk.searched == {"mcp__hyperhive__send"}


def test_the_texts_of_a_result_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert read(asked(user("work"), use("1", "Bash"), user(result("1", parts)))).results == ("a\nb",)


def test_a_request_without_tools_is_a_side_request() -> None:
    assert read({"messages": [user("Generate a title")]}).kind is Kind.SIDE


@pytest.mark.parametrize(
    "words",
    [
        "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is",
        "Your task is to create a detailed summary of the conversation so far",
    ],
)
def test_a_request_for_a_summary_is_known(words: str) -> None:
    assert read(asked(user("work"), user(words))).kind is Kind.SUMMARY


def test_what_a_summary_left_is_no_prompt() -> None:
    left = "This session is being continued from a previous conversation that ran out of context."
    local = "<local-command-stdout>Compacted</local-command-stdout>"
    assert read(asked(user(left), user(local), user("work"))).prompt == "work"
    assert read(asked(user(left), user(local))).mail() == ()


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": "hello"}])
def test_what_is_no_request_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="messages"):
        read(body)


def test_odd_shapes_are_passed_over() -> None:
    odd = {
        "messages": [7, {"role": "user"}, user({"type": "text"}), user("work")],
        "tools": [3],
        "metadata": 1,
    }
    assert read(odd).prompt == "work"
