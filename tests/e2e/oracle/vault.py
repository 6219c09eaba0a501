"""Backups of a hive at work: whole ones, and ones that were killed; the whole ones are brought back to be judged."""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.hive import LONG, RealHive
from tests.e2e.oracle.history import History
from tests.e2e.oracle.record import Record, newest, read


@dataclass(slots=True)
class Backup:
    """One that was begun.

    Args:
        file: where it is to be.
        calls: how many calls had ended before it began.
        event: the newest event before it began.
        began: by the monotonic clock.
        code: how it ended; negative: a signal.
        said: what it wrote to its stderr.
    """

    file: Path
    process: "subprocess.Popen[bytes]"
    calls: int
    event: int
    began: float
    code: int = 0
    said: str = ""

    def ends(self, deadline: float = LONG) -> None:
        """Let it come to its end; kill -9 at the deadline, in seconds."""
        try:
            _, said = self.process.communicate(timeout=max(0.0, deadline))
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
        self.code, self.said = self.process.returncode, said.decode(errors="replace")


class Vault:
    """Where backups go.

    Args:
        folder: is made.
    """

    def __init__(self, *, hive: RealHive, history: History, folder: Path) -> None:
        self._hive, self._history, self._folder = hive, history, folder
        folder.mkdir()
        self._number, self._usual = 0, 1.0
        self._made: list[Backup] = []

    def begin(self) -> Backup:
        """Begin one."""
        self._number += 1
        calls, event = len(self._history), newest(self._hive.home)
        file = self._folder / f"hive-{self._number}.tar.gz"
        process = subprocess.Popen(
            [self._hive.command, "backup", str(file)],
            env=self._hive.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        made = Backup(file, process, calls, event, time.monotonic())
        self._made.append(made)
        return made

    def finish(self, backup: Backup) -> None:
        """Let one come to its end, which says how long they take."""
        backup.ends()
        self._usual = (self._usual + time.monotonic() - backup.began) / 2

    def kill(self, backup: Backup, share: float) -> None:
        """kill -9 of one after this share of the usual time. It may have come to its end by then."""
        backup.ends(backup.began + share * self._usual - time.monotonic())

    def drain(self) -> list[Backup]:
        """Those begun since."""
        made, self._made = self._made, []
        return made

    def left(self) -> list[str]:
        """What lies here."""
        return sorted(path.name for path in self._folder.iterdir())

    def brought_back(self, backup: Backup) -> Record:
        """The record that a backup brings back in an empty home; what git finds wrong there is among its faults.

        Raises:
            AssertionError: it cannot be restored.
        """
        home = self._folder / "home"
        try:
            self._hive.cli("restore", str(backup.file), "--home", str(home))
            record = read(home)
            faults = [fault for name in ("applied", "proposed") for fault in _broken(home, name)]
            return replace(record, faults=(*record.faults, *faults))
        finally:
            shutil.rmtree(home, ignore_errors=True)
            with suppress(FileNotFoundError):
                backup.file.unlink()


def _broken(home: Path, name: str) -> list[str]:
    found = []
    for folder in sorted(home.glob(f"agents/*/{name}")):
        words = ["git", "-c", "safe.directory=*", "-C", str(folder), "fsck", "--no-dangling", "--no-progress"]
        said = subprocess.run(words, capture_output=True, text=True, timeout=LONG, check=False, env=_GIT)
        if said.returncode != 0:
            found.append(f"{folder.relative_to(home)}: {said.stdout}{said.stderr}")
    return found


_GIT = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
