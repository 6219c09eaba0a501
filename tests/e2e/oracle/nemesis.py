"""The nemesis: what happens to the daemon, its containers, Claude and the harnesses while the clients work."""

import os
import random
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from hyperhive.domain.wire import Hello
from hyperhive.runtimes import proc
from tests.e2e.hive import RealHive
from tests.e2e.oracle.clock import Clock
from tests.e2e.oracle.history import Gate
from tests.e2e.oracle.lives import Kill
from tests.e2e.oracle.record import Agent, living, newest
from tests.e2e.oracle.vault import Vault
from tests.e2e.processes import Process, family, is_python, program, running

Action = Callable[[], None]
DAY = 86_400.0
AHEAD = (
    0.0,
    -3.0,
    3.0,
    -30.0,
    30.0,
    -3 * 3600.0,
    3 * 3600.0,
    -8 * DAY,
    8 * DAY,
    40 * DAY,
    -3650 * DAY,
    3650 * DAY,
)
"""Seconds by which the daemon's time of day is ahead of the machine's: what is corrected a little, a time zone that
was taken for another, more than a session lasts, a battery that is empty, a year that was mistyped."""


class Nemesis:
    """Does one thing at a time, and keeps what must be told of it.

    Args:
        clock: the daemon's time of day; ``None`` where it cannot be set: then it is not.
        seed: decides what it does, and to whom.
        harm: how often what is done, against the others, where that is not as usual.
    """

    def __init__(
        self,
        *,
        hive: RealHive,
        gate: Gate,
        clock: Clock | None,
        vault: Vault,
        seed: int,
        harm: Mapping[str, int],
    ) -> None:
        self._hive, self._gate, self._clock, self._vault = hive, gate, clock, vault
        self._plan, self._random = random.Random(f"{seed} plan"), random.Random(f"{seed} nemesis")
        self.kills: list[Kill] = []
        self._lives: set[tuple[int | None, int | None]] = set()
        self.done: list[str] = []
        self._weights: dict[Action, int] = {
            self.kill_daemon: 4,
            self.kill_daemon_as_it_starts: 2,
            self.kill_daemon_as_it_ends: 2,
            self.end_daemon: 2,
            self.halt_daemon: 1,
            self.kill_container: 4,
            self.kill_two_containers: 2,
            self.kill_container_without_daemon: 2,
            self.kill_container_and_daemon: 2,
            self.kill_claude: 4,
            self.kill_harness: 2,
            self.halt_harness: 1,
            self.end_container: 2,
            self.imitate_harness: 2,
            self.fill_disk: 2,
            self.take_descriptors: 1,
            self.set_clock: 3,
            self.set_clock_twice: 2,
            self.back_up: 1,
            self.kill_backup: 3,
            self.kill_daemon_under_backup: 2,
        }
        unknown = harm.keys() - {action.__name__ for action in self._weights}
        assert not unknown, f"HYPERHIVE_HARM names what there is not: {sorted(unknown)}"
        self._weights |= {a: harm[a.__name__] for a in self._weights if a.__name__ in harm}

    def strike(self) -> None:
        """Do one thing."""
        action = self._plan.choices(list(self._weights), list(self._weights.values()))[0]
        self.done.append(action.__name__)
        action()

    def drain(self) -> tuple[list[str], list[Kill]]:
        """What was done since, and which containers were killed."""
        done, kills = self.done, self.kills
        self.done, self.kills = [], []
        return done, kills

    # -- the daemon

    def kill_daemon(self) -> None:
        """kill -9; it is away for a moment."""
        self._hive.kill()
        self._moment(0.5)
        self._hive.up()

    def kill_daemon_as_it_starts(self) -> None:
        """kill -9, and again while its successor comes up: half of it opened, adopted, migrated."""
        self._hive.kill()
        for _ in range(self._random.randint(1, 2)):
            self._hive.launch()
            self._moment(1.5)
            self._hive.kill()
        self._hive.up()

    def kill_daemon_as_it_ends(self) -> None:
        """SIGTERM, and kill -9 in the middle of that."""
        assert self._hive.daemon is not None
        self._hive.daemon.send_signal(signal.SIGTERM)
        self._moment(0.3)
        self._hive.kill()
        self._hive.up()

    def end_daemon(self) -> None:
        """SIGTERM; containers run on."""
        self._hive.down()
        self._hive.up()

    def halt_daemon(self) -> None:
        """SIGSTOP for a while."""
        assert self._hive.daemon is not None
        self._hive.daemon.send_signal(signal.SIGSTOP)
        self._moment(1.5)
        self._hive.daemon.send_signal(signal.SIGCONT)

    # -- containers and what is in them

    def kill_container(self) -> None:
        """kill -9 of a leader."""
        for agent in self._victims(1):
            self._kill(agent)

    def kill_two_containers(self) -> None:
        """kill -9 of two leaders, 10 ms apart; at times the same agent's, should it be back by then."""
        for agent in self._victims(2):
            self._kill(agent)
            self._gate.pause(0.01)

    def kill_container_without_daemon(self) -> None:
        """A container ends while nobody looks."""
        victims = self._victims(self._random.randint(1, 2))
        self._hive.kill()
        for agent in victims:
            self._kill(agent)
        self._hive.up()

    def kill_container_and_daemon(self) -> None:
        """Both in one moment, in this order or the other."""
        victims, first = self._victims(1), self._random.random() < 0.5
        if first:
            self._hive.kill()
        for agent in victims:
            self._kill(agent)
        if not first:
            self._moment(0.03)
            self._hive.kill()
        self._hive.up()

    def kill_harness(self) -> None:
        """kill -9 of a harness: its container ends with it."""
        for agent in self._victims(1):
            for harness in self._harness(agent):
                self._hit(agent)
                harness.kill()

    def halt_harness(self) -> None:
        """SIGSTOP of a harness for a while."""
        for agent in self._victims(1):
            for harness in self._harness(agent):
                proc.send(harness.pid, harness.ticks, signal.SIGSTOP)
                self._moment(1.5)
                proc.send(harness.pid, harness.ticks, signal.SIGCONT)

    def kill_claude(self) -> None:
        """kill -9 of every Claude that runs, or of one."""
        found = [claude for agent in self._running() for claude in program("claude", self._inside(agent))]
        if found and self._random.random() < 0.7:
            found = [self._random.choice(found)]
        for claude in found:
            claude.kill()

    def end_container(self) -> None:
        """SIGTERM to a harness, which ends in order: its container ends with it, and nobody planned that."""
        for agent in self._victims(1):
            for harness in self._harness(agent):
                self._hit(agent)
                proc.send(harness.pid, harness.ticks, signal.SIGTERM)

    def imitate_harness(self) -> None:
        """Somebody says hello as another life of a harness, and hangs up: the real one comes back."""
        for agent in self._victims(1):
            hello = Hello(boot=f"imitated-{self._random.random()}", version="1")
            with suppress(OSError), socket.socket(socket.AF_UNIX) as wire:
                wire.settimeout(5)
                wire.connect(str(self._hive.run / "agents" / agent.name / "hive.sock"))
                wire.sendall(hello.model_dump_json().encode() + b"\n")
                wire.recv(65_536)
                self._moment(0.3)

    # -- the machine

    def fill_disk(self) -> None:
        """No space left in the hive's home for a while; where that is no disk of its own, nothing happens."""
        filler = self._hive.home / "filler"
        if not os.path.ismount(self._hive.place.parent):
            return
        with filler.open("wb") as file:
            free = os.statvfs(self._hive.home)
            for size in (free.f_bavail * free.f_frsize, 1 << 16, 1 << 14, 1 << 12):
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
        self._moment(1.5)
        filler.unlink()

    def take_descriptors(self) -> None:
        """The daemon can open no more files and accept nobody for a while."""
        daemon, what = self._hive.daemon, resource.RLIMIT_NOFILE
        assert daemon is not None
        before = resource.prlimit(daemon.pid, what)
        resource.prlimit(daemon.pid, what, (16, before[1]))
        self._moment(1.5)
        resource.prlimit(daemon.pid, what, before)

    # -- the time of day

    def set_clock(self) -> None:
        """It is another time at once, back or ahead, and stays so."""
        ahead = self._random.choice(AHEAD)
        if self._clock is not None:
            self._clock.set(ahead, newest(self._hive.home))

    def set_clock_twice(self) -> None:
        """Another time, and a moment later another: somebody sets it wrong, and it is corrected."""
        self.set_clock()
        self._moment(1.0)
        self.set_clock()

    # -- backups

    def back_up(self) -> None:
        """A backup, while all goes on."""
        self._vault.finish(self._vault.begin())

    def kill_backup(self) -> None:
        """kill -9 of a backup, at whatever moment."""
        self._vault.kill(self._vault.begin(), self._random.random() * 1.1)

    def kill_daemon_under_backup(self) -> None:
        """kill -9 of the daemon; the backup goes on while the next one comes up."""
        backup = self._vault.begin()
        self._moment(0.5)
        self.kill_daemon()
        self._vault.finish(backup)

    # -- whom

    def _running(self) -> list[Agent]:
        return [agent for agent in living(self._hive.home) if agent.pid is not None]

    def _victims(self, count: int) -> list[Agent]:
        found = self._running()
        return self._random.sample(found, min(count, len(found)))

    def _kill(self, agent: Agent) -> None:
        assert agent.pid is not None and agent.start is not None
        leader = Process(agent.pid, agent.start)
        if leader.alive:
            self._hit(agent)
            leader.kill()

    def _hit(self, agent: Agent) -> None:
        """Note it; one container ends once, however often it is hit while it does."""
        life = agent.pid, agent.start
        if life not in self._lives:
            self._lives.add(life)
            self.kills.append(Kill(agent.name, time.time()))

    def _inside(self, agent: Agent) -> list[Process]:
        return (
            family(agent.pid) if agent.pid is not None and proc.is_alive(agent.pid, agent.start or 0) else []
        )

    def _harness(self, agent: Agent) -> list[Process]:
        with suppress(OSError):
            return [p for p in running("hyperhive.harness", self._inside(agent)) if is_python(p)][:1]
        return []

    def _moment(self, most: float) -> None:
        """A random while."""
        threading.Event().wait(self._random.random() * most)
