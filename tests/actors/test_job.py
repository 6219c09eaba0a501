"""A job waits for the harness of the container that it started, and for nothing else."""

import pytest

from hyperhive.actors.job import Job
from hyperhive.domain.axes import Transient
from hyperhive.domain.records import Handle
from hyperhive.errors import Broken

FAILED, NEXT = (Handle(runtime="fake", pid=pid, start_ticks=1, boot="b") for pid in (11, 12))


@pytest.fixture
def job() -> Job:
    """One whose container has just ended before its harness was ready."""
    made = Job(kind=Transient.REBUILDING, by="operator", tell=lambda message: None)
    made.launching()
    made.launched(FAILED)
    made.leader_ended(FAILED)
    with pytest.raises(Broken, match="ended before its harness was ready"):
        made.wait_ready(10)
    return made


@pytest.mark.parametrize("early", [True, False])
def test_an_end_that_is_heard_late_is_not_taken_for_the_next_containers(job: Job, early: bool) -> None:
    looks: list[int] = []

    def meanwhile() -> None:
        looks.append(len(looks))
        if len(looks) == 2:
            job.harness_ready()

    job.launching()
    if early:
        job.leader_ended(FAILED)
        job.launched(NEXT)
    else:
        job.launched(NEXT)
        job.leader_ended(FAILED)
    job.wait_ready(10, meanwhile)
    assert len(looks) >= 2


def test_the_next_containers_end_is_seen_also_when_it_is_heard_before_the_wait(job: Job) -> None:
    job.launching()
    job.leader_ended(NEXT)
    job.launched(NEXT)
    with pytest.raises(Broken, match="ended before its harness was ready"):
        job.wait_ready(10)


def test_a_harness_that_says_nothing_is_waited_for_no_longer_than_the_deadline(job: Job) -> None:
    job.launching()
    job.launched(NEXT)
    with pytest.raises(Broken, match=r"did not report ready within 0\.01 s"):
        job.wait_ready(0.01)


def test_a_hello_before_the_job_waits_counts(job: Job) -> None:
    job.launching()
    job.harness_ready()
    job.launched(NEXT)
    job.wait_ready(10)
