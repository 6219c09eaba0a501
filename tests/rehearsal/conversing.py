"""Plays Claude Code's part towards the engine: each request is built anew from what was said so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hyperhive.rehearsal.conversation import read
from hyperhive.rehearsal.engine import Call, Part, Text, answer
from hyperhive.rehearsal.scenario import Scenario

Tool = Callable[[dict[str, Any]], str]


def prompt(*mails: tuple[str, str]) -> str:
    """A turn's prompt, as the harness words it."""
    time = "2026-11-22T08:15:10.000Z"
    blocks = [
        f"[event {n} at {time}] {body}"
        if sender == "system"
        else "\n".join(
            [f"[message {n} from {sender} at {time}]", *(f"> {line}" for line in body.splitlines())]
        )
        for n, (sender, body) in enumerate(mails, 1)
    ]
    return "\n\n".join(["You have new messages.", "You can write to: alice, bob, operator.", *blocks])


@dataclass(slots=True)
class Conversing:
    """One agent's session. ``tools``: what each offered tool does; ``deferred``: those behind a search."""

    scenario: Scenario
    agent: str
    tools: dict[str, Tool] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def request(self) -> dict[str, Any]:
        offered = [{"name": name, "defer_loading": name in self.deferred} for name in self.tools]
        return {"model": "claude", "messages": self.messages, "tools": offered}

    def turn(self, text: str, *, most: int = 30) -> list[str]:
        """Run a turn to its end; the texts that were said."""
        reminder = {"type": "text", "text": "<system-reminder>\nBe good.\n</system-reminder>"}
        self.messages.append({"role": "user", "content": [reminder, {"type": "text", "text": text}]})
        said: list[str] = []
        for _ in range(most):
            parts = answer(self.scenario, agent=self.agent, talk=read(self.request()))
            said += [part.text for part in parts if isinstance(part, Text)]
            if not self._record(parts):
                return said
        raise AssertionError(f"the turn does not end: {self.calls}")

    def _record(self, parts: tuple[Part, ...]) -> bool:
        """Keep an answer and run its calls; whether the turn goes on."""
        blocks: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        for part in parts:
            match part:
                case Text():
                    blocks.append({"type": "text", "text": part.text})
                case Call():
                    self.calls.append(part)
                    id = f"toolu_{len(self.calls)}"
                    blocks.append({"type": "tool_use", "id": id, "name": part.tool, "input": part.input})
                    result = self.tools[part.tool](part.input)
                    results.append({"type": "tool_result", "tool_use_id": id, "content": result})
        self.messages.append({"role": "assistant", "content": blocks})
        if results:
            self.messages.append({"role": "user", "content": results})
        return bool(results)
