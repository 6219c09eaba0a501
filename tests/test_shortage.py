"""What the machine cannot give just now: told apart from faults, and asked for again."""

import asyncio
import errno

import pytest

from hyperhive import shortage
from hyperhive.errors import Broken
from hyperhive.shortage import is_short, persist


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN]
)
def test_what_may_be_there_again_soon_is_a_shortage(number: int) -> None:
    assert is_short(OSError(number, "none left"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EIO, errno.EROFS])
def test_what_is_refused_or_broken_is_none(number: int) -> None:
    assert not is_short(OSError(number, "no"))


async def test_it_is_tried_until_it_works_and_each_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortage, "AGAIN", 0.001)
    errors = [OSError(errno.EMFILE, "none left"), RuntimeError("can't start new thread"), Broken("not yet")]
    left, told = list(errors), list[Exception]()

    async def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    assert await persist(work, stop=asyncio.Event(), failed=told.append) == "done"
    assert told == errors


async def test_a_fault_is_not_tried_again() -> None:
    async def work() -> str:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await persist(work, stop=asyncio.Event(), failed=lambda _: None)


async def test_who_stops_does_not_wait_for_the_next_try() -> None:
    stop, tries = asyncio.Event(), 0

    async def work() -> str:
        nonlocal tries
        tries += 1
        raise OSError(errno.EMFILE, "none left")

    async with asyncio.timeout(60):
        assert await persist(work, stop=stop, failed=lambda _: stop.set()) is None
    assert tries == 1
