"""A change goes to the database first; what could not be stored is known before anything is built on it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hyperhive.actors.address import Address
from hyperhive.actors.core import AgentMemory, Core, Then
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import TurnView
from hyperhive.errors import Broken, HiveError
from hyperhive.store.database import Tx
from tests.actors.rig import Rig


class Desk(Address):
    """Keeps what it is told until somebody comes for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept: list[object] = []

    def tell(self, message: object) -> None:
        self.kept.append(message)


class ByHand:
    """A core whose writes are run, and whose actor goes on, when it is said."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.writes, self.actor = Desk("writes"), Desk("actor")
        shared = replace(rig._at_work("alice")._core.shared, store=self.writes)
        memory = AgentMemory(turn=TurnView(state=TurnState.IDLE, since=rig.now()))
        self.core = Core(
            record=rig.record("alice"), open_turn=None, shared=shared, memory=memory, address=self.actor
        )
        memory.owner = self.core

    def store(self) -> None:
        """Run the oldest write."""
        self.rig.tree.services.store.tell(self.writes.kept.pop(0))
        self.rig.flush()

    def store_all(self) -> None:
        """Run every write."""
        while self.writes.kept:
            self.store()

    def go_on(self) -> None:
        """Have the actor deal with all that it was told."""
        while self.actor.kept:
            then = self.actor.kept.pop(0)
            assert isinstance(then, Then)
            then.call()


@pytest.fixture
def by_hand(rig: Rig) -> Iterator[ByHand]:
    rig.spawn("alice")
    with rig.busy("alice"):
        yield ByHand(rig)


def refuse(tx: Tx) -> None:
    raise Broken("no room")


def test_a_change_that_is_refused_late_undoes_none_that_was_built_on_what_was_read_again(
    by_hand: ByHand,
) -> None:
    core, failed = by_hand.core, list[BaseException]()
    core.commit(core.record, op=refuse)
    by_hand.store()
    by_hand.go_on()  # it asks for what is recorded
    core.commit(core.record._replace(last_error="never stored"), failed=failed.append)
    by_hand.store()
    by_hand.go_on()  # it goes on from there, before it hears of the second
    by_hand.store()
    by_hand.go_on()
    core.commit(core.record._replace(last_error="stored"))
    by_hand.store_all()
    by_hand.go_on()

    assert len(failed) == 1
    assert isinstance(failed[0], HiveError)
    assert core.record.last_error == by_hand.rig.record("alice").last_error == "stored"


def test_a_removal_that_fails_leaves_what_is_changed_behind_it_as_it_is_recorded(by_hand: ByHand) -> None:
    core = by_hand.core
    core.remove(refuse, lambda _: None)
    by_hand.store()
    by_hand.go_on()
    core.commit(core.record._replace(last_error="behind it"))
    by_hand.store_all()
    by_hand.go_on()
    while by_hand.writes.kept:
        by_hand.store()
        by_hand.go_on()

    assert core.record.last_error == by_hand.rig.record("alice").last_error
