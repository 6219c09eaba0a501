"""The whole of it: a real hive, clients, readers and the nemesis; rounds of work, faults, rest and judgement."""

import os
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from hyperhive.actors.retention import KEPT
from hyperhive.runtimes import proc
from tests.e2e.hive import RealHive
from tests.e2e.oracle import checker, clock, lives
from tests.e2e.oracle.clients import (
    Answerer,
    Asker,
    Client,
    Maker,
    Operator,
    Sender,
    Taker,
    Visitor,
)
from tests.e2e.oracle.clock import Clock
from tests.e2e.oracle.doors import Mcp, Web
from tests.e2e.oracle.history import Gate, History, Op
from tests.e2e.oracle.lives import Kill, Seen
from tests.e2e.oracle.nemesis import Nemesis
from tests.e2e.oracle.readers import Reader
from tests.e2e.oracle.record import Record, kept, living, read, unsettled
from tests.e2e.oracle.vault import Vault
from tests.e2e.processes import mounts
from tests.waiting import eventually

REST = 150.0
"""Seconds within which everything comes to rest: retries of an API that was away are among it."""
WORKERS = ("alice", "bob")
TAKERS = ("paul", "paula")
"""Agents that are paused for good: whoever has their socket takes their mail."""
TARGET = "dan"
_NOTES = (*((name, "note ") for name in TAKERS), ("operator", "note "))
_TURNS = (("alice", "work "), ("alice", "work "), ("bob", "gather "), ("bob", "ask "))


class Arena:
    """One hive under attack.

    Args:
        seed: decides what clients and nemesis do.
        harm: see ``Nemesis``.
    """

    def __init__(self, *, hive: RealHive, seed: int, harm: Mapping[str, int]) -> None:
        self.hive, self.seed = hive, seed
        self.random = random.Random(f"{seed} arena")
        self.gate, self.history = Gate(), History()
        self.clock = None if clock.missing() else Clock(hive.place)
        hive.env |= self.clock.env if self.clock is not None else {}
        self.vault = Vault(hive=hive, history=self.history, folder=hive.place / "vault")
        self.nemesis = Nemesis(
            hive=hive, gate=self.gate, clock=self.clock, vault=self.vault, seed=seed, harm=harm
        )
        self.clients: list[Client] = []
        self.readers: list[Reader] = []
        self._marks: dict[str, int] = {}
        self._first = 0
        self._codes: list[int] = []
        self._logged = 0
        self._ops = 0
        self._base: tuple[int, int] = (0, 0)
        self.done: list[str] = []

    # -- the beginning and the end

    def begin(self) -> None:
        """Make the agents, then start everybody."""
        self.hive.up()
        for name in (*WORKERS, *TAKERS, TARGET):
            self.hive.spawn(name)
        for name in TAKERS:
            self.hive.post(f"/api/agents/{name}/pause")
        self.hive.quiet()
        self.clients = [*self._senders(), *self._others()]
        self._marks = read(self.hive.home).newest
        self._first = self._marks["events"]
        seq, token, sock = self._marks["events"], self.hive.token, self.hive.run / "host.sock"
        for number, (socket, leaves) in enumerate([(None, 0), (None, 60), (sock, 300)]):
            self.readers.append(
                Reader(
                    name=f"reader-{number}",
                    url=self.hive.url,
                    token=token,
                    gate=self.gate,
                    after=seq,
                    socket=socket,
                    leaves=leaves,
                    seed=self.seed + number,
                )
            )
        for thread in (*self.clients, *self.readers):
            thread.start()
        self._base = self._size()

    def end(self) -> None:
        """Send everybody home."""
        self.gate.end()
        for thread in (*self.clients, *self.readers):
            if thread.ident is not None:
                thread.join(60)

    def _web(self, door: str = "web") -> Web:
        if door == "host":
            return Web(url="http://hive", socket=self.hive.run / "host.sock")
        return Web(url=self.hive.url, token=self.hive.token)

    def _browser(self) -> Web:
        """One that is logged in."""
        with self.hive.client(None) as logging_in:
            answer = logging_in.post("/login", data={"token": self.hive.token})
            cookies = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
        assert cookies, answer.text
        return Web(url=self.hive.url, cookie=cookies)

    def _mcp(self, name: str) -> Mcp:
        return Mcp(self.hive.run / "agents" / name / "mcp.sock")

    def _senders(self) -> Iterator[Client]:
        common = {"gate": self.gate, "history": self.history, "seed": self.seed, "quota": 10}
        for number in range(16):
            door = ("web", "host", "paul", "paula")[number % 4]
            own = door in TAKERS
            way = self._mcp(door) if own else self._web(door)
            turns = number < 2  # real turns cost seconds: two of sixteen ask for them
            to = (
                _TURNS
                if turns
                else tuple(t for t in _NOTES if t[0] not in (door, "operator" if not own else ""))
            )
            name = f"s{number}"
            quota = 4 if turns else 10
            yield Sender(name=name, door=way, to=to, **{**common, "quota": quota})

    def _others(self) -> Iterator[Client]:
        gate, history, seed = self.gate, self.history, self.seed
        yield Taker(
            name="t-op",
            inbox="operator",
            door=self._web(),
            gate=gate,
            history=history,
            seed=seed,
        )
        for name in TAKERS:
            socket = self._mcp(name)
            yield Taker(name=f"t-{name}", inbox=name, door=socket, gate=gate, history=history, seed=seed)
        for name in TAKERS:
            yield Asker(name=f"q-{name}", mcp=self._mcp(name), gate=gate, history=history, seed=seed, quota=2)
        for door in ("web", "host"):
            yield Answerer(name=f"a-{door}", web=self._web(door), gate=gate, history=history, seed=seed)
        yield Operator(
            name="o-dan",
            web=self._web("host"),
            agent=TARGET,
            home=self.hive.home,
            gate=gate,
            history=history,
            seed=seed,
            quota=2,
        )
        yield Visitor(name="v", web=self._browser(), gate=gate, history=history, seed=seed, quota=5)
        yield Maker(name="m", web=self._web(), gate=gate, history=history, seed=seed, quota=1)

    # -- a round

    def round(self) -> list[str]:
        """Work, one or two faults at random moments, recovery, rest; what does not hold then."""
        before, began = {agent.name: agent.pid for agent in living(self.hive.home)}, time.time()
        self.gate.open()
        for _ in range(self.random.randint(1, 2)):
            self.history.grows(self.random.randint(1, 120), self.random.random() * 2)
            self.nemesis.strike()
        self.history.grows(self.random.randint(1, 60), self.random.random())
        came_out = self.gate.close(REST)
        self.done, kills = self.nemesis.drain()
        wrong = [] if came_out else ["a client hangs in a call"]
        wrong += [f"{c.name}: {c.error!r}" for c in self.clients if c.error is not None]
        try:
            self._rest()
        except AssertionError as error:
            wrong.append(f"it did not come to rest: {error}")
            return wrong
        return wrong + self._judge(before, kills, began)

    def _rest(self) -> None:
        """Wait until nothing is under way. Who waits for an API that was away is told that it is back."""
        woken: set[str] = set()

        def at_rest() -> bool:
            state = self.hive.state()
            for agent in state["agents"]:
                held = agent["turn"]["state"] in ("offline", "rate-limited") or agent["quarantined"]
                if held and not agent["transient"] and agent["name"] not in woken and not agent["paused"]:
                    woken.add(agent["name"])
                    self.hive.post(f"/api/agents/{agent['name']}/resume")
            for name in self._unstopped(state["agents"]) - woken:  # that failed: the operator says it again
                woken.add(name)
                self.hive.post(f"/api/agents/{name}/stop")
            for change in state["approvals"]:
                if change["state"] == "pending":  # its proposer never learnt that it is there
                    self.hive.post(f"/api/approvals/{change['id']}/deny", {"note": ""})
            return not state["questions"] and not state["approvals"] and self._idle(state["agents"])

        self.hive.until(at_rest, REST)
        eventually(lambda: unsettled(self.hive.home) == 0, REST)
        self.hive.until(at_rest, REST)

    def _unstopped(self, agents: list[dict[str, object]]) -> set[str]:
        """Who runs, is meant to be stopped, and is not being stopped."""
        meant = {agent.name for agent in living(self.hive.home) if agent.intended == "stopped"}
        return {
            str(a["name"])
            for a in agents
            if a["container"] == "running" and a["transient"] is None and a["name"] in meant
        }

    def _idle(self, agents: list[dict[str, object]]) -> bool:
        wanted = {agent.name: agent.intended == "running" for agent in living(self.hive.home)}
        return wanted.keys() == {a["name"] for a in agents} and all(
            a["transient"] is None
            and a["turn"]["state"] == "idle"  # type: ignore[index]
            and a["inbox_depth"] == 0
            and a["restart_at"] is None
            and (a["container"], a["ready"])
            == (("running", True) if wanted[str(a["name"])] else ("stopped", False))
            for a in agents
        )

    # -- judgement

    def _judge(self, before: dict[str, int | None], kills: list[Kill], began: float) -> list[str]:
        ops, self._ops = self.history.since(self._ops), len(self.history)
        record = read(self.hive.home, self._marks)
        self._marks = record.newest
        wrong = [*record.faults, *self._complaints()]
        for reader in self.readers:
            reader.reached(record.newest["events"], 60)
            behind, told = reader.drain(record.newest["events"])
            wrong += checker.readers_saw_the_record(reader.name, behind, told, record.texts)
            if reader.resyncs:
                wrong.append(f"{reader.name} was told to resync")
        wrong += checker.events_are_gapless(record.events)
        wrong += self._mail(ops, record)
        wrong += checker.questions_are_answered_once(ops, record)
        wrong += checker.answers_reach_who_asked(record)
        wrong += lives.operations_end_once(record)
        stretches, ended = self.clock.stretches if self.clock is not None else clock.MACHINE, time.time()
        wrong += clock.times_follow_the_clock(record.events, stretches, began, ended)
        wrong += lives.crashes_are_told_once(kills, clock.straightened(record.events, stretches, ended))
        wrong += lives.axes_alternate(record.events)
        wrong += lives.last_words_count(ops, record.agents)
        harsh = not {"fill_disk", "take_descriptors"}.isdisjoint(self.done)
        wrong += lives.spawns_and_ends_happen_once(ops, record, harsh=harsh)
        wrong += lives.changes_are_decided_once(ops, record)
        commands = [op for op in ops if op.kind not in ("send", "take", "ask", "answer", "visit")]
        wrong += lives.nothing_happens_by_itself(before, kills, commands, record)
        wrong += checker.the_young_are_kept(kept(self.hive.home), self._first, KEPT.events)
        wrong += checker.visits_are_let_in(ops)
        return wrong + self._backups() + self._machine(record)

    def _backups(self) -> list[str]:
        """Those of this round, and what they left: whatever is there by its name is whole, and holds what it must."""
        made, left = self.vault.drain(), self.vault.left()
        there = [backup.file.name in left for backup in made]
        left = [name for name in left if name not in {backup.file.name for backup in made}]
        self._codes += [backup.code for backup in made]
        ended = [True] * (len(self._codes) - len(made)) + there
        wrong = checker.backups_are_made_or_not_there(self._codes, ended, left)
        wrong += [f"a backup said: {backup.said}" for backup in made if backup.said]
        texts = read(self.hive.home).texts if any(there) else {}
        for backup in (backup for backup, is_there in zip(made, there, strict=True) if is_there):
            restored = self.vault.brought_back(backup)
            wrong += checker.backups_hold(
                self.history.since(0)[: backup.calls], backup.event, restored, texts
            )
        return wrong

    def _mail(self, ops: tuple[Op, ...], record: Record) -> list[str]:
        file = self.hive.folder("alice") / "state" / "worked"
        worked = set(file.read_text().split()) if file.exists() else set()
        again = any("daemon" in done or done == "fill_disk" for done in self.done)
        wrong = checker.sends_are_kept(ops, record) + checker.deliveries_keep_the_order(record)
        wrong += checker.mail_is_settled(record) + checker.turns_settle_their_mail(record)
        for inbox in ("operator", *TAKERS):
            wrong += checker.takes_get_everything(inbox, ops, record, again=again)
        return wrong + checker.work_is_done("alice", ops, record, worked)

    def _machine(self, record: Record) -> list[str]:
        shown = {agent["name"]: agent for agent in self.hive.state()["agents"]}
        seen = [
            Seen(name, view["pid"], len(self.hive.harnesses(name)), view["ready"], view["container"])
            for name, view in shown.items()
        ]
        wrong = lives.axes_agree(record, seen)
        found: list[str] = []

        def settled() -> bool:
            found[:] = [*self._strays(record), *self._grown()]
            return not found

        try:
            eventually(settled, 20)
        except AssertionError:
            wrong += found
        return wrong

    def _strays(self, record: Record) -> list[str]:
        """Processes of this hive that are in none of its containers."""
        known = {agent.pid for agent in record.agents if agent.pid is not None}
        assert self.hive.daemon is not None
        known.add(self.hive.daemon.pid)
        place = self.hive.place
        found = []
        for pid in proc.pids():
            if pid == os.getpid() or not self._ours(pid, place) or known & set(_ancestry(pid)):
                continue
            if not any(pid in _above(leader) for leader in known):
                found.append(f"a process was left: {pid} {b' '.join(proc.cmdline(pid))[:200]!r}")
        return found

    @staticmethod
    def _ours(pid: int, place: Path) -> bool:
        folder, whole = f"{place.name}/home/agents/".encode(), str(place).encode()
        return any(whole in part for part in proc.cmdline(pid)) or folder in mounts(pid)

    def _complaints(self) -> list[str]:
        """Tracebacks in the daemon's log: what is foreseen is told in one line."""
        said = (self.hive.place / "err").read_text(errors="replace")
        new, self._logged = said[self._logged :], len(said)
        lines = new.splitlines()
        return [
            "the daemon logged: " + "\n".join(lines[max(0, number - 1) : number + 60])
            for number, line in enumerate(lines)
            if "Traceback (most recent call last)" in line
        ][:1]

    def _size(self) -> tuple[int, int]:
        assert self.hive.daemon is not None
        root = Path("/proc") / str(self.hive.daemon.pid)
        return len(list((root / "fd").iterdir())), len(list((root / "task").iterdir()))

    def _grown(self) -> list[str]:
        """Descriptors and threads of the daemon, against those of its first rest."""
        now = self._size()
        if all(count <= base + ROOM for count, base in zip(now, self._base, strict=True)):
            return []
        return [f"the daemon grew from {self._base} descriptors and threads to {now}"]


ROOM = 48
"""Descriptors and threads that come and go: reading connections, streams, pools of threads."""


def _above(pid: int) -> tuple[int, ...]:
    """A leader's own parents that are no daemon: what started the container and waits for it."""
    return _ancestry(pid)[1:]


def _ancestry(pid: int) -> tuple[int, ...]:
    """A process and those it came of."""
    found: list[int] = []
    while pid > 1 and (stat := proc.stat(pid)) is not None:
        found.append(pid)
        pid = stat.ppid
    return tuple(found)
