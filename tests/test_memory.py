"""What the C library keeps for threads."""

import platform
import subprocess
import sys

import pytest

_THREADS = """
import ctypes, sys, threading
from hyperhive.memory import share_arenas
if "shared" in sys.argv:
    share_arenas()
everybody = threading.Barrier(8)
def allocate():
    everybody.wait()
    kept = [bytearray(5000) for _ in range(50)]
    everybody.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def _arenas(*words: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _THREADS, *words], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr.count("Arena ")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_two_places_of_memory_instead_of_one_each() -> None:
    assert _arenas("shared") == 2
    assert _arenas() > 2
