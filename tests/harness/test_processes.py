"""Orphans are adopted, ended and reaped."""

import subprocess
import sys

PROGRAM = """
import asyncio, os, subprocess
from hyperhive.harness import processes

async def main():
    assert processes.become_subreaper()
    kept = subprocess.Popen(["sleep", "100"])
    # A child in a session of its own, whose parent ends at once: an orphan.
    shell = ["sh", "-c", "setsid sleep 100 >/dev/null & echo $!"]
    orphan = int(subprocess.run(shell, stdout=subprocess.PIPE).stdout)
    assert orphan in processes.family(os.getpid()), "adopted"
    assert await processes.end_family(keep=(kept.pid,))
    assert set(processes.family(os.getpid())) == {kept.pid}, "ended and reaped, but for the one kept"
    kept.kill()
    assert kept.wait() == -9, "whoever waits for a child gets its status"
    print("well")

asyncio.run(main())
"""


def test_an_orphan_in_a_session_of_its_own_does_not_escape() -> None:
    # In a process of its own: being a subreaper is for life.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == "well", done.stderr
