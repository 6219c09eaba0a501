"""The host goes away and comes back in the middle of a turn of the real Claude Code binary."""

from pathlib import Path

import pytest

from hyperhive.domain.turns import Outcome
from hyperhive.domain.wire import Compact, TurnBegan, TurnOver
from tests.fakes.messages_api import Say, Use
from tests.harness.rig import rig
from tests.waiting import eventually_async

pytestmark = pytest.mark.e2e


async def test_a_turn_goes_on_while_the_host_is_away_and_is_told_once_when_it_is_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        gate = tmp_path / "state" / "gate"
        wait = "until [ -e gate ]; do sleep 0.1; done; echo through"
        r.api.script = [Use("Bash", {"command": wait}), Say("done")]
        await r.start()
        r.hive.work(1, "hi")
        await eventually_async(lambda: r.host.said("tool_use"), 60)
        r.api.arrived.clear()
        await r.down()
        gate.touch()
        await r.api.arrived.wait()
        await eventually_async(lambda: "turn 1 ended" in (tmp_path / "log").read_text(), 60)
        await r.up()
        await r.ended(1)
        overs = [report for report in r.host.reports if isinstance(report, TurnOver)]
        began = [report for report in r.host.reports if isinstance(report, TurnBegan)]
        assert [over.outcome for over in overs] == [Outcome.DONE]
        assert len(began) == 1


async def test_the_hives_tools_work_again_in_the_same_turn_after_the_host_was_away(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        wait = "until [ -e gate ]; do sleep 0.1; done; echo through"
        r.api.script = [
            Use("mcp__hyperhive__whoami", {}),
            Use("Bash", {"command": wait}),
            Use("mcp__hyperhive__whoami", {}),
            Say("done"),
        ]
        await r.start()
        r.hive.work(1, "hi")
        await eventually_async(lambda: len(r.host.said("tool_use")) == 2, 60)
        assert r.mcp.connections == 1
        await r.down()
        await r.up()
        await r.connected()
        await eventually_async(lambda: r.mcp.connections == 2, 30)
        (tmp_path / "state" / "gate").touch()
        await r.ended(1)
        assert r.mcp.calls == ["whoami", "whoami"]
        assert r.host.said("tool_result").count("you are alice") == 2


async def test_the_session_is_compacted_when_the_host_says_so(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        r.hive.tell(Compact())
        await eventually_async(lambda: r.host.states() == ["compacting", "idle"], 60)
        await eventually_async(lambda: r.host.said("compact"))
        assert r.host.troubles() == []
        r.hive.work(2, "again")
        await r.ended(2)
        over = r.host.over(2)
        assert over is not None and over.outcome is Outcome.DONE, over
