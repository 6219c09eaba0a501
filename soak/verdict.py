"""The verdict: is what a hive holds and costs at the end as it was at the beginning?

What is looked at round by round grows if its slope over all rounds (the median of the slopes between every two of
them, so that no single round decides) and the difference between its last and first rounds are both beyond what is
allowed. One of them alone is noise: a slow moment, a page of memory more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median


@dataclass(frozen=True, slots=True)
class Allowed:
    """How much more there may be at the end: the larger of a share of the beginning and an amount."""

    share: float
    amount: float


@dataclass(frozen=True, slots=True)
class Trend:
    """How one number fared over the rounds.

    Args:
        first, last: medians of the first and the last third.
        slope: what comes to it in one round.
        grew: whether that is more than is allowed.
    """

    name: str
    first: float
    last: float
    slope: float
    grew: bool


def trend(name: str, values: Sequence[float], allowed: Allowed) -> Trend:
    """The trend of a number that was looked at once a round.

    Raises:
        ValueError: there are fewer than three rounds to compare.
    """
    if len(values) < 3:
        raise ValueError(f"{name}: three rounds are wanted to compare, there are {len(values)}")
    third = max(1, len(values) // 3)
    first, last = median(values[:third]), median(values[-third:])
    slope = median((b - a) / (j - i) for (i, a), (j, b) in combinations(enumerate(values), 2))
    bound = max(allowed.share * abs(first), allowed.amount)
    return Trend(name, first, last, slope, min(last - first, slope * (len(values) - 1)) > bound)
