"""Control groups that hold a container's limits, version 2 or 1, as far as this machine lets us make any.

A group is made below the daemon's own. In version 2 that must hold no processes itself: where all in it are the
daemon's they move into a group beside the containers', else nothing can be held.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from hyperhive.domain.records import CONTAINER_MARK
from hyperhive.domain.sizes import size
from hyperhive.errors import Broken
from hyperhive.runtimes import proc

if TYPE_CHECKING:
    from hyperhive.domain.limits import Limits

OUT_OF_MEMORY = "after its memory was used up (limits.memory)"
"""What is added to how a container ended."""

_CONTROLLERS = {"memory": "memory", "cpus": "cpu", "tasks": "pids"}
_PREFIX = "hyperhive-"
_LEAF = f"{_PREFIX}daemon"
_NOTE = "cgroups.json"
_PERIOD = 100_000
"""Microseconds that a share of the processors is measured over."""
_OUTSIDE = 1
"""Tasks in the group that are not the container's: the ``bwrap`` or leader around it."""


class Cgroups:
    """The groups of the containers.

    Args:
        root: where the file systems of control groups are mounted.
        own: the file that says which groups the daemon is in.
    """

    def __init__(self, *, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> None:
        self._root = root
        self._own = own

    def unheld(self, limits: "Limits") -> dict[str, str]:
        """The limits asked for that cannot be held, each with the reason."""
        asked = {limit: self._why_not(_CONTROLLERS[limit]) for limit in limits.model_dump(exclude_none=True)}
        return {limit: reason for limit, reason in asked.items() if reason}

    def make(self, folder: Path, id: str, limits: "Limits") -> tuple[Path, ...]:
        """Make groups with those limits that can be held, noted in the container's ``folder``.

        Returns:
            The files to write a process's number to, so that it and what comes of it is held.

        Raises:
            Broken: one could not be made although it should.
        """
        missing = self.unheld(limits)
        settings: dict[Path, dict[str, str]] = {}
        for limit in limits.model_dump(exclude_none=True):
            if limit not in missing:
                base, version = self._base(_CONTROLLERS[limit])
                settings.setdefault(base / f"{_PREFIX}{id}", {}).update(_settings(limit, limits, version))
        if not settings:
            return ()
        (folder / _NOTE).write_text(json.dumps([str(group) for group in settings]))
        try:
            for group, values in settings.items():
                group.mkdir()
                for file, value in values.items():
                    _write(group, file, value)
        except OSError as error:
            self.remove(folder)
            raise Broken(f"The limits could not be set: {error}.", code="start-failed") from error
        return tuple(group / "cgroup.procs" for group in settings)

    def ran_out(self, folder: Path) -> bool:
        """Whether something in the container was killed because its memory was used up."""
        for group in _noted(folder):
            for name in ("memory.events", "memory.oom_control"):
                if any(
                    line.startswith("oom_kill ") and line != "oom_kill 0" for line in _lines(group / name)
                ):
                    return True
        return False

    def remove(self, folder: Path) -> None:
        """Remove the groups of a container that has ended; one that is still in use stays noted for next time."""
        left = [group for group in _noted(folder) if not _removed(group)]
        if not left:
            (folder / _NOTE).unlink(missing_ok=True)

    def of(self, pid: int) -> tuple[Path, ...]:
        """The groups of ours that a process is in, as the files to write the number of another to."""
        found = []
        for line in _lines(Path(f"/proc/{pid}/cgroup")):
            _, names, path = line.split(":", 2)
            inside = PurePath(path.lstrip("/"))
            if not inside.name.startswith(_PREFIX) or inside.name == _LEAF or ".." in inside.parts:
                continue
            mounts = (names, *names.split(",")) if names else (".", "unified")
            # In a namespace of control groups the way from its root may be all that is seen.
            ways = (self._root / mount / way for mount in mounts for way in (inside, inside.name))
            found += [members for way in ways if (members := way / "cgroup.procs").exists()][:1]
        return tuple(found)

    def _why_not(self, controller: str) -> str:
        try:
            base, version = self._base(controller)
        except LookupError:
            return f"no writable cgroup for {controller}"
        if version == 1 or controller in _words(base / "cgroup.subtree_control"):
            return ""
        try:
            self._enable(base, controller)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return "other programs are in the daemon's cgroup; run it as a service with Delegate=yes"
            return f"no writable cgroup for {controller}"
        return ""

    def _base(self, controller: str) -> tuple[Path, int]:
        """The group to make a container's below, and its version."""
        for mount, path, version in self._candidates(controller):
            base = mount / path.lstrip("/") if ".." not in path.split("/") else mount
            base = base if base.is_dir() else mount
            base = base.parent if version == 2 and base.name == _LEAF else base
            if version == 2 and controller not in _words(base / "cgroup.controllers"):
                continue
            if (base / "cgroup.procs").exists() and os.access(base, os.W_OK | os.X_OK):
                return base, version
        raise LookupError(controller)

    def _candidates(self, controller: str) -> Iterator[tuple[Path, str, int]]:
        for line in _lines(self._own):
            _, names, path = line.split(":", 2)
            if not names:
                yield self._root, path, 2
                yield self._root / "unified", path, 2
            elif controller in names.split(","):
                yield self._root / names, path, 1
                yield self._root / controller, path, 1

    @staticmethod
    def _enable(base: Path, controller: str) -> None:
        """Switch a controller on for the groups below; what is ours makes room first."""
        for last in (False, False, False, True):
            try:
                _write(base, "cgroup.subtree_control", f"+{controller}")
                break
            except OSError as error:
                members = {int(word) for word in _words(base / "cgroup.procs")}
                if error.errno != errno.EBUSY or last or not members <= _ours():
                    raise
                (base / _LEAF).mkdir(exist_ok=True)
                for pid in members:
                    with suppress(ProcessLookupError):
                        _write(base / _LEAF, "cgroup.procs", str(pid))


def _settings(limit: str, limits: "Limits", version: int) -> dict[str, str]:
    """What to write where for a limit; a name in brackets only where the file is there."""
    match limit:
        case "memory":
            most = str(size(limits.memory or "0"))
            if version == 1:
                return {"memory.limit_in_bytes": most, "[memory.memsw.limit_in_bytes]": most}
            return {"memory.max": most, "[memory.swap.max]": "0", "[memory.oom.group]": "1"}
        case "cpus":
            quota = str(max(1000, round((limits.cpus or 0) * _PERIOD)))
            if version == 1:
                return {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": quota}
            return {"cpu.max": f"{quota} {_PERIOD}"}
        case _:
            return {"pids.max": str((limits.tasks or 0) + _OUTSIDE)}


def _write(group: Path, file: str, value: str) -> None:
    path = group / file.strip("[]")
    if not file.startswith("[") or path.exists():
        path.write_text(value)


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _noted(folder: Path) -> list[Path]:
    try:
        return [Path(group) for group in json.loads((folder / _NOTE).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _ours() -> set[int]:
    """This process, the containers that an earlier daemon started, and all that came of them."""
    mark = f"{CONTAINER_MARK}=".encode()
    found = {os.getpid(), *(pid for pid in proc.pids() if mark in proc.environ(pid))}
    look = list(found)
    while look:
        below = [pid for pid in proc.children(look.pop()) if pid not in found]
        found.update(below)
        look += below
    return found
