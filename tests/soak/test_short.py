"""A short soak: a hive comes to rest after each storm, and nothing that it holds is more than before."""

import pytest

from soak.compressed import Plan, run
from soak.report import judge

BUSY = 30
COUNTED = ("threads", "tasks", "watches", "posts", "descriptors")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_after_each_storm_a_hive_holds_what_it_held() -> None:
    said: list[str] = []
    plan = Plan(seconds=0, load=1.0, agents=6, brisk=3.0, probes=5, warm=1, port=0)
    soaked = await run(plan, said.append)
    assert soaked.faults == []
    assert len(soaked.rounds) >= 3
    assert soaked.done["turns"] > 0
    assert soaked.done["write"] > 0
    # On a busy machine a storm leaves a few threads and their descriptors behind for some seconds.
    room = {name: soaked.rounds[0][name] + BUSY for name in ("threads", "descriptors")}
    assert [one for one in judge(soaked.rounds, room) if one.grew and one.name in COUNTED] == []
    assert len(said) == len(soaked.rounds) + 1
