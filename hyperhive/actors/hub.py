"""EventHub: what was recorded becomes visible here, in order, once, to every reader."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperhive.actors.address import Address
from hyperhive.actors.base import Failure
from hyperhive.actors.board import Board
from hyperhive.actors.crew import Crew, CrewActor
from hyperhive.actors.ports import Frame, Frames
from hyperhive.actors.reply import Reply, answer
from hyperhive.domain.parts import InboxDepth
from hyperhive.domain.recorded import Recorded
from hyperhive.store.database import Database


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit made durable: events, what the snapshot shows now, and who waits to hear of it.

    ``at``: when, by the monotonic clock; 0: not said.
    """

    events: tuple[Recorded, ...] = ()
    parts: tuple[object, ...] = ()
    replies: tuple[tuple[Reply[Any], Any], ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Mail:
    """There is unread mail for ``agent``."""

    agent: str
    depth: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """Told to the broker: who has unread mail after a commit that changed inboxes."""

    mails: tuple[Mail, ...]


class EventHub(CrewActor):
    """Replaces the snapshot, encodes each event once, hands it up, then answers who waited.

    In this order, so that whoever heard an answer or saw an event finds it in the snapshot. A successor goes on
    behind the last event that was handed up, from the record: nothing is skipped, nothing comes twice.

    Args:
        recorded: the parts of the snapshot that the database holds.
        ask_agents: asks every agent's actor to show itself.
    """

    def __init__(
        self,
        *,
        board: Board,
        frames: Frames,
        database: Database,
        broker: Address,
        recorded: Callable[[], tuple[object, ...]],
        ask_agents: Callable[[], None],
        crew: Crew,
        address: Address,
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(crew=crew, address=address, failed=failed)
        self._board = board
        self._frames = frames
        self._database = database
        self._broker = broker
        self._recorded = recorded
        self._ask_agents = ask_agents

    def begin(self) -> None:
        """Catch up with the record: with its events, and with all that is shown, for a commit's part may be lost."""
        self._publish(self._missed(), self._recorded())
        self._ask_agents()

    def handle(self, message: Any) -> None:
        """Make one commit visible."""
        match message:
            case Committed(events, parts, replies, at):
                try:  # a gap is read from the disk: not in the block below, which holds everybody's answers back
                    if events and events[0].seq != self._board.handed_up + 1:
                        events = self._missed()
                except BaseException:
                    self._answer(parts, replies)
                    raise
                with self._frames.together():
                    try:
                        self._publish(events, parts, at)
                    finally:
                        self._answer(parts, replies)

    def _answer(self, parts: tuple[object, ...], replies: tuple[tuple[Reply[Any], Any], ...]) -> None:
        for reply, value in replies:
            answer(reply.set, value)
        self._tell_mail(parts)

    def _missed(self) -> tuple[Recorded, ...]:
        reader = self._database.reader()
        missed: list[Recorded] = []
        while page := reader.events.after(missed[-1].seq if missed else self._board.handed_up, 1000, None):
            missed.extend(page)
        return tuple(missed)

    def _publish(self, events: tuple[Recorded, ...], parts: tuple[object, ...], at: float = 0.0) -> None:
        patch, changed = self._board.apply(events, parts)
        frames = [
            Frame(event.seq, event.kind, encode(event.kind, event.text, event.seq), at) for event in events
        ]
        if patch:
            frames.insert(0, Frame(None, "patch", encode("patch", patch), at))
        if frames:
            self._frames.post(frames, changed)
        if events:
            self._board.handed_up = events[-1].seq

    def _tell_mail(self, parts: tuple[object, ...]) -> None:
        """After the replies: a ``recv`` that found nothing is back in the waiting room by then."""
        # And not before they have gone out: two actors that run meanwhile make a sender wait for the interpreter.
        depths = {part.agent: part.depth for part in parts if isinstance(part, InboxDepth)}
        if mails := tuple(Mail(agent, depth) for agent, depth in depths.items() if depth):
            self._crew.later(lambda: answer(self._broker.tell, Arrived(mails)))


def encode(kind: str, text: str, seq: int | None = None) -> bytes:
    """One frame of server-sent events. ``text`` is one line of JSON."""
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {kind}\ndata: {text}\n\n".encode()
