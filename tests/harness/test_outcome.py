"""How a turn ended, from what was seen of it."""

from datetime import UTC, datetime, timedelta

import pytest

from hyperhive.domain.turns import Outcome
from hyperhive.harness.claude import Ended, Limited
from hyperhive.harness.outcome import Evidence, judge, overfull

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "refused", "outcome"),
    [
        (401, "authentication_failed", Outcome.LOGIN),
        (None, "authentication_failed", Outcome.LOGIN),
        (429, "rate_limit", Outcome.RATE_LIMITED),
        (429, None, Outcome.RATE_LIMITED),
        (500, "server_error", Outcome.OFFLINE),
        (529, "overloaded", Outcome.OFFLINE),
        (None, "server_error", Outcome.OFFLINE),
        (None, "unknown", Outcome.OFFLINE),
        (402, "billing_error", Outcome.OFFLINE),
        (400, "invalid_request", Outcome.FAILED),
        (404, "unknown", Outcome.FAILED),
        (None, None, Outcome.FAILED),
    ],
)
def test_an_error_of_the_api_is_judged_by_its_code(
    status: int | None, refused: str | None, outcome: Outcome
) -> None:
    ended = Ended(ok=False, status=status, text="API\nError")
    verdict = judge(Evidence(ended=ended, refused=refused), stopped=None, now=NOW)
    assert (verdict.outcome, verdict.note) == (outcome, "API Error")


def test_words_about_errors_are_no_errors() -> None:
    ended = Ended(ok=True, text="429 401 rate limit authentication_failed")
    assert judge(Evidence(ended=ended), stopped=None, now=NOW).outcome is Outcome.DONE
    ended = Ended(ok=False, text="the API said 429 and 401")
    assert judge(Evidence(ended=ended), stopped=None, now=NOW).outcome is Outcome.FAILED


def test_a_limit_that_was_hit_on_the_way_to_a_good_end_does_not_matter() -> None:
    seen = Evidence(ended=Ended(ok=True), limited=Limited(NOW), refused="rate_limit")
    assert judge(seen, stopped=None, now=NOW).outcome is Outcome.DONE


def test_a_reset_time_is_known_or_guessed() -> None:
    later = NOW + timedelta(hours=3)
    known = judge(Evidence(ended=Ended(ok=False), limited=Limited(later)), stopped=None, now=NOW)
    guessed = judge(Evidence(ended=Ended(ok=False, status=429)), stopped=None, now=NOW)
    assert (known.resets_at, guessed.resets_at) == (later, NOW + timedelta(seconds=60))


@pytest.mark.parametrize("reason", [Outcome.DEADLINE, Outcome.INTERRUPTED])
def test_what_we_ended_is_told_so_unless_it_was_done_before(reason: Outcome) -> None:
    for seen in (Evidence(died="SIGKILL"), Evidence(ended=Ended(ok=False))):
        assert judge(seen, stopped=reason, now=NOW).outcome is reason
    assert judge(Evidence(ended=Ended(ok=True)), stopped=reason, now=NOW).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (Evidence(ended=Ended(ok=True), context=150_001), True),
        (Evidence(ended=Ended(ok=True), context=150_000), False),
        (Evidence(ended=Ended(ok=False, status=400), refused="invalid_request"), True),
        (Evidence(ended=Ended(ok=False, status=400), refused="billing_error"), False),
        (Evidence(ended=Ended(ok=False, status=500)), False),
        (Evidence(died="killed"), False),
    ],
)
def test_a_session_is_compacted_when_it_is_long_or_not_taken_any_more(seen: Evidence, wanted: bool) -> None:
    assert overfull(seen) is wanted


def test_a_death_without_a_reason_of_ours_loses_the_turn() -> None:
    verdict = judge(Evidence(died="killed by SIGKILL"), stopped=None, now=NOW)
    assert verdict.outcome is Outcome.LOST and "SIGKILL" in verdict.note
