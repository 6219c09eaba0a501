"""Runs a part of a test that root runs as a user without rights."""

import os
import traceback
from collections.abc import Callable

NOBODY = 65534


def as_nobody(task: Callable[[], None]) -> None:
    """Run ``task`` in a forked process that has given up root; its failure is this one's."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            task()
            code = 0
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
