"""The rounds: what nobody told is seen at a glance, and an agent at rest is left alone."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperhive.actors.address import Address
from hyperhive.actors.board import Board
from hyperhive.actors.layout import Layout
from hyperhive.actors.roster import Post, Roster
from hyperhive.actors.rounds import Rounds, Step, restless
from hyperhive.domain.views import HiveView
from tests.actors.rig import START, Rig
from tests.fakes.samples import agent_view


def test_what_the_watches_missed_a_round_sees(rig: Rig) -> None:
    rig.env = {}
    rig.log_in("manager")
    claude = rig.layout.agent("manager").claude
    shutil.rmtree(claude)  # and with it the watch on it
    claude.mkdir()
    rig.wait_for(lambda: rig.view("manager").login == "needs-login")
    rig.log_in("manager")
    rig.wait_for(lambda: rig.view("manager").login == "logged-in")


@pytest.mark.parametrize(
    ("change", "rests"),
    [
        ({}, True),
        ({"transient": "stopping"}, False),
        ({"container": "unknown"}, False),
        ({"login": "unknown"}, False),
        ({"ready": False}, False),
        ({"inbox_depth": 1}, False),
        ({"restart_at": START}, False),
        ({"container": "stopped", "ready": False}, True),
    ],
)
def test_who_waits_for_something_looks_itself(change: dict[str, Any], rests: bool) -> None:
    view = agent_view("alice", ready=True)
    assert restless(replace(view, **change)) is not rests


class Hand:
    """Timers and a clock that a test turns by hand; nothing comes by itself."""

    def __init__(self) -> None:
        self.now = 100.0

    def after(self, delay: float, then: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def test_each_round_goes_once_to_everybody_who_is_there_and_no_more_to_who_has_gone(tmp_path: Path) -> None:
    hive = HiveView(
        name="test", mode="rehearsal", runtime="process", confined=False, version="0", started=START
    )
    roster, hand = Roster(), Hand()

    def enter(name: str) -> Post:
        roster.add(post := Post(name=name, address=Address(name), start=lambda **_: None))
        return post

    def ticks(*posts: Post) -> list[int]:
        """How often each was told to look in one round."""
        before = [post.address.depth for post in posts]
        for _ in range(10):
            hand.now += 1.0
            rounds.handle(Step())
        return [post.address.depth - then for post, then in zip(posts, before, strict=True)]

    first, service = enter("first"), enter("#service")
    rounds = Rounds(
        roster=roster,
        board=Board(hive=hive, seq=0),
        layout=Layout(home=tmp_path / "home", run=tmp_path / "run"),
        timers=hand,
        tick=9.0,  # at most 9.9 and at least 8.1: in each ten seconds there is one of them at least
        clock=lambda: hand.now,
        address=Address("#rounds"),
        failed=lambda failure: None,
    )
    rounds.begin()
    ticks(first)
    assert ticks(first, service) in ([1, 0], [2, 0])
    second = enter("second")
    assert all(count in (1, 2) for count in ticks(first, second))
    roster.remove("first")
    assert ticks(first, second)[0] == 0
    roster.add(first)
    for _ in range(3):
        assert all(count in (1, 2) for count in ticks(first, second))
