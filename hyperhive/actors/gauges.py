"""Looking inside the tree: every mailbox, and samples for ``/metrics``. No actor is asked, so none can hold it up."""

import time
from collections import Counter
from dataclasses import dataclass

from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor
from hyperhive.actors.board import Board
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.histogram import Sample
from hyperhive.actors.operations import Places
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import Store
from hyperhive.actors.supervisor import Root

_CONTAINERS = ("running", "stopped", "unknown")


@dataclass(frozen=True, slots=True)
class MailboxView:
    """An actor from outside.

    Args:
        depth: messages that wait.
        busy_with: the message it is at; empty when it is at none.
        busy_for: seconds that it is at it.
        restarts: by its supervisor, so far.
        state: ``vacant`` or ``quarantined`` where no actor holds the post; else empty.
    """

    name: str
    depth: int
    busy_with: str
    busy_for: float
    restarts: int
    state: str


class Gauges:
    """What the tree shows of itself."""

    def __init__(
        self, *, board: Board, roster: Roster, root: Root, store: Address, places: Places, clerk: Clerk
    ) -> None:
        self._board = board
        self._roster = roster
        self._root = root
        self._store = store
        self._places = places
        self._clerk = clerk

    def mailboxes(self) -> list[MailboxView]:
        """All, the supervisor's first."""
        now = time.monotonic()
        found = [_mailbox(self._root.address, self._root.restarts, False, now)]
        for post in self._roster.all():
            found.append(_mailbox(post.address, post.restarts, post.quarantined, now))
        return found

    def samples(self) -> list[Sample]:
        """Mailboxes, restarts, commits, agents, and what waits where."""
        mailboxes = self.mailboxes()
        found: list[Sample] = [
            ("hyperhive_events_total", {}, float(self._board.seq)),
            ("hyperhive_supervisor_restarts_total", {}, float(self._root.restarts)),
            ("hyperhive_quarantined_actors", {}, float(sum(m.state == "quarantined" for m in mailboxes))),
            ("hyperhive_jobs_running", {}, float(self._places.held)),
            ("hyperhive_jobs_waiting", {}, float(self._places.wanted)),
            ("hyperhive_clerk_waiting", {}, float(self._clerk.waiting)),
        ]
        for box in mailboxes:
            labels = {"actor": box.name}
            found.append(("hyperhive_mailbox_depth", labels, float(box.depth)))
            found.append(("hyperhive_actor_busy_seconds", labels, box.busy_for))
            found.append(("hyperhive_actor_restarts_total", labels, float(box.restarts)))
        return [*found, *self._of_store(), *self._of_agents()]

    def _of_store(self) -> list[Sample]:
        store = self._store.actor
        if not isinstance(store, Store):
            return []
        pending = float(self._store.depth + store.pending)
        return [
            ("hyperhive_pending_writes", {}, pending),
            *store.commit_times.samples("hyperhive_commit_seconds"),
        ]

    def _of_agents(self) -> list[Sample]:
        agents = self._board.snapshot.agents
        states = Counter(dict.fromkeys(_CONTAINERS, 0))
        states.update(str(agent.container) for agent in agents)
        return [
            *(("hyperhive_agents", {"container": state}, float(n)) for state, n in states.items()),
            *(("hyperhive_unread_messages", {"agent": a.name}, float(a.inbox_depth)) for a in agents),
        ]


def _mailbox(address: Address, restarts: int, quarantined: bool, now: float) -> MailboxView:
    actor = address.actor
    since = actor.busy_since if isinstance(actor, Actor) else None
    return MailboxView(
        name=address.name,
        depth=address.depth,
        busy_with=actor.busy_with if isinstance(actor, Actor) and since is not None else "",
        busy_for=max(0.0, now - since) if since is not None else 0.0,
        restarts=restarts,
        state="quarantined" if quarantined else "vacant" if actor is None else "",
    )
