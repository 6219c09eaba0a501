"""The rehearsal drives the real Claude Code binary, in two versions."""

import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hyperhive.rehearsal.scenario import builtin, parse
from hyperhive.rehearsal.server import Rehearsal, agent_of
from tests.claude_versions import bundled_claude, need_other_claude
from tests.rehearsal.breaking import Breaking
from tests.rehearsal.claude import Claude
from tests.rehearsal.conversing import prompt

pytestmark = pytest.mark.e2e

SCENARIO = r"""
pace = 0.0

[[rule]]
matches = '^work'
[[rule.step]]
say = "I count."
[[rule.step]]
use = "Bash"
input = { command = "echo found $((40 + 2)) | tee count.txt", description = "Count" }
find = { count = 'found (\d+)' }
[[rule.step]]
use = "Bash"
input = { command = "echo again {count} && cat count.txt", description = "Again" }
keep = "second"
[[rule.step]]
say = "It was {count}; then: {second}"

[[rule]]
matches = '^deliver'
[[rule.step]]
use = "send"
input = { to = "bob", body = "hello" }
find = { sent = '\w+ got \w+' }
[[rule.step]]
say = "Sent: {sent}"

[[rule]]
matches = '^refuse'
[[rule.step]]
error = 401

[[rule]]
matches = '^limit'
[[rule.step]]
error = 429
retry_after = 1
[[rule.step]]
say = "never"

[[rule]]
matches = '^patience'
[[rule.step]]
error = 429
retry_after = 1
seconds = 1
[[rule.step]]
say = "The limit is over."

[[rule]]
matches = '^count (?P<what>\w+)'
[[rule.step]]
use = "Bash"
input = { command = "echo {what} >> counted.txt", description = "Count" }
[[rule.step]]
say = "Counted {what}."

[[rule]]
matches = '^cut'
[[rule.step]]
cut = true
say = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"

[[rule]]
[[rule.step]]
say = "Hello {agent}, you said: {body}"
"""


GIVE_UP = {"CLAUDE_CODE_MAX_RETRIES": "0"}

SERVER = """
import json, sys
text = {"type": "string"}
schema = {"type": "object", "properties": {"to": text, "body": text}, "required": ["to", "body"]}
tool = {"name": "send", "description": "Send a message.", "inputSchema": schema}
for line in sys.stdin:
    asked = json.loads(line)
    params = asked.get("params") or {}
    match asked["method"]:
        case "initialize":
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "hyperhive", "version": "1"}}
        case "tools/list":
            result = {"tools": [tool]}
        case "tools/call":
            said = "{to} got {body}".format(**params["arguments"])
            result = {"content": [{"type": "text", "text": said}]}
        case _:
            result = {}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""
"""One tool, there at once: Claude Code does not wait long for a server that takes its time."""


@dataclass(slots=True)
class Asked:
    """Whose keys came, one for each request."""

    agents: list[str | None] = field(default_factory=list)

    def __call__(self, key: str) -> str | None:
        self.agents.append(agent_of(key))
        return self.agents[-1]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def base(asked: Asked) -> AsyncIterator[str]:
    rehearsal = Rehearsal(scenario=parse(SCENARIO, file="test.toml"), keys=asked)
    yield await rehearsal.start()
    await rehearsal.stop()


@pytest.fixture(params=["bundled", "other"])
def version(request: pytest.FixtureRequest) -> Path:
    return bundled_claude() if request.param == "bundled" else need_other_claude()


@pytest.fixture
def claude(version: Path, base: str, tmp_path: Path) -> Claude:
    return Claude(path=version, home=tmp_path, base=base)


async def test_a_prompt_is_answered_with_text_and_tokens_are_counted(claude: Claude) -> None:
    run = await claude.run("hi there")
    assert run.result["result"] == "Hello alice, you said: hi there"
    assert run.result["is_error"] is False
    assert run.result["usage"]["output_tokens"] > 0
    assert run.result["total_cost_usd"] > 0


async def test_what_bash_really_printed_shapes_the_next_step(claude: Claude) -> None:
    run = await claude.run("work")
    assert run.calls() == ["Bash", "Bash"]
    assert run.outcomes() == ["found 42", "again 42\nfound 42"]
    assert run.result["result"] == "It was 42; then: again 42\nfound 42"
    assert (claude.home / "state" / "count.txt").read_text() == "found 42\n"


async def test_a_refused_login_is_told_as_such(claude: Claude) -> None:
    run = await claude.run("refuse", env=GIVE_UP)
    assert run.result["is_error"] is True
    assert run.result["api_error_status"] == 401


async def test_a_rate_limit_is_retried_and_then_told(claude: Claude) -> None:
    run = await claude.run("limit")
    assert len(run.of("api_retry")) == 1
    assert run.result["is_error"] is True
    assert run.result["api_error_status"] == 429


async def test_a_rate_limit_that_ends_is_sat_out(claude: Claude) -> None:
    run = await claude.run("patience", env={"CLAUDE_CODE_MAX_RETRIES": "4"})
    assert run.of("api_retry")
    assert run.result["result"] == "The limit is over."


async def test_a_stream_that_breaks_off_is_asked_for_again(claude: Claude, asked: Asked) -> None:
    run = await claude.run("cut")
    assert len(asked.agents) > 1
    assert run.result["result"].startswith("one two three")
    assert run.result["result"].endswith("fourteen fifteen")


async def test_an_answer_that_breaks_off_behind_a_whole_text_costs_no_message(
    tmp_path: Path, base: str, version: Path
) -> None:
    """Claude Code then asks to go on, in a message of its own, or tells that the turn failed."""
    out = bytearray()
    breaking = Breaking(api=base, behind=b'"Counted one."', seen=lambda: b'"Counted one."' in out)
    claude = Claude(path=version, home=tmp_path, base=await breaking.start())
    try:
        asked = prompt(*(("bob", f"count {what}") for what in ("one", "two", "three")))
        run = await claude.run(asked, out=out)
    finally:
        await breaking.stop()
    counted = (tmp_path / "state" / "counted.txt").read_text().split()
    assert breaking.broken
    assert counted[0] == "one"
    assert run.result["is_error"] or counted == ["one", "two", "three"]


async def test_a_login_by_token_is_known_and_its_limit_tells_when_it_ends(claude: Claude) -> None:
    token = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": claude.key, **GIVE_UP}
    assert (await claude.run("hi", env=token)).result["result"] == "Hello alice, you said: hi"
    run = await claude.run("limit", env=token)
    assert run.result["api_error_status"] == 429
    (limited,) = [event["rate_limit_info"] for event in run.events if event["type"] == "rate_limit_event"]
    assert limited["status"] == "rejected"
    assert limited["resetsAt"] > time.time() - 60


@pytest.mark.parametrize("always", [True, False])
async def test_tools_of_the_hive_are_used_deferred_or_not(claude: Claude, always: bool) -> None:
    server = {"command": sys.executable, "args": ["-I", "-S", "-c", SERVER], "alwaysLoad": always}
    servers = json.dumps({"mcpServers": {"hyperhive": server}})
    patient = {"MCP_CONNECTION_NONBLOCKING": "0", "MCP_TIMEOUT": "50000"}  # or it asks too early
    run = await claude.run("deliver", "--strict-mcp-config", "--mcp-config", servers, env=patient)
    assert run.calls()[-1] == "mcp__hyperhive__send"
    assert run.result["result"] == "Sent: bob got hello"


async def test_a_session_is_resumed_after_compaction_and_goes_on(claude: Claude) -> None:
    first = await claude.run("hi there")
    resume = ("--resume", first.result["session_id"])
    assert (await claude.run("work", *resume)).result["is_error"] is False
    compacted = await claude.run("/compact", *resume)
    assert compacted.of("compact_boundary")
    again = await claude.run("work", *resume)
    assert again.calls() == ["Bash", "Bash"]
    assert again.result["result"].startswith("It was 42")


async def test_the_built_in_piece_of_work_is_done_in_the_agents_folder(tmp_path: Path) -> None:
    rehearsal = Rehearsal(scenario=builtin())
    try:
        claude = Claude(path=bundled_claude(), home=tmp_path, base=await rehearsal.start())
        server = {"command": sys.executable, "args": ["-I", "-S", "-c", SERVER], "alwaysLoad": True}
        servers = json.dumps({"mcpServers": {"hyperhive": server}})
        asked = prompt(("manager", "The operator asks: how is the machine?"))
        run = await claude.run(asked, "--strict-mcp-config", "--mcp-config", servers)
    finally:
        await rehearsal.stop()
    report = (tmp_path / "state" / "report.md").read_text()
    assert report.startswith("# Report of alice")
    assert run.calls() == ["Bash", "Bash", "mcp__hyperhive__send"]
    assert "manager got Report of alice" in run.outcomes()[-1]
    assert run.result["result"] == "Sent. The file stays in my folder."
