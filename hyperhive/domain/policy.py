"""Restart policy: backoff, intensity and quarantine, for actors and for containers alike. Pure; time is given."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When to restart what failed, and when to give up.

    Args:
        first, longest: the backoff's first and longest delay, seconds; it doubles in between. The first failure
            after a healthy time is answered at once, the second after ``first``.
        jitter: the largest share of a delay that is added to it at random, so that a storm spreads out.
        intensity: failures within ``window`` seconds after which it is quarantined.
        healthy: seconds without a failure after which all is forgotten.
    """

    first: float = 1.0
    longest: float = 60.0
    jitter: float = 0.2
    intensity: int = 5
    window: float = 60.0
    healthy: float = 600.0


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures that still count: their moments in seconds on a clock of the caller's."""

    times: tuple[float, ...] = ()
    streak: int = 0

    def add(self, now: float, policy: RestartPolicy) -> "Failures":
        """These failures and one at ``now``; what a healthy stretch has healed is forgotten."""
        past = tuple(t for t in self.times if t <= now)  # a later one is of a clock that was set back
        healed = not past or now - past[-1] >= policy.healthy
        kept = () if healed else tuple(t for t in past if now - t < policy.window)
        return Failures(times=(*kept, now)[-policy.intensity - 1 :], streak=1 if healed else self.streak + 1)

    def exhausted(self, policy: RestartPolicy) -> bool:
        """Whether the newest failure reached the restart intensity within the window."""
        if not self.times:
            return False
        newest = self.times[-1]
        return sum(newest - t < policy.window for t in self.times) >= policy.intensity

    def delay(self, policy: RestartPolicy, random: float) -> float:
        """Seconds to wait before the next start: 0, 1, 2, 4 … with jitter.

        Args:
            random: a number in [0, 1) that scales the jitter.
        """
        if self.streak <= 1:
            return 0.0
        base = min(policy.longest, policy.first * 2.0 ** min(self.streak - 2, 30))
        return base * (1.0 + policy.jitter * random)
