"""kill -9 of the daemon under sixteen senders: what was acknowledged is there once, the rest at most once."""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.hive import RealHive, hive
from tests.e2e.oracle import checker
from tests.e2e.oracle.clients import Client, Sender, Taker
from tests.e2e.oracle.doors import Door, Mcp, Web
from tests.e2e.oracle.history import Gate, History
from tests.e2e.oracle.record import read, unsettled
from tests.e2e.oracle.stage import seed
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

ROUNDS = 100
HANGS = 60.0


@pytest.fixture
def real() -> Iterator[RealHive]:
    with hive() as made:
        made.up()
        made.post("/api/agents/manager/pause")  # its mail is taken by its socket
        yield made


class Crowd:
    """Sixteen senders, and who takes what they send."""

    def __init__(self, real: RealHive) -> None:
        self.hive, self.seed = real, seed()
        self.random = random.Random(f"{self.seed} crowd")
        self.gate, self.history = Gate(), History()
        self._marks: dict[str, int] = {}
        self._ops = 0
        self.clients = [*self._senders(), *self._takers()]

    def _senders(self) -> Iterator[Client]:
        doors: tuple[Callable[[], Door], ...] = (
            lambda: Web(url=self.hive.url, token=self.hive.token),
            lambda: Web(url="http://hive", socket=self.hive.run / "host.sock"),
            lambda: Mcp(self.hive.run / "agents/manager/mcp.sock"),
        )
        for number in range(16):
            to = "operator" if number % 3 == 2 else "manager"
            yield Sender(name=f"s{number}", door=doors[number % 3](), to=((to, "note "),), **self._common())

    def _takers(self) -> Iterator[Client]:
        web = Web(url=self.hive.url, token=self.hive.token)
        mcp = Mcp(self.hive.run / "agents/manager/mcp.sock")
        yield Taker(name="t-op", inbox="operator", door=web, **self._common())
        yield Taker(name="t-m", inbox="manager", door=mcp, **self._common())

    def _common(self) -> dict[str, object]:
        return {"gate": self.gate, "history": self.history, "seed": self.seed}

    def round(self) -> list[str]:
        """Send until the daemon dies; what is wrong with what it left behind."""
        self.gate.open()
        self.history.grows(self.random.randint(1, 500), self.random.random())
        self.hive.kill()
        wrong = [] if self.gate.close(HANGS) else ["a sender hangs"]
        ops, self._ops = self.history.since(self._ops), len(self.history)
        record = read(self.hive.home, self._marks)
        self._marks = record.newest
        wrong += [*record.faults, *checker.events_are_gapless(record.events)]
        wrong += checker.sends_are_kept(ops, record)
        self.hive.up()
        return wrong + [f"{c.name}: {c.error!r}" for c in self.clients if c.error is not None]

    def end(self) -> list[str]:
        """All of it, once everything was taken."""
        eventually(lambda: unsettled(self.hive.home) == 0, HANGS)
        self.home()
        ops, record = self.history.since(0), read(self.hive.home)
        wrong = [*record.faults, *checker.events_are_gapless(record.events)]
        wrong += checker.sends_are_kept(ops, record) + checker.deliveries_keep_the_order(record)
        for inbox in ("operator", "manager"):
            wrong += checker.takes_get_everything(inbox, ops, record, again=True)
        return wrong + checker.mail_is_settled(record)

    def home(self) -> None:
        """Send everybody home."""
        self.gate.end()
        for client in self.clients:
            client.join(HANGS)


def survives(real: RealHive, rounds: int) -> None:
    """Kill it so often; nothing may be wrong after any of them, nor at the end."""
    crowd = Crowd(real)
    began = time.monotonic()
    for client in crowd.clients:
        client.start()
    try:
        for number in range(1, rounds + 1):
            wrong = crowd.round()
            assert not wrong, (f"HYPERHIVE_SEED={crowd.seed}, round {number}", wrong[:20])
        wrong = crowd.end()
        assert not wrong, (f"HYPERHIVE_SEED={crowd.seed}, at the end", wrong[:20])
    finally:
        crowd.home()
    sent = [op for op in crowd.history.since(0) if op.kind == "send"]
    acknowledged = sum(op.outcome == "ok" for op in sent)
    assert acknowledged > rounds
    seconds = time.monotonic() - began
    print(f"{rounds} kills, {acknowledged} of {len(sent)} sends acknowledged, {seconds:.0f} s")  # noqa: T201


def test_five_kills_under_sixteen_senders_lose_and_double_nothing(real: RealHive) -> None:
    survives(real, 5)


@pytest.mark.long
def test_a_hundred_kills_under_sixteen_senders_lose_and_double_nothing(real: RealHive) -> None:
    survives(real, ROUNDS)
