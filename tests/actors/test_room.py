"""A disk that runs full is seen by everybody who looks, before anything fails."""

from collections.abc import Callable
from pathlib import Path

from hyperhive.actors.room import LEAST, Room
from hyperhive.actors.watcher import Cancel


class Later:
    """Timers that are due when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def after(self, delay: float, then: Callable[[], None]) -> Cancel:
        self.due.append(then)
        return lambda: None

    def pass_time(self) -> None:
        due, self.due = self.due, []
        for then in due:
            then()


class Disk:
    """A disk with so much room; ``None``: it cannot be looked at."""

    def __init__(self, room: int | None) -> None:
        self.room = room
        self.told: list[tuple[str | None, str | None]] = []
        self.timers = Later()
        Room(
            folder=Path("/hive"),
            timers=self.timers,
            on_trouble=lambda was, now: self.told.append((was, now)),
            free=self._free,
        ).look()

    def _free(self, folder: Path) -> int:
        if self.room is None:
            raise OSError("gone")
        return self.room

    def becomes(self, room: int | None) -> list[tuple[str | None, str | None]]:
        self.room, self.told = room, []
        self.timers.pass_time()
        return self.told


def test_little_room_is_told_with_what_to_do_and_so_is_its_end() -> None:
    disk = Disk(LEAST)
    assert disk.told == []
    ((was, now),) = disk.becomes(LEAST - 1)
    assert was is None
    assert now is not None
    assert "less than 1024 MiB are free on the disk of /hive" in now
    assert "du -sh" in now
    assert disk.becomes(LEAST - 2) == []
    assert disk.becomes(LEAST + 1) == []  # not to and fro at the edge
    assert disk.becomes(2 * LEAST) == [(now, None)]


def test_a_disk_that_cannot_be_looked_at_is_looked_at_again() -> None:
    disk = Disk(None)
    assert disk.becomes(None) == []
    assert len(disk.becomes(0)) == 1


def test_a_real_disk_has_some_room(tmp_path: Path) -> None:
    told: list[object] = []
    Room(folder=tmp_path, timers=Later(), on_trouble=lambda was, now: told.append(now)).look()
    assert all(told)
