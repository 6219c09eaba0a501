"""What a Messages request tells: which turn it belongs to, what was asked, what the tools have answered.

Shapes as Claude Code 2.1.197 to 2.1.330 sends them: reminders of its own stand as text beside the prompt or
as messages of role ``system``; a summary for ``/compact``, and that an answer which broke off goes on, is asked
for as one more user message; requests for titles and the like carry no tools.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from typing import Any

from hyperhive.domain.names import OPERATOR, SYSTEM

SEARCH = "ToolSearch"
"""Claude Code's tool that loads the schemas of deferred tools."""

_NOT_A_PROMPT = re.compile(
    r"\s*(?:<system-reminder>|\[Request interrupted by user|<local-command-|<command-(?:name|message)>"
    r"|Caveat: The messages below|This session is being continued from a previous conversation|Tool loaded\.\s*$|$"
    r"|Your response above was cut off mid-stream)"
)
_SUMMARY = re.compile(
    r"CRITICAL: Respond with TEXT ONLY|Your task is to create a detailed summary of (?:the|this) conversation"
)
_MESSAGE = re.compile(r"\[message (?P<id>\d+) from (?P<sender>\S+) at (?P<time>\S+)\]")
_EVENT = re.compile(r"\[event (?P<id>\d+) at (?P<time>\S+)\] (?P<body>.*)")
_PEERS = re.compile(r"You can write to: (.+)\.")
_QUOTE = "> "


class Kind(Enum):
    """What a request is for."""

    TURN = "turn"
    SUMMARY = "summary"
    SIDE = "side"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message of the prompt."""

    sender: str
    body: str
    id: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request, read.

    Args:
        prompt: the newest thing that somebody asked for; empty when there is none.
        results: what each tool call since the prompt gave, in order, without tool searches.
        searched: names of tools that were searched for since the prompt.
        tools: the offered tools' names, and whether each is deferred.
        schema: the JSON schema that the answer must fit, if any.
        said: texts of the assistant and prompts of the whole conversation, oldest first.
    """

    kind: Kind
    session: str = ""
    prompt: str = ""
    results: tuple[str, ...] = ()
    searched: frozenset[str] = frozenset()
    tools: dict[str, bool] | None = None
    schema: dict[str, Any] | None = None
    said: tuple[tuple[str, str], ...] = ()

    def mail(self) -> tuple[Mail, ...]:
        """The messages of the prompt, oldest first; a prompt without any is the operator's word."""
        found = tuple(_mail(self.prompt))
        return found or ((Mail(sender=OPERATOR, body=self.prompt),) if self.prompt.strip() else ())

    def peers(self) -> tuple[str, ...]:
        """Whom the prompt says the agent can write to."""
        lines = (_PEERS.fullmatch(line) for line in self.prompt.splitlines())
        found = next((line for line in lines if line is not None), None)
        return tuple(found[1].split(", ")) if found is not None else ()


def read(body: dict[str, Any]) -> Conversation:
    """Read a request's body.

    Raises:
        ValueError: it is no Messages request.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages: a list with at least one message is required")
    blocks = list(_blocks(messages))
    start = max((n for n, (role, block) in enumerate(blocks) if _is_prompt(role, block)), default=-1)
    prompt = blocks[start][1]["text"] if start >= 0 else ""
    tools = {str(t.get("name")): bool(t.get("defer_loading")) for t in _dicts(body.get("tools"))}
    results, searched = _results(blocks[start + 1 :])
    return Conversation(
        kind=_kind(prompt, tools),
        session=_session(body),
        prompt=prompt,
        results=results,
        searched=searched,
        tools=tools,
        schema=_schema(body),
        said=tuple(
            (role, block["text"])
            for role, block in blocks
            if block.get("type") == "text" and (role == "assistant" or _is_prompt(role, block))
        ),
    )


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (part for part in value if isinstance(part, dict))


def _blocks(messages: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for message in _dicts(messages):
        role, content = str(message.get("role")), message.get("content")
        if isinstance(content, str):
            yield role, {"type": "text", "text": content}
        for block in _dicts(content):
            if block.get("type") != "text" or isinstance(block.get("text"), str):
                yield role, block


def _is_prompt(role: str, block: dict[str, Any]) -> bool:
    return role == "user" and block.get("type") == "text" and not _NOT_A_PROMPT.match(block["text"])


def _kind(prompt: str, tools: dict[str, bool]) -> Kind:
    if _SUMMARY.search(prompt[:4000]):
        return Kind.SUMMARY
    return Kind.TURN if tools else Kind.SIDE


def _session(body: dict[str, Any]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("user_id", "")) if isinstance(metadata, dict) else ""


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    config = body.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    schema = form.get("schema") if isinstance(form, dict) else None
    return schema if isinstance(schema, dict) else None


def _results(blocks: list[tuple[str, dict[str, Any]]]) -> tuple[tuple[str, ...], frozenset[str]]:
    searches: dict[str, str] = {}
    results: list[str] = []
    for _, block in blocks:
        if block.get("type") == "tool_use" and block.get("name") == SEARCH:
            query = block.get("input")
            searches[str(block.get("id"))] = str(query.get("query", "")) if isinstance(query, dict) else ""
        elif block.get("type") == "tool_result" and str(block.get("tool_use_id")) not in searches:
            results.append(_text(block.get("content")))
    names = (name.strip() for query in searches.values() for name in query.removeprefix("select:").split(","))
    return tuple(results), frozenset(names)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in _dicts(content) if part.get("type") == "text")


def _mail(prompt: str) -> Iterator[Mail]:
    """The messages and events as the harness words them: a header, then the body, each line of it quoted."""
    lines = prompt.splitlines()
    for number, line in enumerate(lines):
        if (found := _EVENT.fullmatch(line)) is not None:
            yield Mail(sender=SYSTEM, **found.groupdict())
        elif (found := _MESSAGE.fullmatch(line)) is not None:
            quoted = takewhile(lambda text: text.startswith(_QUOTE), lines[number + 1 :])
            yield Mail(body="\n".join(text.removeprefix(_QUOTE) for text in quoted), **found.groupdict())
