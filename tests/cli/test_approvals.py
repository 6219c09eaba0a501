"""Approvals, drafts and generations at the command line."""

import json
import sys
from datetime import timedelta

import pytest

from hyperhive.domain.agent_config import DEFAULT
from hyperhive.domain.approvals import Kind
from hyperhive.domain.events import Audit
from hyperhive.domain.views import DraftView, KeptView
from tests.cli.conftest import Type
from tests.cli.served import ServedHive
from tests.cli.test_acting import Terminal
from tests.fakes.hive import FakeHive
from tests.fakes.repositories import now
from tests.fakes.samples import agent_view

OPUS = {"agent.toml": 'model = "opus"\n', "prompt.md": "-- be brief\n++ and kind\n"}


def _propose(
    served: ServedHive, name: str = "alice", *, by: str = "manager", ttl: float | None = None
) -> int:
    async def proposed(hive: FakeHive) -> int:
        sha = hive.commit(name, OPUS, summary="Use opus")
        view = await hive.request_commit(
            Kind.APPLY_COMMIT, name, sha, by=by, note="It thinks\x1b[2J more.", ttl=ttl
        )
        return view.id

    return served.run(proposed)


def test_pending_tells_what_waits_how_large_how_old_and_until_when(served: ServedHive, type_: Type) -> None:
    id = _propose(served, ttl=86_400)
    head, row, hint = type_("pending").out.splitlines()
    assert head.split() == ["ID", "KIND", "AGENT", "CHANGES", "ASKED", "BY", "AGE", "EXPIRES", "SUMMARY"]
    removed = len(DEFAULT.splitlines())
    assert row.split()[:6] == [str(id), "apply-commit", "alice", "+3", f"-{removed}", "manager"]
    assert "Use opus — It thinks" in row
    assert "never" not in row
    assert "\x1b" not in row
    assert "hyperhive diff ID" in hint


def test_a_diff_is_printed_against_what_is_asked_for(served: ServedHive, type_: Type) -> None:
    id = _propose(served)
    said = type_("diff", str(id)).out
    assert '+model = "opus"' in said
    assert '-model = "sonnet"' in said
    assert "new file mode" in type_("diff", str(id), "--against", "proposal").out
    wrong = type_("diff", str(id), "--against", "yesterday")
    assert (wrong.code, "running, proposal, approved" in wrong.err) == (2, True)


def test_a_diff_is_coloured_for_a_terminal_line_by_line(
    served: ServedHive, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = _propose(served)
    monkeypatch.setattr("hyperhive.cli.show.coloured", lambda: True)
    rows = type_("diff", str(id)).out.splitlines()
    assert "\x1b[1m+++ b/prompt.md\x1b[0m" in rows
    assert "\x1b[32m+-- be brief\x1b[0m" in rows
    assert "\x1b[32m+++ and kind\x1b[0m" in rows


def test_what_an_agent_committed_cannot_steer_the_terminal(served: ServedHive, type_: Type) -> None:
    async def proposed(hive: FakeHive) -> int:
        sha = hive.commit("alice", {"prompt.md": "\x1b]0;owned\x07 \x85 \u2028+fake\r-gone\n"})
        return (await hive.request_commit(Kind.APPLY_COMMIT, "alice", sha, by="manager")).id

    said = type_("diff", str(served.run(proposed))).out
    assert not [char for char in said if char in "\x1b\x07\x85\r\u2028"]
    assert sum(row.startswith("+") for row in said.splitlines()) == 2


def test_approving_says_what_happens_now_and_deciding_again_who_did(served: ServedHive, type_: Type) -> None:
    id = _propose(served)
    said = type_("approve", str(id))
    assert said.code == 0
    assert f"Approval {id} (apply-commit of alice): approved." in said.out
    assert "hyperhive build alice --follow" in said.out
    again = type_("deny", str(id))
    assert again.code == 1
    assert "by operator" in again.err
    rows = type_("decided").out.splitlines()
    assert "operator" in rows[1]
    assert "command line" in rows[1]
    none = type_("decided", "--limit", "0")
    assert (none.code, none.out, "--limit wants a whole number from 1 to" in none.err) == (2, "", True)
    assert type_("decided", "--limit", "1").out.splitlines()[1:] == rows[1:]
    assert [view["id"] for view in json.loads(type_("decided", "--json").out)] == [id]


def test_nothing_decided_and_nothing_pending_is_said(served: ServedHive, type_: Type) -> None:
    assert type_("decided").out == "Nothing was decided yet.\n"
    assert type_("pending").out == "No approvals wait for you.\n"


def test_a_draft_is_made_proposed_withdrawn_and_discarded(served: ServedHive, type_: Type) -> None:
    assert "agents/scout/proposed" in type_("draft", "scout").out
    assert "scout" in type_("list").out
    sha = served.hive.commit("scout", OPUS)
    said = type_("propose", "scout", sha[:8], "--note", "A scout.")
    assert "Approval 1 (spawn-commit of scout): pending, +3 -0 in 2 files." in said.out
    assert "takes the place" not in said.out
    sha = served.hive.commit("scout", {"agent.toml": 'model = "haiku"\n'})
    said = type_("propose", "scout", sha[:8])
    assert "It takes the place of approval 1, which is superseded." in said.out
    assert type_("withdraw", "2").out == "Approval 2 (spawn-commit of scout): withdrawn.\n"
    refused = type_("discard", "scout")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert type_("discard", "scout", "--yes").out == "The draft 'scout' is discarded.\n"
    gone = type_("discard", "scout", "--yes")
    assert (gone.code, gone.err) == (1, "hyperhive: There is no draft 'scout'. There are: none.\n")


@pytest.mark.parametrize(("typed", "code"), [("scout\n", 0), ("yes\n", 1)])
def test_discard_asks_for_the_name_at_a_terminal(
    served: ServedHive, type_: Type, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    from hyperhive.cli import main

    type_("draft", "scout")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main(["discard", "scout"]) == code
    assert [draft.name for draft in served.hive.snapshot().drafts] == ([] if code == 0 else ["scout"])


@pytest.mark.parametrize(
    "words",
    [("propose", "alice", "main"), ("propose", "ghost", "abcdef0"), ("withdraw", "9"), ("draft", "alice")],
)
def test_what_the_hive_refuses_ends_with_1(served: ServedHive, type_: Type, words: tuple[str, ...]) -> None:
    said = type_(*words)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)


def test_history_and_rollback_go_back_to_what_was_built(served: ServedHive, type_: Type) -> None:
    type_("approve", str(_propose(served)))
    assert type_("build", "alice", "--follow").out.endswith("Done.\n")
    head, second, first = type_("history", "alice").out.splitlines()
    assert head.split()[:3] == ["GENERATION", "STATE", "COMMIT"]
    assert second.split()[:2] == ["2", "runs"]
    assert first.split()[:2] == ["1", "kept"]
    said = type_("rollback", "alice")
    assert (said.code, said.out) == (
        0,
        "alice: rebuilding…\nalice: rollback done (went back to generation 1).\n",
    )
    assert "generation" in type_("show", "alice").out
    assert type_("rollback", "alice", "7").code == 1
    assert type_("rollback", "alice", "two").code == 2
    assert json.loads(type_("rollback", "alice", "2", "--json").out)["ok"] is True


def test_a_build_log_is_printed_as_text_and_as_json(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: hive.append_build("alice", "Rendering\x1b[2J."))
    assert "\x1b" not in type_("build", "alice").out
    assert json.loads(type_("build", "alice", "--json").out)["agent"] == "alice"
    assert type_("build", "ghost").code == 1
    assert type_("build", "ghost", "--follow").code == 1


def test_drafts_and_kept_folders_tell_their_size_and_age(served: ServedHive, type_: Type) -> None:
    then = now() - timedelta(days=3)
    kept = KeptView(name="old-hand", since=then, logged_in=True, size=52_428_800)
    bare = KeptView(name="older", since=now())
    draft = DraftView(name="scout", created=now() - timedelta(hours=2), by="manager", size=8_192)
    served.do(lambda hive: hive._set(kept=(kept, bare), drafts=(draft,)))
    said = type_("list").out
    assert "Drafts: scout (8 KiB, begun 2 h ago by manager)." in said
    assert (
        "Kept folders of: old-hand (50 MiB, destroyed 3 d ago, with a login), older (not measured, " in said
    )


def test_show_tells_what_of_a_config_does_not_hold(served: ServedHive, type_: Type) -> None:
    warning = "limits.memory is not held here: there is no writable cgroup."
    served.do(lambda hive: hive.replace(agent_view("alice", generation=4, warnings=(warning,))))
    rows = {row.split("  ")[0]: row for row in type_("show", "alice").out.splitlines()}
    assert warning in rows["warnings"]
    assert rows["generation"].endswith(" 4")
    assert warning[:40] in type_("list").out


def test_an_audit_reads_as_a_sentence_in_the_events(served: ServedHive, type_: Type) -> None:
    told = Audit(agent="alice", action="rollback", by="operator", where="HTTP 127.0.0.1", note="generation 2")
    served.do(lambda hive: hive.publish(told))
    assert "audit operator (HTTP 127.0.0.1) rollback: generation 2" in type_("events").out
