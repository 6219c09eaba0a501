"""A fresh database in a folder of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyperhive.store.database import Database

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "hive.sqlite"


@pytest.fixture
def database(path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(path, now=clock)
    database.open()
    yield database
    database.close()
