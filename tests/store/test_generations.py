"""Generations are recorded with what they were built from, and their rows are bounded."""

from hyperhive.domain.records import Intended
from hyperhive.store.database import Database, Tx
from hyperhive.store.generations import MAX_GENERATIONS, GenerationRow
from tests.store.conftest import START


def made(tx: Tx, agent: str, number: int, **more: str) -> GenerationRow:
    fields = {
        "by": "operator",
        "revision": f"1-{number}",
        "commit": f"c{number}",
        "config": "",
        "model": "opus",
    }
    return tx.generations.insert(agent, number, **{**fields, **more})  # type: ignore[arg-type]  # all are text


def test_a_generation_comes_back_as_it_was_made(database: Database) -> None:
    with database.transaction() as tx:
        tx.generations.insert(
            "alice",
            3,
            by="operator",
            revision="1-abc",
            commit="abc",
            summary="Use opus",
            config="model = 'opus'",
            model="opus",
            warnings=("no limits here",),
            approval=7,
        )
    row = database.reader().generations.get("alice", 3)
    assert row is not None
    assert (row.made, row.config, row.model, row.warnings) == (
        *(START, "model = 'opus'", "opus", ("no limits here",)),
    )
    view = database.reader().generations.of("alice")[0]
    assert (view.number, view.commit, view.summary, view.approval, view.by) == (
        *(3, "abc", "Use opus", 7, "operator"),
    )
    assert not view.current
    assert database.reader().generations.get("alice", 4) is None


def test_the_one_that_runs_is_marked_and_one_made_again_is_replaced(database: Database) -> None:
    with database.transaction() as tx:
        record = tx.agents.insert("alice", "agent", Intended.RUNNING)
        made(tx, "alice", 1)
        made(tx, "alice", 2)
        made(tx, "bob", 1)
        made(tx, "alice", 2, commit="other")
        tx.agents.save(record._replace(generation=1, built_commit="c1", warnings=("a", "b")))
        views = tx.generations.of("alice")
        assert [(view.number, view.commit, view.current) for view in views] == [
            (2, "other", False),
            (1, "c1", True),
        ]
        tx.generations.forget("alice")
        assert tx.generations.of("alice") == []
        assert len(tx.generations.of("bob")) == 1


def test_the_newest_rows_of_each_agent_are_kept(database: Database) -> None:
    with database.transaction() as tx:
        made(tx, "bob", 1)
        for number in range(1, MAX_GENERATIONS + 6):
            made(tx, "alice", number)
        numbers = [view.number for view in tx.generations.of("alice")]
        assert numbers == list(range(MAX_GENERATIONS + 5, 5, -1))
        assert len(tx.generations.of("bob")) == 1
