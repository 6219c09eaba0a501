"""The harness drives the real Claude Code binary through whole turns."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyperhive.domain.turns import Outcome
from hyperhive.domain.wire import Interrupt
from tests.claude_versions import need_other_claude
from tests.fakes.messages_api import Fail, Hang, Say, Use
from tests.harness.rig import rig
from tests.waiting import eventually_async

pytestmark = pytest.mark.e2e


async def test_a_turn_uses_bash_and_the_hives_own_tools_and_is_done(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [
            Use("Bash", {"command": "echo hello > made.txt && cat made.txt"}),
            Use("mcp__hyperhive__whoami", {}),
            Say("All done."),
        ]
        await r.start()
        r.hive.work(1, "make a file")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.DONE, over
        assert over.session and over.usage.input_tokens > 0 and over.usage.cost_usd > 0
        assert (tmp_path / "state" / "made.txt").read_text() == "hello\n"
        assert r.mcp.calls == ["whoami"]
        assert r.host.began(1)
        await eventually_async(lambda: r.host.said("result"))
        types = [item.type for item in r.host.items]
        assert types == ["prompt", "tool_use", "tool_result", "tool_use", "tool_result", "text", "result"]
        assert "> make a file" in r.host.said("prompt")[0]
        assert r.host.said("tool_result") == ["hello", "you are alice"]
        assert r.host.troubles() == []
        assert await r.stop() == 0


async def test_the_process_stays_warm_for_the_next_turn_and_is_let_go_afterwards(tmp_path: Path) -> None:
    async with rig(tmp_path, warm=1.0) as r:
        await r.start()
        assert r.family() == {}
        r.hive.work(1, "one")
        await r.ended(1)
        first = r.claude()
        r.hive.work(2, "two")
        await r.ended(2)
        assert first is not None and r.claude() == first
        await eventually_async(lambda: r.family() == {}, 30)
        r.hive.work(3, "three")
        await r.ended(3)
        overs = [r.host.over(n) for n in (1, 2, 3)]
        assert len({over.session for over in overs if over}) == 1
        costs = [over.usage.cost_usd for over in overs if over]
        assert costs == pytest.approx([costs[0]] * 3)
        assert "one" in str(r.api.requests[-1]["messages"])


async def test_a_restarted_harness_goes_on_with_the_session_and_an_unknown_one_begins_anew(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as r:
        await r.start()
        r.hive.work(1, "remember the word heron")
        await r.ended(1)
        await r.stop()
        await r.start()
        r.hive.work(2, "again")
        await r.ended(2)
        assert "heron" in str(r.api.requests[-1]["messages"])
        await r.stop()
        r.host.session = "11111111-1111-4111-8111-111111111111"
        await r.start()
        r.hive.work(3, "third")
        await r.ended(3)
        over = r.host.over(3)
        assert (
            over is not None
            and over.outcome is Outcome.DONE
            and over.session != "11111111-1111-4111-8111-111111111111"
        )
        assert "heron" not in str(r.api.requests[-1]["messages"])


async def test_a_login_refused_twice_parks_the_turn(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Fail(401, "authentication_error"), Fail(401, "authentication_error")]
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.LOGIN, over
        assert len(r.api.requests) == 2
        await eventually_async(lambda: r.claude() is None)


async def test_a_login_refused_once_is_no_trouble(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Fail(401, "authentication_error"), Say("fine")]
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.DONE, over


async def test_a_rate_limit_is_told_with_its_reset_and_retries_are_seen(tmp_path: Path) -> None:
    async with rig(tmp_path, api_retries=1) as r:
        r.api.script = [Fail(429, "rate_limit_error", {"retry-after": "0"}) for _ in range(2)]
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.RATE_LIMITED and over.resets_at is not None, over
        assert r.host.states()[0] == "rate-limited"
        assert r.host.said("retry")


async def test_a_login_over_its_limit_tells_when_it_resets(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        resets = datetime(2036, 1, 1, tzinfo=UTC)
        limit = {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(int(resets.timestamp())),
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
        }
        r.api.script = [Fail(429, "rate_limit_error", limit)]
        del r.host.env["ANTHROPIC_API_KEY"]
        r.host.env["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-test"
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and (over.outcome, over.resets_at) == (Outcome.RATE_LIMITED, resets), over


async def test_an_older_claude_code_works_alike(tmp_path: Path) -> None:
    async with rig(tmp_path, claude=str(need_other_claude())) as r:
        r.api.script = [
            Use("mcp__hyperhive__whoami", {}),
            Say("done"),
            Fail(401, "authentication_error"),
            Fail(401, "authentication_error"),
            Fail(429, "rate_limit_error"),
            Hang(),
        ]
        await r.start()
        for turn, outcome in enumerate((Outcome.DONE, Outcome.LOGIN, Outcome.RATE_LIMITED), start=1):
            r.hive.work(turn, "hi")
            await r.ended(turn)
            over = r.host.over(turn)
            assert over is not None and over.outcome is outcome, over
        assert r.mcp.calls == ["whoami"]
        r.hive.work(4, "hi")
        await eventually_async(lambda: len(r.api.requests) == 6, 60)
        r.hive.tell(Interrupt(turn=4))
        await r.ended(4)
        over = r.host.over(4)
        assert over is not None and over.outcome is Outcome.INTERRUPTED, over
        r.host.env["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
        await r.link.close("alice")
        await r.link.open("alice")
        await r.connected()
        r.hive.work(5, "hi")
        await r.ended(5)
        over = r.host.over(5)
        assert over is not None and over.outcome is Outcome.OFFLINE, over


@pytest.mark.parametrize("status", [500, 529])
async def test_an_api_that_fails_leaves_the_agent_offline(tmp_path: Path, status: int) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Fail(status, "overloaded_error") for _ in range(4)]
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.OFFLINE, over


async def test_an_api_that_is_not_there_leaves_the_agent_offline(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.host.env["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.OFFLINE, over


async def test_a_request_that_is_wrong_fails_the_turn(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Fail(400, "invalid_request_error") for _ in range(30)]
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.FAILED and "400" in over.note, over


async def test_a_turn_past_its_deadline_is_interrupted_and_the_session_stays_usable(tmp_path: Path) -> None:
    async with rig(tmp_path, turn_deadline=8.0) as r:
        r.api.script = [Hang(), Say("well")]
        await r.start()
        r.hive.work(1, "hi")
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.DEADLINE, over
        r.hive.work(2, "again")
        await r.ended(2)
        over = r.host.over(2)
        assert over is not None and over.outcome is Outcome.DONE, over


async def test_an_interrupt_ends_the_turn_and_the_command_it_runs(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Use("Bash", {"command": "sleep 321"})]
        await r.start()
        r.hive.work(1, "hi")
        await eventually_async(lambda: _running(r.family(), "sleep\x00321"), 15)
        r.hive.tell(Interrupt(turn=1))
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.INTERRUPTED, over
        await eventually_async(lambda: not _running(r.family(), "sleep\x00321"))


async def test_a_killed_claude_loses_the_turn_and_leaves_no_orphan(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Use("Bash", {"command": "sleep 322"})]
        await r.start()
        r.hive.work(1, "hi")
        await eventually_async(lambda: _running(r.family(), "sleep\x00322"), 15)
        claude = r.claude()
        assert claude is not None
        os.kill(claude, signal.SIGKILL)
        await r.ended(1)
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.LOST, over
        await eventually_async(lambda: r.family() == {})
        r.hive.work(2, "again")
        await r.ended(2)
        over = r.host.over(2)
        assert over is not None and over.outcome is Outcome.DONE, over


async def test_sigterm_in_a_turn_reports_it_and_leaves_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.api.script = [Use("Bash", {"command": "sleep 323"})]
        await r.start()
        r.hive.work(1, "hi")
        await eventually_async(lambda: _running(r.family(), "sleep\x00323"), 15)
        before = r.family()
        assert await r.stop() == 0
        over = r.host.over(1)
        assert over is not None and over.outcome is Outcome.INTERRUPTED, over
        assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]


def _running(family: dict[int, str], command: str) -> bool:
    for pid in family:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except OSError:
            continue
        if line.startswith(command):
            return True
    return False
