"""The line behind the operation under way: what was accepted is recorded, so that no restart forgets it."""

from hyperhive.actors.core import Core, Queued
from hyperhive.actors.reply import Reply, answer
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.domain.records import AgentRecord, Ordered
from hyperhive.errors import Broken, Refused

MAX_QUEUED = 4
"""Operations that may wait for the one under way."""


class Line:
    """One agent's. Who waits for the outcome stands in memory, the operations in the record as well."""

    def __init__(self, *, core: Core) -> None:
        self._core = core

    def join(self, message: Operate) -> None:
        """Wait at the end, or with the last one if that is the same; accepted once that is durable.

        Raises:
            Refused: the line is full.
        """
        core, queue, ordered = self._core, self._core.memory.queue, _ordered(message)
        if not queue or _same(queue[-1]) != _same(ordered):
            if len(queue) >= MAX_QUEUED:
                under = core.record.transient or "busy"
                raise Refused(
                    f"'{core.name}' is {under} and more waits already; try again after.", code="busy"
                )
            queue.append(Queued(ordered, []))
        entry = queue[-1]
        entry.waiting.append(message.done)

        def lost(error: BaseException) -> None:
            answer(message.reply.fail, error)
            if message.done in entry.waiting:
                entry.waiting.remove(message.done)
                answer(message.done.fail, error)
            if not entry.waiting and entry.ordered not in core.record.queued:
                queue[:] = [each for each in queue if each is not entry]  # what was refused must not begin

        core.commit(
            self.written(core.record), then=lambda _: message.reply.set(Accepted(message.kind)), failed=lost
        )

    def joined(self, reply: Reply[Accepted]) -> None:
        """Say that an operation is under way, once its beginning is durable."""
        core, job = self._core, self._core.memory.job
        if job is None or job.begun:
            reply.set(Accepted(job.kind if job is not None else None))
            return
        kind = job.kind
        core.commit(core.record, then=lambda _: reply.set(Accepted(kind)), failed=reply.fail)

    def written(self, record: AgentRecord) -> AgentRecord:
        """``record`` with the line as it stands."""
        return record._replace(queued=tuple(entry.ordered for entry in self._core.memory.queue))

    def recall(self) -> None:
        """Stand as it is recorded: after a restart, or when something could not be stored."""
        queue, name = self._core.memory.queue, self._core.name
        left = list(queue)
        queue.clear()
        for ordered in self._core.record.queued:
            found = next((entry for entry in left if entry.ordered == ordered), None)
            if found is not None:
                left.remove(found)
            queue.append(found or Queued(ordered, []))
        for waiter in (waiter for entry in left for waiter in entry.waiting):
            answer(waiter.fail, Broken(f"The actor of '{name}' was restarted; try again."))


def _ordered(message: Operate) -> Ordered:
    return Ordered(message.kind, message.by, message.purge, message.generation)


def _same(entry: Queued | Ordered) -> tuple[object, ...]:
    ordered = entry.ordered if isinstance(entry, Queued) else entry
    return ordered.kind, ordered.generation
