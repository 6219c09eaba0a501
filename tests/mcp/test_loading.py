"""The SDK is loaded when it is needed first, and who needs it first may be several at once."""

import subprocess
import sys

import pytest

_AT_ONCE = """
import threading
from hyperhive.mcp.http import _session_manager
from hyperhive.mcp.sockets import _build, _line_session
from tests.fakes.hive import FakeHive
from tests.fakes.samples import snapshot

hive = FakeHive(snapshot("manager", "alice"))
start = threading.Barrier(5)
failed = []

def need(what):
    start.wait()
    try:
        what()
    except BaseException as error:
        failed.append(error)

needs = (
    lambda: _session_manager(hive),
    _line_session,
    lambda: _build(hive, "alice", "agent"),
    lambda: _build(hive, "manager", "manager"),
    _line_session,
)
threads = [threading.Thread(target=need, args=(what,)) for what in needs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
"""


@pytest.mark.slow
def test_several_who_need_the_sdk_first_at_the_same_time_all_get_it() -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _AT_ONCE], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
