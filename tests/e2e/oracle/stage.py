"""Where the oracle plays: a hive whose home is a small disk of its own, where that can be had, and the seed."""

import os
import random
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.hive import RealHive

SCENARIO = Path(__file__).with_name("scenario.toml")
DISK = 256 * 1024 * 1024
"""Bytes of the home's disk."""


def seed(usual: int | None = None) -> int:
    """``HYPERHIVE_SEED``, else the ``usual`` one, else a new one each time; it stands in what a failure prints."""
    return int(os.environ.get("HYPERHIVE_SEED") or usual or random.randrange(10**9))


def rounds(usual: int) -> int:
    """``HYPERHIVE_ROUNDS``, else as many as usual."""
    return int(os.environ.get("HYPERHIVE_ROUNDS") or usual)


def harm() -> dict[str, int]:
    """``HYPERHIVE_HARM``: what the nemesis does more or less often than usual, as ``set_clock=20,kill_backup=20``."""
    found = (word.partition("=") for word in os.environ.get("HYPERHIVE_HARM", "").split(",") if word)
    return {name.strip(): int(weight) for name, _, weight in found}


@contextmanager
def stage(**options: Any) -> Iterator[RealHive]:
    """A hive that is not started yet. Only root may have a disk to be filled, and not everywhere."""
    disk = Path(tempfile.mkdtemp(prefix="hd-", dir="/tmp"))
    own = os.geteuid() == 0 and _run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "oracle", disk)
    place = disk / f"hh-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)
    made = RealHive(place, scenario=SCENARIO, **options)
    try:
        yield made
    finally:
        made.close()
        if own:
            _run("umount", "-l", disk)
        shutil.rmtree(disk, ignore_errors=True)


def _run(*words: str | Path) -> bool:
    return subprocess.run(list(map(str, words)), capture_output=True, timeout=60, check=False).returncode == 0
