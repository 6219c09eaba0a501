"""What an agent runs is a generation of an approved commit: built whole, gone back from, gone back to."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from hyperhive.actors.build_log import MAX_LOG, BuildLog, Growth, Step
from hyperhive.actors.builder import KEPT_GENERATIONS, Generation
from hyperhive.actors.deploying import Deploying
from hyperhive.actors.job import Job
from hyperhive.actors.layout import AgentPaths
from hyperhive.actors.removal import remove_tree
from hyperhive.actors.reply import Waiter
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import AgentRecord
from hyperhive.errors import Broken, Refused
from hyperhive.repos.git import Git
from tests.actors.proposing import approval, approve, commit, decide, draft, ended, git, submit, tags
from tests.actors.rig import Rig
from tests.waiting import eventually

pytestmark = pytest.mark.slow

OPUS, HAIKU = 'model = "opus"\n', 'model = "haiku"\n'


def launch(rig: Rig, name: str) -> dict[str, object]:
    """What the running generation handed to the harness."""
    folder = rig.layout.agent(name).generations / str(rig.record(name).generation)
    found: dict[str, object] = json.loads((folder / "launch.json").read_text())
    return found


def test_an_approved_commit_is_built_deployed_tagged_and_told(rig: Rig) -> None:
    rig.spawn("alice")
    view = ended(rig, approve(rig, "alice", OPUS, prompt="You like rivers.").id)
    assert view.state is State.DEPLOYED and view.sha is not None
    shown = rig.settled("alice")
    assert (shown.model, shown.commit, shown.generation, shown.revision) == (
        "opus",
        view.sha,
        2,
        "up-to-date",
    )
    assert rig.repos.main("alice") == view.sha
    assert tags(rig, "alice") == dict.fromkeys(
        ("proposal/1", "approved/1", "building/1", "deployed/1"), view.sha
    )
    assert launch(rig, "alice")["prompt"] == "You like rivers."
    told = rig.told("alice")
    assert told[told.index("approval_resolved") :] == [
        *("approval_resolved", "transient_set", "config_applied", "rebuilt", "transient_cleared"),
    ]
    assert (rig.layout.agent("alice").config).read_text() == OPUS
    row = rig.database.reader().generations.get("alice", 2)
    assert row is not None and (row.approval, row.summary, row.by) == (1, "Change alice", "operator")


def test_a_commit_that_does_not_come_up_fails_and_the_old_generation_runs(rig: Rig) -> None:
    rig.spawn("alice")
    before = rig.record("alice")
    rig.runtime.fail_next_start = "no such image"
    view = ended(rig, approve(rig, "alice", OPUS).id)
    assert (view.state, view.outcome) == (State.FAILED, "no such image; went back to generation 1")
    shown = rig.settled("alice")
    assert (shown.model, shown.generation, shown.revision) == ("sonnet", 1, "up-to-date")
    assert shown.last_error == "Rebuild failed: no such image; went back to generation 1"
    assert rig.repos.main("alice") == before.built_commit
    assert set(tags(rig, "alice")) == {"proposal/1", "approved/1", "building/1", "failed/1"}
    said = git(
        rig.layout.agent("alice").applied, "for-each-ref", "--format=%(contents)", "refs/tags/failed/1"
    )
    assert "no such image" in said
    assert rig.record("alice").built_commit == before.built_commit
    assert [entry.name for entry in rig.layout.agent("alice").generations.iterdir()] == ["1"]
    assert "config_applied" not in rig.told("alice")
    later = ended(rig, approve(rig, "alice", HAIKU).id)
    assert later.state is State.DEPLOYED
    assert rig.settled("alice").last_error is None


def test_what_is_approved_for_a_stopped_agent_is_built_and_not_started(rig: Rig) -> None:
    rig.spawn("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    view = ended(rig, approve(rig, "alice", OPUS).id)
    assert view.state is State.DEPLOYED
    eventually(lambda: rig.view("alice").model == "opus")
    assert rig.view("alice").container == "stopped"
    assert rig.operate(Transient.STARTING, "alice").get(60).ok
    assert launch(rig, "alice")["model"] == "opus"


def test_what_is_approved_while_a_build_runs_waits_its_turn_and_both_have_their_own_outcome(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    first = approve(rig, "alice", OPUS)
    eventually(lambda: rig.runtime.hang_next is None)
    second = approve(rig, "alice", HAIKU)
    gate.set()
    assert [ended(rig, view.id).state for view in (first, second)] == [State.DEPLOYED, State.DEPLOYED]
    assert rig.settled("alice").model == "haiku"
    assert rig.repos.main("alice") == second.sha
    assert rig.told("alice", "rebuilt", "config_applied") == ["config_applied", "rebuilt"] * 2


def test_what_is_approved_while_the_agent_is_restarted_is_built_after_that(rig: Rig) -> None:
    rig.spawn("alice")
    rig.runtime.hang_next = gate = threading.Event()
    rig.operate(Transient.RESTARTING, "alice")
    view = approve(rig, "alice", OPUS)
    gate.set()
    assert ended(rig, view.id).state is State.DEPLOYED


def test_a_draft_comes_to_life_from_its_approved_commit(rig: Rig) -> None:
    draft(rig, "bob")
    view = ended(rig, approve(rig, "bob", OPUS, Kind.SPAWN_COMMIT).id)
    assert (view.state, view.sha) == (State.DEPLOYED, rig.repos.main("bob"))
    assert rig.settled("bob").model == "opus"
    assert rig.repos.first("bob") is None
    assert rig.told("bob", "spawned", "config_applied") == ["config_applied", "spawned"]


def test_a_draft_whose_first_build_fails_is_a_draft_again(rig: Rig) -> None:
    draft(rig, "bob")
    rig.runtime.fail_next_start = "no such image"
    view = ended(rig, approve(rig, "bob", OPUS, Kind.SPAWN_COMMIT).id)
    assert (view.state, view.outcome) == (State.FAILED, "no such image")
    eventually(lambda: rig.tree.board.agent("bob") is None and rig.tree.roster.get("bob") is None)
    assert [known.name for known in rig.tree.board.snapshot.drafts] == ["bob"]
    assert rig.tree.board.snapshot.kept == ()
    assert rig.told("bob")[-2:] == ["spawned", "transient_cleared"]
    assert rig.repos.main("bob") is None
    assert ended(rig, approve(rig, "bob", HAIKU, Kind.SPAWN_COMMIT).id).state is State.DEPLOYED
    rig.settled("bob")


@pytest.mark.parametrize("drafted", [True, False])
def test_a_first_build_that_cannot_be_deployed_leaves_no_container(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, drafted: bool
) -> None:
    def refuse(self: Deploying, job: Job, record: AgentRecord, made: Generation) -> None:
        raise Broken("no space left")

    monkeypatch.setattr(Deploying, "deployed", refuse)
    if drafted:
        draft(rig, "bob")
    sha = commit(rig, "bob", OPUS) if drafted else None
    view = decide(rig, submit(rig, "bob", sha, Kind.SPAWN_COMMIT if drafted else Kind.SPAWN).id)
    assert ended(rig, view.id).outcome == "no space left"
    assert "bob" in {spec.name for spec in rig.runtime.starts}
    # One that was not drafted is tried again at once: there is none between two tries.
    eventually(lambda: rig.runtime.find(rig.layout.agent("bob").container, None) is None)
    if not drafted:
        monkeypatch.undo()
        rig.comes_back("bob")


def test_a_build_that_fails_before_there_is_a_folder_says_why(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.spawn("alice")
    rig.config("alice", OPUS)
    monkeypatch.setattr(type(rig.layout.agent("alice")), "create", _no_room)
    remove_tree(rig.layout.agent("alice").generations)
    result = rig.operate(Transient.REBUILDING, "alice").get(60)
    assert (result.ok, result.note) == (False, "OSError: [Errno 28] No space left on device")


def _no_room(paths: AgentPaths) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_approved_spawn_is_built_from_the_first_config_and_knows_its_commit(rig: Rig) -> None:
    view = ended(rig, decide(rig, submit(rig, "bob", None, Kind.SPAWN).id).id)
    assert view.state is State.DEPLOYED
    assert view.sha == rig.repos.first("bob") == rig.repos.main("bob")
    assert "deployed/1" in tags(rig, "bob")


def test_an_edit_by_hand_shows_as_stale_and_update_commits_it_as_the_operators(rig: Rig) -> None:
    rig.spawn("alice")
    rig.config("alice", OPUS)
    eventually(lambda: rig.view("alice").revision == "stale")
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    assert rig.settled("alice").revision == "up-to-date"
    (last,) = rig.repos.log("alice", limit=1)
    assert (last.author, last.summary, last.sha) == ("operator", "Edited by hand", rig.view("alice").commit)
    assert rig.told("alice", "config_applied", "rebuilt") == ["config_applied", "rebuilt"]


def test_a_commit_by_hand_on_main_is_built_by_the_next_update(rig: Rig) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    applied = rig.layout.agent("alice").applied
    (applied / "agent.toml").write_text(HAIKU)
    git(applied, "commit", "--quiet", "--all", "--message", "Mine")
    assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    shown = rig.settled("alice")
    assert (shown.model, shown.commit) == ("haiku", git(applied, "rev-parse", "HEAD"))


def test_a_failed_approval_leaves_a_commit_by_hand_on_main(rig: Rig) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    applied = rig.layout.agent("alice").applied
    git(applied, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    mine = git(applied, "rev-parse", "HEAD")
    rig.runtime.fail_next_start = "no such image"
    assert ended(rig, approve(rig, "alice", HAIKU).id).state is State.FAILED
    assert rig.repos.main("alice") == mine


def test_an_update_that_changes_nothing_runs_no_git(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    rig.settled("alice")

    def refuse(*_: object, **__: object) -> bytes:
        raise AssertionError("git runs")

    monkeypatch.setattr(Git, "run", refuse)
    assert rig.operate(Transient.REBUILDING, "alice").get(60).note == "nothing to change"


def test_agents_are_spawned_by_the_operator_without_a_git_process_each(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []
    run = Git.run

    def count(self: Git, *args: str, **more: object) -> bytes:
        ran.append(args)
        return run(self, *args, **more)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(Git, "run", count)
    for number in range(5):
        rig.spawn(f"a{number}")
    assert ran == []  # the first commit was read when the manager was built


def test_an_agent_whose_repository_is_damaged_runs_on_and_its_build_says_what_is_wrong(rig: Rig) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    main = rig.layout.agent("alice").applied / ".git/refs/heads/main"
    commit = main.read_text()
    rig.down()
    main.write_text("nonsense")
    rig.up()
    eventually(lambda: rig.view("alice").container == "running")
    assert rig.view("alice").model == "opus"
    assert rig.operate(Transient.RESTARTING, "alice").get(60).ok
    result = rig.operate(Transient.REBUILDING, "alice").get(60)
    assert not result.ok
    assert "holds no commit; restore it" in result.note
    assert rig.restarts("alice") == 0
    main.write_text(commit)
    rig.operate(Transient.REBUILDING, "alice").get(60)
    eventually(lambda: rig.view("alice").revision == "up-to-date")


# -- going back


def _deploy(rig: Rig, *configs: str) -> None:
    for text in configs:
        assert ended(rig, approve(rig, "alice", text).id).state is State.DEPLOYED
        rig.settled("alice")


def test_an_agent_goes_back_to_an_earlier_generation_as_it_was_built(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS, HAIKU)
    result = rig.operate(Transient.REBUILDING, "alice", generation=2).get(60)
    assert (result.ok, result.note) == (True, "went back to generation 2")
    shown = rig.settled("alice")
    assert (shown.generation, shown.model, shown.revision) == (2, "opus", "up-to-date")
    assert rig.repos.main("alice") == shown.commit == approval(rig, 1).sha
    assert rig.layout.agent("alice").config.read_text() == OPUS
    assert rig.told("alice", "config_applied", "rebuilt")[-2:] == ["config_applied", "rebuilt"]
    current = [view.number for view in rig.database.reader().generations.of("alice") if view.current]
    assert current == [2]
    _deploy(rig, 'model = "opus-2"\n')
    assert rig.view("alice").generation == 4


def test_an_earlier_generation_that_does_not_come_up_is_left_again(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS)
    rig.runtime.fail_next_start = "no such image"
    result = rig.operate(Transient.REBUILDING, "alice", generation=1).get(60)
    assert (result.ok, result.note) == (False, "no such image; went back to generation 2")
    assert rig.settled("alice").generation == 2
    assert rig.repos.main("alice") == approval(rig, 1).sha


def test_going_back_to_what_lacks_its_environment_ends_nothing(rig: Rig) -> None:
    rig.spawn("alice")
    file = rig.layout.environments / "bedrock.env"
    file.touch(mode=0o600)
    _deploy(rig, 'environment = "bedrock"\n')
    _deploy(rig, OPUS)
    file.unlink()
    pid = rig.settled("alice").pid
    result = rig.operate(Transient.REBUILDING, "alice", generation=2).get(60)
    assert not result.ok
    assert f"there is no {file}" in result.note
    assert "went back" not in result.note
    after = rig.settled("alice")
    assert (after.pid, after.generation) == (pid, 3)


def test_going_back_to_what_runs_or_is_not_there_is_refused_with_what_there_is(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS)
    with pytest.raises(Refused, match="runs generation 2 already"):
        rig.operate(Transient.REBUILDING, "alice", generation=2)
    with pytest.raises(Refused, match="'alice' has no generation 7, or not any more; there are: 1"):
        rig.operate(Transient.REBUILDING, "alice", generation=7)


def test_going_back_joins_no_update_and_waits_for_it(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS)
    rig.config("alice", HAIKU)
    rig.runtime.hang_next = gate = threading.Event()
    update = rig.operate(Transient.REBUILDING, "alice")
    back = rig.operate(Transient.REBUILDING, "alice", generation=1)
    gate.set()
    assert update.get(60).ok
    assert back.get(60).note == "went back to generation 1"
    assert rig.settled("alice").generation == 1


def test_a_stopped_agent_goes_back_without_being_started(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS)
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    assert rig.operate(Transient.REBUILDING, "alice", generation=1).get(60).ok
    eventually(lambda: rig.view("alice").generation == 1)
    assert rig.view("alice").container == "stopped"


def test_the_newest_generations_are_kept_and_the_one_that_runs(rig: Rig) -> None:
    rig.spawn("alice")
    rig.operate(Transient.STOPPING, "alice").get(60)
    for number in range(KEPT_GENERATIONS + 2):
        rig.config("alice", f'model = "m{number}"\n')
        assert rig.operate(Transient.REBUILDING, "alice").get(60).ok
    folders = sorted(int(entry.name) for entry in rig.layout.agent("alice").generations.iterdir())
    assert folders == list(range(8 - KEPT_GENERATIONS, 9))[-KEPT_GENERATIONS - 1 :]
    assert len(rig.database.reader().generations.of("alice")) == KEPT_GENERATIONS + 3


# -- what is rendered


def test_limits_and_environment_reach_the_container_and_what_does_not_hold_is_said(rig: Rig) -> None:
    rig.spawn("alice")
    file = rig.layout.environments / "bedrock.env"
    rig.runtime._holds = frozenset({"cpus"})
    file.write_text("AWS_REGION=eu\nAWS_SECRET=hush\n")
    file.chmod(0o600)
    text = 'environment = "bedrock"\n[limits]\nmemory = "4G"\ncpus = 2.0\n'
    ended(rig, approve(rig, "alice", text).id)
    shown = rig.settled("alice")
    spec = [spec for spec in rig.runtime.starts if spec.name == "alice"][-1]
    assert (spec.limits.memory, spec.limits.cpus) == ("4G", 2.0)
    (bound,) = [bind for bind in spec.binds if bind.host == file]
    assert not bound.writable
    assert launch(rig, "alice")["environment"] == str(file)
    assert shown.warnings == rig.runtime.unheld(spec.limits) != ()
    events = rig.database.reader().events.after(0, 1000, frozenset({"rebuilt"}))
    assert shown.warnings[0].rstrip(".") in json.loads(events[-1].text)["note"]
    log = rig.layout.agent("alice").build_log.read_text()
    assert shown.warnings[0] in log
    assert "hush" not in log + json.dumps(launch(rig, "alice")) + str(spec)


def test_an_environment_file_that_is_gone_since_fails_the_start_with_what_to_do(rig: Rig) -> None:
    rig.spawn("alice")
    file = rig.layout.environments / "bedrock.env"
    file.touch(mode=0o600)
    ended(rig, approve(rig, "alice", 'environment = "bedrock"\n').id)
    rig.settled("alice")
    assert rig.operate(Transient.STOPPING, "alice").get(60).ok
    file.unlink()
    result = rig.operate(Transient.STARTING, "alice").get(60)
    assert not result.ok
    assert f"there is no {file}" in result.note


def test_every_agent_commits_in_its_own_name_and_the_manager_is_shown_everybody(rig: Rig) -> None:
    rig.spawn("alice")
    specs = {spec.name: spec for spec in rig.runtime.starts}
    assert specs["alice"].env["GIT_AUTHOR_EMAIL"] == "alice@hive"
    assert specs["alice"].env["GIT_COMMITTER_NAME"] == "alice"
    assert not specs["alice"].shares and "HYPERHIVE_AGENTS" not in specs["alice"].env
    manager = specs["manager"]
    folder = rig.runtime.shared(rig.layout.agent("manager").container)
    assert manager.shares
    assert manager.env["HYPERHIVE_AGENTS"] == launch(rig, "manager")["agents"] == str(folder)
    eventually(lambda: (folder / "alice/config/agent.toml").is_file())
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    eventually(lambda: not (folder / "alice").exists())


# -- what a build says


def test_a_build_says_each_step_what_the_container_said_and_how_it_ended(rig: Rig) -> None:
    rig.spawn("alice")
    ended(rig, approve(rig, "alice", OPUS).id)
    lines = rig.layout.agent("alice").build_log.read_text().splitlines()
    steps = [line.partition("] ")[2].partition(":")[0] for line in lines if line.startswith("[")]
    assert steps == [
        *(Step.BEGUN, Step.TAGGED, Step.RENDERING, Step.BUILT, Step.ENDING, Step.ENDED, Step.STARTING),
        *(Step.STARTED, Step.READY, Step.DEPLOYED, Step.DONE),
    ]
    assert lines[-1].endswith("done: generation 2 runs")
    rig.runtime.fail_next_start = "no such image"
    ended(rig, approve(rig, "alice", HAIKU).id)
    text = rig.layout.agent("alice").build_log.read_text()
    assert "done: failed: no such image; went back to generation 2" in text.splitlines()[-1]
    assert "generation 2 runs" not in text


def test_a_build_that_waits_for_a_place_says_so(rig: Rig) -> None:
    rig.spawn("alice")
    places = rig.tree._shared.operations.places
    for _ in range(places.total):
        places.acquire()
    view = approve(rig, "alice", OPUS)
    log = rig.layout.agent("alice").build_log
    eventually(lambda: "waiting: for a place: 4 of 4 builds run" in log.read_text())
    for _ in range(places.total):
        places.release()
    assert ended(rig, view.id).state is State.DEPLOYED


def test_a_build_log_is_bounded_and_still_says_how_it_ended(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "build.log")
    log.say(Step.ENDED, "is not said before it began")
    log.begin("test")
    for _ in range(50):
        log.quote("x" * 100_000 + "\x1b[31m\n" + "y" * 20_000)
        log.quote("line\n" * 2_000)
    log.say(Step.DONE, "all\nis well")
    text = (tmp_path / "build.log").read_text()
    assert len(text) <= MAX_LOG
    assert text.splitlines()[-1].endswith("done: all is well")
    assert "\x1b" not in text


def test_a_build_log_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "build.log").symlink_to(tmp_path / "elsewhere")
    log = BuildLog(tmp_path / "build.log")
    log.begin("test")
    log.quote("said")
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_container_says_is_told_apart_from_what_the_one_before_it_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("said by the one before\n")
    said = Growth(log)
    assert (said.read(), said.last) == ("", [])
    with log.open("a") as file:
        file.write("".join(f"line {n}\n" for n in range(7)) + "Kil")
    assert said.read() == "".join(f"line {n}\n" for n in range(7))
    assert said.read(rest=True) == "Kil"
    assert said.last == ["line 3", "line 4", "line 5", "line 6", "Kil"]


# -- the end of an agent


def test_destroying_ends_what_was_asked_for_and_measures_what_is_kept(rig: Rig) -> None:
    rig.spawn("alice")
    waiting = submit(rig, "alice", commit(rig, "alice", OPUS))
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    assert approval(rig, waiting.id).state is State.WITHDRAWN
    eventually(lambda: "withdrawn/1" in tags(rig, "alice"))
    (kept,) = rig.tree.board.snapshot.kept
    assert kept.size is not None and kept.size > 10_000


def test_destroying_with_purge_forgets_the_generations(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS)
    assert rig.operate(Transient.DESTROYING, "alice", purge=True).get(60).ok
    assert rig.database.reader().generations.of("alice") == []
    rig.spawn("alice")
    assert rig.view("alice").generation == 1
    assert rig.view("alice").model == "sonnet"


def test_a_kept_agent_comes_back_as_it_was_deployed(rig: Rig) -> None:
    rig.spawn("alice")
    _deploy(rig, OPUS)
    assert rig.operate(Transient.DESTROYING, "alice").get(60).ok
    eventually(lambda: rig.tree.roster.get("alice") is None)
    rig.spawn("alice")
    assert (rig.view("alice").model, rig.view("alice").generation) == ("opus", 3)
    accepted: Waiter[Accepted] = Waiter()
    rig.address("alice").tell(Operate(Transient.REBUILDING, "operator", generation=1, reply=accepted))
    accepted.get(60)
    eventually(lambda: rig.view("alice").generation == 1)
