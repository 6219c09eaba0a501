"""kill -9 in the middle of a turn, against the running daemon: what is promised, seen."""

from collections.abc import Iterator

import pytest

from tests.e2e.hive import LONG, RealHive, contiguous, hive
from tests.e2e.processes import Process, family, is_python, program, running
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ONCE = "run: test -e begun && echo again || { echo > begun; exec timeout 200 tail -f /dev/null; }"
"""Hangs the first time and is quick the second."""
WAITS = "run: timeout 200 sh -c 'until test -e go; do sleep 0.1; done'; echo finished"
"""Ends when a file appears."""


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive() as made:
        made.up()
        yield made


def begin(real: RealHive, name: str, command: str) -> tuple[int, list[Process]]:
    """Have an agent work on a command: the message, and the container's processes in the middle of it."""
    leader = real.agent(name)["pid"]
    id = real.send(name, command)
    eventually(lambda: program("tail", family(leader)) or program("sleep", family(leader)), LONG)
    return id, family(leader)


def delivered_again(real: RealHive, name: str, id: int, *, after: int, newest: int) -> None:
    """The message was worked on to its end, in a second turn."""
    assert real.word(name, after=newest).strip() == "ran: again"
    real.quiet(name)
    events = real.events(after)
    ended = [e["ok"] for e in events if e["kind"] == "turn_ended" and e["agent"] == name]
    assert ended == [False, True]
    assert real.rows("SELECT state FROM messages WHERE id = ?", id) == [("read",)]
    assert contiguous(events)


def test_killed_containers_are_told_once_and_their_message_comes_again(real: RealHive) -> None:
    real.spawn("anna")
    after, newest = real.seq, real.newest()
    id, inside = begin(real, "anna", ONCE)
    inside[0].kill()
    told = real.wait("container_crash", after=after, agent="anna", deadline=40)
    assert told["exit"] == "killed by SIGKILL"
    delivered_again(real, "anna", id, after=after, newest=newest)
    assert not [p for p in inside if not p.ended()]
    assert [e["kind"] for e in real.events(after)].count("container_crash") == 1
    told_manager = [m for m in real.messages() if m["from"] == "system" and "container_crash" in m["body"]]
    assert [m["to"] for m in told_manager] == ["manager"]
    assert len(real.harnesses("anna")) == 1


def test_a_killed_claude_leaves_no_orphans_and_its_message_comes_again(real: RealHive) -> None:
    real.spawn("berta")
    after, newest = real.seq, real.newest()
    id, inside = begin(real, "berta", ONCE)
    leader = inside[0]
    (claude,) = program("claude", inside)
    commands = [p for p in family(claude.pid) if p != claude]
    assert running("tail", commands)
    claude.kill()
    delivered_again(real, "berta", id, after=after, newest=newest)
    assert not [p for p in commands if not p.ended()]
    assert real.leader("berta") == leader
    assert "container_crash" not in [e["kind"] for e in real.events(after)]


def test_a_killed_harness_ends_its_container_and_its_message_comes_again(real: RealHive) -> None:
    real.spawn("carla")
    after, newest = real.seq, real.newest()
    id, inside = begin(real, "carla", ONCE)
    (harness,) = [p for p in running("hyperhive.harness", inside) if is_python(p)]
    harness.kill()
    told = real.wait("container_crash", after=after, agent="carla", deadline=40)
    assert "137" in told["exit"] or "SIGKILL" in told["exit"]
    delivered_again(real, "carla", id, after=after, newest=newest)
    assert not [p for p in inside if not p.ended()]


def test_a_killed_daemon_takes_up_what_runs_and_loses_nothing(real: RealHive) -> None:
    for name in ("dora", "edda", "frida"):
        real.spawn(name)
    real.post("/api/agents/frida/pause")
    real.quiet("dora", "edda", "frida", "manager")
    unread = [real.send("frida", text) for text in ("run: echo 1", "run: echo 2")]
    real.ask_something("dora")
    after, newest = real.seq, real.newest()
    first, dora = begin(real, "dora", WAITS)
    second, edda = begin(real, "edda", WAITS)
    leaders = {name: real.leader(name) for name in ("manager", "dora", "edda", "frida")}
    questions = real.state()["questions"]

    real.kill()
    (real.folder("dora") / "state" / "go").touch()  # its command ends while nobody answers
    eventually(lambda: not running("until test", dora))
    real.up()

    state = real.state()
    assert state["questions"] == questions
    assert [(a["name"], a["inbox_depth"]) for a in state["agents"] if a["inbox_depth"]] == [("frida", 2)]
    assert {a["name"] for a in state["agents"]} >= {"manager", "dora", "edda", "frida"}
    (real.folder("edda") / "state" / "go").touch()
    for name in ("dora", "edda"):
        assert real.word(name, after=newest).strip() == "ran: finished"
    real.quiet("dora", "edda")
    assert {name: real.leader(name) for name in leaders} == leaders
    assert [p for p in (dora[0], edda[0]) if not p.alive] == []

    events = real.events(after)
    assert contiguous(events)
    for name, id in (("dora", first), ("edda", second)):
        own = [e for e in events if e["agent"] == name]
        assert [e["kind"] for e in own if "turn" in e["kind"]] == ["turn_started", "turn_ended"]
        assert [e["id"] for e in own if e["kind"] == "message_delivered"] == [id]
        assert [e["ok"] for e in own if e["kind"] == "turn_ended"] == [True]
        assert [m["body"] for m in real.messages() if m["from"] == name and m["id"] > newest] == [
            "ran: finished"
        ]
    kinds = [e["kind"] for e in events]
    assert not {"container_crash", "started", "spawned"} & set(kinds)

    answered = real.seq
    real.post(f"/api/questions/{questions[0]['id']}/answer", {"answer": "this"})
    assert real.wait("turn_ended", after=answered, agent="dora")["ok"]
    real.post("/api/agents/frida/resume")
    real.quiet("frida")
    said = [m["body"] for m in real.messages() if m["from"] == "frida"]
    assert said == ["ran: 1", "ran: 2"]
    assert real.rows("SELECT state FROM messages WHERE id IN (?, ?)", *unread) == [("read",)] * 2


@pytest.mark.parametrize("moment", ["at its beginning", "when the old container is gone"])
def test_a_rebuild_that_its_daemon_did_not_survive_is_finished(real: RealHive, moment: str) -> None:
    name = "gerda" if moment == "at its beginning" else "hilda"
    real.spawn(name)
    old, after = real.leader(name), real.seq
    real.change(name)
    real.post(f"/api/agents/{name}/update")
    if moment == "at its beginning":
        real.wait("transient_set", after=after, agent=name)
    else:
        assert old.ended()
    real.kill()
    real.up()
    shown = real.agent(name)["transient"]
    assert shown == "rebuilding" or [e for e in real.events(after) if e["kind"] == "rebuilt"]
    told = real.wait("rebuilt", after=after, agent=name)
    assert told["ok"], told
    real.shows(name, transient=None, container="running", ready=True)
    events = [e for e in real.events(after) if e["agent"] == name]
    assert [e["kind"] for e in events].count("rebuilt") == 1
    assert "container_crash" not in [e["kind"] for e in events]
    assert len(real.harnesses(name)) == 1
    assert real.ask(name, "run: echo well") == "ran: well"


@pytest.mark.parametrize("moment", ["at its beginning", "when its container runs"])
def test_a_spawn_that_its_daemon_did_not_survive_is_finished(real: RealHive, moment: str) -> None:
    name = "ida" if moment == "at its beginning" else "jana"
    after = real.seq
    real.post("/api/agents", {"name": name})
    if moment == "when its container runs":
        eventually(lambda: real.harnesses(name), 30)
    real.kill()
    real.up()
    told = real.wait("spawned", after=after, agent=name)
    assert told["ok"], told
    real.shows(name, transient=None, container="running", ready=True)
    assert [e["kind"] for e in real.events(after) if e["agent"] == name].count("spawned") == 1
    assert len(real.harnesses(name)) == 1
    assert real.ask(name, "run: echo well") == "ran: well"
