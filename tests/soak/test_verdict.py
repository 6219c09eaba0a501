"""The verdict finds what grows and is not taken in by noise."""

import random

import pytest

from soak.report import judge, table
from soak.retained import FULL
from soak.verdict import Allowed, trend
from soak.vitals import beside

ALLOWED = Allowed(0.05, 2)


def grew(values: list[float], allowed: Allowed = ALLOWED) -> bool:
    return trend("x", values, allowed).grew


def test_what_grows_a_little_with_every_round_is_found() -> None:
    assert grew([100 + 2.0 * number for number in range(12)])


def test_a_leak_is_found_in_noise() -> None:
    noise = random.Random(1)
    assert grew([1000 + 20 * number + noise.uniform(-60, 60) for number in range(20)])


def test_what_stays_as_it_is_is_let_go() -> None:
    noise = random.Random(2)
    assert not grew([100.0] * 10)
    assert not grew([1000 + noise.uniform(-200, 200) for _ in range(20)])


def test_what_is_cut_again_and_again_is_let_go() -> None:
    assert not grew([100.0, 150.0, 200.0] * 6)


def test_one_slow_round_is_no_growth_first_or_last() -> None:
    assert not grew([100.0] * 9 + [500.0])
    assert not grew([500.0] + [100.0] * 9)
    assert not grew([10.0] + [100.0] * 9)


def test_what_shrinks_is_let_go() -> None:
    assert not grew([200.0 - number for number in range(10)])


def test_an_amount_is_allowed_where_a_share_of_little_would_be_nothing() -> None:
    assert not grew([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    assert grew([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_two_rounds_are_no_trend() -> None:
    with pytest.raises(ValueError, match="three rounds are wanted"):
        trend("threads", [1, 2], ALLOWED)


def test_the_table_marks_what_grew_and_judges_only_what_it_knows() -> None:
    rounds = [{"threads": 10.0 + 10 * n, "rss": 5e8, "seq": 1000.0 * n, "p50 send": 2.0} for n in range(9)]
    found = judge(rounds)
    assert [one.name for one in found if one.grew] == ["threads"]
    shown = {line.split("  ")[0].strip(): line for line in table(found).splitlines()[1:]}
    assert shown["threads"].endswith("GREW")
    assert "476.84 MiB" in shown["rss"]
    assert "2.00 ms" in shown["p50 send"]


def test_what_fills_up_to_a_bound_may_grow_until_there() -> None:
    rounds = [{"rows events": 1000.0 * n, "rows turns": 1000.0 * n} for n in range(9)]
    found = judge(rounds, {"rows events": 8000, "rows turns": 5000})
    assert [one.name for one in found if one.grew] == ["rows turns"]


def test_a_cache_that_fills_up_is_told_from_a_leak_and_from_a_cache_without_end() -> None:
    def found(cache: float, leak: float) -> list[str]:
        rounds = [
            beside({"malloc held": 3e7 + (cache + leak) * n, "sqlite": 2e6 + cache * n}) for n in range(9)
        ]
        return [one.name for one in judge(rounds, FULL) if one.grew]

    assert found(cache=1e6, leak=0) == []
    assert found(cache=0, leak=1e6) == ["held beside sqlite"]
    assert found(cache=2e6, leak=0) == ["sqlite"]
