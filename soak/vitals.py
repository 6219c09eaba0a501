"""What a hive's process holds at a moment."""

import gc
import os
import sys
import threading
import traceback
import tracemalloc
from collections import Counter
from pathlib import Path

from hyperhive.actors.agent import AgentActor
from hyperhive.actors.tree import Tree
from hyperhive.actors.watcher import Watcher
from hyperhive.memory import held

_TABLES = (
    *("agents", "kept", "messages", "turns", "turn_items", "questions", "approvals", "events", "drafts"),
    "generations",
)


class Vitals:
    """Looks at this very process.

    Args:
        trace: also trace where memory comes from, which makes all of it slow.
    """

    def __init__(self, *, tree: Tree, watcher: Watcher, home: Path, trace: bool) -> None:
        self._tree = tree
        self._watcher = watcher
        self._home = home
        self._trace = trace
        self._types: Counter[str] | None = None
        self._allocated: tracemalloc.Snapshot | None = None

    def look(self, tasks: int) -> dict[str, float]:
        """Numbers by name, after a collection of garbage."""
        gc.collect()
        found: dict[str, float] = {
            "threads": threading.active_count(),
            "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
            "tasks": tasks,
            "objects": len(gc.get_objects()),
            **beside(held()),
            "timers": sum(timer[2][0] is not None for timer in list(self._watcher._timers)),
            "watches": sum(len(watchers) for watchers in self._watcher._folders.copy().values()),
            "mailboxes": sum(post.address.depth for post in self._tree.roster.all()),
            "posts": len(self._tree.roster.all()),
            "seq": self._tree.board.seq,
            **memory(os.getpid()),
            **disk(self._home),
        }
        reader = self._tree._database.reader().events._sql
        for table in _TABLES:
            row = reader.one(f"SELECT count(*) FROM {table}")
            found[f"rows {table}"] = 0 if row is None else row[0]
        return found

    def grown(self) -> list[str]:
        """What there is more of than at the first call: types of objects, and with ``trace`` lines of source."""
        gc.collect()
        types = Counter(type(each).__qualname__ for each in gc.get_objects())
        lines: list[str] = []
        if self._types is not None:
            more = ((count - self._types[name], name) for name, count in types.items())
            lines = [f"{count:+d} {name}" for count, name in sorted(more, reverse=True)[:25] if count > 0]
        else:
            self._types = types
        return [*lines, *(self._traced() if self._trace else ())]

    def why(self, name: str) -> str:
        """What an agent's actor is about: its mail, its operation, what it waits for; and every thread's stack."""
        post = self._tree.roster.get(name)
        actor = post.address.actor if post is not None else None
        if post is None or not isinstance(actor, AgentActor):
            return f"{name}: nobody holds its post"
        memory = actor._memory
        core, job = memory.owner, memory.job
        lines = [f"{name}: mail {post.address.depth}, begun {actor._begun}, stash {len(memory.stash)}"]
        lines += [f"busy {actor.busy_with if actor.busy_since else ''}, timers {sorted(memory.timers)}"]
        if core is not None:
            same = core is getattr(actor, "_core", None)
            lines += [f"core {same}, void {core.void}, epoch {core._epoch}, spoiled {core._spoiled}"]
            lines += [f"failures {core._failures}, record {core.record.transient}, {core.record.handle}"]
        if job is not None:
            lines += [f"{job.kind}: begun {job.begun}, queued {job.queued}, over {job.over}, {job.planned}"]
        frames = sys._current_frames()
        for thread in threading.enumerate():
            stack = traceback.format_stack(frames[thread.ident]) if thread.ident in frames else []
            lines += [thread.name, *(line.strip() for line in stack[-8:])]
        return "\n".join(lines)

    def _traced(self) -> list[str]:
        if not tracemalloc.is_tracing():
            tracemalloc.start(8)
            return []
        now = tracemalloc.take_snapshot()
        first, self._allocated = self._allocated, self._allocated or now
        if first is None:
            return []
        lines: list[str] = []
        for stat in now.compare_to(first, "traceback")[:12]:
            lines += [f"{stat.size_diff:+d} bytes in {stat.count_diff:+d}", *stat.traceback.format()]
        return lines


def beside(told: dict[str, float]) -> dict[str, float]:
    """What ``memory.held`` tells, and what C code holds beside SQLite's caches, which fill up to a bound."""
    if "malloc held" not in told:
        return told
    return told | {"held beside sqlite": told["malloc held"] - told.get("sqlite", 0.0)}


def memory(pid: int) -> dict[str, float]:
    """Bytes that a process holds: resident, and its share of what it shares."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in ("Rss", "Pss"):
            found[key.lower()] = int(rest.split()[0]) * 1024.0
    return found


def disk(home: Path) -> dict[str, float]:
    """Bytes on the disk, by what they are for."""
    sizes: Counter[str] = Counter()
    for folder, folders, files in os.walk(home):
        parts = Path(folder).relative_to(home).parts
        what = parts[2] if len(parts) > 2 else "home"
        sizes[f"disk {what}"] += sum(_size(Path(folder, name)) for name in (*files, *folders))
    for name in ("hive.sqlite", "hive.sqlite-wal"):
        size = _size(home / name)
        sizes[name] = size
        sizes["disk home"] -= size
    return {name: float(size) for name, size in sizes.items()}


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0
