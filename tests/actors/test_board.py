"""The board: one state after another, each whole, and what readers of views are told of the difference."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from hyperhive.actors.board import Board
from hyperhive.domain.parts import AgentGone, AgentShown, Inbox, InboxDepth, Kept, Questions
from hyperhive.domain.plain import as_json
from hyperhive.domain.views import HiveView, KeptView, MessageView, QuestionView
from tests.fakes.samples import NOON, agent_view

HIVE = HiveView(name="test", mode="rehearsal", runtime="process", confined=False, version="0", started=NOON)


@pytest.fixture
def board() -> Board:
    board = Board(hive=HIVE, seq=0)
    board.apply((), (AgentShown(agent_view("alice")), AgentShown(agent_view("bob"))))
    return board


def plain(view: Any) -> Any:
    return json.loads(json.dumps(TypeAdapter(type(view)).dump_python(view, mode="json", by_alias=True)))


def test_a_number_of_unread_messages_that_is_the_same_changes_nothing(board: Board) -> None:
    assert board.apply((), (InboxDepth("alice", 0), InboxDepth("nobody", 0))) == ("", frozenset())
    patch, changed = board.apply((), (InboxDepth("alice", 2),))
    assert [agent["inbox_depth"] for agent in json.loads(patch)["agents"]] == [2]
    assert changed == {"alice"}
    assert board.apply((), (InboxDepth("alice", 2),)) == ("", frozenset())


def test_a_snapshot_stays_as_it_was_whatever_comes_after_it(board: Board) -> None:
    before = board.snapshot
    shown = as_json(before)
    question = QuestionView(id=1, agent="bob", question="?", asked=NOON)
    board.apply((), (InboxDepth("alice", 3), Questions((question,)), AgentGone("bob")))
    assert as_json(before) == shown
    assert [(agent.name, agent.inbox_depth) for agent in board.snapshot.agents] == [("alice", 3)]


def test_names_stand_in_their_order_whoever_comes_changes_and_goes(board: Board) -> None:
    assert " ".join(board.names) == "alice bob"
    board.apply((), (AgentShown(agent_view("a10")), AgentShown(agent_view("manager")), InboxDepth("bob", 1)))
    assert " ".join(board.names) == "manager a10 alice bob"
    board.apply((), (AgentShown(agent_view("a9")), AgentGone("bob")))
    board.apply((), (InboxDepth("alice", 1),))
    assert " ".join(board.names) == "manager a9 a10 alice"
    assert tuple(view.name for view in board.snapshot.agents) == board.names
    board.apply((), (AgentGone("a10"), AgentShown(agent_view("bob")), AgentGone("a10")))
    assert " ".join(board.names) == "manager a9 alice bob"


def test_trouble_that_quotes_the_name_of_any_file_can_be_shown_on_a_page(board: Board) -> None:
    board.apply((), (replace(HIVE, trouble=("/h/\udcff: denied", "ü \U0001f600")),))
    assert board.snapshot.hive.trouble == ("/h/\ufffd: denied", "ü \U0001f600")


def test_an_agent_that_is_gone_and_back_has_no_mail_of_the_one_before(board: Board) -> None:
    board.apply((), (InboxDepth("alice", 3),))
    board.apply((), (AgentGone("alice"), AgentShown(agent_view("alice", inbox_depth=9))))
    alice = board.agent("alice")
    assert alice is not None
    assert alice.inbox_depth == 0


@pytest.mark.parametrize("odd", ["plain", 'o"dd\\\n\x00\x7f', "ü\u2028\u0085😀", "\ud800"])
def test_a_patch_is_one_line_of_ascii_that_says_what_the_views_say(board: Board, odd: str) -> None:
    message = MessageView(id=1, sender="bob", to="operator", body=odd, ts=NOON, state="unread")
    kept = KeptView(name="old", since=NOON, size=7)
    view, hive = agent_view("alice", model="opus"), replace(HIVE, trouble=(odd,))
    patch, _ = board.apply((), (AgentShown(view), AgentGone("bob"), Inbox((message,)), Kept((kept,)), hive))
    assert patch.isascii()
    assert "\n" not in patch
    expected = {"agents": [plain(view)], "gone": ["bob"], "inbox": [plain(message)], "kept": [plain(kept)]}
    shown = replace(hive, trouble=(odd.replace("\ud800", "\ufffd"),))
    assert json.loads(patch) == expected | {"hive": plain(shown)}
