"""``kill -USR1`` and ``/metrics`` of the real daemon: what it is at, whatever hangs."""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from hyperhive.web.metrics import METRICS
from tests.e2e.hanging import FOLDER
from tests.e2e.hive import LONG, RealHive, hive
from tests.waiting import eventually
from tests.web.prometheus import read

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_HANGING = Path(__file__).with_name("hanging.py")
_END = re.compile(r"hyperhive\.dump: SIGUSR1: \d+ mailboxes\n((?:  .*\n)+)")


class Hanging(RealHive):
    """A hive whose daemon hangs where a test says."""

    def starting(self, flags: list[str]) -> list[str]:
        """The daemon with its traps."""
        return [sys.executable, str(_HANGING), "up", *flags]

    @contextmanager
    def hung(self, where: str) -> Iterator[None]:
        """While the block runs, what is named hangs as soon as it is come to."""
        file = self.place / where
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    def dumped(self, complete: Callable[[str], object]) -> str:
        """What a dump said, once it is complete."""
        log = self.place / "err"
        before = log.stat().st_size
        assert self.daemon is not None
        os.kill(self.daemon.pid, signal.SIGUSR1)

        def said() -> str:
            return log.read_bytes()[before:].decode()

        eventually(lambda: complete(said()), LONG)
        return said()

    def knock(self, path: str) -> threading.Thread:
        """Ask for something whose answer may never come."""

        def ask() -> None:
            with suppress(httpx.HTTPError):
                self.http.get(path) if path == "/healthz" else self.http.post(path)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def real() -> Iterator[Hanging]:
    with hive(kind=Hanging, runtime="process") as made:
        assert isinstance(made, Hanging)
        made.env[FOLDER] = str(made.place)
        made.env["PYTHONPATH"] = str(Path(__file__).parents[2])
        made.up()
        yield made


def _whole(said: str) -> bool:
    return bool(_END.search(said))


def _mailboxes(said: str) -> dict[str, str]:
    found = _END.search(said)
    assert found, said
    return dict(line.strip().split(": ", 1) for line in found[1].splitlines())


def test_a_dump_comes_whatever_hangs(real: Hanging) -> None:
    said = real.dumped(_whole)
    assert "Stack (most recent call first)" in said
    boxes = _mailboxes(said)
    assert {"supervisor", "#store", "#hub", "#broker", "#gatekeeper", "manager"} <= boxes.keys()
    assert re.fullmatch(r"\d+ waiting, (idle|busy with \w+ for .*), 0 restarts", boxes["#hub"])
    assert re.search(r"^  (.*, )?MainThread(, .*)?:$", said, re.MULTILINE), said
    at_rest = re.compile(r"^    .*selectors\.py:\d+ in EpollSelector\.select$", re.MULTILINE)
    eventually(lambda: at_rest.search(real.dumped(_whole)), LONG)  # its loop has other things to do at times

    with real.hung("agents"):
        asking = [real.knock("/api/agents/manager/pause") for _ in range(3)]
        eventually(lambda: _asked(real) >= 2, LONG)
        said = real.dumped(_whole)
        assert re.fullmatch(
            r"\d+ waiting, busy with \w+ for [\d.]+ s, since [\d:]+, \d+ restarts",
            _mailboxes(said)["manager"],
        )
        assert int(_mailboxes(said)["manager"].partition(" ")[0]) >= 2
        assert re.search(r"hanging\.py:\d+ in main\.<locals>\.handle$", said, re.MULTILINE)
    for thread in asking:
        thread.join(LONG)

    with real.hung("loop"):
        asked = real.knock("/healthz")
        eventually((real.place / "loop.hangs").exists, LONG)
        said = real.dumped(_whole)
        assert re.search(r"hanging\.py:\d+ in hang_in_the_loop$", said, re.MULTILINE)
        assert "#store" in _mailboxes(said)
    asked.join(LONG)
    assert real.http.get("/healthz").json() == {"status": "ok"}  # it hurt nobody
    assert real.agent("manager")["name"] == "manager"

    with real.hung("interpreter"):
        real.knock("/healthz")
        eventually((real.place / "interpreter.hangs").exists, LONG)
        said = real.dumped(lambda said: "in hang_with_the_interpreter\n" in said)
        assert "Stack (most recent call first)" in said
    real.kill()


def _asked(real: Hanging) -> float:
    families = read(real.http.get("/metrics").text)
    return families["hyperhive_mailbox_depth"].value("hyperhive_mailbox_depth", actor="manager")


def test_metrics_of_a_running_hive_are_all_there_and_right(real: Hanging) -> None:
    reader = threading.Thread(target=lambda: real.wait("paused", after=real.seq), daemon=True)
    reader.start()
    eventually(
        lambda: read(real.http.get("/metrics").text)["hyperhive_stream_readers"].samples.popitem()[1] == 1,
        LONG,
    )
    real.post("/api/agents/manager/pause")
    reader.join(LONG)
    families = read(real.http.get("/metrics").text)
    assert families.keys() == METRICS.keys()
    assert {name: family.kind for name, family in families.items()} == {n: m.kind for n, m in METRICS.items()}

    def one(name: str, **labels: str) -> float:
        metric = name if name in METRICS else name.rpartition("_")[0]
        return families[metric].value(name, **labels)

    assert one("hyperhive_events_total") >= 1
    assert one("hyperhive_commit_seconds_count") >= 1
    assert one("hyperhive_commit_seconds_sum") > 0
    assert one("hyperhive_fanout_seconds_count") >= 1
    assert sum(one("hyperhive_agents", container=state) for state in ("running", "stopped", "unknown")) == 1
    assert one("hyperhive_mailbox_depth", actor="#store") >= 0
    assert one("process_open_fds") > 10
    assert one("process_threads") >= 5
    assert one("process_resident_memory_bytes") > 10_000_000
