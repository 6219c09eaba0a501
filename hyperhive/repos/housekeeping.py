"""Keeps an applied repository small and quick over thousands of proposals."""

import contextlib
from pathlib import Path

from hyperhive.repos import files
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
    for left in (*objects.glob("pack/tmp_*"), *objects.glob("pack/.tmp-*")):  # by one that was killed
        files.remove(left)
    with contextlib.suppress(GitFailed):
        git.run("pack-refs", "--all", deadline=_DEADLINE)
        # Looking for likenesses takes minutes where a proposer brought much that has none.
        git.run("repack", "-a", "-d", "-q", "--window=0", deadline=_DEADLINE)
        git.run("prune-packed", "-q", deadline=_DEADLINE)


def _entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        return 0
