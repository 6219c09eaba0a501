"""What the C library keeps, and what is told of what is held."""

import platform
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from hyperhive.memory import held

_THREADS = """
import ctypes, sys, threading
from hyperhive.memory import share_arena
if "shared" in sys.argv:
    share_arena()
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


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")


@glibc
def test_threads_share_one_place_of_memory_instead_of_one_each() -> None:
    assert _arenas("shared") == 1
    assert _arenas() > 2


def test_it_tells_what_is_held_and_how_much_of_it_the_database_holds() -> None:
    before = held()
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE filled AS SELECT zeroblob(8000000) AS zeros")
        objects = [str(number) for number in range(100_000)]
        filled = held()
    assert filled["blocks"] > before["blocks"] + len(objects) * 0.9
    for name in ("malloc held", "sqlite"):
        assert name not in before or filled[name] > before[name] + 7_000_000, name
