"""From a conversation to the next answer, by a scenario. Pure, and without memory.

Where a turn stands is read from the request itself: the rules that its messages choose are gone through from
their first step on, each tool call taking the next result of the conversation, until a call has none yet. So
a restarted daemon or a resumed session goes on at the right step.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hyperhive.domain.names import role_of
from hyperhive.rehearsal.conversation import SEARCH, Conversation, Kind, Mail
from hyperhive.rehearsal.scenario import MAX_REPEAT, PLACEHOLDER, Fail, Hang, Rule, Say, Scenario, Use, Wait

MAX_VALUE = 16_000
"""Characters that one placeholder may put in."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text to stream; ``pace`` in seconds between pieces, ``None``: the scenario's."""

    text: str
    pace: float | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    tool: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """An API error. ``key`` is the same whenever the same step of the same message comes up again."""

    step: Fail
    key: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds of pings, or with ``silent`` of nothing, after which the connection ends."""

    seconds: float
    silent: bool = False


Part = Text | Call | Failure | Pause


def answer(scenario: Scenario, *, agent: str, talk: Conversation) -> tuple[Part, ...]:
    """What the model says and does next; at least one part."""
    match talk.kind:
        case Kind.SIDE:
            return (Text(_side(talk), pace=0),)
        case Kind.SUMMARY:
            return (Text(_summary(talk), pace=0),)
        case Kind.TURN:
            parts = _Turn(scenario=scenario, agent=agent, talk=talk).parts()
            return parts or (Text("Done."),)


@dataclass(slots=True)
class _Turn:
    """One walk through the steps of a turn."""

    scenario: Scenario
    agent: str
    talk: Conversation
    taken: int = 0
    said: list[Part] = field(default_factory=list)

    def parts(self) -> tuple[Part, ...]:
        for mail, rule, found in self.plan():
            values = self.values(mail, found)
            for number, step in enumerate(rule.steps):
                if not _runs(step, values):
                    continue
                match step:
                    case Say():
                        self.said.append(Text(render(step.say, values), step.pace, step.cut))
                    case Use():
                        if self.call(step, values):
                            return tuple(self.said)
                    case Fail():
                        self.said.append(Failure(step, self.key(mail, rule, number)))
                    case Wait():
                        self.said.append(Pause(step.wait))
                    case Hang():
                        self.said.append(Pause(step.hang, silent=True))
        return tuple(self.said)

    def plan(self) -> Iterator[tuple[Mail, Rule, re.Match[str] | None]]:
        """For each message, oldest first, the first rule that is about it."""
        done: set[int] = set()
        for mail in self.talk.mail():
            for number, rule in enumerate(self.scenario.rules):
                found = rule.match(agent=self.agent, sender=mail.sender, body=mail.body)
                if found is None:
                    continue
                if number not in done or not rule.once:
                    yield mail, rule, found
                done.add(number)
                break
            else:
                self.said.append(Text(f"The rehearsal has no rule for this message from {mail.sender}."))

    def call(self, step: Use, values: dict[str, str]) -> bool:
        """Take the results that are there; with none left add the call, and tell that the answer ends so."""
        for n in range(1, _times(step, values) + 1):
            values["n"] = str(n)
            if self.taken == len(self.talk.results):
                self.said.append(self.called(step, values))
                return True
            result = self.talk.results[self.taken]
            self.taken += 1
            self.said.clear()
            if step.keep:
                values[step.keep] = result[:MAX_VALUE]
            for name, pattern in step.find.items():
                found = re.search(pattern, result)
                values[name] = (found[found.re.groups and 1] or "")[:MAX_VALUE] if found else ""
        return False

    def called(self, step: Use, values: dict[str, str]) -> Part:
        """The call by the name that is offered; a search for it where it is deferred."""
        tools = self.talk.tools or {}
        name = _resolve(step.use, tools)
        if tools.get(name) is False or (name in self.talk.searched and name in tools):
            return Call(name, _filled(step.input, values))
        if SEARCH in tools and name not in self.talk.searched:
            return Call(SEARCH, {"query": f"select:{name}", "max_results": 1})
        return Text(f"The rehearsal wants the tool {name}, which is not offered here; the turn ends.")

    def values(self, mail: Mail, found: re.Match[str] | None) -> dict[str, str]:
        groups = {}
        if found is not None:
            groups = {str(n): text or "" for n, text in enumerate((found[0], *found.groups()))}
            groups |= {name: text or "" for name, text in found.groupdict().items()}
        return groups | {
            "agent": self.agent,
            "role": role_of(self.agent),
            "peers": ", ".join(self.talk.peers()),
            "from": mail.sender,
            "id": mail.id,
            "time": mail.time,
            "body": mail.body[:MAX_VALUE],
            "line": mail.body.strip().partition("\n")[0][:200],
            "n": "1",
        }

    def key(self, mail: Mail, rule: Rule, number: int) -> str:
        whole = (self.agent, mail.id or self.talk.session, mail.sender, mail.body, rule.name, number)
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def render(text: str, values: dict[str, str]) -> str:
    """``text`` with its placeholders filled; ``{{`` and ``}}`` are plain braces."""

    def fill(found: re.Match[str]) -> str:
        return values.get(found[1], "") if found[1] is not None else found[0][0]

    return PLACEHOLDER.sub(fill, text)


def _filled(value: Any, values: dict[str, str]) -> Any:
    match value:
        case str():
            return render(value, values)
        case dict():
            return {key: _filled(part, values) for key, part in value.items()}
        case list() | tuple():
            return [_filled(part, values) for part in value]
    return value


def _runs(step: Say | Use | Fail | Wait | Hang, values: dict[str, str]) -> bool:
    if step.given is not None and not render(step.given, values).strip():
        return False
    return step.unless is None or not render(step.unless, values).strip()


def _times(step: Use, values: dict[str, str]) -> int:
    times = step.repeat if isinstance(step.repeat, int) else render(step.repeat, values).strip()
    return min(MAX_REPEAT, max(0, int(times))) if str(times).isdecimal() else 1


def _resolve(name: str, tools: dict[str, bool]) -> str:
    """The offered tool a script means: by its whole name, or an MCP tool by its last part."""
    if name in tools or "__" in name or name[0].isupper():
        return name
    ends = [tool for tool in tools if tool.startswith("mcp__") and tool.endswith(f"__{name}")]
    return ends[0] if len(ends) == 1 else f"mcp__hyperhive__{name}"


def _side(talk: Conversation) -> str:
    """An answer to a request beside the turns: a title, a check, whatever fits the schema it wants."""
    if talk.schema is not None:
        return json.dumps(_fitting(talk.schema))
    return "Rehearsal"


def _fitting(schema: dict[str, Any], depth: int = 0) -> Any:
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    match schema.get("type"):
        case "object" if depth < 8 and isinstance(schema.get("properties"), dict):
            parts = schema["properties"].items()
            return {name: _fitting(part, depth + 1) for name, part in parts if isinstance(part, dict)}
        case "object":
            return {}
        case "array":
            return []
        case "boolean":
            return True
        case "integer" | "number":
            return 1
        case "null":
            return None
    return "Rehearsal"


def _summary(talk: Conversation) -> str:
    """A summary in the form that ``/compact`` wants: what was asked last and said last."""
    asked = ((("Asked" if role == "user" else "Said"), text) for role, text in talk.said[:-1])
    lines = [f"{verb}: {' '.join(text.split())[:200]}" for verb, text in asked][-12:]
    known = "\n".join(f"- {line}" for line in lines) or "- nothing yet"
    return (
        "<analysis>\nThe conversation is a rehearsal; its last steps matter.\n</analysis>\n\n"
        f"<summary>\nWhat happened last, oldest first:\n{known}\n</summary>"
    )
