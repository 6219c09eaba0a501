"""How fast one agent may talk: token buckets, waited for rather than refused."""

import asyncio


class Pace:
    """Holds back whoever talks faster than agreed.

    Args:
        rate: units a second in the long run.
        burst: units that may come at once.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left = burst
        self._at = asyncio.get_running_loop().time()

    def spent(self, units: float) -> float:
        """Spend ``units``; how many seconds are to be waited until they have come in."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - units
        self._at = now
        return max(0.0, -self._left / self._rate)

    async def spend(self, units: float) -> None:
        """Spend ``units``; waits until they have come in."""
        if (wait := self.spent(units)) > 0:
            await asyncio.sleep(wait)
