"""What holds for all tests, wherever they are run."""

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.lasting import lasting

settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("search" if os.environ.get("HYPERHIVE_SEARCH") else "same")


def pytest_configure() -> None:
    """Take Ctrl-C as on a terminal: a shell ignores it in its background, and so would all we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all there is; that stays."""
    with lasting():
        return (yield)
