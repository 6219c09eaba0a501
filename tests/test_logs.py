"""The daemon's log: one record a line, and nothing that steers the terminal it is read in."""

import io
import logging
from asyncio import CancelledError

import pytest

from hyperhive.logs import FORMAT, Crowded, PlainFormatter, Stopping


@pytest.fixture
def written() -> io.StringIO:
    """What the log of these tests holds."""
    return io.StringIO()


@pytest.fixture
def log(written: io.StringIO) -> logging.Logger:
    """A logger of its own."""
    handler = logging.StreamHandler(written)
    handler.setFormatter(PlainFormatter(FORMAT))
    logger = logging.Logger("hyperhive.test")
    logger.addHandler(handler)
    return logger


def test_no_text_can_pass_for_another_record(log: logging.Logger, written: io.StringIO) -> None:
    log.warning("%s: %s", "alice", "malformed\n2026-01-01 00:00:00,000 ERROR hyperhive: forged\r\u2028more")
    assert written.getvalue().count("\n") == 1
    assert "\r" not in written.getvalue()
    assert "\u2028" not in written.getvalue()


def test_no_text_steers_the_terminal(log: logging.Logger, written: io.StringIO) -> None:
    log.warning("%s", "\x1b[2J\x9b1m\u202eevil\ud800")
    assert written.getvalue().endswith("\\x1b[2J\\x9b1m\\u202eevil\\ud800\n")


def test_a_traceback_is_whole_and_as_plain(log: logging.Logger, written: io.StringIO) -> None:
    try:
        raise ValueError("\x1b]0;title\x07\n2026-01-01 00:00:00,000 ERROR forged")
    except ValueError:
        log.exception("It failed.")
    first, *rest = written.getvalue().splitlines()
    assert first.endswith("ERROR hyperhive.test: It failed.")
    assert "ValueError: \\x1b]0;title\\x07" in written.getvalue()
    assert all(line.startswith("  ") for line in rest)


def test_a_daemon_out_of_descriptors_says_so_once_in_a_while(
    log: logging.Logger, written: io.StringIO
) -> None:
    moments = [0.0, 1.0, 9.0, 10.0, 11.0]
    log.addFilter(Crowded(every=10.0, clock=lambda: moments.pop(0)))
    while moments:
        try:
            raise OSError(24, "Too many open files")
        except OSError:
            log.error("socket.accept() out of system resource\nsocket: %s", "<...>", exc_info=True)
    log.error("something else")
    lines = written.getvalue().splitlines()
    assert [line.partition("no file descriptors are left")[1] != "" for line in lines] == [True, True, False]
    assert "Traceback" not in written.getvalue()


def test_a_request_that_the_daemons_end_cut_off_is_no_fault(
    log: logging.Logger, written: io.StringIO
) -> None:
    log.addFilter(Stopping())
    for error in (CancelledError("graceful shutdown exceeded"), ValueError("a bug")):
        try:
            raise error
        except (CancelledError, ValueError):
            log.exception("Exception in ASGI application")
    assert written.getvalue().count("Exception in ASGI application") == 1
    assert "a bug" in written.getvalue()
