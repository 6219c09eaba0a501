"""A real hive to measure: the daemon as its own process, with as many agents as a case wants."""

from collections.abc import Iterator
from contextlib import contextmanager

from hyperhive.domain.names import MANAGER
from hyperhive.domain.records import Intended
from hyperhive.store.database import Database
from tests.e2e.hive import RealHive, hive


@contextmanager
def running(*, agents: int = 0, stopped: int = 0, kind: type[RealHive] = RealHive) -> Iterator[RealHive]:
    """A hive in rehearsal whose manager does not think about what it is told.

    Args:
        agents: how many run beside the manager: ``a0`` …
        stopped: how many more are known and do not run: ``s0`` …
        kind: how it is started.
    """
    with hive(scenario=None, kind=kind) as made:
        made.home.mkdir(mode=0o700, parents=True)
        database = Database(made.home / "hive.sqlite")
        database.open()
        with database.transaction() as tx:
            for number in range(stopped):
                tx.agents.insert(f"s{number}", "agent", Intended.STOPPED)
        database.close()
        made.up()
        made.shows(MANAGER, ready=True, transient=None)
        made.post(f"/api/agents/{MANAGER}/pause")
        made.quiet(MANAGER)
        for number in range(agents):
            made.post("/api/agents", {"name": f"a{number}"})
        for number in range(agents):
            made.shows(f"a{number}", ready=True, transient=None)
        yield made
