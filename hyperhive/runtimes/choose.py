"""Which runtime this host uses."""

from collections.abc import Iterable

from hyperhive.errors import Refused
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.process import Process


def all_runtimes() -> tuple[Runtime, ...]:
    """All there are, the strongest walls first."""
    return (Bubblewrap(), Process())


def choose(wanted: str, runtimes: Iterable[Runtime]) -> Runtime:
    """The runtime to use.

    Args:
        wanted: a runtime's name; ``auto``: the first of ``runtimes`` that works here.

    Raises:
        Refused: it does not work here, or is not known; with the reason and what to do.
    """
    found = tuple(runtimes)
    if wanted == "auto":
        return _first_that_works(found)
    for runtime in found:
        if runtime.name == wanted:
            probe = runtime.probe()
            if not probe.works:
                raise Refused(
                    f"Runtime '{wanted}' does not work here: {probe.reason}; {probe.fix}.", code="runtime"
                )
            return runtime
    names = ", ".join(("auto", *(runtime.name for runtime in found)))
    raise Refused(
        f"Runtime '{wanted}' is not available in this version; use one of: {names}.", code="runtime"
    )


def _first_that_works(runtimes: tuple[Runtime, ...]) -> Runtime:
    reasons: list[str] = []
    for runtime in runtimes:
        probe = runtime.probe()
        if probe.works:
            return runtime
        reasons.append(f"{runtime.name}: {probe.reason} ({probe.fix})")
    raise Refused(f"No runtime works here: {'; '.join(reasons)}.", code="runtime")
