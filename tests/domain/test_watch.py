"""The heart, rule by rule, and as a whole: each real transition is told exactly once."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hyperhive.domain.axes import Axes, Container, Login, Observation, Operation, Revision, Transient
from hyperhive.domain.watch import step
from tests.examples import examples

RUN, STOP = Container.RUNNING, Container.STOPPED
IN, OUT = Login.LOGGED_IN, Login.NEEDS_LOGIN
NEW, OLD = Revision.UP_TO_DATE, Revision.STALE


def kinds(recorded: Axes | None, seen: Observation, under: Operation | None = None) -> list[str]:
    return [event.kind for event in step("alice", recorded, seen, under)[1]]


@pytest.mark.parametrize(
    ("recorded", "seen", "told"),
    [
        (None, Observation(container=STOP, login=OUT, revision=OLD, boot="b"), []),
        (Axes(), Observation(container=STOP, login=OUT, revision=OLD, boot="b"), []),
        (Axes(container=RUN, boot="b"), Observation(container=STOP, boot="b"), ["container_crash"]),
        (Axes(container=RUN, boot="b"), Observation(container=STOP, boot="c"), []),
        (Axes(container=STOP, boot="b"), Observation(container=RUN, boot="b"), []),
        (Axes(container=STOP, boot="b"), Observation(container=STOP, boot="b"), []),
        (Axes(container=RUN, boot="b"), Observation(boot="b"), []),
        (Axes(login=IN), Observation(login=OUT), ["needs_login"]),
        (Axes(login=OUT), Observation(login=IN), ["logged_in"]),
        (Axes(login=IN), Observation(), []),
        (Axes(revision=NEW), Observation(revision=OLD), ["needs_update"]),
        (Axes(revision=OLD), Observation(revision=NEW), []),
        (Axes(revision=OLD), Observation(revision=OLD), []),
        (
            Axes(RUN, IN, NEW, "b"),
            Observation(STOP, OUT, OLD, "b"),
            ["container_crash", "needs_login", "needs_update"],
        ),
    ],
)
def test_what_is_told(recorded: Axes | None, seen: Observation, told: list[str]) -> None:
    assert kinds(recorded, seen) == told


@pytest.mark.parametrize("kind", list(Transient))
def test_an_end_is_planned_only_while_the_operation_ends_the_container(kind: Transient) -> None:
    ran, ended = Axes(container=RUN, boot="b"), Observation(container=STOP, boot="b", exit="exit status 1")
    assert kinds(ran, ended, Operation(kind, ending=True)) == []
    _, (crash,) = step("alice", ran, ended, Operation(kind))
    assert crash.model_dump() == {
        "kind": "container_crash",
        "agent": "alice",
        "note": f"while {kind.value}",
        "exit": "exit status 1",
    }


def test_what_could_not_be_told_stays_as_recorded() -> None:
    before = Axes(RUN, IN, NEW, "b")
    assert step("alice", before, Observation(), None) == (before, ())


class Telling(RuleBasedStateMachine):
    """A world, and an observer that sees parts of it, forgets, restarts and reboots.

    The oracle counts a transition when an observation first could show it; what flips back unseen was never seen
    and is not told.
    """

    @initialize()
    def begin(self) -> None:
        self.real = {"container": RUN, "login": IN, "revision": NEW}
        self.boot, self.recorded = 0, Axes()
        self.under: Operation | None = None
        self.planned = self.rebooted = False
        self.believed: dict[str, object] = {}
        self.expected: list[str] = []
        self.told: list[str] = []
        self.in_memory = Axes()

    # -- what happens in the world

    @rule()
    def crash(self) -> None:
        if self.real["container"] is RUN:
            self.real["container"] = STOP
            self.planned = self.under is not None and self.under.ending

    @rule()
    def start(self) -> None:
        self._look({"container"})  # a start is never made without looking first: the pidfd has told
        self.real["container"] = RUN

    @rule(kind=st.sampled_from(list(Transient)))
    def begin_operation(self, kind: Transient) -> None:
        self._look({"container"})
        self.under = Operation(kind)

    @precondition(lambda self: self.under is not None and self.real["container"] is RUN)
    @rule()
    def planned_end(self) -> None:
        assert self.under is not None
        self._look({"container"})
        self.under = self.under._replace(ending=True)
        self.real["container"], self.planned = STOP, True
        self._look({"container"})
        self.under = self.under._replace(ending=False)

    @rule()
    def end_operation(self) -> None:
        self._look({"container"})
        self.under = None

    @rule(login=st.sampled_from([IN, OUT]))
    def login(self, login: Login) -> None:
        self.real["login"] = login

    @rule(revision=st.sampled_from([NEW, OLD]))
    def revise(self, revision: Revision) -> None:
        self.real["revision"] = revision

    # -- who looks

    @rule(axes=st.sets(st.sampled_from(["container", "login", "revision"])))
    def look(self, axes: set[str]) -> None:
        self._look(axes)

    @rule()
    def actor_or_daemon_restarts(self) -> None:
        self.in_memory = self.recorded  # what was recorded is all that survives

    @rule()
    def host_reboots(self) -> None:
        self.boot += 1
        self.real["container"] = STOP
        self.under, self.in_memory, self.rebooted = None, self.recorded, True
        self._look({"container"})

    def _look(self, axes: set[str]) -> None:
        seen = {axis: self.real[axis] for axis in axes}
        for axis, value in seen.items():
            self._expect(axis, value)
        observation = Observation(boot=f"boot-{self.boot}" if "container" in seen else None, **seen)  # type: ignore[arg-type]
        self.recorded, events = step("alice", self.in_memory, observation, self.under)
        self.in_memory = self.recorded
        self.told += [event.kind for event in events]

    def _expect(self, axis: str, value: object) -> None:
        before = self.believed.get(axis)
        self.believed[axis] = value
        match axis, before, value:
            case "container", Container.RUNNING, Container.STOPPED if not self.planned and not self.rebooted:
                self.expected.append("container_crash")
            case "login", Login.LOGGED_IN, Login.NEEDS_LOGIN:
                self.expected.append("needs_login")
            case "login", Login.NEEDS_LOGIN, Login.LOGGED_IN:
                self.expected.append("logged_in")
            case "revision", Revision.UP_TO_DATE, Revision.STALE:
                self.expected.append("needs_update")
        if axis == "container":
            self.planned = self.rebooted = False

    @invariant()
    def each_is_told_exactly_once(self) -> None:
        assert sorted(self.told) == sorted(self.expected)


Telling.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
TestTelling = Telling.TestCase
