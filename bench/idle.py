"""What agents cost that do nothing: the daemon's processor time and memory, with a thousand and with five thousand.

The daemon is the real one, by its own command, and all it has of an agent is real: record, actor, repositories,
watches on a living process and on its folders, both sockets, a harness's connection that answers pings. Only what
is in the container is cheap: a ``sleep``, and one process here plays every harness.
"""

import json
import os
import resource
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.measure import Goal, Row
from hyperhive import __version__
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import own_revision
from hyperhive.actors.sources import Sources
from hyperhive.domain.axes import Axes, Container, Login, Revision
from hyperhive.domain.names import MANAGER
from hyperhive.domain.records import Handle, Intended
from hyperhive.domain.wire import Pong
from hyperhive.harness.connection import SILENCE
from hyperhive.repos.repositories import Repositories
from hyperhive.runtimes import proc
from hyperhive.store.database import Database
from tests.e2e.hive import RealHive, hive
from tests.waiting import eventually

THOUSAND, MANY = 1_000, 5_000
WINDOW = 60.0
"""Seconds that are measured: one round of pings and six of ticks."""
_SETTLED = 45.0
"""Seconds before that, for what a start leaves to be done: memory is given back within a minute."""
_DEADLINE = 600.0
_AWAY = 5.0
"""Seconds until a harness whose connection ended dials again."""
_FILES, _OTHER_FILES = 4, 1_024
"""Descriptors that the daemon holds for an agent, and beside its agents: half of those it keeps free for itself."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a daemon takes: share of a core, bytes."""

    core: float
    bytes: float


def rows() -> Iterator[Row]:
    """A thousand, and five thousand against them, or as many as this machine's limit of open files lets a daemon
    have."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(MANY, (limit - _OTHER_FILES) // _FILES)
    none, thousand, crowded = (_cost(agents) for agents in (0, THOUSAND, many))
    each, grown = (thousand.bytes - none.bytes) / THOUSAND, (crowded.bytes - none.bytes) / many
    yield Row(f"{THOUSAND} idle agents, of a core", thousand.core * 100, 1.0, "%", "budget", Goal(ratio=1.0))
    yield Row("an idle agent in the daemon", each / 1024, 32.0, "KiB", "budget", Goal(ratio=1.0))
    against, goal = f"{THOUSAND} idle agents", Goal(ratio=6.0 * many / MANY)
    yield Row(f"{many} idle agents, of a core", crowded.core * 100, thousand.core * 100, "%", against, goal)
    yield Row(
        f"{many} idle agents, memory", grown * many / 2**20, each * THOUSAND / 2**20, "MiB", against, goal
    )


def _cost(agents: int) -> Cost:
    with crowd(agents) as real:
        assert real.daemon is not None
        pid = real.daemon.pid
        time.sleep(_SETTLED)
        began, used = time.monotonic(), _processor_time(pid)
        time.sleep(WINDOW)
        core = (_processor_time(pid) - used) / (time.monotonic() - began)
        return Cost(core, _private(pid))


def _processor_time(pid: int) -> float:
    """Seconds that a process has run on a processor, all its threads together; in nanoseconds exact."""
    return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of that process, see clock_getcpuclockid(3)


def _private(pid: int) -> float:
    """Bytes of memory that a process has to itself."""
    fields = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return 1024.0 * sum(int(fields[key].split()[0]) for key in ("Private_Clean", "Private_Dirty"))


@contextmanager
def crowd(agents: int) -> Iterator[RealHive]:
    """A daemon with its manager and so many agents, all at rest."""
    names = (MANAGER, *(f"a{number}" for number in range(agents)))
    with ExitStack() as stack:
        real = stack.enter_context(hive(runtime="process", scenario=None))
        real.start_deadline = _DEADLINE
        pids = {name: os.posix_spawn("/bin/sleep", ["sleep", "3600"], {}) for name in names}
        stack.callback(_end, pids.values())
        _record(real, pids)
        real.up()
        stack.enter_context(_Harnesses(real.run, names))
        _all_ready(real)
        yield real


def _all_ready(real: RealHive) -> None:
    """Wait; asked rarely, for the state of thousands is megabytes that are made anew after each change."""
    end = time.monotonic() + _DEADLINE
    while time.monotonic() < end:
        with suppress(httpx.TimeoutException):
            if all(agent["ready"] for agent in real.state()["agents"]):
                return
        time.sleep(3.0)
    raise TimeoutError(f"The agents were not ready within {_DEADLINE:.0f} s: {real.complaints()}")


def _record(real: RealHive, pids: dict[str, int]) -> None:
    """Agents as an earlier daemon left them: built, running, with nothing to do."""
    layout, repos = Layout(home=real.home, run=real.run), Repositories(home=real.home)
    package = Path(__file__).resolve().parents[1] / "hyperhive"
    sources = Sources(
        layout=layout, repos=repos, own=own_revision(package, __version__), check=lambda text: text
    )
    real.home.mkdir(mode=0o700, parents=True)
    for name in pids:
        layout.agent(name).create()
        repos.prepare(name, first=True)
        repos.begin(name)
    database = Database(real.home / "hive.sqlite")
    database.open()
    axes = Axes(
        container=Container.RUNNING, login=Login.LOGGED_IN, revision=Revision.UP_TO_DATE, boot=proc.boot_id()
    )
    with database.transaction() as tx:
        for name, pid in pids.items():
            aim, ticks = sources.aim(name), proc.start_ticks(pid)
            assert aim is not None and ticks is not None
            layout.agent(name).config.write_text(sources.source(name, aim.commit).config)
            role = MANAGER if name == MANAGER else "agent"
            record = tx.agents.insert(name, role, Intended.RUNNING)
            built = record._replace(
                axes=axes,
                handle=Handle("process", pid, ticks, proc.boot_id()),
                generation=1,
                built_revision=aim.revision,
                built_commit=aim.commit,
                built_config=layout.agent(name).config.read_text(),
            )
            tx.agents.save(built)
    database.close()


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class _Harnesses:
    """Plays the harness of every agent: says hello, answers pings, and hangs up and dials again when the host is
    silent for too long."""

    def __init__(self, run: Path, names: tuple[str, ...]) -> None:
        self._selector = selectors.DefaultSelector()
        self._run = run
        self._heard: dict[str, float] = {}
        self._away: dict[str, float] = {}
        self._hung_up = 0
        for name in names:
            self._hello(name)
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._stopped = False

    def __enter__(self) -> "_Harnesses":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # sockets, all of them
        self._selector.close()
        if self._hung_up:
            print(f"{self._hung_up} connections ended or were silent for too long.")

    def _hello(self, name: str) -> None:
        path = self._run / "agents" / name / "hive.sock"
        connection = socket.socket(socket.AF_UNIX)
        eventually(lambda: connection.connect_ex(str(path)) == 0, _DEADLINE)
        connection.sendall(
            json.dumps({"type": "hello", "boot": name, "version": __version__}).encode() + b"\n"
        )
        self._selector.register(connection, selectors.EVENT_READ, name)
        self._heard[name] = time.monotonic()

    def _play(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select(1.0):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    there = self._answer(key.fileobj)
                except OSError:
                    there = False
                if there:
                    self._heard[key.data] = time.monotonic()
                else:
                    self._again(key)
            now = time.monotonic()
            if min(self._heard.values(), default=now) < now - SILENCE:
                for key in tuple(self._selector.get_map().values()):
                    if self._heard[key.data] < now - SILENCE:
                        self._again(key)
            for name in [name for name, due in self._away.items() if due <= now]:
                del self._away[name]
                self._hello(name)

    def _answer(self, connection: socket.socket) -> bool:
        """Answer what was said; ``False``: the connection is over."""
        data = connection.recv(65_536)
        for line in data.splitlines():
            said = json.loads(line)
            if said["type"] == "ping":
                connection.sendall(Pong(id=said["id"]).model_dump_json().encode() + b"\n")
        return bool(data)

    def _again(self, key: selectors.SelectorKey) -> None:
        """Hang up, and dial again after a while: all of them at once would be a storm of the bench's own."""
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()
        self._hung_up += 1
        del self._heard[key.data]
        self._away[key.data] = time.monotonic() + _AWAY
