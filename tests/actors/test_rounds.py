"""The rounds: what nobody told is seen at a glance, and an agent at rest is left alone."""

import shutil
from dataclasses import replace
from typing import Any

import pytest

from hyperhive.actors.rounds import restless
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
