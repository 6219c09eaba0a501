"""Following: what comes is shown as it comes; Ctrl-C, a closed pipe and the daemon's end are quiet ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.domain.events import Started
from tests.cli.conftest import Type
from tests.cli.served import ServedHive
from tests.fakes.feed import KEPT
from tests.waiting import eventually

HYPERHIVE = [sys.executable, "-c", "import sys; from hyperhive.cli import main; sys.exit(main())"]
DEADLINE = 30.0


@pytest.fixture
def follow(served: ServedHive) -> Iterator[list[subprocess.Popen[str]]]:
    """Commands that were started; what still runs at the end is ended."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate(timeout=DEADLINE)


def _start(follow: list[subprocess.Popen[str]], *words: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([*HYPERHIVE, *words], stdout=pipe, stderr=pipe, text=True)
    follow.append(process)
    return process


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _streaming(served: ServedHive, verb: str = "stream") -> None:
    eventually(lambda: any(call.verb == verb for call in served.hive.calls))


def test_events_are_shown_as_they_happen(served: ServedHive, follow: list[subprocess.Popen[str]]) -> None:
    process = _start(follow, "events", "--follow", "--json")
    _streaming(served)
    for _ in range(2):
        served.do(lambda hive: hive.publish(Started(agent="alice")))
    assert [json.loads(_line(process))["seq"] for _ in range(2)] == [1, 2]


def test_logs_are_shown_as_they_grow(served: ServedHive, follow: list[subprocess.Popen[str]]) -> None:
    served.do(lambda hive: hive.append_log("alice", "old"))
    process = _start(follow, "logs", "alice", "--follow")
    assert _line(process) == "old\n"
    served.do(lambda hive: hive.append_log("alice", "new \x1b[31m"))
    assert _line(process) == "new \\x1b[31m\n"


def test_an_interrupt_ends_quietly_with_130(served: ServedHive, follow: list[subprocess.Popen[str]]) -> None:
    served.do(lambda hive: hive.append_log("alice", "here"))
    process = _start(follow, "logs", "alice", "--follow")
    assert _line(process) == "here\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=DEADLINE) == ("", "")
    assert process.returncode == 130


def test_a_reader_that_has_seen_enough_is_no_error(
    served: ServedHive, follow: list[subprocess.Popen[str]]
) -> None:
    served.do(lambda hive: hive.logs_of.update(alice=["x" * 100] * 5000))
    process = _start(follow, "logs", "alice", "--lines", "5000")
    _line(process)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert process.communicate(timeout=DEADLINE)[1] == ""
    assert process.returncode == 0


def test_the_end_of_the_daemon_is_told_with_3(
    served: ServedHive, follow: list[subprocess.Popen[str]]
) -> None:
    served.do(lambda hive: hive.append_log("alice", "here"))
    process = _start(follow, "logs", "alice", "--follow")
    assert _line(process) == "here\n"
    served.hang_up()
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3
    assert err == "hyperhive: The log stream ended; is the hive still running?\n"


def test_a_number_that_is_no_longer_kept_is_told(served: ServedHive, type_: Type) -> None:
    served.do(lambda hive: [hive.publish(Started(agent="alice")) for _ in range(KEPT + 5)])
    said = type_("events", "--after", "0")
    assert (said.code, "no longer kept" in said.err) == (1, True)


def test_output_that_no_encoding_can_show_is_escaped(served: ServedHive) -> None:
    served.do(lambda hive: hive.append_log("alice", "schön 🐝"))
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*HYPERHIVE, "logs", "alice"], env=env, capture_output=True, timeout=DEADLINE, check=False
    )
    assert done.stdout == b"sch\\xf6n \\U0001f41d\n"
    assert done.returncode == 0


def test_the_heavy_parts_are_not_imported_for_a_quick_command(served: ServedHive, tmp_path: Path) -> None:
    code = "import sys; from hyperhive.cli import main; main(['list']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    heavy = {"pydantic", "asyncio", "argparse", "http.client", "pathlib", "hyperhive.settings", "dataclasses"}
    assert not heavy & set(done.stderr.split())
