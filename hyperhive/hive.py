"""Hive: the async façade that web, mcp and link share. Snapshot, events, commands; it hides threads and actors."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from hyperhive.domain.approvals import Against, Kind
from hyperhive.domain.messages import Message
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.views import (
    ApprovalView,
    DraftView,
    GenerationView,
    HiveSnapshot,
    KeptView,
    MessageView,
    QuestionView,
)

if TYPE_CHECKING:  # who only shows a hive needs none of it, and a start waits for what is imported
    from hyperhive.domain.diff import Diff
    from hyperhive.domain.wire import FromHost, Hello, Report, Welcome


class Action(StrEnum):
    """What can be done to an agent by name."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    UPDATE = "update"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Operated:
    """A command that was accepted. ``ok`` is ``None`` while it is under way; ``note`` says what came of it."""

    agent: str
    transient: str | None
    ok: bool | None = None
    note: str = ""


class Session:
    """The host's end of one harness connection; ``link`` implements it, on the event loop."""

    __slots__ = ()

    def send(self, line: "FromHost") -> None:
        """Send a line, if the connection still stands. Never blocks."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection."""
        raise NotImplementedError


class Outlet(Protocol):
    """A connection that takes what a live stream says, on the event loop."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send packed bytes; never blocks. When its buffer fills it calls ``Tap.pause`` before this returns."""

    def finish(self, packed: bytes) -> None:
        """Send the last bytes and end."""


class Tap(Protocol):
    """A live stream's end inside the hive, as its connection sees it."""

    def pause(self) -> None:
        """The connection takes no more for now; what comes meanwhile is kept as long as the ring holds it."""

    def resume(self) -> None:
        """It takes more again."""

    def leave(self) -> None:
        """It is gone."""


class LiveStream(AsyncIterator[bytes]):
    """A stream whose live part can be handed to the connection itself, so that waiting costs no task.

    Iterated over, it is the whole stream; else it is read by its parts, in this order.
    """

    ended = False
    """Whether it ended in its past: with ``resync``."""

    def past(self) -> AsyncIterator[bytes]:
        """What it begins with: what was recorded, and the state where it is asked for."""
        raise NotImplementedError

    def live(self) -> AsyncIterator[bytes]:
        """What comes from then on."""
        raise NotImplementedError

    def hand_over(self, outlet: Outlet, pack: Callable[[bytes], bytes]) -> Tap:
        """The same, written to ``outlet`` as it comes, from the tap's first ``resume`` on.

        Args:
            pack: how its transport packs what it sends. Done once for all outlets that have the same.
        """
        raise NotImplementedError


class Hive:
    """One hive, as its doors see it. Everything here runs on the event loop and has a deadline.

    Refusals are ``errors.Refused`` (``Invalid``, ``Unknown``), a deadline is ``errors.Deadline``. ``by`` is who
    asks (``operator`` or an agent's name) as the door knows it, never as an argument of the caller's says.
    """

    async def audit(self, action: str, *, by: str) -> None:
        """Write down what the operator did at a door: a login, a look at the token. The hive is as it was."""
        raise NotImplementedError

    # -- reading: no actor is asked

    def snapshot(self) -> HiveSnapshot:
        """The hive as of its last event."""
        raise NotImplementedError

    def snapshot_json(self) -> bytes:
        """The snapshot as JSON, encoded once per change."""
        raise NotImplementedError

    def stream(
        self, *, after: int | None, kinds: frozenset[str] | None = None, views: bool = False
    ) -> AsyncIterator[bytes]:
        """Server-sent events as encoded bytes, one or more whole frames at a time.

        Args:
            after: resume behind this event; ``None``: from now on.
            kinds: only these kinds; ``None``: all.
            views: also frames without a number for what is no event: ``event: state`` first, with the whole
                snapshot, then ``event: patch`` whenever something changed, with
                ``{"agents":[changed agent views],"gone":[names],...changed top-level parts}``.

        A comment goes out every 15 s; ``event: resync`` ends the stream when what was asked for is gone or the
        reader fell behind.
        """
        raise NotImplementedError

    async def events(
        self, *, after: int = 0, limit: int = 1000, kinds: frozenset[str] | None = None
    ) -> list[str]:
        """Recorded events behind ``after``, as JSON envelopes, oldest first."""
        raise NotImplementedError

    async def past(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        kinds: frozenset[str] | None = None,
        agent: str | None = None,
    ) -> list[str]:
        """Recorded events older than ``before`` (``None``: the last ones), as JSON envelopes, newest first."""
        raise NotImplementedError

    async def messages(
        self, *, peer: str | None = None, after: int = 0, limit: int = 200
    ) -> tuple[MessageView, ...]:
        """Messages behind id ``after``, oldest first; ``peer``: those it sent or got. ``after=0``: the last ones."""
        raise NotImplementedError

    async def turns(self, name: str, *, after: int = 0, limit: int = 500) -> tuple[TurnItem, ...]:
        """Turn events of an agent behind id ``after``, oldest first; ``after=0``: the last ones."""
        raise NotImplementedError

    def follow_turns(self, name: str, *, after: int = 0) -> AsyncIterator[TurnItem]:
        """The same, and then live."""
        raise NotImplementedError

    async def logs(self, name: str, *, lines: int = 100) -> str:
        """The tail of the container's log."""
        raise NotImplementedError

    def follow_logs(self, name: str, *, lines: int = 100) -> AsyncIterator[str]:
        """The tail, and then what is appended, in whole lines."""
        raise NotImplementedError

    async def agent_config(self, name: str) -> str:
        """The config file the container was built from."""
        raise NotImplementedError

    async def agent_prompt(self, name: str) -> str | None:
        """``prompt.md`` of the commit the container was built from; ``None``: it has none."""
        raise NotImplementedError

    async def history(self, name: str) -> tuple[GenerationView, ...]:
        """An agent's generations, newest first, within what the record keeps."""
        raise NotImplementedError

    async def build_log(self, name: str) -> str:
        """What the last or present build said."""
        raise NotImplementedError

    def follow_build(self, name: str) -> AsyncIterator[str]:
        """The same, and then what is appended, in whole lines, until the build has ended."""
        raise NotImplementedError

    async def stats(self, *, since: float = 86400.0, agent: str | None = None) -> bytes:
        """One row a finished turn of the last ``since`` seconds: agent, turn, started, ended, ok, tokens, cost.

        Returns:
            A JSON array of the newest 10,000, oldest first.
        """
        raise NotImplementedError

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Samples for ``/metrics``: name, labels, value."""
        raise NotImplementedError

    def changes(self) -> AsyncIterator[frozenset[str]]:
        """Names of agents whose view changed, batch by batch, for resource notifications."""
        raise NotImplementedError

    # -- agents

    async def spawn(self, name: str, *, by: str) -> Operated:
        """Make an agent and start it. A kept name takes up its folders again."""
        raise NotImplementedError

    async def operate(self, action: Action, name: str, *, by: str, wait: float = 0.0) -> Operated:
        """Do ``action``; returns once it is under way, or, with ``wait``, when it ended (in so many seconds)."""
        raise NotImplementedError

    async def destroy(self, name: str, *, purge: bool = False, by: str) -> Operated:
        """End an agent; its folders are kept unless ``purge``."""
        raise NotImplementedError

    async def revive(self, name: str, *, by: str) -> Operated:
        """Spawn a kept agent again."""
        raise NotImplementedError

    async def purge(self, name: str, *, by: str) -> KeptView:
        """Delete a kept agent's folders."""
        raise NotImplementedError

    async def rollback(
        self, name: str, *, generation: int | None = None, by: str, wait: float = 0.0
    ) -> Operated:
        """Go back to an earlier generation, as it was built; ``None``: the one before the present one."""
        raise NotImplementedError

    # -- messages

    async def send(self, *, sender: str, to: str, body: str) -> Message:
        """Send a message; it is durable when this returns."""
        raise NotImplementedError

    async def recv(self, agent: str, *, wait: float = 0.0, limit: int = 1) -> tuple[Message, ...]:
        """Take unread messages; waits up to ``wait`` seconds (at most 180) for the first.

        Safe to cancel: what was not returned stays unread. An agent's messages are acknowledged when the turn
        that took them ends, the operator's at once.
        """
        raise NotImplementedError

    # -- what waits for the operator

    async def ask(
        self,
        agent: str,
        *,
        question: str,
        options: tuple[str, ...] = (),
        multi: bool = False,
        ttl: float | None = None,
    ) -> QuestionView:
        """Ask the operator; the answer comes as a message."""
        raise NotImplementedError

    async def answer(self, id: int, *, answer: str, by: str) -> QuestionView:
        """Answer a question. Refused when it is closed, naming who closed it."""
        raise NotImplementedError

    async def cancel_question(self, id: int, *, by: str) -> QuestionView:
        """Close a question unanswered; the asker is told."""
        raise NotImplementedError

    async def request_spawn(
        self, name: str, *, by: str, note: str = "", ttl: float | None = None
    ) -> ApprovalView:
        """Ask the operator for a new agent with the first config, or for a kept one as it was."""
        raise NotImplementedError

    async def request_draft(self, name: str, *, by: str) -> DraftView:
        """Make the config repository and state folder of an agent to be; when this returns the manager sees them."""
        raise NotImplementedError

    async def discard_draft(self, name: str, *, by: str) -> DraftView:
        """Delete a draft with its folders; what waits for the operator about it is withdrawn."""
        raise NotImplementedError

    async def request_commit(
        self,
        kind: Literal[Kind.SPAWN_COMMIT, Kind.APPLY_COMMIT],
        name: str,
        commit: str,
        *,
        by: str,
        note: str = "",
        ttl: float | None = None,
    ) -> ApprovalView:
        """Pin a commit of ``proposed/`` and ask the operator to approve it.

        Args:
            commit: 7 to 40 hex digits.
            note: what the operator should know of it.
            ttl: seconds until it expires undecided.
        """
        raise NotImplementedError

    async def withdraw(self, id: int, *, by: str) -> ApprovalView:
        """Take a pending request back; only who asked may."""
        raise NotImplementedError

    async def approval(self, id: int) -> tuple[ApprovalView, ...]:
        """An approval and the others of its thread, oldest first."""
        raise NotImplementedError

    async def decided(self, *, before: int | None = None, limit: int = 50) -> tuple[ApprovalView, ...]:
        """Approvals that do not wait any more, newest first, older than id ``before``."""
        raise NotImplementedError

    async def decide(
        self, id: int, *, decision: Literal["approve", "deny", "revise"], note: str = "", by: str
    ) -> ApprovalView:
        """Decide an approval, once."""
        raise NotImplementedError

    async def approval_diff(self, id: int, *, against: Against = Against.RUNNING) -> str:
        """What would change, as a unified diff of all files."""
        raise NotImplementedError

    async def approval_changes(self, id: int, *, against: Against = Against.RUNNING) -> "Diff":
        """The same, read into files, hunks and lines."""
        raise NotImplementedError

    # -- harnesses

    async def harness_hello(self, name: str, hello: "Hello", session: Session) -> "Welcome":
        """A harness connected; ``session`` replaces any earlier one. May raise ``Refused``."""
        raise NotImplementedError

    async def harness_report(self, name: str, session: Session, n: int, report: "Report") -> None:
        """Hand on a report; its acknowledgement goes out over ``session`` when it was dealt with."""
        raise NotImplementedError

    async def harness_items(self, name: str, session: Session, items: tuple[TurnItem, ...]) -> None:
        """Hand on turn events."""
        raise NotImplementedError

    async def harness_gone(self, name: str, session: Session) -> None:
        """The connection ended."""
        raise NotImplementedError
