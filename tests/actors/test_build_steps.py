"""The daemon dies at each step of a rebuild: a whole generation runs, what is told happened, tags agree."""

import shutil
import threading
from collections.abc import Callable
from typing import Any

import pytest

from hyperhive.actors.agent import Tick
from hyperhive.actors.build_log import BuildLog, Step
from hyperhive.actors.builder import Generation
from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.approvals import tags as tags_of
from hyperhive.domain.axes import Transient
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Tag
from hyperhive.repos.worktree import WorkTree
from tests.actors.proposing import approval, approve, draft, ended, tags
from tests.actors.rig import Rig
from tests.waiting import eventually

pytestmark = pytest.mark.slow

OPUS, HAIKU = 'model = "opus"\n', 'model = "haiku"\n'

STEPS = (
    *(
        Step.BEGUN,
        Step.TAGGED,
        Step.RENDERING,
        "draft written",
        Step.BUILT,
        Step.ENDING,
        "stopped",
        Step.ENDED,
    ),
    *(Step.STARTING, "started, unrecorded", Step.STARTED, Step.READY, "tagged", Step.DEPLOYED, Step.DONE),
)
"""Where the daemon dies: as the line of that step is said, or between two that have none."""


class Death:
    """The thread that comes to a step gets no further; what it was about is another daemon's to finish."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self._never = threading.Event()
        self._armed = True

    def here(self) -> None:
        if self._armed:
            self._armed = False
            self.came.set()
            self._never.wait()


def then(death: Death, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, and death behind it."""

    def dying(*args: Any, **more: Any) -> Any:
        result = call(*args, **more)
        death.here()
        return result

    return dying


@pytest.fixture
def death(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Death]:
    """Lets a job die at a step."""

    def at(step: str) -> Death:
        death = Death()
        say, tag = BuildLog.say, Repositories.tag

        def saying(log: BuildLog, said: Step, text: str = "") -> None:
            say(log, said, text)
            if said == step:
                death.here()

        def tagging(repos: Repositories, name: str, *, make: dict[str, Tag], **more: Any) -> None:
            tag(repos, name, make=make, **more)
            if any(key.startswith("deployed") for key in make):
                death.here()

        match step:
            case "draft written":
                copying = then(death, shutil.copyfile)
                monkeypatch.setattr("hyperhive.actors.builder.shutil.copyfile", copying)
            case "started, unrecorded":
                monkeypatch.setattr(rig.runtime, "start", then(death, rig.runtime.start))
            case "stopped":
                monkeypatch.setattr(rig.runtime, "stop", then(death, rig.runtime.stop))
            case "tagged":
                monkeypatch.setattr(Repositories, "tag", tagging)
            case _:
                monkeypatch.setattr(BuildLog, "say", saying)
        return death

    return at


def whole(rig: Rig, generation: int) -> None:
    """That generation runs, once, whole, and nothing half-made is left."""
    shown = rig.settled("alice")
    folder = rig.layout.agent("alice").generations
    assert shown.generation == generation
    assert (folder / str(generation) / "launch.json").is_file()
    assert (folder / str(generation) / "agent.toml").read_text() == rig.record("alice").built_config
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]
    assert [handle.pid for handle in rig.runtime.running("alice")] == [shown.pid]
    recorded = {view.number for view in rig.database.reader().generations.of("alice")}
    assert {int(entry.name) for entry in folder.iterdir()} <= recorded


def agreeing(rig: Rig, id: int) -> None:
    """The tags are those of the row, and ``main`` is what is recorded as deployed."""
    view = approval(rig, id)
    assert {tag for tag in tags(rig, "alice") if tag.endswith(f"/{id}")} == set(tags_of(id, view.state))
    assert rig.repos.main("alice") == rig.record("alice").built_commit


def die_at(rig: Rig, death: Death, begin: Callable[[], object]) -> None:
    """Begin something and end the daemon as it comes to the step; nothing is up yet."""
    begin()
    assert death.came.wait(60)
    rig.down()


@pytest.mark.parametrize("step", STEPS)
def test_an_approved_change_is_carried_out_by_the_next_daemon(
    rig: Rig, death: Callable[[str], Death], step: str
) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    rig.settled("alice")
    before = len(rig.told("alice"))
    die_at(rig, death(step), lambda: approve(rig, "alice", HAIKU))
    rig.up()
    view = ended(rig, 2)
    assert view.state is State.DEPLOYED
    assert rig.settled("alice").model == "haiku"
    whole(rig, rig.record("alice").generation)
    agreeing(rig, 2)
    assert {tag for tag in tags(rig, "alice") if tag.endswith("/1")} == set(tags_of(1, State.DEPLOYED))
    told = [kind for kind in rig.told("alice")[before:] if not kind.startswith("approval")]
    assert told == ["transient_set", "config_applied", "rebuilt", "transient_cleared"]


@pytest.mark.parametrize("step", ["draft written", "stopped", "started, unrecorded", "tagged", Step.DONE])
def test_an_approved_change_that_the_next_daemon_cannot_carry_out_leaves_what_ran(
    rig: Rig, death: Callable[[str], Death], step: str
) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    rig.settled("alice")
    before = len(rig.told("alice"))
    die_at(rig, death(step), lambda: approve(rig, "alice", HAIKU))
    rig.runtime.fail_next_start = "no such image"
    rig.up()
    assert ended(rig, 2).state is State.FAILED
    assert rig.settled("alice").model == "opus"
    whole(rig, 2)
    agreeing(rig, 2)
    told = [kind for kind in rig.told("alice")[before:] if not kind.startswith("approval")]
    assert told == ["transient_set", "rebuilt", "transient_cleared"]


@pytest.mark.parametrize("step", ["started, unrecorded", Step.STARTED, Step.DONE])
def test_an_approved_change_that_the_next_daemon_cannot_even_build_does_not_run_on(
    rig: Rig, death: Callable[[str], Death], step: str
) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    rig.settled("alice")
    file = rig.layout.environments / "bedrock.env"
    file.touch(mode=0o600)
    die_at(rig, death(step), lambda: approve(rig, "alice", 'environment = "bedrock"\n'))
    file.unlink()
    rig.up()
    assert ended(rig, 2).outcome.endswith("went back to generation 2")
    whole(rig, 2)
    agreeing(rig, 2)
    spec = [spec for spec in rig.runtime.starts if spec.name == "alice"][-1]
    assert rig.layout.agent("alice").generations / "2" in {bind.host for bind in spec.binds}


@pytest.mark.parametrize("step", [Step.BEGUN, Step.ENDED, "started, unrecorded", Step.DONE])
def test_going_back_to_a_generation_is_finished_by_the_next_daemon(
    rig: Rig, death: Callable[[str], Death], step: str
) -> None:
    rig.spawn("alice")
    for text in (OPUS, HAIKU):
        ended(rig, approve(rig, "alice", text).id)
        rig.settled("alice")
    died = death(step)
    die_at(rig, died, lambda: rig.operate(Transient.REBUILDING, "alice", generation=2))
    rig.up()
    eventually(lambda: rig.told("alice", "rebuilt") == ["rebuilt"] * 3)
    whole(rig, 2)
    assert rig.repos.main("alice") == approval(rig, 1).sha == rig.view("alice").commit
    assert "container_crash" not in rig.told("alice")


def test_a_draft_whose_daemon_died_as_it_was_deployed_and_that_fails_then_is_a_draft_as_before(
    rig: Rig, death: Callable[[str], Death]
) -> None:
    draft(rig, "alice")
    die_at(rig, death("tagged"), lambda: approve(rig, "alice", OPUS, Kind.SPAWN_COMMIT))
    assert rig.repos.main("alice") is not None
    rig.runtime.fail_next_start = "no such image"
    rig.up()
    assert ended(rig, 1).state is State.FAILED
    eventually(lambda: rig.tree.board.snapshot.drafts)
    assert rig.repos.main("alice") is None
    assert set(tags(rig, "alice")) == set(tags_of(1, State.FAILED))
    assert ended(rig, approve(rig, "alice", HAIKU, Kind.SPAWN_COMMIT).id).state is State.DEPLOYED
    whole(rig, 1)
    agreeing(rig, 2)


def test_two_approved_changes_are_both_carried_out_by_the_next_daemon(
    rig: Rig, death: Callable[[str], Death]
) -> None:
    rig.spawn("alice")
    died = death(Step.STARTED)
    die_at(rig, died, lambda: (approve(rig, "alice", OPUS), died.came.wait(60), approve(rig, "alice", HAIKU)))
    rig.up()
    assert [ended(rig, id).state for id in (1, 2)] == [State.DEPLOYED, State.DEPLOYED]
    assert rig.settled("alice").model == "haiku"
    agreeing(rig, 2)


def test_a_generation_that_could_not_be_recorded_is_recorded_once_it_can_be(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    failures = [OSError("no space"), OSError("no space")]
    insert = type(rig.database.begin().generations).insert
    rig.database.rollback()

    def failing(*args: object, **more: object) -> Generation:
        if failures:
            raise failures.pop()
        return insert(*args, **more)  # type: ignore[arg-type, return-value]  # handed through

    monkeypatch.setattr("hyperhive.store.generations.Generations.insert", failing)
    view = approve(rig, "alice", OPUS)
    rig.wait_for(lambda: approval(rig, view.id).state is State.DEPLOYED)
    whole(rig, 2)
    agreeing(rig, view.id)
    assert rig.told("alice", "rebuilt") == ["rebuilt"]


def test_a_change_that_is_half_way_into_its_folder_is_told_as_nothing_else(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``main`` is at its commit then, and the files are still those of the one before: it looks like an edit."""
    bring = WorkTree.bring

    def looked_at(tree: WorkTree, sha: str) -> None:
        rig.address("alice").tell(Tick())
        with rig.busy("alice"):  # it has looked
            bring(tree, sha)

    rig.spawn("alice")
    monkeypatch.setattr(WorkTree, "bring", looked_at)
    ended(rig, approve(rig, "alice", HAIKU).id)
    assert rig.settled("alice").model == "haiku"
    assert rig.told("alice", "needs_update", "config_applied") == ["config_applied"]
