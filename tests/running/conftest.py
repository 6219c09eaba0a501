"""The façade over a running tree."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hyperhive.bridge import Bridge
from hyperhive.running.hive import RunningHive
from tests.actors.rig import Quiet, Rig
from tests.running.over import over

Running = tuple[RunningHive, Rig]


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[Running]:
    """A hive whose manager runs, and the rig beneath it. What happens goes up to the bridge as in the daemon."""
    rig, bridge = Rig(tmp_path), Bridge()
    bridge.open()
    with Quiet():
        rig.up()
        rig.readers.post = bridge.feed.post  # type: ignore[method-assign]
        rig.settled("manager")
        yield over(rig, bridge), rig
        bridge.close()
        rig.end()
