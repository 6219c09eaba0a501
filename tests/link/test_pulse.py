"""Moments that many connections share."""

import asyncio

import pytest

from hyperhive.link.pulse import Pulse
from tests.waiting import eventually_async


class Beating:
    """Counts its beats; ``fails`` with each."""

    def __init__(self, *, fails: bool = False) -> None:
        self.beats, self.fails = 0, fails

    def beat(self) -> None:
        self.beats += 1
        if self.fails:
            raise OSError("cannot be watched")


async def test_one_whose_beat_fails_takes_no_beat_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    pulse, when = Pulse(), asyncio.get_running_loop().time()
    all_of_them = [Beating(fails=number % 2 == 0) for number in range(20)]
    for one in all_of_them:
        pulse.at(when, one)
    await eventually_async(lambda: all(one.beats == 1 for one in all_of_them))
    assert caplog.text.count("The beat of a connection failed") == 10
