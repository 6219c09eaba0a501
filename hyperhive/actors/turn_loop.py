"""The host's side of an agent's turns: wake it when there is mail, and settle what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hyperhive.actors.core import Core
from hyperhive.actors.mailing import delivered
from hyperhive.actors.ports import Outbound
from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.domain.axes import Login, Observation
from hyperhive.domain.events import HelperEvent, McpServerFailed, TurnEnded, TurnStarted
from hyperhive.domain.mcp_servers import settle
from hyperhive.domain.messages import MAX_BATCH, Message
from hyperhive.domain.names import OPERATOR, SYSTEM, role_of
from hyperhive.domain.parts import Inbox, InboxDepth
from hyperhive.domain.records import FAILED_BUILD, AgentRecord
from hyperhive.domain.turns import COUNTED, Outcome, TurnState, TurnUsage
from hyperhive.domain.watch import step
from hyperhive.domain.wire import (
    Ack,
    Hello,
    Incoming,
    Interrupt,
    McpServers,
    Report,
    StateChanged,
    Trouble,
    TurnBegan,
    TurnOver,
    Welcome,
    Work,
)
from hyperhive.errors import HiveError
from hyperhive.shortage import AGAIN
from hyperhive.store.database import Tx

_COALESCE = 0.05
"""Seconds between a message and the wake-up, so that a burst arrives in one."""
_RETRY_FIRST = 5.0
_RETRY_LONGEST = 300.0
_OVERDUE = 60.0
"""Seconds beyond its own deadline after which a turn is interrupted from here, and then the container."""
MAX_HOLD = timedelta(days=8)
"""How long a rate limit may hold an agent back, whatever a harness says of it."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A harness said hello."""

    session: Outbound
    hello: Hello
    peers: tuple[str, ...]
    reply: Reply[Welcome] = IGNORE


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A harness's connection ended."""

    session: Outbound


@dataclass(frozen=True, slots=True)
class Reported:
    """A harness reported."""

    session: Outbound
    n: int
    report: Report


@dataclass(frozen=True, slots=True)
class Deliver:
    """Look whether the agent can be woken."""


class TurnLoop:
    """Delivers mail in turns, one at a time."""

    def __init__(self, *, core: Core) -> None:
        self._core = core
        self._delivering = False

    def begin(self) -> None:
        """Take up an open turn: whoever works on it says so when it connects again."""
        core = self._core
        if core.open_turn is not None:
            core.turn(TurnState.THINKING, turn=core.open_turn)
            self._watch_turn(core.open_turn)
        elif core.memory.hold_until is not None:
            self._hold()
        elif (until := core.record.parked_until) is not None and until > core.shared.now():
            core.memory.hold_until = until
            core.turn(TurnState.RATE_LIMITED)
            self._hold()
        elif core.memory.turn.state is not TurnState.IDLE:
            core.turn(TurnState.IDLE)
        if core.memory.session is not None:
            core.memory.session.close()
            core.memory.session = None

    def connected(self, message: Connected) -> None:
        """Greet a harness; it replaces an earlier connection."""
        core, memory = self._core, self._core.memory
        if memory.session is not None and memory.session is not message.session:
            memory.session.close()
        memory.session, memory.away_since = message.session, None
        record = core.record
        if record.acked_boot != message.hello.boot:
            record = record._replace(acked_boot=message.hello.boot, acked_n=0)
        message.reply.set(
            Welcome(
                agent=core.name,
                role=role_of(core.name),
                peers=message.peers,
                env=core.shared.credentials.env(core.name),
                rehearsal=core.shared.rehearsal,
                session=record.session,
                acked=record.acked_n,
                turn=core.open_turn,
            )
        )
        if memory.job is not None:
            memory.job.harness_ready()
        # What it was told may rest on what was not stored: it connects again, and hears what is recorded.
        core.commit(record, failed=lambda _: message.session.close())

    def disconnected(self, session: Outbound) -> None:
        """A connection ended; the container may well run on."""
        memory = self._core.memory
        if memory.session is session:
            memory.session, memory.away_since = None, self._core.shared.clock()
            self._core.show()

    def mail(self) -> None:
        """There is unread mail."""
        if "wake" not in self._core.memory.timers:
            self._core.later("wake", _COALESCE, self.deliver)

    def deliver(self) -> None:
        """Wake the agent if there is mail and nothing is in the way."""
        core, memory = self._core, self._core.memory
        memory.timers.pop("wake", None)
        held = memory.hold_until is not None and memory.hold_until > core.shared.now()
        if (
            memory.session is None
            or core.record.handle is None  # its harness is gone too, though nobody said so yet
            or memory.job is not None
            or core.open_turn is not None
            or self._delivering
            or core.record.paused
            or core.record.axes.login is Login.NEEDS_LOGIN
            or held
            or not self._has_mail()
        ):
            return
        memory.hold_until = None
        self._delivering = True
        core.turn(TurnState.THINKING)
        core.commit(core.record, op=self._open_turn, then=self._opened, failed=self._not_opened)

    def _has_mail(self) -> bool:
        try:
            return self._core.shared.database.reader().messages.depth(self._core.name) > 0
        except HiveError:  # a database that cannot be read just now is no fault of this actor's
            self._core.later("wake", AGAIN, self.deliver)
            return False

    def _open_turn(self, tx: Tx) -> tuple[int, tuple[Message, ...]] | None:
        name = self._core.name
        sender = tx.messages.next_sender(name)
        if sender is None:
            return None
        turn = tx.turns.begin(name, sender)
        taken = tuple(tx.messages.take(name, turn=turn, limit=MAX_BATCH))
        delivered(tx, name, taken)
        tx.emit(TurnStarted(agent=name, turn=turn, sender=sender))
        return turn, taken

    def _opened(self, opened: tuple[int, tuple[Message, ...]] | None) -> None:
        self._delivering = False
        core = self._core
        if opened is None:
            core.turn(TurnState.IDLE)
            core.show()
            return
        turn, taken = opened
        core.open_turn = turn
        if core.record.handle is None:  # it ended while the turn was being opened
            self.end(core.record, Outcome.INTERRUPTED, note="the container ended")
            return
        core.turn(TurnState.THINKING, turn=turn)
        core.show()
        self._watch_turn(turn)
        if core.memory.session is not None:
            messages = tuple(Incoming(id=m.id, sender=m.sender, body=m.body, ts=m.ts) for m in taken)
            core.memory.session.send(Work(turn=turn, messages=messages))

    def _not_opened(self, _: BaseException) -> None:
        self._delivering = False
        self._core.turn(TurnState.IDLE)
        self._core.later("wake", 1.0, self.deliver)

    def _watch_turn(self, turn: int) -> None:
        core = self._core
        core.later("overdue", core.shared.turn_deadline + _OVERDUE, lambda: self._overdue(turn))

    def _overdue(self, turn: int) -> None:
        core = self._core
        if core.open_turn != turn:
            return
        if core.memory.session is not None:
            core.memory.session.send(Interrupt(turn=turn))
        core.later("overdue", _OVERDUE, lambda: self._stuck(turn))

    def _stuck(self, turn: int) -> None:
        if self._core.open_turn == turn:
            self._core.on_stuck()

    # -- reports

    def reported(self, message: Reported) -> None:
        """Deal with a report once, and acknowledge it when that is durable."""
        core = self._core
        session = message.session
        if session is not core.memory.session:
            return
        if message.n <= core.record.acked_n:
            session.send(Ack(n=core.record.acked_n))
            return
        record = core.record._replace(acked_n=message.n)

        def ack(_: Any) -> None:
            session.send(Ack(n=message.n))

        def unheard(_: BaseException) -> None:
            session.close()  # it connects again and says again what was not stored

        events: tuple[HelperEvent, ...] = ()
        match message.report:
            case TurnOver() as over if over.turn == core.open_turn:
                self._over(record, over, ack, unheard)
                return
            case TurnBegan(session=claude) if claude is not None:
                record = record._replace(session=claude)
            case StateChanged(state=state, note=note) if core.open_turn is not None:
                core.turn(state, turn=core.open_turn, note=note or None)
            case Trouble(note=note):
                record = record._replace(last_error=note)
            case McpServers(failed=servers):
                record, events = self._servers(record, servers)
        core.commit(record, *events, then=ack, failed=unheard)

    def _servers(
        self, record: AgentRecord, failed: dict[str, str]
    ) -> tuple[AgentRecord, tuple[HelperEvent, ...]]:
        warnings, news = settle(record.warnings, failed, known=self._core.config.extraMcpServers)
        events = tuple(
            McpServerFailed(agent=record.name, server=name, error=why) for name, why in news.items()
        )
        return record._replace(warnings=warnings), events

    def _over(
        self,
        record: AgentRecord,
        over: TurnOver,
        ack: Callable[[Any], None],
        unheard: Callable[[BaseException], None],
    ) -> None:
        record = record._replace(session=over.session or record.session)
        if over.outcome is Outcome.DONE:
            self._core.memory.turn_failures = 0
            if not (record.last_error or "").startswith(
                FAILED_BUILD
            ):  # a turn of what still runs mends no build
                record = record._replace(last_error=None)
        elif over.note:
            record = record._replace(last_error=over.note)
        events: tuple[HelperEvent, ...] = ()
        if over.outcome is Outcome.LOGIN:
            record, events = self._rejected(record)
        self.end(
            record,
            over.outcome,
            note=over.note,
            usage=over.usage,
            events=events,
            until=over.resets_at,
            then=ack,
            failed=unheard,
        )

    def _rejected(self, record: AgentRecord) -> tuple[AgentRecord, tuple[HelperEvent, ...]]:
        core = self._core
        print_ = core.shared.credentials.fingerprint(core.name, core.paths)
        axes, events = step(core.name, record.axes, Observation(login=Login.NEEDS_LOGIN), None)
        return record._replace(axes=axes, rejected_login=print_), events

    def end(
        self,
        record: AgentRecord,
        outcome: Outcome,
        *,
        note: str = "",
        usage: TurnUsage | None = None,
        events: tuple[HelperEvent, ...] = (),
        until: datetime | None = None,
        then: Callable[[Any], None] = lambda _: None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """End the open turn: acknowledge its messages or put them back, then go on when it makes sense."""
        core, turn, name = self._core, self._core.open_turn, self._core.name
        if turn is None:
            core.commit(record, *events, then=then, failed=failed)
            return
        core.open_turn = None
        core.cancel("overdue")
        self._settle_state(outcome, note, until)
        parked = core.memory.hold_until if outcome is Outcome.RATE_LIMITED else None
        record = record._replace(parked_until=parked)
        over = TurnEnded(agent=name, turn=turn, ok=outcome is Outcome.DONE, note=note)

        def close(tx: Tx) -> None:
            close_turn(tx, name, turn, outcome, note, usage or TurnUsage())

        def closed(value: Any) -> None:
            then(value)
            self.deliver()

        core.commit(record, over, *events, op=close, then=closed, failed=failed)

    def _settle_state(self, outcome: Outcome, note: str, until: datetime | None) -> None:
        core, memory, now = self._core, self._core.memory, self._core.shared.now()
        memory.hold_until = None
        state = TurnState.IDLE
        if outcome is Outcome.RATE_LIMITED:
            state = TurnState.RATE_LIMITED
            reset = now if until is None else until if until.tzinfo else until.replace(tzinfo=UTC)
            memory.hold_until = min(max(reset, now + timedelta(seconds=1)), now + MAX_HOLD)
        elif outcome in COUNTED or outcome is Outcome.OFFLINE:
            memory.turn_failures += 1
            wait = min(_RETRY_LONGEST, _RETRY_FIRST * 2.0 ** min(memory.turn_failures - 1, 10))
            memory.hold_until = now + timedelta(seconds=0 if outcome is Outcome.LOST else wait)
            state = TurnState.OFFLINE if outcome is Outcome.OFFLINE else TurnState.IDLE
        core.turn(state, note=note or None)
        self._hold()

    def _hold(self) -> None:
        core, until = self._core, self._core.memory.hold_until
        if until is not None:
            left = (until - core.shared.now()).total_seconds()
            core.later("hold", max(0.0, left) + 0.01, self.released)

    def released(self) -> None:
        """What held the turn loop back is over."""
        core = self._core
        if core.open_turn is None:
            core.memory.hold_until = None  # by the timer, wherever the clock was set to meanwhile
            if core.memory.turn.state is not TurnState.IDLE:
                core.turn(TurnState.IDLE)
                core.show()
        self.deliver()


def close_turn(tx: Tx, agent: str, turn: int, outcome: Outcome, note: str, usage: TurnUsage) -> None:
    """Record a turn's end; messages that failed too often are set aside and the operator is told."""
    tx.turns.end(turn, outcome=outcome, note=note, usage=usage)
    if outcome is Outcome.DONE:
        tx.messages.ack_turn(turn)
    else:
        _, aside = tx.messages.requeue_turn(turn, counted=outcome in COUNTED)
        for message in aside:
            tx.messages.insert(
                SYSTEM,
                OPERATOR,
                f"Message {message.id} from {message.sender} to {agent} was set aside: its turns kept failing.",
            )
        if aside:
            tx.show_whole(Inbox, lambda: Inbox(tuple(tx.messages.inbox())))
    tx.show(InboxDepth(agent, tx.messages.depth(agent)))
