"""The broker against a model: at least once, in order per sender and recipient, whatever crashes or leaves."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hyperhive.actors.broker import Expire, Recv, Send, Undelivered
from hyperhive.actors.hub import Committed
from hyperhive.actors.reply import Waiter
from hyperhive.actors.store import Write
from hyperhive.domain.messages import Message
from hyperhive.domain.records import Intended
from hyperhive.errors import HiveError
from hyperhive.store.database import Tx
from tests.actors.rig import Quiet, Rig
from tests.examples import examples
from tests.waiting import eventually

NAMES = ("ann", "bea")
SENDERS = ("operator", "ann", "bea")


class Delivery(RuleBasedStateMachine):
    """Agents without containers; the test takes their mail by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.rig = Rig(Path(self.folder.name))
        self.quiet = Quiet()
        self.quiet.__enter__()
        self.rig.up()
        self.rig.settled("manager")  # whose build would still write while the folder is removed
        for name in NAMES:
            self.rig.write(lambda tx, n=name: tx.agents.insert(n, "agent", Intended.STOPPED))  # type: ignore[misc]  # binds
        self.sent: dict[tuple[str, str], list[int]] = {}
        self.got: dict[str, list[int]] = {name: [] for name in NAMES}
        self.waiting: list[tuple[str, int, Waiter[tuple[Message, ...]]]] = []

    def teardown(self) -> None:
        for name in NAMES:
            while taken := self._recv(name, 32, 0.0).get(60):
                self._arrived(name, taken)
        self._collect()
        for (sender, to), ids in self.sent.items():
            got = [id for id in self.got[to] if id in ids]
            assert got == ids, f"{sender} to {to}"
        self.rig.end()
        self.quiet.__exit__()
        self.folder.cleanup()

    @rule(sender=st.sampled_from(SENDERS), to=st.sampled_from(NAMES))
    def send(self, sender: str, to: str) -> None:
        reply: Waiter[Message] = Waiter()
        self.rig.tree.services.broker.tell(Send(sender, to, "x", reply))
        try:
            self.sent.setdefault((sender, to), []).append(reply.get(60).id)
        except HiveError:
            assert sender == to
        self._collect()

    @rule(to=st.sampled_from(NAMES), limit=st.integers(1, 3))
    def peek(self, to: str, limit: int) -> None:
        self._arrived(to, self._recv(to, limit, 0.0).get(60))

    @rule(to=st.sampled_from(NAMES))
    def wait(self, to: str) -> None:
        self._recv(to, 1, 100.0)

    @rule()
    def leave(self) -> None:
        """A caller leaves; what was handed to it meanwhile goes back, as the bridge does it.

        No precondition: who still waits is up to the threads, which Hypothesis could not repeat.
        """
        if not self.waiting:
            return
        to, token, reply = self.waiting.pop(0)
        self.rig.tree.services.broker.tell(Expire(to, token))
        taken = reply.get(60)
        if taken:
            ids = tuple(message.id for message in taken)
            self.rig.tree.services.broker.tell(Undelivered(to, ids))
        self._settle()

    @rule(post=st.sampled_from(["#broker", "#store", "#hub"]))
    def crash(self, post: str) -> None:
        found = self.rig.tree.roster.get(post)
        assert found is not None
        before = found.restarts
        found.address.tell(_POISON[post])
        eventually(lambda: found.restarts > before)
        self.rig.wait_for(lambda: found.address.actor is not None)
        self._settle()

    def _recv(self, to: str, limit: int, wait: float) -> Waiter[tuple[Message, ...]]:
        token, reply = next(self.rig.tree.room.tokens), Waiter[tuple[Message, ...]]()
        self.rig.tree.services.broker.tell(Recv(token, to, limit, wait, reply))
        if wait:
            self.waiting.append((to, token, reply))
        return reply

    def _settle(self) -> None:
        for _ in range(3):
            self.rig.flush()
            nobody = next(self.rig.tree.room.tokens)
            done: Waiter[Any] = Waiter()
            self.rig.tree.services.broker.tell(Recv(nobody, "nobody", 1, 0.0, done))
            done.get(60)
        self._collect()

    def _collect(self) -> None:
        """Take what those who wait were given."""
        for entry in list(self.waiting):
            to, _, reply = entry
            if reply.done:
                self.waiting.remove(entry)
                with suppress(HiveError):  # it heard that the store failed under it, and would call again
                    self._note(to, reply.get(0))

    def _arrived(self, to: str, taken: tuple[Message, ...]) -> None:
        self._collect()  # who waited was answered before
        self._note(to, taken)

    def _note(self, to: str, taken: tuple[Message, ...]) -> None:
        self.got[to] += [message.id for message in taken if message.id not in self.got[to]]


def _exit(_: Tx) -> None:
    raise SystemExit(1)


_POISON: dict[str, object] = {
    "#store": Write(_exit),
    "#broker": Expire(agent=[], token=0),  # type: ignore[arg-type]  # what fails is that it cannot be looked up
    "#hub": Committed(events=(None,)),  # type: ignore[arg-type]
}


Delivery.TestCase.settings = settings(max_examples=examples(6), stateful_step_count=15, deadline=None)
TestDelivery = Delivery.TestCase
