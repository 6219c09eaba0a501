"""Keeps ``applied/`` in step with an operation: the tags of the approval it carries out, and ``main``."""

import logging
from dataclasses import dataclass, field, replace
from typing import TypedDict

from hyperhive.actors.build_log import Step
from hyperhive.actors.builder import Generation
from hyperhive.actors.job import Job
from hyperhive.actors.tagging import image, remake
from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import HiveError
from hyperhive.repos.repositories import Repositories

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deploying:
    """Writes tags just before the row that decides changes. Each call can be made again.

    Without an approval, and as long as ``main`` stays, nothing is written and no process runs.

    Args:
        doubtful: approvals whose tags could not be written; for who tries again later.
    """

    repos: Repositories
    doubtful: set[int] = field(default_factory=set)

    def begun(self, job: Job, record: AgentRecord) -> None:
        """A build begins, perhaps once more: the tags are those of an approval that is being built."""
        if job.approval is None or job.approval.sha is None:
            return
        view = replace(job.approval, state=State.BUILDING)
        make, drop = image(view)
        job.log.say(Step.TAGGED, f"building/{view.id} is {job.approval.sha[:12]}")
        self.repos.tag(record.name, make=make, drop=drop, **self._recorded(job, record))

    def deployed(self, job: Job, record: AgentRecord, made: Generation) -> None:
        """What was made runs, or would: ``main`` is its commit, with its tags in one step."""
        view, name = job.approval, record.name
        if view is not None:
            make, drop = image(replace(view, state=State.DEPLOYED, sha=made.commit))
            self.repos.tag(name, make=make, drop=drop, main=made.commit)
            job.log.say(Step.DEPLOYED, f"deployed/{view.id}, main is {made.commit[:12]}")
        elif made.commit and made.commit == self.repos.first(name) and self.repos.main(name) is None:
            self.repos.begin(name)
        elif made.again and made.commit and made.commit != self.repos.main(name):
            self.repos.tag(name, make={}, main=made.commit)
            job.log.say(Step.DEPLOYED, f"main is {made.commit[:12]}")

    def failed(self, job: Job, record: AgentRecord, reason: str) -> None:
        """It came to nothing: the tags say why, and ``main`` is where it was. The record is the truth, so if this
        fails too, nothing is lost."""
        try:
            back = self._recorded(job, record)
            if job.approval is not None:
                view = replace(job.approval, state=State.FAILED, outcome=reason)
                make, drop = image(view)
                self.repos.tag(record.name, make=make, drop=drop, **back)
            elif back:
                self.repos.tag(record.name, make={}, **back)
        except HiveError as error:
            job.untagged = True
            if job.approval is not None:
                self.doubtful.add(job.approval.id)
            log.error("The tags of '%s' could not be written: %s", record.name, error.message)

    def remake(self, view: ApprovalView) -> None:
        """The tags of an approval, as its row says."""
        try:
            remake(self.repos, view)
        except HiveError as error:
            self.doubtful.add(view.id)
            log.error("Approval %d is not tagged: %s", view.id, error.message)

    def _recorded(self, job: Job, record: AgentRecord) -> "_Main":
        """Where ``main`` is to go back to, if this operation moved it, perhaps in an earlier daemon."""
        change, deployed = job.approval or job.back, record.built_commit
        goal = change.commit if isinstance(change, Generation) else change and change.sha
        first = job.approval is not None and job.approval.kind is Kind.SPAWN_COMMIT
        if not deployed and first:
            deployed = job.deployed
        if goal is None or goal == deployed or self.repos.main(record.name) != goal:
            return {}
        if deployed:
            return {"main": deployed}
        return {"unborn": True} if first else {}


class _Main(TypedDict, total=False):
    """What is to be done about ``main``, see ``Repositories.tag``."""

    main: str
    unborn: bool
