"""Makes the Job of an operation: what it is to build, from which approval, or what it goes back to."""

import contextlib
from dataclasses import replace

from hyperhive.actors.build_log import BuildLog
from hyperhive.actors.builder import Generation
from hyperhive.actors.core import Core
from hyperhive.actors.job import Job
from hyperhive.domain.axes import Transient
from hyperhive.domain.generations import earlier
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import Broken
from hyperhive.store.database import Reader

_BUILDS = frozenset({Transient.SPAWNING, Transient.STARTING, Transient.RESTARTING, Transient.REBUILDING})


class JobMaking:
    """Knows one agent's next Job. The approvals are read, for whoever asks for an operation need not know of them."""

    def __init__(self, *, core: Core) -> None:
        self._core = core

    @property
    def _reader(self) -> Reader:
        return self._core.shared.database.reader()

    def approved(self) -> ApprovalView | None:
        """What was approved and is not built yet, the oldest."""
        return self._reader.approvals.to_build(self._core.name)

    def may_be_first(self) -> bool:
        """Whether the agent may be built from the first config: not if a commit was approved for its beginning."""
        if self._core.record.generation:
            return True
        view = self.approved()
        return view is None or view.sha is None

    def job(self, kind: Transient, by: str, *, back: int | None) -> Job:
        """A Job that has not begun.

        Args:
            back: number of the generation to go back to.
        """
        core, sources = self._core, self._core.shared.builder.sources
        job = Job(kind=kind, by=by, tell=core.address.tell)
        if kind not in _BUILDS:
            return job
        views = self._reader.generations.of(core.name)
        job.recorded = frozenset(view.number for view in views)
        job.deployed = views[0].commit if views else ""
        job.log, job.first = BuildLog(core.paths.build_log), self.may_be_first()
        if back is not None:
            job.back = self._generation(back)
            if job.back is not None:
                job.aimed(sources.revision(job.back.commit))
        elif kind in (Transient.SPAWNING, Transient.REBUILDING):
            job.approval = self.approved()
            sha = job.approval.sha if job.approval is not None else None
            with contextlib.suppress(Broken):  # the build itself says then what cannot be read
                job.aim_at(sources.at(sha) if sha is not None else sources.aim(core.name, core.record))
        return job

    def joins(self, job: Job, back: int | None) -> bool:
        """Whether a rebuild under way brings about what another one asked for now would."""
        if back is not None or job.back is not None:
            return False
        core = self._core
        unended = {view.id for view in self._reader.approvals.unended_for(core.name)}
        if unended or job.approval is not None:
            return job.approval is not None and unended == {job.approval.id}
        aim = core.shared.builder.sources.aim(core.name, core.record)
        return aim is not None and aim.revision in job.aims

    def check_back(self, number: int) -> None:
        """Whether there is something to go back to.

        Raises:
            Refused: that generation runs already, or is not there any more; names those that are.
        """
        core, builder = self._core, self._core.shared.builder
        busy = core.memory.job is not None  # what is current may be another when it is its turn
        views = tuple(
            replace(view, here=builder.here(core.name, view.number), current=view.current and not busy)
            for view in self._reader.generations.of(core.name)
        )
        earlier(core.name, views, number)

    def _generation(self, number: int) -> Generation | None:
        row = self._reader.generations.get(self._core.name, number)
        if row is None:
            return None
        return Generation(
            number=row.number,
            revision=row.revision,
            config=row.config,
            model=row.model,
            commit=row.commit,
            summary=row.summary,
            warnings=row.warnings,
            approval=row.approval,
            again=True,
        )
