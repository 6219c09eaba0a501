"""Sessions of the operator's browsers: random ids, only hashes kept; they survive a restart."""

import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

ABSOLUTE = 30 * 86_400.0
"""Seconds after which a session ends whatever happens."""
IDLE = 7 * 86_400.0
"""Seconds without use after which it ends."""
MOST = 100
"""Sessions kept; the one unused for longest makes room."""
SAVE_EVERY = 300.0
"""Seconds that the last use of a session may be ahead of the file."""


SHOWN = 12
"""Characters of a session's key that name it to the operator; nobody comes in with those."""


@dataclass(slots=True)
class _Session:
    """Its moments by the clock that nobody sets."""

    opened: float
    used: float
    saved: float
    where: str = ""


class Shown(NamedTuple):
    """A session as it is listed: ``opened`` and ``used`` in seconds since the epoch, ``where`` it was opened from."""

    id: str
    opened: float
    used: float
    where: str


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Sessions:
    """The sessions that are open.

    Args:
        path: where they are kept, 0600; ``None``: in memory only.
        token: what they were opened with: those of another token do not count.
        clock: seconds since the host's boot, its sleep included: nobody sets it.
        day: seconds since the epoch, which may be set: for what is shown, and for what was opened before the boot.
        boot: which boot of the host this is.
    """

    def __init__(
        self,
        *,
        path: Path | None = None,
        token: str = "",
        clock: Callable[[], float] = _since_boot,
        day: Callable[[], float] = time.time,
        boot: str = "",
    ) -> None:
        self._path = path
        self._of = _hash(token)
        self._clock, self._day, self._boot = clock, day, boot
        self._open: dict[str, _Session] = {}
        if path is not None:
            self._load(path)

    def open(self, where: str = "") -> str:
        """Begin a session from ``where``; returns the id that its cookie carries."""
        id = secrets.token_urlsafe(32)
        now = self._clock()
        self._open[_hash(id)] = _Session(opened=now, used=now, saved=now, where=where)
        while len(self._open) > MOST:
            del self._open[min(self._open, key=lambda key: self._open[key].used)]
        self._save()
        return id

    def find(self, id: str) -> str | None:
        """The key of the open session with this id, which counts as a use of it."""
        key = _hash(id)
        return key if self.touch(key) else None

    def touch(self, key: str) -> bool:
        """Note that a session is in use; ``False`` when it is over."""
        session = self._open.get(key)
        if session is None:
            return False
        now = self._clock()
        if not _lives(session, now):
            self.close(key)
            return False
        session.used = now
        if now - session.saved > SAVE_EVERY:
            session.saved = now
            self._save()
        return True

    def close(self, key: str) -> None:
        """End a session."""
        if self._open.pop(key, None) is not None:
            self._save()

    def listed(self) -> tuple[Shown, ...]:
        """All that are open, the one used last first."""
        now, to_day = self._clock(), self._day() - self._clock()
        living = [(key, one) for key, one in self._open.items() if _lives(one, now)]
        living.sort(key=lambda item: item[1].used, reverse=True)
        return tuple(
            Shown(key[:SHOWN], one.opened + to_day, one.used + to_day, one.where) for key, one in living
        )

    def close_all(self) -> tuple[str, ...]:
        """End all sessions; returns their keys."""
        ended = tuple(self._open)
        self._open.clear()
        self._save()
        return ended

    def _load(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_text())
            if not kept.keys() >= {"token", "open"}:
                _tell_older(path, len(kept))
                return
            rows = kept["open"].items() if kept["token"] == self._of else ()
            now, ahead = self._clock(), self._ahead_of_clock(kept)
            found = {
                str(key): _Session(min(now, opened - ahead), last, last, str(where))
                for key, (opened, used, where) in rows
                for last in [min(now, used - ahead)]
            }
        except FileNotFoundError:
            return
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            OverflowError,
            RecursionError,
        ) as error:
            log.warning("%s cannot be read (%s); everyone logs in again.", path, error)
            return
        newest = sorted(found.items(), key=lambda item: item[1].used)[-MOST:]
        self._open = {key: session for key, session in newest if _lives(session, now)}

    def _ahead_of_clock(self, kept: dict[str, Any]) -> float:
        """Seconds by which the times in the file are ahead of the clock: what was set since the boot is left out."""
        if self._boot and kept.get("boot") == self._boot:
            return float(kept["ahead"])
        return self._day() - self._clock()

    def _save(self) -> None:
        if self._path is None:
            return
        ahead = self._day() - self._clock()
        rows = {key: [one.opened + ahead, one.used + ahead, one.where] for key, one in self._open.items()}
        kept = {"token": self._of, "boot": self._boot, "ahead": ahead, "open": rows}
        try:
            write_private(self._path, json.dumps(kept))
        except OSError as error:
            log.warning("%s cannot be written (%s); logins will not survive a restart.", self._path, error)


def _tell_older(path: Path, count: int) -> None:
    """Those of 0.2 and before do not say by which token they were opened: they could outlive it."""
    if count:
        log.warning("%s is of an older hyperhive: its %d browser sessions ended; log in again.", path, count)


def write_private(path: Path, text: str) -> None:
    """Put ``text`` into ``path``, mode 0600, as a whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _lives(session: _Session, now: float) -> bool:
    return now - session.opened < ABSOLUTE and now - session.used < IDLE


def _hash(id: str) -> str:
    return hashlib.sha256(id.encode(errors="replace")).hexdigest()
