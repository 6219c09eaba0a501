"""How Claude Code is started."""

import itertools
import os
from pathlib import Path

import pytest

from hyperhive.domain.agent_config import ExtraMcpServer
from hyperhive.domain.environment import MAX_ENVIRONMENT
from hyperhive.domain.launch import Launch
from hyperhive.domain.records import CONTAINER_MARK
from hyperhive.errors import Invalid
from hyperhive.harness.command import arguments, environment, mcp_servers, provided

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
    env = environment(LAUNCH, own=own, given=given, provided={})
    assert (env["PATH"], env["ANTHROPIC_API_KEY"], env["CLAUDE_CONFIG_DIR"]) == ("/bin", "new", "/claude")
    assert env["DISABLE_AUTO_COMPACT"] == "1" and env["CLAUDE_CODE_MAX_RETRIES"] == "3"
    assert not {"HYPERHIVE_X", "CLAUDECODE", "PYTHONPATH"} & set(env)


def test_what_the_operator_provided_lies_between_the_harnesss_and_ours() -> None:
    provided = {"AWS_REGION": "eu", "LANG": "de", "DISABLE_AUTO_COMPACT": "0", "MCP_TIMEOUT": "1"}
    env = environment(LAUNCH, own={"LANG": "C", "GIT_AUTHOR_NAME": "A"}, given={}, provided=provided)
    assert (env["AWS_REGION"], env["LANG"]) == ("eu", "de")
    assert (env["DISABLE_AUTO_COMPACT"], env["MCP_TIMEOUT"]) == ("1", "30000")
    assert env["GIT_AUTHOR_NAME"] == "A"


def test_where_the_host_says_which_api_is_asked_nothing_provided_leads_elsewhere() -> None:
    given = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "ANTHROPIC_API_KEY": "sk-rehearsal-alice-0"}
    provided = {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_AUTH_TOKEN": "real",
        "ANTHROPIC_BASE_URL": "https://x",
        "https_proxy": "http://proxy",
        "AWS_REGION": "eu",
    }
    env = environment(LAUNCH, own={}, given=given, provided=provided)
    assert given.items() <= env.items() and env["AWS_REGION"] == "eu"
    assert not {"CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_AUTH_TOKEN", "https_proxy"} & set(env)
    live = environment(LAUNCH, own={}, given={}, provided=provided)
    assert provided.items() <= live.items()


def test_an_environment_file_is_read_each_time_and_refused_whole_without_its_values(tmp_path: Path) -> None:
    file = tmp_path / "bedrock.env"
    file.write_text("# ours\nAWS_REGION=eu\n")
    assert provided(file) == {"AWS_REGION": "eu"}
    file.write_text("AWS_REGION=us\nPATH=secret\n")
    with pytest.raises(Invalid, match=r"^the environment file: line 2: PATH cannot be set here\.$"):
        provided(file)
    file.write_text("A=" + "x" * MAX_ENVIRONMENT)
    with pytest.raises(Invalid, match="longer than"):
        provided(file)
    file.unlink()
    with pytest.raises(Invalid, match="the environment file cannot be read: No such file"):
        provided(file)
    os.mkfifo(file)
    with pytest.raises(Invalid, match="cannot be read: it is no file"):
        provided(file)


def test_the_manager_reaches_all_agents_configs() -> None:
    manager = LAUNCH.model_copy(update={"agents": "/agents"})
    line = arguments(manager, claude="claude", prompt="p", mcp_config=Path("/m.json"), session="s")
    assert ("--add-dir", "/agents") in set(itertools.pairwise(line)) and line[-1] == "--resume=s"
    env = environment(manager, own={"HYPERHIVE_AGENTS": "/x"}, given={}, provided={})
    assert env["HYPERHIVE_AGENTS"] == "/agents"
    assert "HYPERHIVE_AGENTS" not in environment(LAUNCH, own={}, given={}, provided={})


def test_what_claude_starts_carries_the_containers_mark_so_that_it_can_be_swept() -> None:
    env = environment(LAUNCH, own={CONTAINER_MARK: "abc"}, given={}, provided={})
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
