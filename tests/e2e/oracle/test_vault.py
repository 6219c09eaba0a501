"""The checks of backups, of logins and of what is kept let a whole one pass, and see each planted fault."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.e2e.oracle import checker
from tests.e2e.oracle.history import Op
from tests.e2e.oracle.record import Agent, Change, Letter, Question, Record
from tests.e2e.oracle.test_checker import events

HALF = ".hyperhive-backup-00000000000000aa"


@pytest.mark.parametrize(
    ("codes", "there", "left"),
    [
        ([0], [True], []),
        ([-9], [False], [HALF]),
        ([-9], [True], [HALF]),
        ([0, -9, -9], [True, False, False], [HALF, HALF]),
        ([-9, 0], [False, True], []),
    ],
)
def test_backups_that_are_whole_or_not_there_pass(
    codes: list[int], there: list[bool], left: list[str]
) -> None:
    assert checker.backups_are_made_or_not_there(codes, there, left) == []


@pytest.mark.parametrize(
    ("codes", "there", "left", "word"),
    [
        ([1], [False], [], "ended with 1"),
        ([0], [False], [], "was made and is not there"),
        ([0], [True], [HALF], "0 killed backups left"),
        ([-9, 0], [False, True], [HALF], "0 killed backups left"),
        ([0, -9], [True, False], [HALF, HALF], "1 killed backups left"),
        ([-9], [False], ["hive.tar.gz.half"], "killed backups left hive.tar.gz.half"),
    ],
)
def test_a_backup_that_failed_or_left_too_much_is_seen(
    codes: list[int], there: list[bool], left: list[str], word: str
) -> None:
    assert any(word in line for line in checker.backups_are_made_or_not_there(codes, there, left))


TEXTS = {7: "a", 8: "b", 9: "c"}
BACKUP = Record(
    events=events((1, "started", "dan", {}), (2, "stopped", "dan", {})),
    texts={7: "a", 8: "b"},
    letters=(Letter(1, "operator", "dan", "note s.1"), Letter(2, "operator", "dan", "note s.2")),
    questions=(Question(1, "dan", "why?"),),
    agents=(Agent("dan"), Agent("tmp")),
    changes=(Change(3, "dan", "deployed"),),
)
DONE = (
    Op("s", "send", "dan", "note s.1", "ok", 1),
    Op("s", "send", "dan", "note s.3", "unknown"),
    Op("q", "ask", "dan", "why?", "ok", 1),
    Op("o", "propose", "dan", 1, "ok", 3),
    Op("m", "spawn", "tmp"),
    Op("m", "spawn", "gone"),
    Op("m", "destroy", "gone", None, "unknown"),
    Op("o", "stop", "dan"),
)


@pytest.mark.parametrize(
    ("alter", "word"),
    [
        (lambda r: replace(r, letters=r.letters[1:]), "send 'note s.1' was acknowledged before a backup"),
        (lambda r: replace(r, letters=(replace(r.letters[0], body="other"),)), "send 'note s.1'"),
        (lambda r: replace(r, questions=()), "ask 'why?' was acknowledged before a backup"),
        (lambda r: replace(r, changes=()), "propose 1 was acknowledged"),
        (lambda r: replace(r, agents=r.agents[:1]), "spawn 'tmp' was acknowledged"),
        (lambda r: replace(r, texts={7: "a"}), "began behind event 8 ends with 7"),
        (lambda r: replace(r, texts={7: "x", 8: "b"}), "event 7 was restored otherwise"),
        (lambda r: replace(r, texts={**r.texts, 10: "d"}), "event 10 was restored otherwise"),
        (lambda r: replace(r, events=(r.events[0], r.events[1] | {"seq": 9})), "event 9 follows event 7"),
        (lambda r: replace(r, faults=("row 1 missing from index",)), "restored: row 1 missing"),
    ],
)
def test_a_planted_fault_of_what_a_backup_brings_back_is_seen(
    alter: Callable[[Record], Record], word: str
) -> None:
    assert checker.backups_hold(DONE, 8, BACKUP, TEXTS) == []
    found = checker.backups_hold(DONE, 8, alter(BACKUP), TEXTS)
    assert any(word in line for line in found), found


def test_a_session_that_is_thrown_out_and_a_listing_by_another_order_are_seen() -> None:
    well = (
        Op("v", "visit", "operator", None, "ok", [3, 4, 9]),
        Op("v", "visit", "operator", None, "fail", "not reached: refused"),
        Op("v", "visit", "operator", None, "unknown", "the daemon was killed"),
    )
    assert checker.visits_are_let_in(well) == []
    thrown = replace(well[1], result='{"status":401,"code":"session-over"}')
    assert "thrown out" in checker.visits_are_let_in([thrown])[0]
    for listed in ([4, 3], [3, 3]):
        assert "listed as" in checker.visits_are_let_in([replace(well[0], result=listed)])[0]


def test_what_is_gone_of_the_young_is_seen() -> None:
    kept = [1, 2, *range(11, 21)]
    assert checker.the_young_are_kept(kept, 0, 10) == []
    assert checker.the_young_are_kept(kept, 0, 12) == ["2 young events are gone, 9 the first"]
    assert checker.the_young_are_kept(kept, 15, 12) == []
    assert checker.the_young_are_kept([*kept[:5], *kept[6:]], 0, 10) == [
        "1 young events are gone, 14 the first"
    ]
