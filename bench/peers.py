"""The programs we are measured against, where they are installed; ``PEERS=1`` installs what is missing."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))  # the set-up's own, no package

import system


def peer(program: str, packages: Sequence[str]) -> str | None:
    """The path of a peer's program.

    Args:
        packages: the system's packages that bring it, in the order to install them.

    Returns:
        ``None`` where it is not installed; that is said, with how to get it.
    """
    found = shutil.which(program)
    if found is None and os.environ.get("PEERS") == "1":
        for package in packages:
            system.install(package)
        found = shutil.which(program)
    if found is None:
        print(f"{program} is not installed: no comparison with it. PEERS=1 installs it.", flush=True)
    return found
