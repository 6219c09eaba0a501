"""A rehearsal that is loaded once the door is open."""

import asyncio
import gc

import httpx
import pytest
import uvicorn

from hyperhive.rehearsal.keys import Keys
from hyperhive.rehearsal.server import Rehearsal
from hyperhive.rehearsal.standby import Standby


@pytest.mark.slow
async def test_what_it_lacks_at_first_does_not_keep_it_from_answering(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    standby, stop = Standby(scenario=None, keys=Keys(secret=b"x" * 32), port=0), asyncio.Event()
    start, short = Rehearsal.start, iter([OSError(24, "Too many open files")])

    async def started(self: Rehearsal, **more: object) -> str:
        if (error := next(short, None)) is not None:
            raise error
        return await start(self, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Rehearsal, "start", started)
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False, timeout=50) as client:
        early = asyncio.create_task(client.get(standby.url))
        await standby.serve(stop)
        assert (await early).status_code == 200
    await standby.stop()
    assert "tried again: [Errno 24] Too many open files" in caplog.text


async def test_one_that_is_stopped_is_not_tried_again() -> None:
    standby, stop = Standby(scenario=None, keys=Keys(secret=b"x" * 32), port=0), asyncio.Event()
    stop.set()
    async with asyncio.timeout(60):
        await standby.serve(stop)
    await standby.stop()


@pytest.mark.slow
async def test_why_its_server_failed_is_said_once_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def out_of_descriptors(config: uvicorn.Config) -> None:
        monkeypatch.undo()
        raise OSError(24, "Too many open files")

    standby, stop = Standby(scenario=None, keys=Keys(secret=b"x" * 32), port=0), asyncio.Event()
    monkeypatch.setattr(uvicorn.Config, "load", out_of_descriptors)
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False, timeout=50) as client:
        await standby.serve(stop)
        assert (await client.get(standby.url)).status_code == 200
    await standby.stop()
    gc.collect()
    await asyncio.sleep(0)
    assert "did not start on 127.0.0.1: [Errno 24] Too many open files" in caplog.text
    assert "never retrieved" not in caplog.text
