"""What an agent leaves behind is removed whole, and nothing else."""

import os
import shutil
from pathlib import Path

import pytest

from hyperhive.actors.removal import remove_tree
from hyperhive.errors import Broken


def test_folders_deeper_than_any_recursion_and_without_rights_are_removed(tmp_path: Path) -> None:
    doomed, outside = tmp_path / "doomed", tmp_path / "outside"
    outside.write_text("stays")
    doomed.mkdir()
    (doomed / "link").symlink_to(outside)
    here = os.open(doomed, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)
    (doomed / "locked").mkdir()
    (doomed / "locked" / "file").touch()
    (doomed / "locked").chmod(0)
    remove_tree(doomed)
    assert not doomed.exists()
    assert outside.read_text() == "stays"
    remove_tree(doomed)


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Broken, match="remove it by hand"):
        remove_tree(tmp_path / "kept")


def test_who_is_at_work_in_there_does_not_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, doomed = tmp_path / "programs", tmp_path / "doomed"
    programs.mkdir()
    doomed.mkdir()
    real = shutil.which("rm")
    tried = programs / "tried"
    rm = programs / "rm"
    rm.write_text(f'#!/bin/sh\n[ -e {tried} ] && exec {real} "$@"\n: > {tried}; echo busy >&2; exit 1\n')
    rm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    remove_tree(doomed)
    assert tried.exists()
    assert not doomed.exists()
