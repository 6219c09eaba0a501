"""How values are stored."""

import subprocess
import sys

_ALONE = """
import sys
from hyperhive.store.sql import clean
before = set(sys.modules)
assert clean("a\\ud800b \\U0001f41d") == "a\\ufffdb \\U0001f41d"
assert set(sys.modules) == before, set(sys.modules) - before
"""


def test_a_text_is_made_storable_without_anything_that_is_loaded_only_then() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
