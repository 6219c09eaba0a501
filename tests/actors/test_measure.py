"""Folders are measured within bounds, and no link leads out of them."""

import os
from pathlib import Path

from hyperhive.actors.measure import measure


def test_a_folder_is_as_large_as_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    empty = measure(tmp_path)
    (tmp_path / "a/b/file").write_bytes(b"x" * 100_000)
    assert 100_000 <= measure(tmp_path) - empty < 120_000
    assert measure(tmp_path / "nothing") == 0
    assert measure(tmp_path / "a/b/file") == 0


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * 1_000_000)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "large")
    (inside / "loop").symlink_to(inside)
    os.mkfifo(inside / "pipe")
    assert measure(inside) < 100_000
    assert measure(inside / "folder") == 0


def test_it_stops_at_its_bounds(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}").write_bytes(b"x" * 4096)
    whole = measure(tmp_path)
    assert measure(tmp_path, entries=10) < whole / 10
    assert measure(tmp_path, seconds=0) < whole
    deep = tmp_path
    for _ in range(200):
        deep = deep / "d"
        deep.mkdir()
    assert measure(tmp_path) < whole + 100 * 4096
