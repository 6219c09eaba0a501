"""What this process takes of its machine, by the names that Prometheus clients use."""

import resource
import threading
import time
from pathlib import Path

from hyperhive import memory
from hyperhive.actors.histogram import Sample

_SELF = Path("/proc/self")
HELD = {
    "malloc held": "hyperhive_malloc_held_bytes",
    "malloc free": "hyperhive_malloc_free_bytes",
    "sqlite": "hyperhive_sqlite_bytes",
    "blocks": "hyperhive_python_blocks",
}
"""The metrics of what ``memory.held`` tells."""


class Process:
    """The daemon's own process, from now on."""

    def __init__(self) -> None:
        self._started = time.time()

    def samples(self) -> list[Sample]:
        """As of now; what the kernel does not tell is left out."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        found: list[Sample] = [
            ("process_threads", {}, float(threading.active_count())),
            ("process_max_fds", {}, float("inf") if soft == resource.RLIM_INFINITY else float(soft)),
            ("process_cpu_seconds_total", {}, used.ru_utime + used.ru_stime),
            ("process_start_time_seconds", {}, self._started),
            *((HELD[what], {}, value) for what, value in memory.held().items()),
        ]
        try:
            pages = int((_SELF / "statm").read_text().split()[1])
            open_now = sum(1 for _ in (_SELF / "fd").iterdir()) - 1  # the listing holds one itself
        except (OSError, ValueError, IndexError):  # no descriptor is left to look with
            return found
        found.append(("process_resident_memory_bytes", {}, float(pages * resource.getpagesize())))
        found.append(("process_open_fds", {}, float(open_now)))
        return found
