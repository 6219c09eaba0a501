"""How it is measured: both sides in turn, medians, one ratio."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the ratio of a measurement is to be: at most, or at least, ``ratio``."""

    ratio: float
    sense: Literal["at most", "at least"] = "at most"

    def met(self, ratio: float) -> bool:
        """Whether ``ratio`` reaches it."""
        return ratio <= self.ratio if self.sense == "at most" else ratio >= self.ratio


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Args:
        name: what is measured.
        ours, floor: medians of both sides, or a plain budget as ``floor``.
        unit: of both.
        against: what the floor is.
        goal: what the ratio is to be, where there is one.
    """

    name: str
    ours: float
    floor: float
    unit: str
    against: str
    goal: Goal | None = None

    @property
    def ratio(self) -> float:
        """Ours over the floor."""
        return self.ours / self.floor if self.floor else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; ``None`` without one."""
        return self.goal.met(self.ratio) if self.goal else None


def timed(call: Callable[[], object]) -> float:
    """Seconds that ``call`` takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def interleaved(ours: Callable[[], float], floor: Callable[[], float], rounds: int) -> tuple[float, float]:
    """Medians of both sides, measured in turn so that a drift of the machine meets both."""
    ours(), floor()
    pairs = [(ours(), floor()) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
