"""What stays for a whole run: the garbage collector need not go over it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """Leave what is made inside to stay: a million parsed nodes or imported objects cost seconds else."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
