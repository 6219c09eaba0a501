"""The clients: threads that call, one thing after the other, while the gate is open."""

import os
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.oracle.checker import BATCH
from tests.e2e.oracle.doors import Door, Mcp, Web
from tests.e2e.oracle.history import Failed, Gate, History, Lost

BREATH = 0.05
"""Seconds between two tries while the daemon is away, and between two looks for what there is to do."""

_WHO = {f"GIT_{who}_{what}": "manager" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
_GIT = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **_WHO}


class Client(threading.Thread):
    """Calls while the gate is open.

    Args:
        door: its way in; closed when it ends.
        quota: calls a round; more would only take the machine from the others.
        drains: it works on between the rounds as well, until nothing is left.
    """

    def __init__(
        self,
        *,
        name: str,
        door: Door,
        gate: Gate,
        history: History,
        seed: int,
        quota: int = 1_000_000,
        drains: bool = False,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._door = door
        self._gate, self._history, self._quota, self._drains = gate, history, quota, drains
        self.random = random.Random(f"{seed} {name}")
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call until the gate is closed for good."""
        made, this = 0, 0
        try:
            while not self._gate.over:
                if self._drains:
                    self.step()
                    continue
                with self._gate.inside() as number:
                    if number == 0:
                        return
                    made = 0 if number != this else made
                    this = number
                    if made < self._quota:
                        made += self.step()
                if made >= self._quota:
                    self._gate.pause(BREATH)
        except BaseException as error:
            self.error = error
        finally:
            self._door.close()

    def step(self) -> bool:
        """One call; whether it counts."""
        raise NotImplementedError

    def call(self, kind: str, about: str, value: Any, act: Callable[[], Any]) -> str:
        """Make a call, keep what came of it; its outcome. While nobody is there it is not tried at once again."""
        op = self._history.call(self.name, kind, about, value, act)
        if op.outcome != "ok":
            self._gate.pause(BREATH)
        return op.outcome


class Sender(Client):
    """Sends numbered messages.

    Args:
        to: whom, with the words that such a message begins with.
    """

    def __init__(self, *, to: tuple[tuple[str, str], ...], **more: Any) -> None:
        super().__init__(**more)
        self._to, self._number = to, 0

    def step(self) -> bool:
        """Send one."""
        self._number += 1
        to, words = self.random.choice(self._to)
        body = f"{words}{self.name}.{self._number}"
        self.call("send", to, body, lambda: self._door.send(to, body))
        return True


class Taker(Client):
    """Empties an inbox: the operator's over HTTP, an agent's by its socket; waits there for what comes."""

    def __init__(self, *, inbox: str, **more: Any) -> None:
        super().__init__(drains=True, **more)
        self._inbox = inbox

    def step(self) -> bool:
        """Take some."""
        most = self.random.randint(1, BATCH)
        got: list[tuple[int, str]] = []

        def act() -> list[tuple[int, str]]:
            got[:] = [(m["id"], m["body"]) for m in self._door.take(most)]
            return got

        self.call("take", self._inbox, most, act)
        if not got:
            self._gate.pause(BREATH)
        return True


class Visitor(Client):
    """A browser that is logged in, and looks now and then."""

    def __init__(self, *, web: Web, **more: Any) -> None:
        super().__init__(door=web, **more)
        self._web = web

    def step(self) -> bool:
        """Look at the newest messages: their numbers, as they are listed."""
        path = "/api/messages?with=operator&limit=20"
        self.call("visit", "operator", None, lambda: [m["id"] for m in self._web.get(path)["messages"]])
        self._gate.pause(BREATH)
        return True


class Asker(Client):
    """Asks the operator by an agent's socket."""

    def __init__(self, *, mcp: Mcp, **more: Any) -> None:
        super().__init__(door=mcp, **more)
        self._mcp, self._number = mcp, 0

    def step(self) -> bool:
        """Ask one thing."""
        self._number += 1
        text = f"{self.name}.{self._number}?"
        self.call("ask", self.name, text, lambda: int(self._mcp.call("ask_operator", question=text)["id"]))
        return True


class Answerer(Client):
    """Answers whatever is open, as another one does at the same time."""

    def __init__(self, *, web: Web, **more: Any) -> None:
        super().__init__(door=web, drains=True, **more)
        self._web, self._number = web, 0

    def step(self) -> bool:
        """Answer all that is open."""
        try:
            asked = self._web.get("/api/state")["questions"]
        except (Failed, Lost):
            asked = []
        for question in asked:
            self._number += 1
            words, path = f"{self.name}.{self._number}", f"/api/questions/{question['id']}/answer"
            self.call(
                "answer",
                str(question["id"]),
                words,
                lambda path=path, words=words: self._web.post(path, {"answer": words}),  # type: ignore[misc]
            )
        self._gate.pause(BREATH * 2)
        return True


class Operator(Client):
    """Commands one agent: starts, stops, changes, pauses it, at times while the one before is under way."""

    def __init__(self, *, web: Web, agent: str, home: Path, **more: Any) -> None:
        super().__init__(door=web, **more)
        self._web, self._agent, self._number = web, agent, 0
        self._proposed = home / "agents" / agent / "proposed"

    def step(self) -> bool:
        """One command."""
        kind = self.random.choice(
            ("start", "stop", "restart", "restart", "update", "pause", "resume", "propose", "propose")
        )
        if kind == "propose":
            self._change()
            return True
        wait = self.random.choice(("", "", "?wait=20"))
        path = f"/api/agents/{self._agent}/{kind}{wait}"
        self.call(kind, self._agent, wait, lambda: self._web.post(path))
        return True

    def _change(self) -> None:
        self._number += 1
        made: list[int] = []

        def act() -> int:
            wanted = {"name": self._agent, "commit": self._commit(), "note": ""}
            made[:] = [int(self._web.post("/api/approvals", wanted)["id"])]
            return made[0]

        self.call("propose", self._agent, self._number, act)
        for id in made:
            path = f"/api/approvals/{id}/approve"
            self.call("approve", self._agent, id, lambda path=path: self._web.post(path))  # type: ignore[misc]

    def _commit(self) -> str:
        folder = self._proposed
        (folder / "agent.toml").write_text(f'model = "m{self.random.randrange(10**9)}"\n')
        git = ["git", "-C", str(folder)]
        for words in (["commit", "-qam", "Change it"], ["rev-parse", "HEAD"]):
            said = subprocess.run([*git, *words], env=_GIT, capture_output=True, text=True, timeout=60)
            assert said.returncode == 0, said.stderr
        return said.stdout.strip()


class Maker(Client):
    """Spawns agents and destroys them again."""

    def __init__(self, *, web: Web, **more: Any) -> None:
        super().__init__(door=web, **more)
        self._web, self._number = web, 0
        self._made: list[str] = []

    def step(self) -> bool:
        """One of both."""
        if self._made and self.random.random() < 0.75:
            name = self._made.pop(0)
            path = f"/api/agents/{name}?purge=1"
            if self.call("destroy", name, None, lambda: self._web.call("DELETE", path)) != "ok":
                self._made.append(name)
                return False
        else:
            self._number += 1
            name = f"tmp-{self._number}"
            if self.call("spawn", name, None, lambda: self._web.post("/api/agents", {"name": name})) == "ok":
                self._made.append(name)
        return True
