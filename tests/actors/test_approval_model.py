"""The life of approvals, in any order: each ends once, its tags tell it, and what runs is what was deployed last."""

import itertools
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hyperhive.actors.core import Shared
from hyperhive.actors.gatekeeper import Decide, Withdraw
from hyperhive.actors.reply import Waiter
from hyperhive.actors.requests import Operate
from hyperhive.actors.store import Write
from hyperhive.actors.tree import Services
from hyperhive.domain.approvals import ENDED, Kind, State
from hyperhive.domain.axes import Transient
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Broken, Refused
from hyperhive.store.database import Tx
from tests.actors.petitioner import approval, commit, expected, git, state, submit, tagged
from tests.actors.rig import Quiet, Rig
from tests.waiting import eventually

pytestmark = pytest.mark.slow

NAME = "alice"
MAX_CRASHES = 4
"""One more, and what keeps failing is quarantined until the operator lifts that."""
Said = Literal["approve", "deny", "revise", "withdraw"]
SAID = st.sampled_from(["approve", "approve", "deny", "revise", "withdraw"])
BECOMES: dict[Said, frozenset[State]] = {
    "approve": frozenset({State.APPROVED, State.BUILDING, State.DEPLOYED, State.FAILED}),
    "deny": frozenset({State.DENIED}),
    "revise": frozenset({State.REVISE}),
    "withdraw": frozenset({State.WITHDRAWN}),
}


_AS_FOUND = (Phase.explicit, Phase.reuse, Phase.generate)
"""A life takes seconds: what fails is shown as it was found, not shortened for minutes."""


class Mortal:
    """What a daemon's threads touch, until that daemon is dead: then they die where they touch it."""

    def __init__(self, real: Any, dead: threading.Event) -> None:
        self._real = real
        self._dead = dead

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if not callable(value):
            return value

        def call(*args: Any, **more: Any) -> Any:
            if self._dead.is_set():
                raise SystemExit("killed")
            result = value(*args, **more)
            if self._dead.is_set():
                raise SystemExit("killed")
            return result

        return call


class MortalRig(Rig):
    """A hive whose daemon is killed at any point of what it does."""

    def up(self) -> Rig:
        self.dead, self.elders = threading.Event(), {*threading.enumerate()}
        return super().up()

    def kill(self) -> None:
        """End the daemon where it is, and start another."""
        self.dead.set()
        self.down()
        for thread in {*threading.enumerate()} - self.elders:  # other tests leave jobs that never end
            if thread.name.startswith("job-"):
                thread.join(
                    2.0
                )  # one that waits for a harness touches nothing until it gives up, and dies then
        self.up()

    def _shared(self, services: Services) -> Shared:
        runtime, repos = self.runtime, self.repos
        self.runtime, self.repos = Mortal(runtime, self.dead), Mortal(repos, self.dead)  # type: ignore[assignment]
        try:
            return super()._shared(services)
        finally:
            self.runtime, self.repos = runtime, repos


class Life(RuleBasedStateMachine):
    """One agent, its manager and its operator, on a whole hive with real repositories.

    What a fault meets is up to the threads; so no rule has a precondition on what came of it, which Hypothesis could
    not repeat: a rule that does not apply does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.rig = MortalRig(Path(self.folder.name))
        self.rig.job_deadline = 3000.0
        self.quiet = Quiet()
        self.quiet.__enter__()
        self.rig.up()
        self.rig.settled("manager")
        self.rig.spawn(NAME)
        self.numbers = itertools.count()
        self.ids: list[int] = []
        born = self.rig.record(NAME)
        self.first, self.configs = born.built_commit, {born.built_commit: born.built_config}
        self.crashes = 0
        self.faulty = False

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.rig.end()
            self.quiet.__exit__()
            self.folder.cleanup()

    # -- what the manager does

    @rule(ttl=st.sampled_from([None, 3600.0]), again=st.booleans())
    def submit(self, ttl: float | None, again: bool) -> None:
        before = [id for id in self.ids if state(self.rig, id) is State.PENDING]
        sha = approval(self.rig, before[-1]).sha if before and again else None
        if sha is None:
            config = f'model = "m{next(self.numbers)}"\n'
            sha = commit(self.rig, NAME, config)
            self.configs[sha] = config
        try:
            view = submit(self.rig, Kind.APPLY_COMMIT, NAME, sha, ttl=ttl)
        except Broken:
            assert self.faulty
            return
        if before and again:
            assert view.id == before[-1]
            return
        self.ids.append(view.id)
        assert [id for id in self.ids if state(self.rig, id) is State.PENDING] == [view.id]
        assert all(state(self.rig, id) is State.SUPERSEDED for id in before)

    # -- what the operator does, at one door or at several at once

    @rule(back=st.integers(0, 3), said=st.lists(SAID, min_size=1, max_size=4))
    def decide(self, back: int, said: list[Said]) -> None:
        if not self.ids:
            return
        id = self.ids[-1 - min(back, len(self.ids) - 1)]
        waited = state(self.rig, id) is State.PENDING
        replies = self._say_at_once(id, said)
        done: list[Said] = []
        for word, reply in zip(said, replies, strict=True):
            try:
                reply.get(30)
                done.append(word)
            except Refused as refusal:
                assert "was decided already: " in refusal.message
            except Broken:
                assert self.faulty
        assert len(done) <= int(waited)
        if done:
            assert state(self.rig, id) in BECOMES[done[0]]
        elif waited:
            assert self.faulty

    def _say_at_once(self, id: int, said: list[Said]) -> list[Waiter[ApprovalView]]:
        replies = [Waiter[ApprovalView]() for _ in said]
        together = threading.Barrier(len(said))

        def say(word: Said, reply: Waiter[ApprovalView]) -> None:
            together.wait(60)
            message = (
                Withdraw(id, "manager", "mcp", reply)
                if word == "withdraw"
                else Decide(id, word, "because", "operator", "dashboard", reply)
            )
            self.rig.tree.services.gatekeeper.tell(message)

        threads = [threading.Thread(target=say, args=pair) for pair in zip(said, replies, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return replies

    # -- what happens meanwhile

    @rule()
    def expire(self) -> None:
        due = [view for view in self.rig.database.reader().approvals.pending() if view.deadline is not None]
        for view in due:
            assert view.deadline is not None
            self.rig.watcher.advance((view.deadline - self.rig.now()).total_seconds() + 1)
            self._wait_for(lambda view=view: state(self.rig, view.id) is State.EXPIRED)  # type: ignore[misc]  # binds

    @rule()
    def the_next_start_fails(self) -> None:
        self.rig.runtime.fail_next_start = "no room"

    @rule()
    def the_next_commit_fails(self) -> None:
        """The disk refuses once, whatever is being written."""
        database, refuse = self.rig.database, iter([True])
        real = type(database).commit

        def commit() -> None:
            if next(refuse, False):
                database.rollback()
                raise Broken("no space left")
            real(database)

        database.commit = commit  # type: ignore[method-assign]  # the seam for faults
        self.faulty = True

    def _disk_works(self) -> None:
        vars(self.rig.database).pop("commit", None)

    @rule(post=st.sampled_from([NAME, "#gatekeeper", "#store"]))
    def an_actor_crashes(self, post: str) -> None:
        if self.crashes == MAX_CRASHES:
            return
        found = self.rig.tree.roster.get(post)
        assert found is not None
        before, self.faulty = found.restarts, True
        self.crashes += 1
        if post == NAME:
            self._wait_for(lambda: getattr(found.address.actor, "_begun", False))
            self.rig.crash_actor(NAME)
        else:
            found.address.tell(_POISON[post])
        self._wait_for(lambda: found.restarts > before and found.address.actor is not None)

    @rule()
    def the_container_crashes(self) -> None:
        if self.crashes == MAX_CRASHES:
            return
        self.crashes += 1
        self.rig.runtime.crash(NAME)

    @rule()
    def the_daemon_restarts(self) -> None:
        self.rig.kill()
        self.faulty = False

    @rule()
    def come_to_rest(self) -> None:
        """Everything that is under way ends; then all of it agrees."""
        rig = self.rig
        rig.runtime.fail_next_start = None
        self._disk_works()
        self._wait_for(lambda: rig.database.reader().approvals.to_build(NAME) is None and _rests(rig))
        rig.flush()
        self.faulty = False
        self._check_approvals()
        self._check_what_runs()

    def _wait_for(self, predicate: Callable[[], object]) -> None:
        """Let time pass, but not so fast that a build seems to hang."""

        def passed() -> object:
            self.rig.watcher.advance(0.25)
            return predicate()

        try:
            eventually(passed, 60.0)
        except AssertionError as error:
            raise AssertionError(f"{self.rig.view(NAME)!r}\n{self.rig.record(NAME)!r}") from error

    # -- what holds

    def _check_approvals(self) -> None:
        rig = self.rig
        events = rig.database.reader().events.after(0, 10_000, frozenset({"approval_resolved"}))
        told = Counter(json.loads(event.text)["id"] for event in events)
        for id in self.ids:
            view = approval(rig, id)
            assert view.state in ENDED | {State.PENDING}
            assert told[id] == int(view.state is not State.PENDING), view
            self._wait_for(lambda id=id: tagged(rig, NAME, id) == expected(rig, id))  # type: ignore[misc]  # binds
        assert set(told) <= set(self.ids)
        pending = [id for id in self.ids if state(rig, id) is State.PENDING]
        assert [view.id for view in rig.tree.board.snapshot.approvals] == pending
        assert len(pending) <= 1

    def _check_what_runs(self) -> None:
        rig, record = self.rig, self.rig.record(NAME)
        events = rig.database.reader().events.after(0, 10_000, frozenset({"config_applied"}))
        deployed = [json.loads(event.text)["sha"] for event in events if event.agent == NAME]
        ended = [view for view in map(rig.database.reader().approvals.get, self.ids) if view is not None]
        assert deployed == [view.sha for view in ended if view.state is State.DEPLOYED]
        assert rig.repos.main(NAME) == record.built_commit == [self.first, *deployed][-1]
        assert record.built_config == self.configs[record.built_commit]
        assert git(rig, NAME, "show", "main:agent.toml", where="applied") == record.built_config.strip()
        assert rig.layout.agent(NAME).config.read_text() == record.built_config
        launched = [spec for spec in rig.runtime.starts if spec.name == NAME][-1].argv[-1]
        assert launched.endswith(f"generations/{record.generation}/launch.json")
        assert json.loads(Path(launched).read_text())["model"] in record.built_config


def _rests(rig: Rig) -> bool:
    """Whether nothing is under way with the agent, and it runs; the operator lifts a quarantine."""
    view = rig.view(NAME)
    if view.quarantined and not view.transient:
        rig.address(NAME).tell(Operate(Transient.STARTING, "operator"))
    alive = [handle.pid for handle in rig.runtime.running(NAME)]
    return alive == [view.pid] and view.ready and not view.transient


def _exit(_: Tx) -> None:
    raise SystemExit(1)


_POISON: dict[str, object] = {
    "#store": Write(_exit),
    "#gatekeeper": Decide([], "deny", "", "operator"),  # type: ignore[arg-type]  # what fails is that it cannot be looked up
}


class TestLife(Life.TestCase):  # type: ignore[misc, valid-type]  # made by hypothesis
    """A few lives, with every test."""

    settings = settings(max_examples=5, stateful_step_count=10, deadline=None)


@pytest.mark.e2e
@pytest.mark.timeout(600)
class TestManyLives(Life.TestCase):  # type: ignore[misc, valid-type]  # made by hypothesis
    """Many and longer ones."""

    settings = settings(max_examples=25, stateful_step_count=20, deadline=None, phases=_AS_FOUND)
