"""An agent's config, ``agent.toml``: parsed, checked, and refused with file, key and reason."""

import json
import tomllib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from hyperhive.domain.limits import Limits
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.value import Value
from hyperhive.errors import Invalid

MAX_CONFIG = 64 * 1024
"""Bytes of one ``agent.toml``."""


def _text(text: str) -> str:
    """What becomes an argument or a variable of a process ends at NUL there."""
    if "\0" in text:
        raise PydanticCustomError("nul", "it holds a NUL character")
    return text


def _rule(rule: str) -> str:
    """A rule stands in parentheses in a list: one that closes them would be several, and allow more than it says."""
    depth = 0
    for char in rule:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    if depth or not rule.strip() or not rule.isprintable():
        raise PydanticCustomError("rule", "a rule is a line of text with its parentheses in pairs")
    return rule


def _recipient(name: str) -> str:
    try:
        return name if name == OPERATOR else check_name(name)
    except Invalid as refusal:
        raise PydanticCustomError("name", "{reason}", {"reason": refusal.message.rstrip(".")}) from None


def _server(name: str) -> str:
    """Claude Code calls a tool ``mcp__<server>__<tool>``: a name with that in it could be another server's tool."""
    if "__" in name:
        raise PydanticCustomError("server", "the name of a server holds no two underscores in a row")
    return name


_Text = Annotated[str, AfterValidator(_text)]
_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
_ServerName = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,31}$"), AfterValidator(_server)]
_ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./*-]{1,128}$")]


class Bash(Value):
    """Which commands the Bash tool may run; absent: any."""

    allow: tuple[Annotated[str, AfterValidator(_rule)], ...] | None = None


class ExtraMcpServer(Value):
    """An MCP server started inside the container."""

    command: _Text = Field(min_length=1)
    args: tuple[_Text, ...] = ()
    env: dict[_Variable, _Text] = {}
    allowedTools: tuple[_ToolName, ...] | None = None  # noqa: N815 - the file's own spelling


class Notes(Value):
    """When the agent is asked to compact its notes."""

    compactAboveKiB: int = Field(default=64, ge=1, le=10_240)  # noqa: N815 - the file's own spelling


class AgentConfig(Value):
    """The whole of ``agent.toml``. ``environment`` names a file of the operator's; see ``docs/config.md``."""

    model: str = Field(default="sonnet", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,127}$")
    restart: Literal["on-failure", "never"] = "on-failure"
    allowedRecipients: tuple[Annotated[str, AfterValidator(_recipient)], ...] | None = None  # noqa: N815 - the file's own spelling
    bash: Bash = Bash()
    extraMcpServers: dict[_ServerName, ExtraMcpServer] = {}  # noqa: N815 - the file's own spelling
    limits: Limits = Limits()
    notes: Notes = Notes()
    environment: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{0,30}$")


_SHAPES = {
    "memory": 'give a number of bytes, or with K, M, G or T, e.g. "512M"',
    "model": 'give the name of a model, e.g. "sonnet"',
    "environment": "give the name of an environment: a lower-case letter, then letters, digits, hyphens, 31 at most",
}


def _reason(kind: str, key: str, said: str) -> str:
    match kind:
        case "extra_forbidden":
            return "unknown key"
        case "string_pattern_mismatch":
            return _SHAPES.get(key, "it holds a character that is not allowed there, or is too long")
    return said


def parse(text: str, *, file: str = "agent.toml") -> AgentConfig:
    """Read a config.

    Args:
        text: the file's content.
        file: its name, for the refusal.

    Raises:
        Invalid: with file, key and reason, one line.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{file}: not UTF-8.", code="bad-config") from None
    if size > MAX_CONFIG:
        raise Invalid(f"{file}: longer than {MAX_CONFIG} bytes.", code="bad-config")
    try:
        values = json.dumps(tomllib.loads(text), default=lambda moment: [[]])  # moments fit nowhere
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{file}: not TOML: {error}.", code="bad-config") from None
    try:
        # From JSON, for there a list may be a tuple although types are strict.
        config = AgentConfig.model_validate_json(values, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ascii(".".join(str(part) for part in first["loc"]))[1:-1][:100] or "(file)"
        reason = _reason(first["type"], str(first["loc"][-1]) if first["loc"] else "", first["msg"])
        raise Invalid(f"{file}: {key}: {reason}.", code="bad-config") from None
    if own := next((name for name in config.extraMcpServers if name.lower() == "hyperhive"), None):
        raise Invalid(f"{file}: extraMcpServers.{own}: this name is the hive's own.", code="bad-config")
    return config


DEFAULT = """\
# What this agent is. A change takes effect once the operator approved its commit and the agent is rebuilt.
# Lines that begin with "#" show what else there is, with an example; docs/config.md tells more.

model = "sonnet"                               # the model that Claude Code is asked for
restart = "on-failure"                         # or "never": what follows an unplanned end
# allowedRecipients = ["alice", "operator"]    # to whom it may send; absent: anyone; the manager always
# environment = "bedrock"                      # a file of the operator's with variables for Claude

# [bash]
# allow = ["git *", "nix build *"]             # commands it may run; absent: any

# [extraMcpServers.weather]                    # a server started in its container: mcp__weather__forecast
# command = "weather-mcp"                      # the program
# args = ["--units", "metric"]                 # its arguments
# env = { REGION = "eu" }                      # its variables; nothing secret, this is in git
# allowedTools = ["forecast"]                  # which of its tools; absent: all

# [limits]                                     # what the container may use; absent: anything
# memory = "4G"
# cpus = 2.0
# tasks = 512                                  # processes and threads

# [notes]
# compactAboveKiB = 64                         # from when on it is asked to shorten its notes
"""
"""The config a new agent starts with."""
