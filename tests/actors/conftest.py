"""A hive that is taken down whatever became of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.rig import Quiet, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A hive whose manager runs."""
    rig = Rig(tmp_path)
    with Quiet():
        rig.up()
        try:
            rig.settled("manager")
            yield rig
        finally:
            rig.end()
