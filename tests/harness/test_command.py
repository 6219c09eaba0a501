"""How Claude Code is started."""

import itertools
from pathlib import Path

from hyperhive.domain.agent_config import ExtraMcpServer
from hyperhive.domain.launch import CONTAINER_MARK, Launch
from hyperhive.harness.command import arguments, environment, mcp_servers

LAUNCH = Launch(
    generation=1,
    agent="alice",
    role="agent",
    model="sonnet",
    hive_sock="h",
    mcp_sock="/run/hive/mcp.sock",
    state="/state",
    claude_dir="/claude",
    records="r",
    tools=("Bash", "Read"),
    allowed=("Bash(git *)", "mcp__hyperhive"),
    extra_mcp_servers={"weather": ExtraMcpServer(command="weather-mcp", args=("--eu",), env={"R": "eu"})},
    api_retries=3,
)


def test_only_named_tools_exist_and_what_is_not_allowed_is_denied() -> None:
    line = arguments(LAUNCH, claude="claude", prompt="p", mcp_config=Path("/m.json"), session=None)
    pairs = dict(itertools.pairwise(line))
    assert pairs["--tools"] == "Bash,Read"
    assert pairs["--allowedTools"] == "Bash(git *),mcp__hyperhive"
    assert pairs["--permission-mode"] == "dontAsk"
    assert "--strict-mcp-config" in line and "--setting-sources=" in line
    assert not [word for word in line if word.startswith(("--resume", "--continue"))]


def test_a_session_is_resumed_by_its_id_and_cannot_become_a_flag() -> None:
    line = arguments(LAUNCH, claude="claude", prompt="p", mcp_config=Path("/m.json"), session="--evil")
    assert line[-1] == "--resume=--evil"


def test_the_environment_is_what_the_host_gave_with_ours_above_it() -> None:
    own = {
        "PATH": "/bin",
        "HYPERHIVE_X": "1",
        "CLAUDECODE": "1",
        "ANTHROPIC_API_KEY": "old",
        "PYTHONPATH": "/lib",
    }
    given = {"ANTHROPIC_API_KEY": "new", "DISABLE_AUTO_COMPACT": "0", "CLAUDE_CONFIG_DIR": "/elsewhere"}
    env = environment(LAUNCH, own=own, given=given)
    assert (env["PATH"], env["ANTHROPIC_API_KEY"], env["CLAUDE_CONFIG_DIR"]) == ("/bin", "new", "/claude")
    assert env["DISABLE_AUTO_COMPACT"] == "1" and env["CLAUDE_CODE_MAX_RETRIES"] == "3"
    assert not {"HYPERHIVE_X", "CLAUDECODE", "PYTHONPATH"} & set(env)


def test_what_claude_starts_carries_the_containers_mark_so_that_it_can_be_swept() -> None:
    env = environment(LAUNCH, own={CONTAINER_MARK: "abc"}, given={})
    assert env[CONTAINER_MARK] == "abc"


def test_the_hives_server_stands_beside_the_agents_own() -> None:
    servers = mcp_servers(LAUNCH)["mcpServers"]
    assert servers["weather"] == {
        "type": "stdio",
        "command": "weather-mcp",
        "args": ["--eu"],
        "env": {"R": "eu"},
    }
    assert servers["hyperhive"]["alwaysLoad"] and servers["hyperhive"]["args"][-1] == "/run/hive/mcp.sock"
