"""Files where the agent can write too: whatever it plants there, the harness goes on."""

import os
from pathlib import Path

import pytest

from hyperhive.harness.records import read, write


def test_what_was_written_is_read_and_nobody_elses(tmp_path: Path) -> None:
    write(tmp_path / "a.json", "one")
    write(tmp_path / "a.json", "twø")
    assert read(tmp_path / "a.json", limit=100) == "twø".encode()
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_long_file_is_read_to_the_limit(tmp_path: Path) -> None:
    write(tmp_path / "a", "x" * 1000)
    assert len(read(tmp_path / "a", limit=10)) == 10


@pytest.mark.parametrize("name", ["a", "a.part"])
def test_a_pipe_is_replaced_and_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError):
        read(tmp_path / "a", limit=10)
    write(tmp_path / "a", "x")
    assert read(tmp_path / "a", limit=10) == b"x"


@pytest.mark.parametrize("name", ["a", "a.part"])
def test_a_link_is_replaced_and_never_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / name).symlink_to(tmp_path / "secret")
    with pytest.raises(OSError):
        read(tmp_path / "a", limit=10)
    write(tmp_path / "a", "x")
    assert (tmp_path / "secret").read_text() == "secret"
