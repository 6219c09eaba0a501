"""The end of a log, and its bound."""

from pathlib import Path

import pytest

from hyperhive.runtimes.log import bound, tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of a thousand lines."""
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    return path


def test_the_last_lines_are_read(log: Path) -> None:
    assert tail(log, lines=2) == "line 998\nline 999"


def test_only_so_many_bytes_are_read_and_only_whole_lines(log: Path) -> None:
    assert tail(log, lines=100, max_bytes=25) == "line 998\nline 999"


def test_one_long_line_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x" * 100)

    assert tail(tmp_path / "log", max_bytes=10) == "x" * 10


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""
    assert not bound(tmp_path / "none", max_bytes=10)


def test_a_short_log_is_left_alone(log: Path) -> None:
    before = log.read_bytes()

    assert not bound(log, max_bytes=len(before))
    assert log.read_bytes() == before


def test_a_long_log_keeps_its_last_lines_and_its_writer(log: Path) -> None:
    with log.open("ab", buffering=0) as writer:
        assert bound(log, max_bytes=2000)
        writer.write(b"after\n")
    lines = log.read_text().splitlines()

    assert lines[0] == "[earlier lines were cut]"
    assert lines[-2:] == ["line 999", "after"]
    assert log.stat().st_size < 1000


def test_no_lines_are_none(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\n")
    assert tail(tmp_path / "log", lines=0) == ""
