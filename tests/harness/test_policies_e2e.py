"""What a config says takes effect in the real Claude Code binary, in both versions."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperhive.domain.agent_config import ExtraMcpServer, parse
from hyperhive.domain.launch import permission_rules
from hyperhive.domain.turns import Outcome
from hyperhive.domain.wire import McpServers
from tests.claude_versions import need_other_claude
from tests.fakes.messages_api import Say, Use
from tests.harness.rig import Rig, rig
from tests.waiting import eventually_async

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(params=["newer", "older"])
def claude(request: pytest.FixtureRequest) -> str | None:
    """Both versions of Claude Code."""
    return str(need_other_claude()) if request.param == "older" else None


async def results(r: Rig, turn: int, *uses: Use) -> list[str]:
    """What these tool calls gave, in one turn."""
    r.api.script = [*uses, Say("done")]
    before = len(r.host.said("tool_result"))
    r.hive.work(turn, "go")
    await r.ended(turn, 90)
    await eventually_async(lambda: len(r.host.said("tool_result")) == before + len(uses))
    over = r.host.over(turn)
    assert over is not None and over.outcome is Outcome.DONE, over
    return r.host.said("tool_result")[before:]


def bash(command: str) -> Use:
    return Use("Bash", {"command": command, "description": "A test"})


DENIED = (
    "touch made",
    "git status; touch made",
    "git status && touch made",
    "git status || touch made",
    "git status & touch made",
    "git status\ntouch made",
    "git status | tee made",
    "git status $(touch made)",
    "git status `touch made`",
    "git status <(touch made)",
    "git status > made",
    "GIT_PAGER='touch made' git -p status",
    "bash -c 'touch made'",
    "env git status",
    "sh -c 'git status'",
)
"""What an ``allow = ["git *"]`` stops."""

THROUGH = ("git -c alias.x='!touch made' x", "git log --output=made")
"""What it cannot stop, as the documentation says: programs that run programs, and write files."""


async def test_bash_allow_stops_what_it_says_and_no_more(tmp_path: Path, claude: str | None) -> None:
    rules = permission_rules(parse('[bash]\nallow = ["git *"]\n'))
    made = tmp_path / "state" / "made"
    async with rig(tmp_path, claude=claude, allowed=rules) as r:
        await r.start()
        denied = await results(r, 1, *map(bash, DENIED))
        assert not made.exists()
        for command, said in zip(DENIED, denied, strict=True):
            assert "ermission" in said or "not allowed" in said, (command, said)
        allowed = await results(r, 2, bash("git init --quiet . && git status"), bash("echo reads always run"))
        assert "No commits yet" in allowed[0] and allowed[1] == "reads always run"
        for number, command in enumerate(THROUGH, start=3):
            commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x"
            await results(r, number, bash(commit), bash(command))
            assert made.exists(), command
            made.unlink()


async def test_the_operators_environment_is_read_at_each_start_and_the_agents_prompt_comes_last(
    tmp_path: Path, claude: str | None
) -> None:
    file = tmp_path / "bedrock.env"
    file.write_text("AWS_REGION=eu-central-1\n")
    own = {"environment": str(file), "prompt": "You count herons.", "warm": 0.2}
    async with rig(tmp_path, claude=claude, **own) as r:
        await r.start()
        show = bash("echo $AWS_REGION $GIT_AUTHOR_NAME")
        assert await results(r, 1, show) == ["eu-central-1 Alice"]
        system = str(r.api.requests[-1]["system"])
        assert system.index("You are part of a hive") < system.index("You count herons.")
        await eventually_async(lambda: r.claude() is None, 30)
        file.write_text("AWS_REGION=us-east-1\n")
        assert (await results(r, 2, show))[0].startswith("us-east-1 ")
        await eventually_async(lambda: r.claude() is None, 30)
        asked = len(r.api.requests)
        file.unlink()
        r.hive.work(3, "go")
        await r.ended(3)
        over = r.host.over(3)
        assert over is not None and over.outcome is Outcome.OFFLINE, "its message waits for the operator"
        assert over.note.startswith("Claude Code was not started: the environment file cannot be read")
        assert len(r.api.requests) == asked


async def test_the_manager_edits_and_commits_the_configs_of_others(
    tmp_path: Path, claude: str | None
) -> None:
    config = tmp_path / "agents" / "carol" / "config"
    config.mkdir(parents=True)
    file = config / "agent.toml"
    file.write_text('model = "sonnet"\n')
    rules = permission_rules(parse(""))
    fleet: dict[str, Any] = {"role": "manager", "agents": str(tmp_path / "agents"), "allowed": rules}
    async with rig(tmp_path, claude=claude, **fleet) as r:
        await r.start()
        said = await results(
            r,
            1,
            Use("Read", {"file_path": str(file)}),
            Use("Edit", {"file_path": str(file), "old_string": "sonnet", "new_string": "haiku"}),
            Use("Write", {"file_path": str(config / "prompt.md"), "content": "Count."}),
            bash(
                "cd $HYPERHIVE_AGENTS/carol/config && git init -q . && git add . && git commit -qm Start && git log"
            ),
        )
        assert file.read_text() == 'model = "haiku"\n' and (config / "prompt.md").read_text() == "Count."
        assert "Author: Alice <alice@hive>" in said[-1]


async def test_servers_that_do_not_start_are_told_once_and_those_that_do_are_used(
    tmp_path: Path, claude: str | None
) -> None:
    server = Path(__file__).with_name("mcp_server.py")
    flaky = tmp_path / "flaky"
    servers = {
        "well": ExtraMcpServer(command=sys.executable, args=(str(server), str(tmp_path / "always"))),
        "flaky": ExtraMcpServer(command=sys.executable, args=(str(server), str(flaky))),
        "missing": ExtraMcpServer(command="no-such-program"),
    }
    (tmp_path / "always").touch()
    allowed = ("mcp__well__twice", "mcp__flaky", "mcp__hyperhive", "Bash")
    async with rig(
        tmp_path, claude=claude, extra_mcp_servers=servers, allowed=allowed, tools=("Bash",), warm=0.2
    ) as r:

        def told() -> list[dict[str, str]]:
            return [report.failed for report in r.host.reports if isinstance(report, McpServers)]

        async def until_told(failed: dict[str, str], turn: int, *uses: Use) -> list[str]:
            """A turn that lasts until this is told: what a process ends over, it looks at no more."""
            go = tmp_path / f"go-{turn}"
            wait = bash(f"until test -e '{go}'; do sleep 0.05; done")
            under_way = asyncio.create_task(results(r, turn, *uses, wait))
            with contextlib.suppress(AssertionError):
                await eventually_async(lambda: told() and told()[-1] == failed, 60)
            go.touch()
            said = await under_way
            assert told() and told()[-1] == failed, told()
            return said

        await r.start()
        missing = "there is no program 'no-such-program' on its PATH"
        both = {"flaky": "it ended before it answered", "missing": missing}
        twice, other = (Use(f"mcp__well__{tool}", {"text": "hi"}) for tool in ("twice", "other"))
        said = await until_told(both, 1, twice, other)
        assert said[0] == "hihi" and "ermission" in said[1]
        await eventually_async(lambda: r.claude() is None, 30)
        count = len(told())
        await results(r, 2, Use("mcp__well__twice", {"text": "a"}))
        await eventually_async(lambda: r.claude() is None, 30)
        flaky.touch()
        await until_told({"missing": missing}, 3, Use("mcp__flaky__twice", {"text": "b"}))
        assert len(told()) == count + 1, "the second process had nothing new to tell"
        assert r.host.troubles() == []
