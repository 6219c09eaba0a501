"""An agent's config: what it may say, and how a mistake is refused."""

import pytest

from hyperhive.domain.agent_config import DEFAULT, parse
from hyperhive.domain.sizes import size
from hyperhive.errors import Invalid

WHOLE = """
model = "sonnet"
restart = "on-failure"
allowedRecipients = ["manager", "alice", "operator"]

[bash]
allow = ["git *", "nix build *", "sh -c 'echo $(date)'"]

[extraMcpServers.weather]
command = "weather-mcp"
args = ["--units", "metric"]
env = { REGION = "eu" }
allowedTools = ["forecast"]

[limits]
memory = "4G"
cpus = 2
tasks = 512

[notes]
compactAboveKiB = 64
"""


def test_the_documented_config_is_read() -> None:
    config = parse(WHOLE)
    assert config.allowedRecipients == ("manager", "alice", "operator")
    assert config.bash.allow == ("git *", "nix build *", "sh -c 'echo $(date)'")
    assert config.extraMcpServers["weather"].env == {"REGION": "eu"}
    assert (config.limits.memory, config.limits.cpus, config.limits.tasks) == ("4G", 2.0, 512)


def test_a_new_agents_config_says_what_holds_anyway() -> None:
    assert parse(DEFAULT) == parse("")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle = 'x'", "modle: unknown key"),
        ("model = 1", "model: Input should be a valid string"),
        ("restart = 'always'", "restart: Input should be 'on-failure' or 'never'"),
        ("[limits]\ntasks = '512'", "limits.tasks: Input should be a valid integer"),
        ("[limits]\ntasks = 512.0", "limits.tasks: Input should be a valid integer"),
        ("[limits]\ncpus = nan", "limits.cpus"),
        ("[limits]\ncpus = 0.001", "limits.cpus: Input should be greater than or equal to 0.01"),
        ("[limits]\nmemory = '1'", "limits.memory: nothing runs in that: give 1M to 1024T"),
        ("[limits]\nmemory = '1025T'", "limits.memory: nothing runs in that"),
        (f"[limits]\nmemory = '{'9' * 5_000}'", "limits.memory: give a number of bytes"),
        ("[notes]\ncompactAboveKiB = true", "notes.compactAboveKiB: Input should be a valid integer"),
        ("model = 2026-01-01", "model: Input should be a valid string"),
        ("[limits]\nmemory = 2026-01-01", "limits.memory: Input should be a valid string"),
        ("bash = 'git *'", "bash"),
        ("allowedRecipients = ['../x']", "allowedRecipients.0: '../x' cannot name an agent"),
        ("allowedRecipients = 'alice'", "allowedRecipients"),
        ("[extraMcpServers.hyperhive]\ncommand = 'x'", "this name is the hive's own"),
        (
            "[extraMcpServers.HyperHive]\ncommand = 'x'",
            "extraMcpServers.HyperHive: this name is the hive's own",
        ),
        (
            "[extraMcpServers.a__b]\ncommand = 'x'",
            "extraMcpServers.a__b.[key]: the name of a server holds no two",
        ),
        ("[extraMcpServers.w]\nargs = []", "extraMcpServers.w.command: Field required"),
        ("a = 1\na = 2", "not TOML"),
        ("a = " + "[" * 5_000, "not TOML"),
        ("a = " + "9" * 5_000, "not TOML"),
        ("# \udcff", "not UTF-8"),
        ("#" * 70_000, "longer than 65536 bytes"),
    ],
)
def test_a_mistake_is_refused_with_file_key_and_reason(text: str, said: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(text)
    assert refusal.value.message.startswith("agent.toml: ")
    assert said in refusal.value.message
    assert refusal.value.message.endswith(".")


def test_sizes_are_read_with_their_unit() -> None:
    assert [size(text) for text in ("512", "4K", "3M", "2G", "1T")] == [512, 4096, 3 << 20, 2 << 30, 1 << 40]


@pytest.mark.parametrize("rule", ["", "  ", "x),Bash,Bash(y", "x)", "(x", "a\\nb", "a\\u0000b"])
def test_a_bash_rule_cannot_allow_more_than_it_says(rule: str) -> None:
    with pytest.raises(Invalid, match=r"bash\.allow\.0: a rule is a line of text"):
        parse(f'[bash]\nallow = ["{rule}"]')


@pytest.mark.parametrize("tool", ["", "forecast,Bash", "forecast Bash", "x)"])
def test_an_allowed_tool_is_one_tools_name(tool: str) -> None:
    with pytest.raises(Invalid, match=r"extraMcpServers\.w\.allowedTools\.0"):
        parse(f'[extraMcpServers.w]\ncommand = "w"\nallowedTools = ["{tool}"]')


@pytest.mark.parametrize(
    "server",
    ['command = "a\\u0000"', 'command = "a"\nargs = ["\\u0000"]', 'command = "a"\nenv = { X = "\\u0000" }'],
)
def test_what_no_process_can_be_given_is_refused(server: str) -> None:
    with pytest.raises(Invalid, match="holds a NUL"):
        parse(f"[extraMcpServers.w]\n{server}")


def test_a_refusal_is_one_plain_line() -> None:
    with pytest.raises(Invalid) as refusal:
        parse('"\\u001b[31m\\nevil" = 1')
    assert refusal.value.message.isprintable()
