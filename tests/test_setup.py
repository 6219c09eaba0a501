"""The set-up's own words: what it says where something is missing, and that it asks before it installs."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``scripts/system.py``."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("system")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only programs are in this folder: a package manager that notes what it is told."""
    manager = tmp_path / "apt-get"
    manager.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n[ -e {tmp_path}/lists ] || [ "$1" = update ]\n'
    )
    manager.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("NO_SYSTEM", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_without_a_new_enough_python_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts/setup", "run"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "no Python 3.11 or newer found" in done.stderr


def test_an_unknown_goal_is_wrong_usage() -> None:
    done = subprocess.run([ROOT / "scripts/setup", "walk"], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, b"usage: setup.py run|test\n")


def test_root_gets_what_is_missing_installed_and_is_told(
    system: ModuleType, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "lists").touch()
    assert system.install("bubblewrap")
    assert "bubblewrap" in (machine / "told").read_text()
    assert "NO_SYSTEM=1 prevents it" in capsys.readouterr().out


def test_a_machine_without_package_lists_gets_them_first(system: ModuleType, machine: Path) -> None:
    assert not system.install("bubblewrap")
    verbs = [line.split()[0] for line in (machine / "told").read_text().splitlines()]
    assert verbs == ["install", "update", "install"]


def test_nothing_is_installed_for_others_or_against_their_wish(
    system: ModuleType, machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_SYSTEM", "1")
    system.want("bwrap", "bubblewrap", use="walls", without="none")
    monkeypatch.delenv("NO_SYSTEM")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    system.want("bwrap", "bubblewrap", use="walls", without="none")
    assert not (machine / "told").exists()
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("Type: apt-get install -y --no-install-recommends bubblewrap")
    assert said[1].endswith("Type: sudo apt-get install -y --no-install-recommends bubblewrap")


def test_what_is_there_is_left_alone(
    system: ModuleType, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system.want("bwrap", "bubblewrap", "apt-get", use="walls", without="none")
    assert capsys.readouterr().out == ""
    assert not (machine / "told").exists()
