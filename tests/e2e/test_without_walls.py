"""Plain processes: said to be without walls, and a kill leaves nothing behind there either."""

from collections.abc import Iterator

import pytest

from tests.e2e.hive import LONG, RealHive, hive
from tests.e2e.processes import family, program
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive(runtime="process") as made:
        made.up()
        yield made


def test_it_says_so_everywhere(real: RealHive) -> None:
    state = real.state()
    assert (state["hive"]["runtime"], state["hive"]["confined"]) == ("process", False)
    assert real.agent("manager")["confined"] is False
    assert "no walls" in (real.place / "out").read_text()
    assert "no walls" in real.cli("list").lower()


@pytest.mark.parametrize("whom", ["leader", "claude"])
def test_a_kill_leaves_no_orphans_and_the_message_comes_again(real: RealHive, whom: str) -> None:
    name = {"leader": "anna", "claude": "berta"}[whom]
    real.spawn(name)
    after, newest = real.seq, real.newest()
    leader = real.leader(name)
    id = real.send(
        name, "run: test -e begun && echo again || { echo > begun; (setsid tail -f /dev/null & wait); }"
    )
    eventually(lambda: program("tail", family(leader.pid)), LONG)
    inside = family(leader.pid)
    (claude,) = program("claude", inside)
    doomed = inside if whom == "leader" else [p for p in family(claude.pid) if p != claude]
    (leader if whom == "leader" else claude).kill()
    assert real.word(name, after=newest).strip() == "ran: again"
    real.quiet(name)
    assert not [p for p in doomed if not p.ended()]
    assert real.rows("SELECT state FROM messages WHERE id = ?", id) == [("read",)]
    crashes = [e for e in real.events(after) if e["kind"] == "container_crash"]
    assert [e["agent"] for e in crashes] == ([name] if whom == "leader" else [])
