"""Messages against a model: at least once, in order per sender and recipient, never two takers."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hyperhive.domain.messages import MAX_ATTEMPTS
from hyperhive.domain.records import Intended
from hyperhive.domain.turns import Outcome, TurnUsage
from hyperhive.store.database import Database
from tests.examples import examples

AGENTS = st.sampled_from(["alice", "bob"])
SENDERS = st.sampled_from(["operator", "alice", "bob"])


@dataclass
class Expected:
    """What the model knows of a message."""

    id: int
    box: int
    state: str = "unread"
    turn: int | None = None
    attempts: int = 0


class Mail(RuleBasedStateMachine):
    """Random sends, takes, ends of turns, destroyed agents, and daemons that die in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "home" / "hive.sqlite"
        self.database = Database(self.path)
        self.database.open()
        self.mail: list[Expected] = []
        self.boxes: dict[str, int] = {}
        self.turns: dict[str, int] = {}
        with self.database.transaction() as tx:
            for name in ("alice", "bob"):
                self.boxes[name] = tx.agents.insert(name, "agent", Intended.RUNNING).id

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def unread(self, name: str) -> list[Expected]:
        return [m for m in self.mail if m.box == self.boxes[name] and m.state == "unread"]

    def taken(self, turn: int) -> list[Expected]:
        return [m for m in self.mail if m.turn == turn and m.state == "taken"]

    @rule(sender=SENDERS, to=AGENTS, durable=st.booleans())
    def send(self, sender: str, to: str, durable: bool) -> None:
        tx = self.database.begin()
        with tx.isolated():
            id = tx.messages.insert(sender, to, "x").id
        if not durable:
            return self.die()
        self.database.commit()
        assert not self.mail or id > self.mail[-1].id
        self.mail.append(Expected(id=id, box=self.boxes[to]))
        return None

    @rule(to=AGENTS, limit=st.integers(1, 3), durable=st.booleans())
    def take(self, to: str, limit: int, durable: bool) -> None:
        tx = self.database.begin()
        turn = self.turns.get(to) or tx.turns.begin(to, "operator")
        messages = tx.messages.take(to, turn=turn, limit=limit)
        expected = self.unread(to)[:limit]
        assert [m.id for m in messages] == [m.id for m in expected]
        if not durable:
            return self.die()
        self.database.commit()
        self.turns[to] = turn
        for message in expected:
            message.state, message.turn = "taken", turn
        return None

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), outcome=st.sampled_from(["acked", "requeued", "failed"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.turns)))
        turn = self.turns.pop(name)
        expected = self.taken(turn)
        with self.database.transaction() as tx:
            tx.turns.end(turn, outcome=Outcome.DONE, note="", usage=TurnUsage())
            if outcome == "acked":
                assert tx.messages.ack_turn(turn) == len(expected)
            else:
                requeued, aside = tx.messages.requeue_turn(turn, counted=outcome == "failed")
        for message in expected:
            message.attempts += outcome == "failed"
            message.turn = turn if outcome == "acked" else None
            message.state = "read" if outcome == "acked" else "unread"
            if message.attempts >= MAX_ATTEMPTS and outcome == "failed":
                message.state = "set-aside"
        if outcome != "acked":
            assert [m.id for m in requeued] == [m.id for m in expected if m.state == "unread"]
            assert [m.id for m in aside] == [m.id for m in expected if m.state == "set-aside"]

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def cancel_a_recv(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.turns)))
        last = self.taken(self.turns[name])[-1:]
        with self.database.transaction() as tx:
            tx.messages.requeue([message.id for message in last])
        for message in last:
            message.state, message.turn = "unread", None

    @rule(name=AGENTS)
    def destroy_and_spawn_again(self, name: str) -> None:
        box = self.boxes[name]
        lost = [m for m in self.mail if m.box == box and m.state in ("unread", "taken")]
        with self.database.transaction() as tx:
            assert tx.messages.drop(name) == len(lost)
            tx.turns.drop(name)
            tx.agents.remove(name, keep=False)
            self.boxes[name] = tx.agents.insert(name, "agent", Intended.RUNNING).id
        self.turns.pop(name, None)
        for message in lost:
            message.state = "dropped"

    @rule()
    def die(self) -> None:
        """The connection goes without a commit, as it does with its process; another daemon opens."""
        self.database.close()
        self.database = Database(self.path)
        self.database.open()

    @invariant()
    def each_message_is_where_it_should_be(self) -> None:
        reader = self.database.reader()
        stored = reader.messages.conversation(None, 0, 10_000)
        assert [(m.id, m.state) for m in stored] == [(m.id, m.state) for m in self.mail]
        for name in self.boxes:
            assert reader.messages.depth(name) == len(self.unread(name))
            assert reader.turns.open(name) == self.turns.get(name)


TestMail = Mail.TestCase
TestMail.settings = settings(max_examples=examples(25), stateful_step_count=30, deadline=None)
