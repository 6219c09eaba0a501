"""An approval goes one way, ends once, and has the tags of where it is."""

from datetime import UTC, datetime

import pytest

from hyperhive.domain.approvals import ENDED, State, advance, all_tags, tags
from hyperhive.errors import Refused

WHEN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("state", State)
def test_an_end_is_the_end(state: State) -> None:
    ways = [to for to in State if _may(state, to)]
    assert (not ways) is (state in ENDED)
    assert State.PENDING not in ways


def _may(state: State, to: State) -> bool:
    try:
        return advance(1, state, to, by=None) is to
    except Refused:
        return False


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.APPROVED, "approved by operator at 2026-01-31 12:00:00 UTC."),
        (State.BUILDING, "approved by operator at 2026-01-31 12:00:00 UTC; it is being built."),
        (State.DEPLOYED, "approved by operator at 2026-01-31 12:00:00 UTC; it is deployed."),
        (State.FAILED, "approved by operator at 2026-01-31 12:00:00 UTC; its build failed."),
        (State.REVISE, "sent back for revision by operator at 2026-01-31 12:00:00 UTC."),
        (State.EXPIRED, "expired by operator at 2026-01-31 12:00:00 UTC."),
    ],
)
def test_who_decides_second_hears_who_decided_what_and_when(state: State, said: str) -> None:
    with pytest.raises(Refused) as refusal:
        advance(7, state, State.DENIED, by="operator", when=WHEN)
    assert refusal.value.message == f"Approval 7 was decided already: {said}"


def test_its_tags_tell_its_life() -> None:
    assert tags(3, State.PENDING) == ("proposal/3",)
    assert tags(3, State.APPROVED) == ("proposal/3", "approved/3")
    assert tags(3, State.BUILDING) == ("proposal/3", "approved/3", "building/3")
    assert tags(3, State.DEPLOYED) == ("proposal/3", "approved/3", "building/3", "deployed/3")
    assert tags(3, State.FAILED) == ("proposal/3", "approved/3", "building/3", "failed/3")
    assert tags(3, State.WITHDRAWN) == ("proposal/3", "withdrawn/3")
    assert all(set(tags(3, state)) <= set(all_tags(3)) for state in State)
