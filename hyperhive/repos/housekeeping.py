"""Keeps an applied repository small and quick over thousands of proposals."""

import contextlib
from pathlib import Path

from hyperhive.repos.git import Git, GitFailed

LOOSE = 16
"""Loose objects in one folder of 256 before all are packed: about 4,000 in all."""
PACKS = 30
_DEADLINE = 60.0


def tidy(git: Git, folder: Path) -> None:
    """Pack objects and refs when there are many. What cannot be packed now is packed another time.

    Args:
        folder: the ``.git`` folder; nobody else writes in it meanwhile.
    """
    objects = folder / "objects"
    if _entries(objects / "17") <= LOOSE and _entries(objects / "pack") <= 2 * PACKS:
        return
    with contextlib.suppress(GitFailed):
        git.run("pack-refs", "--all", deadline=_DEADLINE)
        git.run("repack", "-a", "-d", "-q", deadline=_DEADLINE)
        git.run("prune-packed", "-q", deadline=_DEADLINE)


def _entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        return 0
