"""kill -9 of the daemon again and again while its home is made for the first time."""

import random
import threading

import pytest

from tests.e2e.oracle import checker, lives
from tests.e2e.oracle.record import read
from tests.e2e.oracle.stage import seed, stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LONGEST = 1.5
"""Seconds that a first start may take before it is killed: half of it made, opened, migrated, spawned."""


def test_a_home_whose_first_daemons_were_killed_as_they_made_it_is_whole() -> None:
    number = seed()
    chance = random.Random(number)
    with stage() as real:
        for _ in range(3):
            real.launch()
            threading.Event().wait(chance.random() * LONGEST)
            real.kill()
        real.up()
        real.shows("manager", transient=None, container="running", ready=True)
        real.quiet()
        record = read(real.home)
        wrong = [*record.faults, *checker.events_are_gapless(record.events)]
        wrong += lives.operations_end_once(record)
        wrong += [] if len(real.harnesses("manager")) == 1 else ["the manager has no harness, or two"]
        spawned = [e["ok"] for e in record.events if e["kind"] == "spawned" and e["agent"] == "manager"]
        wrong += [] if spawned == [True] else [f"the manager was told as spawned: {spawned}"]
        assert wrong == [], f"HYPERHIVE_SEED={number}"
