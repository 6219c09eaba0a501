"""An agent with both repositories made."""

from pathlib import Path

import pytest

from hyperhive.repos.repositories import Repositories
from tests.repos.rig import NAME, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    repos = Repositories(home=tmp_path)
    repos.prepare(NAME, first=True)
    return Rig(repos=repos, home=tmp_path)
