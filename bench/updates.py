"""Rebuilds: of an agent that has nothing to change, and of twenty agents at once."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.bare import BareContainers
from bench.hives import running
from bench.measure import Row, interleaved, timed
from hyperhive.settings import Settings
from tests.e2e.hive import RealHive

AGENTS = 20
_ROUNDS = 31


def rows() -> Iterator[Row]:
    """An update that changes nothing, then twenty that do."""
    with running(agents=AGENTS) as real:
        yield from _nothing(real)
        yield from _crowd(real)


def _nothing(real: RealHive) -> Iterator[Row]:
    real.post("/api/agents/a0/pause")
    ours, floor = interleaved(
        lambda: timed(lambda: real.post("/api/agents/a0/update?wait=20")),
        lambda: timed(lambda: real.post("/api/agents/a0/pause")),
        _ROUNDS,
    )
    real.post("/api/agents/a0/resume")
    yield Row("update, nothing changed", ours * 1e3, floor * 1e3, "ms", "pause of a paused agent")


def _crowd(real: RealHive) -> Iterator[Row]:
    models = iter(range(1_000))
    peaks: list[float] = []

    def update() -> float:
        model = f"m{next(models)}"
        for number in range(AGENTS):
            real.change(f"a{number}", model)
        took = timed(lambda: _all_at_once(real))
        peaks.append(sum(_waited(real, number) for number in range(AGENTS)))
        return took

    with tempfile.TemporaryDirectory(prefix="hhb-", dir="/tmp") as folder:
        bare = BareContainers(Path(folder), AGENTS, Settings(home=Path(folder)).builds)
        bare.prepare()
        with closing(bare):
            bare.restart()
            ours, floor = interleaved(update, lambda: timed(bare.restart), 3)
    yield Row(f"{AGENTS} agents updated at once", ours, floor, "s", "the same containers restarted bare")
    yield Row("  queued for a place at the peak", max(peaks), AGENTS, "agents", "all of them")


def _all_at_once(real: RealHive) -> None:
    threads = [
        threading.Thread(target=real.post, args=(f"/api/agents/a{number}/update?wait=120",))
        for number in range(AGENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = {agent["name"]: agent for agent in real.state()["agents"]}
    for number in range(AGENTS):
        agent = shown[f"a{number}"]
        if agent["revision"] != "up-to-date" or agent["last_error"]:
            raise AssertionError(f"a{number} was not updated: {agent}")


def _waited(real: RealHive, number: int) -> bool:
    return "waiting: for a place" in (real.folder(f"a{number}") / "build.log").read_text()
