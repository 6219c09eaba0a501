"""How fast one agent may talk: token buckets, waited for rather than refused."""

import asyncio


class Pace:
    """Holds back whoever talks faster than agreed.

    Args:
        rate: units a second in the long run.
        burst: units that may come at once.
    """

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left = burst
        self._at = asyncio.get_running_loop().time()

    async def spend(self, units: float) -> None:
        """Spend ``units``; waits until they have come in."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - units
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)
