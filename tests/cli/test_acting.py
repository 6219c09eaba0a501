"""Commands that change something: they wait for the outcome and tell it."""

import io
import json
import sys

import pytest

from hyperhive.cli.hive import MAX_STDIN
from hyperhive.domain.events import AgentQuarantined, ContainerCrash, Rebuilt, TransientCleared
from hyperhive.errors import Broken, Refused
from tests.cli.conftest import Type
from tests.cli.served import ServedHive
from tests.fakes.hive import FakeHive
from tests.fakes.samples import agent_view, busy_snapshot


def _calls(served: ServedHive, verb: str) -> list[dict[str, object]]:
    return [call.args for call in served.hive.calls if call.verb == verb]


def test_spawn_waits_until_the_agent_runs(served: ServedHive, type_: Type) -> None:
    said = type_("spawn", "bob")
    assert said == (0, "bob: spawning…\nbob: spawn done (running).\n", "")
    assert _calls(served, "spawn") == [{"name": "bob", "by": "operator"}]


@pytest.mark.parametrize("action", ["stop", "restart", "update"])
def test_an_operation_tells_its_outcome(served: ServedHive, type_: Type, action: str) -> None:
    said = type_(action, "alice")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith(f"alice: {action} done")


@pytest.mark.parametrize("action", ["pause", "resume", "start"])
def test_what_is_done_at_once_is_told_at_once(served: ServedHive, type_: Type, action: str) -> None:
    said = type_(action, "alice")
    assert said.code == 0
    assert said.out.startswith(f"alice: {action} done")


def test_no_wait_returns_with_the_operation_under_way(served: ServedHive, type_: Type) -> None:
    said = type_("stop", "alice", "--no-wait", "--json")
    assert said.code == 0
    assert json.loads(said.out) == {"agent": "alice", "transient": "stopping", "ok": None, "note": ""}


def test_json_tells_the_outcome(served: ServedHive, type_: Type) -> None:
    told = json.loads(type_("stop", "alice", "--json").out)
    assert told == {"agent": "alice", "transient": "stopping", "ok": True, "note": "stopped"}


def _fails(hive: FakeHive, event: Rebuilt | ContainerCrash | AgentQuarantined) -> None:
    def settle(name: str) -> None:
        hive.publish(event)
        hive.publish(TransientCleared(agent=name))

    hive.settle = settle  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Rebuilt(agent="alice", ok=False, note="no space left"), "no space left"),
        (ContainerCrash(agent="alice", exit="killed by SIGKILL"), "killed by SIGKILL"),
        (AgentQuarantined(agent="alice", error="5 crashes within 60 s"), "5 crashes"),
    ],
)
def test_an_operation_that_fails_ends_with_1_and_its_reason(
    served: ServedHive, type_: Type, event: Rebuilt | ContainerCrash | AgentQuarantined, reason: str
) -> None:
    served.do(lambda hive: _fails(hive, event))
    said = type_("update", "alice")
    assert said.code == 1
    assert said.err.startswith("hyperhive: alice: update failed: ")
    assert reason in said.err
    assert said.err.count("\n") == 1


def test_a_container_that_does_not_run_after_a_restart_is_a_failure(served: ServedHive, type_: Type) -> None:
    def settle(hive: FakeHive) -> None:
        def fall(name: str) -> None:
            hive.replace(agent_view(name, container="stopped", last_error="bwrap: out of memory"))
            hive.publish(TransientCleared(agent=name))

        hive.settle = fall  # type: ignore[method-assign, assignment]

    served.do(settle)
    said = type_("restart", "alice")
    assert (said.code, "bwrap: out of memory" in said.err) == (1, True)


def test_all_means_every_agent_with_a_line_each(served: ServedHive, type_: Type) -> None:
    said = type_("stop", "--all")
    assert said.code == 0
    ends = sorted(line for line in said.out.splitlines() if "done" in line)
    assert ends == ["alice: stop done (stopped).", "manager: stop done (stopped)."]
    told = json.loads(type_("start", "--all", "--json").out)
    assert sorted(outcome["agent"] for outcome in told) == ["alice", "manager"]


def test_with_all_one_refusal_does_not_keep_the_others_waiting(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: hive.replace(agent_view("alice", transient="rebuilding")))
    said = type_("stop", "--all")
    assert said.code == 1
    assert "alice: stop failed: 'alice' is rebuilding" in said.err
    assert "manager: stop done" in said.out


def test_a_refusal_is_one_clear_line(served: ServedHive, type_: Type) -> None:
    said = type_("spawn", "alice")
    assert said == (1, "", "hyperhive: There is already an agent 'alice'; choose another name.\n")
    assert type_("start", "bob").code == 1
    assert type_("start", "../etc").code == 1


@pytest.mark.parametrize("failure", [Refused("Not now; try later."), Broken("The disk is full; make room.")])
def test_a_failure_of_the_daemon_is_told_in_its_words(
    served: ServedHive, type_: Type, failure: Refused | Broken
) -> None:
    def fail(hive: FakeHive) -> None:
        hive.fail_with = failure

    served.do(fail)
    said = type_("send", "alice", "hello")
    assert (said.code, said.err) == (1, f"hyperhive: {failure.message}\n")


def test_send_takes_the_text_as_an_argument_or_from_stdin(served: ServedHive, type_: Type) -> None:
    assert type_("send", "alice", "hello there").code == 0
    assert type_("send", "alice", "-", stdin="two\nlines\n").code == 0
    assert type_("send", "alice", "--json", "--", "--bold").code == 0
    assert [call["body"] for call in _calls(served, "send")] == ["hello there", "two\nlines\n", "--bold"]


def test_send_refuses_what_the_hive_refuses(served: ServedHive, type_: Type) -> None:
    assert type_("send", "nobody", "hello").code == 1
    assert "needs a body" in type_("send", "alice", " ").err


def test_destroy_keeps_the_folders(served: ServedHive, type_: Type) -> None:
    assert type_("destroy", "alice").out.endswith("alice: destroy done (destroyed).\n")
    assert _calls(served, "destroy") == [{"name": "alice", "purge": False, "by": "operator"}]
    assert "hyperhive spawn alice" in type_("show", "alice").err


def test_purge_wants_yes_where_nobody_can_be_asked(served: ServedHive, type_: Type) -> None:
    said = type_("destroy", "alice", "--purge")
    assert said.code == 2
    assert "--yes" in said.err
    assert not _calls(served, "destroy")
    assert type_("destroy", "alice", "--purge", "--yes").code == 0
    assert _calls(served, "destroy")[0]["purge"] is True


def test_what_was_kept_is_purged_by_name(served: ServedHive, type_: Type) -> None:
    assert type_("destroy", "alice").code == 0
    said = type_("destroy", "alice")
    assert (said.code, "hyperhive destroy alice --purge" in said.err) == (1, True)
    assert type_("destroy", "alice", "--purge").code == 2
    assert type_("destroy", "alice", "--purge", "--yes").out == "What was kept of 'alice' is deleted.\n"
    assert "There is no agent 'alice'" in type_("destroy", "alice", "--purge", "--yes").err


def test_a_refusal_names_some_agents_not_hundreds(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: hive._set(agents=tuple(agent_view(f"a{n}") for n in range(40))))
    assert type_("show", "nobody").err.endswith("a11 and 28 more.\n")


def test_an_empty_answer_is_refused_before_it_is_sent(served: ServedHive, type_: Type) -> None:
    said = type_("answer", "1", " ")
    assert (said.code, "empty answer" in said.err) == (1, True)


@pytest.mark.parametrize("name", ["", "../alice", "alice/../manager"])
@pytest.mark.parametrize(
    "words", [("start",), ("logs",), ("build",), ("history",)], ids=lambda words: words[0]
)
def test_what_cannot_name_an_agent_leads_to_no_other_address(
    served: ServedHive, type_: Type, words: tuple[str, ...], name: str
) -> None:
    said = type_(*words, name)
    assert (said.code, f"'{name}' names no agent; 'hyperhive list' shows" in said.err) == (1, True)


def test_an_input_without_an_end_is_not_read_to_it(served: ServedHive, type_: Type) -> None:
    said = type_("send", "alice", "-", stdin="y\n" * (MAX_STDIN // 2 + 1))
    assert (said.code, said.out) == (1, "")
    assert "What came on stdin is longer than 1 MiB" in said.err


def test_what_is_typed_in_another_encoding_is_not_the_name(
    served: ServedHive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hyperhive.cli import main

    stdin = io.TextIOWrapper(io.BytesIO(b"alic\xe9\n"), encoding="utf-8")
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["destroy", "alice", "--purge"]) == 1
    assert "Nothing was done: what was typed is not 'alice'." in capsys.readouterr().err


class Terminal(io.StringIO):
    """A stdin that somebody types on."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("alice\n", 0), ("yes\n", 1), ("", 1)])
def test_purge_asks_for_the_name_at_a_terminal(
    served: ServedHive, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    from hyperhive.cli import main

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main(["destroy", "alice", "--purge"]) == code
    assert len(_calls(served, "destroy")) == (1 if code == 0 else 0)


@pytest.mark.parametrize("decision", ["approve", "deny", "revise"])
def test_an_approval_is_decided_once(served: ServedHive, type_: Type, decision: str) -> None:
    served.do(lambda hive: hive._set(approvals=busy_snapshot(2).approvals))
    note = ("--note", "smaller, please")
    assert type_(decision, "1", *note).code == 0
    assert _calls(served, "decide")[0]["note"] == "smaller, please"
    again = type_(decision, "1", *note)
    assert (again.code, "was" in again.err) == (1, True)


def test_revise_wants_a_note(served: ServedHive, type_: Type) -> None:
    said = type_("revise", "1")
    assert (said.code, "--note" in said.err) == (2, True)


def test_a_question_is_answered_once(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: hive._set(questions=busy_snapshot(2).questions))
    assert type_("answer", "1", "Berlin").out == "Question 1 is answered; worker-01 gets it as a message.\n"
    assert type_("answer", "1", "Hamburg").code == 1
    assert type_("answer", "one", "Hamburg").code == 2
