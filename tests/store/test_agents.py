"""Agents are rows of incarnations; a destroyed one may be kept."""

import pytest

from hyperhive.domain.axes import Axes, Container, Login, Revision, Transient
from hyperhive.domain.records import Handle, Intended
from hyperhive.errors import Gone, Refused, Unknown
from hyperhive.store.database import Database
from tests.store.conftest import START, Clock


def test_an_agent_comes_back_as_it_was_saved(database: Database) -> None:
    with database.transaction() as tx:
        record = tx.agents.insert("alice", "agent", Intended.STOPPED)
    full = record._replace(
        intended=Intended.RUNNING,
        axes=Axes(Container.RUNNING, Login.LOGGED_IN, Revision.STALE, "boot-1"),
        transient=Transient.REBUILDING,
        transient_since=START,
        transient_by="operator",
        paused=True,
        quarantined="crash loop",
        last_error="exit status 3",
        handle=Handle("bubblewrap", 4711, 99, "boot-1"),
        generation=7,
        built_revision="abc",
        built_config="model = 'x'",
        model="sonnet",
        rejected_login="f00",
        session="s-1",
        acked_boot="h-1",
        acked_n=12,
        built_commit="c0ffee",
        warnings=("limits.cpus is not held here", "two"),
    )
    with database.transaction() as tx:
        tx.agents.save(full)
    assert database.reader().agents.get("alice") == full
    with database.transaction() as tx:
        tx.agents.save(record)
    assert database.reader().agents.all() == [record]


def test_a_name_is_one_agents_at_a_time(database: Database) -> None:
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.STOPPED)
        with pytest.raises(Refused, match="'alice' exists already; choose another name"):
            tx.agents.insert("alice", "agent", Intended.STOPPED)


def test_a_destroyed_agent_is_kept_until_it_is_spawned_again_or_forgotten(
    database: Database, clock: Clock
) -> None:
    with database.transaction() as tx:
        first = tx.agents.insert("alice", "agent", Intended.STOPPED)
        tx.agents.insert("bob", "agent", Intended.STOPPED)
        tx.agents.remove("alice", keep=True)
        tx.agents.remove("bob", keep=False)
        assert [(kept.name, kept.since) for kept in tx.agents.kept()] == [("alice", START)]
        assert tx.agents.get("alice") is None
        again = tx.agents.insert("alice", "agent", Intended.STOPPED)
        assert again.id > first.id
        assert tx.agents.kept() == []
        tx.agents.remove("alice", keep=True)
        tx.agents.forget("alice")
        assert tx.agents.kept() == []


def test_what_is_not_there_cannot_be_removed_or_saved(database: Database) -> None:
    with database.transaction() as tx:
        with pytest.raises(Unknown, match="no agent called 'alice'"):
            tx.agents.remove("alice", keep=True)
        old = tx.agents.insert("alice", "agent", Intended.STOPPED)
        tx.agents.remove("alice", keep=False)
        fresh = tx.agents.insert("alice", "agent", Intended.STOPPED)
        with pytest.raises(Gone, match="'alice' was destroyed"):
            tx.agents.save(old._replace(model="opus"))
        assert tx.agents.get("alice") == fresh
