"""The hive as its record has it: what is shown before any actor runs."""

from hyperhive.actors.board import Board
from hyperhive.actors.painting import Painter
from tests.actors.rig import Rig


def painted(rig: Rig) -> Board:
    reader = rig.database.reader()
    painter = Painter(database=rig.database, layout=rig.layout, runtime=rig.runtime, now=rig.now)
    board = Board(hive=rig.tree.board.hive, seq=reader.events.newest())
    board.apply((), (*painter.agents(), *painter.sections(board)))
    return board


def test_what_is_recorded_is_painted_as_the_actors_have_it(rig: Rig) -> None:
    rig.spawn("alice")
    rig.settled("alice")
    rig.send("operator", "manager")
    rig.send("alice", "operator", "done")
    rig.flush()
    mine, theirs = painted(rig).snapshot, rig.tree.board.snapshot
    assert [agent.name for agent in mine.agents] == ["manager", "alice"]
    assert (mine.seq, mine.inbox, mine.questions, mine.approvals) == (
        theirs.seq,
        theirs.inbox,
        theirs.questions,
        theirs.approvals,
    )
    for one, other in zip(mine.agents, theirs.agents, strict=True):
        assert (one.inbox_depth, one.login, one.revision) == (other.inbox_depth, other.login, other.revision)


def test_whether_a_container_still_runs_is_not_claimed_before_somebody_has_looked(rig: Rig) -> None:
    manager = painted(rig).agent("manager")
    assert manager is not None
    assert (manager.container, manager.ready) == ("unknown", False)
    assert rig.view("manager").container == "running"
