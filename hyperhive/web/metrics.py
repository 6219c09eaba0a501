"""Samples as Prometheus text, format 0.0.4. The names are stable; ``docs/http.md`` lists them."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """What a name stands for."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str


METRICS: dict[str, Metric] = {
    "hyperhive_events_total": Metric("counter", "Events recorded since the hive began."),
    "hyperhive_agents": Metric("gauge", "Agents, by the state of their containers."),
    "hyperhive_unread_messages": Metric("gauge", "Messages that wait in an agent's or the operator's inbox."),
    "hyperhive_mailbox_depth": Metric("gauge", "Messages that wait for an actor, between actors."),
    "hyperhive_actor_busy_seconds": Metric("gauge", "How long an actor is at its present message; 0: idle."),
    "hyperhive_actor_restarts_total": Metric("counter", "Restarts of an actor by its supervisor."),
    "hyperhive_supervisor_restarts_total": Metric("counter", "Restarts of the supervisor itself."),
    "hyperhive_quarantined_actors": Metric("gauge", "Actors that are not restarted any more."),
    "hyperhive_jobs_running": Metric("gauge", "Starts and rebuilds that hold one of the places."),
    "hyperhive_jobs_waiting": Metric("gauge", "Starts and rebuilds that wait for a place."),
    "hyperhive_clerk_waiting": Metric("gauge", "Pieces of work on repositories that wait for a thread."),
    "hyperhive_pending_writes": Metric("gauge", "Writes that are not durable yet."),
    "hyperhive_commit_seconds": Metric("histogram", "How long a commit of the database took."),
    "hyperhive_commit_seconds_max": Metric("gauge", "The longest commit since the start."),
    "hyperhive_fanout_seconds": Metric("histogram", "From an event's commit to the last waiting reader."),
    "hyperhive_fanout_seconds_max": Metric("gauge", "The longest fan-out since the start."),
    "hyperhive_stream_readers": Metric("gauge", "Readers of the event stream that wait for the next event."),
    "hyperhive_stream_frames": Metric("gauge", "Frames kept for readers that fall behind."),
    "hyperhive_http_streams": Metric("gauge", "Open streams of this server, of every kind."),
    "hyperhive_malloc_held_bytes": Metric("gauge", "Memory of C code and of Python's large objects."),
    "hyperhive_malloc_free_bytes": Metric("gauge", "Memory that was freed and is kept by the C library."),
    "hyperhive_sqlite_bytes": Metric("gauge", "Memory of the database's page caches and statements."),
    "hyperhive_python_blocks": Metric("gauge", "Blocks of memory of Python's small objects."),
    "process_threads": Metric("gauge", "Threads of the daemon."),
    "process_open_fds": Metric("gauge", "Descriptors that are open."),
    "process_max_fds": Metric("gauge", "Descriptors that may be open."),
    "process_resident_memory_bytes": Metric("gauge", "Memory of the daemon that is in use."),
    "process_cpu_seconds_total": Metric("counter", "Processor time of the daemon, user and system."),
    "process_start_time_seconds": Metric("gauge", "When the daemon began, in seconds since 1970."),
}

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PARTS = ("_bucket", "_sum", "_count")


def render(
    samples: Iterable[tuple[str, dict[str, str], float]], *, metrics: Mapping[str, Metric] = METRICS
) -> str:
    """The text of ``samples`` (name, labels, value), by metric.

    Raises:
        ValueError: a name is not among ``metrics``, or a label's name is none.
    """
    groups: dict[str, list[str]] = {}
    for name, labels, value in samples:
        if not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError(f"not a metric: {name} {sorted(labels)}")
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        line = f"{name}{{{pairs}}}" if pairs else name
        groups.setdefault(_metric(name, metrics), []).append(f"{line} {_number(value)}")
    lines: list[str] = []
    for name, group in groups.items():
        kind, text = metrics[name]
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *group]
    return "".join(f"{line}\n" for line in lines)


def _metric(name: str, metrics: Mapping[str, Metric]) -> str:
    if name in metrics and metrics[name].kind != "histogram":
        return name
    for part in _PARTS:
        whole = name.removesuffix(part)
        if whole != name and whole in metrics and metrics[whole].kind == "histogram":
            return whole
    raise ValueError(f"not a metric: {name}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
