"""Keeps an applied repository small and quick over thousands of proposals."""

import contextlib
import os
from pathlib import Path

from hyperhive.errors import Refused
from hyperhive.repos import files
from hyperhive.repos.git import Git, GitFailed

LOOSE = 16
"""Loose objects in one folder of 256 before all are packed: about 4,000 in all."""
PACKS = 30
MAX_STORE = 1024 * 1024 * 1024
"""Bytes of objects in one applied repository beyond which no further proposal is taken."""
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


def check_room(folder: Path) -> None:
    """Whether there is room for another proposal.

    Raises:
        Refused: there is not; what was proposed so far is kept.
    """
    if _size(folder / "objects") > MAX_STORE:
        raise Refused(
            f"Its proposals fill more than {MAX_STORE >> 20} MiB of applied/; the operator can make room: "
            "docs/approvals.md, Bounds.",
            code="too-large",
        )


def _size(objects: Path) -> int:
    found = 0
    for place in (*objects.glob("[0-9a-f][0-9a-f]"), objects / "pack"):
        with contextlib.suppress(FileNotFoundError), os.scandir(place) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found += entry.stat(follow_symlinks=False).st_size
    return found


def _entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        return 0
