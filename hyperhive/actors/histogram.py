"""Durations counted by how long they took, as Prometheus wants them."""

import bisect

Sample = tuple[str, dict[str, str], float]
"""Name, labels, value."""

BOUNDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds: the upper bounds of the buckets; beyond the last there is one more."""


class Histogram:
    """One thread observes, any may read; what is read is of one moment, but for the sum."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0
        self._most = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect.bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds
        self._most = max(self._most, seconds)

    def samples(self, name: str) -> list[Sample]:
        """Cumulative buckets, sum and count of ``name``, and the longest as ``name``\\ ``_max``."""
        counts, total = tuple(self._counts), 0
        found: list[Sample] = []
        for bound, count in zip((*BOUNDS, float("inf")), counts, strict=True):
            total += count
            label = "+Inf" if bound == float("inf") else f"{bound:g}"
            found.append((f"{name}_bucket", {"le": label}, float(total)))
        found += [(f"{name}_sum", {}, self._sum), (f"{name}_count", {}, float(total))]
        return [*found, (f"{name}_max", {}, self._most)]
