"""Restart policy: when to try again, when to give up, when all is forgotten."""

import pytest

from hyperhive.domain.policy import Failures, RestartPolicy

POLICY = RestartPolicy()


def after(*times: float) -> Failures:
    failures = Failures()
    for time in times:
        failures = failures.add(time, POLICY)
    return failures


def test_delays_double_from_none_to_the_longest() -> None:
    delays = [after(*range(0, 100 * n, 100)).delay(POLICY, 0.0) for n in range(1, 11)]
    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("random", "delay"), [(0.0, 4.0), (0.5, 4.4), (0.999, 4.8)])
def test_jitter_adds_a_fifth_at_most(random: float, delay: float) -> None:
    assert after(0, 100, 200, 300).delay(POLICY, random) == pytest.approx(delay, abs=0.01)


@pytest.mark.parametrize(
    ("times", "given_up"),
    [
        ((0, 1, 2, 3), False),
        ((0, 1, 2, 3, 4), True),
        ((0, 15, 30, 45, 59), True),
        ((0, 15, 30, 45, 60), False),
    ],
)
def test_five_within_a_minute_are_too_many(times: tuple[float, ...], given_up: bool) -> None:
    assert after(*times).exhausted(POLICY) is given_up


def test_ten_healthy_minutes_make_the_next_failure_the_first() -> None:
    assert after(0, 1, 2, 601.9).streak == 4
    assert after(0, 1, 2, 602) == Failures(times=(602,), streak=1)


def test_a_long_crash_loop_grows_nothing() -> None:
    assert len(after(*range(0, 10_000, 10)).times) <= POLICY.intensity + 1


def test_failures_that_a_clock_set_back_put_into_the_future_do_not_count() -> None:
    failures = after(5000, 5001, 5002, 5003, 1000)
    assert not failures.exhausted(POLICY)
    assert failures.delay(POLICY, 0.0) == 0
