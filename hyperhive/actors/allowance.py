"""How much each sender may send: so much at once, and so much a second in the long run."""

from collections import OrderedDict
from collections.abc import Callable

MOST = 10_000
"""Senders remembered; who sent longest ago is forgotten first, and has all of its allowance again."""


class Allowances:
    """A token bucket for each sender.

    Args:
        at_once, a_second: units.
        clock: seconds, monotonic.
    """

    def __init__(self, *, at_once: float, a_second: float, clock: Callable[[], float]) -> None:
        self._at_once, self._a_second, self._clock = at_once, a_second, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, sender: str, units: float) -> float:
        """Spend ``units`` of a sender's; 0 when it had them, else seconds until it will, and nothing is spent."""
        now = self._clock()
        left, at = self._left.get(sender, (self._at_once, now))
        left = min(self._at_once, left + max(0.0, now - at) * self._a_second)
        short = min(units, self._at_once) - left
        self._left[sender] = (left if short > 0 else left - units, now)
        self._left.move_to_end(sender)
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        return max(0.0, short / self._a_second)
