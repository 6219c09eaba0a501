"""The rounds: what nobody told is seen at a glance, and an agent at rest is left alone."""

import os
import shutil
import signal

import pytest

from hyperhive.actors.rounds import glance, restless
from hyperhive.domain.views import AgentView
from hyperhive.runtimes import proc
from tests.actors.rig import START, Rig
from tests.waiting import eventually


def mark(rig: Rig, name: str) -> int | None:
    return glance(str(rig.layout.agent(name).root), rig.view(name).pid)


def test_a_glance_says_the_same_while_nothing_changes_and_another_thing_after(rig: Rig) -> None:
    rig.spawn("alice")
    paths, pid = rig.layout.agent("alice"), rig.view("alice").pid
    seen = [mark(rig, "alice")]
    assert mark(rig, "alice") == seen[0]
    rig.log_in("alice")
    seen.append(mark(rig, "alice"))
    paths.config.write_text('model = "haiku"\n')
    seen.append(mark(rig, "alice"))
    paths.claude.rename(paths.claude.with_name("before"))
    seen.append(mark(rig, "alice"))
    paths.claude.mkdir()
    seen.append(mark(rig, "alice"))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: (found := proc.stat(pid)) is None or found.dead)
    seen.append(glance(str(paths.root), pid))
    assert None not in seen
    assert len(set(seen)) == len(seen)


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
def test_who_waits_for_something_looks_itself(change: dict[str, object], rests: bool) -> None:
    view = AgentView.model_validate(
        {
            "name": "alice",
            "role": "agent",
            "container": "running",
            "login": "logged-in",
            "revision": "up-to-date",
            "turn": {"since": START},
            "ready": True,
            "since": START,
            **change,
        }
    )
    assert restless(view) is not rests
