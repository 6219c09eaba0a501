"""The time of day that a test sets reaches a process and none of its other clocks; what it told is read aright."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.oracle import clock
from tests.e2e.oracle.clock import Clock, Stretch
from tests.e2e.oracle.record import Event, at

DAY = 86_400.0
LOOKS = """
import sqlite3, sys, time
from datetime import datetime
for _ in sys.stdin:
    sql = int(sqlite3.connect(":memory:").execute("SELECT strftime('%s')").fetchone()[0])
    print(time.time(), datetime.now().timestamp(), sql, time.monotonic(), flush=True)
"""


@pytest.mark.skipif(bool(clock.missing()), reason=clock.missing())
@pytest.mark.parametrize("ahead", [-3650 * DAY, 40 * DAY])
def test_a_process_reads_the_time_that_is_set_while_it_runs_and_waits_as_before(
    tmp_path: Path, ahead: float
) -> None:
    made = Clock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", LOOKS],
        env=os.environ | made.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for expected in (0.0, ahead, 0.0):
            made.set(expected, 0)
            before, since = time.time(), time.monotonic()
            process.stdin.write("\n")
            process.stdin.flush()
            *told, monotonic = map(float, process.stdout.readline().split())
            after, until = time.time(), time.monotonic()
            assert all(before - 1 <= moment - expected <= after for moment in told)
            assert since <= monotonic <= until
        process.stdin.close()


def event(seq: int, second: float) -> Event:
    told = datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
    return {"seq": seq, "ts": told, "kind": "started", "agent": "dan"}


BEGAN = 1_800_000_000.0
SET = (
    *clock.MACHINE,
    Stretch(BEGAN + 100, 40 * DAY, behind=10),
    Stretch(BEGAN + 200, -30.0, behind=20),
    Stretch(BEGAN + 300, -33.0, behind=30),
)


@pytest.mark.parametrize(
    ("seq", "told", "moment"),
    [
        (9, 50.0, 50.0),
        (12, 150 + 40 * DAY, 150.0),
        (22, 220.0, 250.0),
        (29, 268.0, 298.0),
        (31, 268.0, 301.0),
    ],
)
def test_the_time_an_event_bears_is_read_as_the_clock_was_set_then(
    seq: int, told: float, moment: float
) -> None:
    one = event(seq, BEGAN + told)
    assert clock.true_moment(one, SET, BEGAN + 400) == pytest.approx(BEGAN + moment)
    (straight,) = clock.straightened([one], SET, BEGAN + 400)
    assert at(straight) == pytest.approx(BEGAN + moment)
    assert clock.times_follow_the_clock([one], SET, BEGAN, BEGAN + 400) == []


@pytest.mark.parametrize(
    ("fault", "one"),
    [
        ("the clock as it was, after it was set", event(15, BEGAN + 150)),
        ("the clock as it was set, before that", event(5, BEGAN + 50 + 40 * DAY)),
        ("a time that nobody ever set", event(22, BEGAN + 250 + 3650 * DAY)),
        ("a time of another round", event(3, BEGAN - 60)),
    ],
)
def test_a_time_that_no_clock_said_is_seen(fault: str, one: Event) -> None:
    (found,) = clock.times_follow_the_clock([one], SET, BEGAN, BEGAN + 400)
    assert "which no clock said" in found, fault
    assert len(clock.straightened([one], SET, BEGAN + 400)) == 1


def test_what_was_stamped_before_the_clock_was_set_back_and_stored_after_is_read_as_of_before() -> None:
    back = (*clock.MACHINE, Stretch(BEGAN + 100, -30.0, behind=20))
    one = event(21, BEGAN + 99)
    assert clock.times_follow_the_clock([one], back, BEGAN + 90, BEGAN + 101) == []
