"""Recovery: what should run and does not is started again, with backoff, until it is given up."""

from collections.abc import Callable
from datetime import timedelta

from hyperhive.actors.core import Core, Queued
from hyperhive.actors.job import Result
from hyperhive.actors.reply import IGNORE, Reply
from hyperhive.actors.requests import Accepted
from hyperhive.domain.axes import Container, Transient
from hyperhive.domain.events import AgentQuarantined
from hyperhive.domain.names import SYSTEM
from hyperhive.domain.records import Intended, Ordered


class Recovery:
    """Brings one agent's container back.

    Args:
        begin: begins an operation.
    """

    def __init__(self, *, core: Core, begin: Callable[[Queued, Reply[Accepted]], None]) -> None:
        self._core = core
        self._begin = begin

    def look_for_harness(self) -> None:
        """A container whose harness has been away for too long is restarted."""
        core, memory = self._core, self._core.memory
        record = core.record
        if memory.away_since is None or record.handle is None or memory.job is not None:
            return
        if record.intended is not Intended.RUNNING or record.quarantined:
            return
        if core.shared.clock() - memory.away_since > core.shared.harness_away:
            memory.away_since = None
            self.revive()

    def revive(self) -> None:
        """Restart a container that runs and does not work."""
        if self._core.memory.job is None:
            self._begin(Queued(Ordered(Transient.RESTARTING, SYSTEM), []), IGNORE)

    def recover(self, error: str) -> None:
        """Start again what should run, with backoff; quarantine what keeps failing."""
        core, memory, shared = self._core, self._core.memory, self._core.shared
        record = core.record
        running = record.handle is not None and record.axes.container is Container.RUNNING
        if record.intended is not Intended.RUNNING or running or record.quarantined or memory.queue:
            return
        if core.config.restart == "never":
            return
        memory.failures = memory.failures.add(shared.clock(), shared.policy)
        if memory.failures.exhausted(shared.policy):
            core.commit(record._replace(quarantined=error), AgentQuarantined(agent=core.name, error=error))
            return
        delay = memory.failures.delay(shared.policy, shared.random())
        memory.restart_at = shared.now() + timedelta(seconds=delay)
        self.await_restart()
        core.show()

    def await_restart(self) -> None:
        """Start again when the backoff is over."""
        core, due = self._core, self._core.memory.restart_at
        if due is not None:
            policy = core.shared.policy
            longest = policy.longest * (1.0 + policy.jitter)  # whatever became of the time of day since
            left = (due - core.shared.now()).total_seconds()
            core.later("restart", min(max(0.0, left), longest), self._restart)

    def _restart(self) -> None:
        self._core.memory.restart_at = None
        self.start_if_intended()

    def start_if_intended(
        self, *, by: str = SYSTEM, reply: Reply[Accepted] = IGNORE, done: Reply[Result] = IGNORE
    ) -> bool:
        """Start the container if it is meant to run, does not, and nothing else is under way."""
        core, record = self._core, self._core.record
        running = record.handle is not None
        if record.intended is not Intended.RUNNING or running or record.quarantined:
            return False
        if core.memory.job is not None or record.transient is not None or core.memory.queue:
            return False
        self._begin(Queued(Ordered(Transient.STARTING, by), [done]), reply)
        return True
