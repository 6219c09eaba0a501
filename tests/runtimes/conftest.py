"""Labs for the tests of the runtimes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtimes.lab import Lab, make


@pytest.fixture(params=["fake", "process", "bubblewrap"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A lab with each runtime, the fake among them."""
    found = Lab(make(request.param), tmp_path / "lab")
    yield found
    found.close()


@pytest.fixture(params=["process", "bubblewrap"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A lab with each runtime that runs the payload."""
    found = Lab(make(request.param), tmp_path / "lab")
    yield found
    found.close()


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[Lab]:
    """A lab with walls."""
    found = Lab(make("bubblewrap"), tmp_path / "lab")
    yield found
    found.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may reach and write to."""
    with tempfile.TemporaryDirectory(prefix="hive-open-") as path:
        folder = Path(path)
        folder.chmod(0o777)
        yield folder
