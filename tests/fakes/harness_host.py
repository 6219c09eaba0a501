"""The host as a harness and the link see it: a hive that records what harnesses say and acknowledges it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hyperhive.domain.turns import TurnItem
from hyperhive.domain.wire import (
    Ack,
    FromHost,
    Hello,
    Incoming,
    Report,
    StateChanged,
    Trouble,
    TurnBegan,
    TurnOver,
    Welcome,
    Work,
)
from hyperhive.errors import Refused
from hyperhive.hive import Hive, Session


@dataclass
class Host:
    """What a host remembers over its own restarts: as a database would."""

    env: dict[str, str] = field(default_factory=dict)
    session: str | None = None
    turn: int | None = None
    boot: str = ""
    acked: int = 0
    reports: list[Report] = field(default_factory=list)
    items: list[TurnItem] = field(default_factory=list)

    def over(self, turn: int) -> TurnOver | None:
        """How ``turn`` ended, if it did."""
        return next((r for r in self.reports if isinstance(r, TurnOver) and r.turn == turn), None)

    def began(self, turn: int) -> bool:
        """Whether ``turn`` began."""
        return any(isinstance(r, TurnBegan) and r.turn == turn for r in self.reports)

    def states(self) -> list[str]:
        """The states that were told, in order."""
        return [r.state.value for r in self.reports if isinstance(r, StateChanged)]

    def troubles(self) -> list[str]:
        """The troubles that were told, in order."""
        return [r.note for r in self.reports if isinstance(r, Trouble)]

    def said(self, type: str, turn: int | None = None) -> list[str]:
        """The texts of items of one type, in order."""
        return [i.text for i in self.items if i.type == type and turn in (None, i.turn)]


class RecordingHive(Hive):
    """The hive's part that harnesses see, with one agent; drops what it had already, as the wire demands."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.session: Session | None = None
        self.hellos: list[Hello] = []
        self.gone = 0
        self.acknowledges = True
        self.refusal: str | None = None
        self.on_report: Callable[[Report], None] = lambda report: None

    def tell(self, line: FromHost) -> None:
        """Say something to the harness."""
        assert self.session is not None
        self.session.send(line)

    def work(self, turn: int, *bodies: str) -> None:
        """Hand over messages from the operator."""
        self.host.turn = turn
        self.tell(work(turn, *bodies))

    async def harness_hello(self, name: str, hello: Hello, session: Session) -> Welcome:
        """See ``Hive``."""
        if self.refusal is not None:
            raise Refused(self.refusal)
        self.hellos.append(hello)
        self.session = session
        if hello.boot != self.host.boot:
            self.host.boot, self.host.acked = hello.boot, 0
        return Welcome(
            agent=name,
            role="agent",
            peers=("manager", "operator"),
            env=self.host.env,
            session=self.host.session,
            acked=self.host.acked,
            turn=self.host.turn,
        )

    async def harness_report(self, name: str, session: Session, n: int, report: Report) -> None:
        """See ``Hive``."""
        if n > self.host.acked:
            self.host.acked = n
            self.host.reports.append(report)
            if isinstance(report, TurnOver):
                self.host.session = report.session or self.host.session
                if report.turn == self.host.turn:
                    self.host.turn = None
        self.on_report(report)
        if self.acknowledges:
            session.send(Ack(n=n))

    async def harness_items(self, name: str, session: Session, items: tuple[TurnItem, ...]) -> None:
        """See ``Hive``."""
        self.host.items.extend(items)

    async def harness_gone(self, name: str, session: Session) -> None:
        """See ``Hive``."""
        self.gone += 1
        if self.session is session:
            self.session = None


def work(turn: int, *bodies: str) -> Work:
    """Work with messages from the operator."""
    now = datetime.now(UTC)
    messages = tuple(
        Incoming(id=turn * 100 + i, sender="operator", body=b, ts=now) for i, b in enumerate(bodies)
    )
    return Work(turn=turn, messages=messages, peers=("manager", "operator"))
