"""A real hive for a test: the daemon as its own process, started by its own command, in folders of its own."""

import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from hyperhive.errors import HiveError
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.process import Process as Unconfined
from tests.e2e.processes import Process, family, is_python, mounts, parent, process, running
from tests.waiting import eventually

COMMAND = str(Path(sys.executable).with_name("hyperhive"))
SCENARIO = Path(__file__).with_name("scenario.toml")
LONG = 60.0
"""Seconds for what takes a second on a machine that does nothing else."""

Event = dict[str, Any]


class RealHive:
    """Folders, environment and the daemon in them.

    Args:
        place: a short path; sockets are in it.
        env: what the daemon's environment has besides PATH and the folders.
        scenario: ``None`` is the built-in one.
    """

    def __init__(
        self,
        place: Path,
        *,
        runtime: str = "bubblewrap",
        env: Mapping[str, str] | None = None,
        scenario: Path | None = SCENARIO,
        rehearse: bool = True,
        command: str = COMMAND,
    ) -> None:
        self.place, self.home, self.run = place, place / "home", place / "run"
        self.runtime, self.command = runtime, command
        self.rehearse = rehearse
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(place / "user"),
            "LANG": "C.UTF-8",
            "HYPERHIVE_HOME": str(self.home),
            "HYPERHIVE_RUN": str(self.run),
        }
        if scenario is not None:
            base["HYPERHIVE_SCENARIO"] = str(scenario)
        self.env = base | dict(env or {})
        self.as_user: str | None = None
        self.start_deadline = LONG
        self.daemon: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.http = httpx.Client()

    # -- the daemon

    def up(self, *flags: str, port: int | None = None) -> None:
        """Start it and wait until it says where the dashboard is."""
        self.launch(*flags, port=port)
        out = self.place / "out"
        daemon = self.daemon
        assert daemon is not None
        eventually(
            lambda: daemon.poll() is not None or "\nThe link works" in out.read_text(), self.start_deadline
        )
        said = out.read_text()
        assert daemon.poll() is None, (said, self.complaints())
        self.port = int(said.partition("http://")[2].partition("/")[0].rpartition(":")[2])
        self.http.close()
        self.http = self.client(self.token)

    def launch(self, *flags: str, port: int | None = None) -> None:
        """Start it and do not wait."""
        words = ["--no-browser", "--runtime", self.runtime]
        words += ["--port", str(self.port if port is None else port), *flags]
        words += ["--rehearse"] if self.rehearse else []
        with (self.place / "out").open("wb") as out, (self.place / "err").open("ab") as err:
            self.daemon = subprocess.Popen(
                self.starting(words),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd="/",
                start_new_session=True,
                **self._user(),
            )

    def starting(self, flags: list[str]) -> list[str]:
        """The command line that starts it."""
        return [self.command, "up", *flags]

    def _user(self) -> dict[str, Any]:
        if self.as_user is None:
            return {}
        entry = pwd.getpwnam(self.as_user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def kill(self) -> None:
        """kill -9."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait(LONG)

    def down(self) -> float:
        """SIGTERM; how long the end took, in seconds."""
        assert self.daemon is not None
        began = time.monotonic()
        self.daemon.send_signal(signal.SIGTERM)
        assert self.daemon.wait(LONG) == 0, self.complaints()
        return time.monotonic() - began

    def interrupt(self) -> None:
        """Ctrl-C, as the terminal sends it to everything in the foreground."""
        assert self.daemon is not None
        os.killpg(self.daemon.pid, signal.SIGINT)
        self.daemon.wait(LONG)

    def complaints(self) -> str:
        """What it wrote to stderr."""
        return (self.place / "err").read_text()[-4000:]

    def close(self) -> None:
        """End the daemon, every container, and remove the folders."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.daemon.wait(10)
            self.kill()
        self.http.close()
        runtime = Unconfined() if self.runtime == "process" else Bubblewrap()
        for folder in self.home.glob("agents/*/container"):
            with suppress(HiveError):
                if (found := runtime.find(folder, None)) is not None:
                    runtime.stop(found, grace=0)
                runtime.sweep(folder, folder.parent.name)
        shutil.rmtree(self.place, ignore_errors=True)

    # -- asking it

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The operator's."""
        return (self.home / "operator.token").read_text().strip()

    def client(self, token: str | None) -> httpx.Client:
        """An HTTP client with this bearer token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=LONG, trust_env=False)

    def cli(self, *words: str, code: int = 0, **kwargs: Any) -> str:
        """What a command prints; it must end with ``code``. With another code than 0: what it complains."""
        done = subprocess.run(
            [self.command, *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
            **self._user(),
            **kwargs,
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return str(done.stdout if code == 0 else done.stderr)

    def get(self, path: str) -> Any:
        """JSON from a route."""
        return self.http.get(path).raise_for_status().json()

    def post(self, path: str, body: object = None) -> Any:
        """JSON from a command."""
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def state(self) -> dict[str, Any]:
        """``/api/state``."""
        state: dict[str, Any] = self.get("/api/state")
        return state

    def agent(self, name: str) -> dict[str, Any]:
        """An agent in it; empty when there is none."""
        return next((a for a in self.state()["agents"] if a["name"] == name), {})

    def leader(self, name: str) -> Process:
        """Its container's leader."""
        return process(self.agent(name)["pid"])

    def inside(self, name: str) -> list[Process]:
        """Every process of its container, the leader first."""
        return family(self.agent(name)["pid"])

    def harnesses(self, name: str) -> list[Process]:
        """Every harness on this machine that has this agent's folder, known to the daemon or not."""
        folder = (
            f"{self.place.name}/home/agents/{name}/state /state ".encode()
        )  # the manager sees it elsewhere
        found = [p for p in running("hyperhive.harness") if folder in mounts(p.pid) and is_python(p)]
        return [p for p in found if parent(p) not in {other.pid for other in found}]

    def folder(self, name: str) -> Path:
        """The agent's folders."""
        return self.home / "agents" / name

    @property
    def seq(self) -> int:
        """The newest event's number."""
        return int(self.state()["seq"])

    # -- doing

    def spawn(self, name: str) -> None:
        """Make an agent and wait until it is ready."""
        after = self.seq
        self.post("/api/agents", {"name": name})
        told = self.wait("spawned", after=after, agent=name)
        assert told["ok"], told

    def change(self, name: str, model: str = "haiku") -> None:
        """Change what its container is built from, so that the next update has something to do."""
        (self.folder(name) / "applied" / "agent.toml").write_text(f'model = "{model}"\n')

    def send(self, name: str, body: str) -> int:
        """Send a message; its number."""
        return int(self.post("/api/messages", {"to": name, "body": body})["id"])

    def ask(self, name: str, body: str) -> str:
        """Send a message and return what that agent next writes to the operator."""
        after = self.newest()
        self.send(name, body)
        return self.word(name, after=after)

    def ask_something(self, name: str) -> int:
        """Have an agent ask the operator; the question's number."""
        after = self.seq
        self.send(name, "ask")
        id = self.wait("question_asked", after=after, agent=name)["id"]
        self.quiet(name)
        return int(id)

    def newest(self) -> int:
        """The newest message's number."""
        return max((m["id"] for m in self.messages()), default=0)

    def word(self, sender: str, *, after: int) -> str:
        """The first message of ``sender`` to the operator behind message ``after``, once it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [m for m in self.messages() if m["id"] > after and m["to"] == "operator"]
            found[:] = [m for m in found if m["from"] == sender]
            return bool(found)

        self.until(there)
        return str(found[0]["body"])

    def messages(self) -> list[dict[str, Any]]:
        """The newest messages, oldest first."""
        found: list[dict[str, Any]] = self.get("/api/messages?limit=1000")["messages"]
        return found

    # -- events

    def events(self, after: int = 0) -> list[Event]:
        """Recorded events."""
        found: list[Event] = self.get(f"/api/events?follow=0&after={after}&limit=10000")["events"]
        return found

    def wait(self, kind: str, *, after: int, deadline: float = LONG, **fields: object) -> Event:
        """The first event of this kind with these fields behind ``after``, from the stream, once it is there."""
        for event in self.stream(after=after, deadline=deadline):
            if event["kind"] == kind and all(event.get(k) == v for k, v in fields.items()):
                return event
        raise AssertionError(f"no {kind} {fields} within {deadline} s: {self.events(after)[-20:]}")

    def stream(self, *, after: int, deadline: float = LONG) -> Iterator[Event]:
        """The events of the stream behind ``after``, until the deadline."""
        for frame in self.frames(f"/api/events?after={after}", deadline=deadline):
            if "id" in frame:
                event = json.loads(frame["data"])
                assert frame["id"] == str(event["seq"])
                assert frame["event"] == event["kind"]
                yield event

    def frames(self, path: str, *, deadline: float) -> Iterator[dict[str, str]]:
        """The frames of a stream, until the deadline or its end."""
        end = time.monotonic() + deadline
        timeout = httpx.Timeout(LONG, read=max(0.1, min(deadline, 20.0)))
        frame: dict[str, str] = {}
        with suppress(httpx.ReadTimeout), self.http.stream("GET", path, timeout=timeout) as answer:
            for line in answer.raise_for_status().iter_lines():
                if time.monotonic() > end:
                    return
                key, _, value = line.partition(": ")
                if line and key:
                    frame[key] = value
                elif frame:
                    yield frame
                    frame = {}

    def until(self, predicate: Callable[[], object], deadline: float = LONG) -> None:
        """Return when ``predicate`` holds, which is looked at whenever something has changed."""
        for _ in self.frames(f"/api/events?after={self.seq}&views=1", deadline=deadline):
            if predicate():
                return
        assert predicate(), f"not within {deadline} s; {self.events()[-12:]}"

    def shows(self, name: str, deadline: float = LONG, **fields: object) -> None:
        """Wait until the agent's view has these fields."""
        self.until(lambda: fields.items() <= self.agent(name).items(), deadline)

    def quiet(self, *names: str) -> None:
        """Wait until these agents (all, without names) have nothing to do, or wait for an answer."""

        def idle() -> bool:
            agents = [a for a in self.state()["agents"] if a["name"] in names or not names]
            return all(
                a["turn"]["state"] in ("idle", "waiting") and a["inbox_depth"] == 0 and not a["transient"]
                for a in agents
            )

        self.until(idle)

    # -- the database, as it is on the disk

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the hive's database."""
        with closing(sqlite3.connect(f"file:{self.home}/hive.sqlite?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()


@contextmanager
def hive(*, kind: type[RealHive] = RealHive, **options: Any) -> Iterator[RealHive]:
    """Folders for a hive; all of it ends with the block."""
    place = Path(tempfile.mkdtemp(prefix="hh-", dir="/tmp"))
    made = kind(place, **options)
    try:
        yield made
    finally:
        made.close()


def contiguous(events: list[Event]) -> bool:
    """Whether no number is missing, doubled or out of order."""
    numbers = [event["seq"] for event in events]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def in_order(events: list[Event], *wanted: Mapping[str, object]) -> bool:
    """Whether events like these come one after the other, with whatever between."""
    rest = iter(events)
    return all(any(want.items() <= event.items() for event in rest) for want in wanted)
