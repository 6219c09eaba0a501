"""What one sends in a burst and in the long run is bounded, and what others send is not touched."""

from hyperhive.actors.allowance import MOST, Allowances


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_so_much_may_be_sent_at_once_and_then_as_it_comes_in() -> None:
    time = Time()
    allowances = Allowances(at_once=10, a_second=2, clock=time)
    assert allowances.spend("alice", 6) == 0
    assert allowances.spend("alice", 4) == 0
    assert allowances.spend("alice", 4) == 2
    assert allowances.spend("bob", 10) == 0
    time.now += 1
    assert allowances.spend("alice", 4) == 1
    time.now += 1
    assert allowances.spend("alice", 4) == 0


def test_what_is_more_than_all_of_it_waits_for_all_of_it_and_no_longer() -> None:
    time = Time()
    allowances = Allowances(at_once=10, a_second=2, clock=time)
    assert allowances.spend("alice", 1) == 0
    assert allowances.spend("alice", 50) == 0.5
    time.now += 0.5
    assert allowances.spend("alice", 50) == 0
    assert allowances.spend("alice", 1) > 20


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    time = Time()
    allowances = Allowances(at_once=10, a_second=2, clock=time)
    allowances.spend("alice", 4)
    time.now -= 50
    assert allowances.spend("alice", 6) == 0


def test_only_so_many_senders_are_remembered() -> None:
    allowances = Allowances(at_once=10, a_second=2, clock=Time())
    allowances.spend("alice", 10)
    for number in range(MOST):
        allowances.spend(f"n{number}", 1)
    assert allowances.spend("alice", 10) == 0
