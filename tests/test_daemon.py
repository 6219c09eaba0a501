"""What a daemon makes of the end of a part of it."""

import asyncio

import pytest

from hyperhive.daemon import together
from hyperhive.errors import Broken


async def _fails(after: asyncio.Event) -> None:
    await after.wait()
    raise OSError("no more")


async def test_a_part_that_fails_by_itself_ends_the_others_and_is_no_good_end() -> None:
    now, stop = asyncio.Event(), asyncio.Event()
    now.set()
    other = asyncio.create_task(stop.wait())
    with pytest.raises(Broken):
        await together([asyncio.create_task(_fails(now)), other], stop, stop.set)  # type: ignore[list-item]
    assert other.result()


async def test_what_fails_at_an_end_that_was_asked_for_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop, end = asyncio.Event(), asyncio.Event()
    stop.set()
    await together([asyncio.create_task(_fails(end))], stop, end.set)
    assert [record.getMessage() for record in caplog.records] == ["A server failed."]
