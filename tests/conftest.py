"""What holds for all tests, wherever they are run."""

import os
import signal

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("search" if os.environ.get("HYPERHIVE_SEARCH") else "same")


def pytest_configure() -> None:
    """Take Ctrl-C as on a terminal: a shell ignores it in its background, and so would all we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
