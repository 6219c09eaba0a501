"""Processes by pid and start time."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from hyperhive.runtimes import proc


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps, and knows a secret word."""
    process = subprocess.Popen(("sleep", "600"), env={"WORD": f"xyzzy-{os.getpid()}-"})
    yield process
    process.kill()
    process.wait()


def _ticks(pid: int) -> int:
    found = proc.start_ticks(pid)
    assert found is not None
    return found


def test_a_process_is_alive_only_with_its_own_start_time(child: subprocess.Popen[bytes]) -> None:
    assert proc.is_alive(child.pid, _ticks(child.pid))
    assert not proc.is_alive(child.pid, _ticks(child.pid) + 1)


def test_a_zombie_is_not_alive(child: subprocess.Popen[bytes]) -> None:
    ticks = _ticks(child.pid)
    child.kill()

    assert proc.wait_end(child.pid, ticks, timeout=60)
    found = proc.stat(child.pid)
    assert found is not None
    assert found.state == "Z"
    assert not proc.is_alive(child.pid, ticks)


def test_waiting_for_what_goes_on_ends_in_time(child: subprocess.Popen[bytes]) -> None:
    assert not proc.wait_end(child.pid, _ticks(child.pid), timeout=0.02)


def test_a_signal_reaches_only_the_process_that_is_meant(child: subprocess.Popen[bytes]) -> None:
    ticks = _ticks(child.pid)

    assert not proc.send(child.pid, ticks + 1, signal.SIGKILL)
    assert proc.is_alive(child.pid, ticks)
    assert proc.send(child.pid, ticks, signal.SIGKILL)
    assert proc.wait_end(child.pid, ticks, timeout=60)


def test_a_command_with_brackets_and_blanks_in_its_name_is_read() -> None:
    process = subprocess.Popen(
        ("sh", "-c", "printf 'a) R 1 (b' > /proc/$$/comm; echo; read x"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    found = proc.stat(process.pid)
    process.communicate()

    assert found is not None
    assert found.comm == "a) R 1 (b"
    assert found.ppid == os.getpid()


def test_processes_are_found_by_what_they_were_started_with(child: subprocess.Popen[bytes]) -> None:
    word = f"WORD=xyzzy-{os.getpid()}-".encode()
    assert proc.marked(word) == (child.pid,)
    assert not proc.marked(word[:-1])


def test_nothing_survives_a_kill_of_what_forks_without_end() -> None:
    word = f"hive-{os.getpid()}"
    script = "f() { while :; do sleep 0.01 & sleep 0.005; done; }; f & f & f"
    process = subprocess.Popen(("sh", "-c", script), env={"WORD": word, "PATH": os.environ["PATH"]})
    mark = f"WORD={word}".encode()

    assert proc.freeze_and_kill(lambda: proc.marked(mark), deadline=30)
    assert not proc.marked(mark)
    process.wait()


def test_there_is_one_boot_id() -> None:
    assert proc.boot_id() == proc.boot_id()
    assert len(proc.boot_id()) == 36


def test_a_number_nobody_has_names_nothing() -> None:
    assert proc.stat(2**22 + 1) is None
    assert proc.start_ticks(2**22 + 1) is None
    assert proc.children(2**22 + 1) == ()
    assert proc.inner_pid(2**22 + 1) is None
    assert proc.cmdline(2**22 + 1) == ()
