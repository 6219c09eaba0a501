"""Listening where descriptors are short: nobody is let in, once is it said, and it goes on by itself."""

import asyncio
import errno
import logging
import socket
from contextlib import ExitStack, suppress

import httpx
import pytest

from hyperhive.web.listener import Complaints, Listener, descriptors
from tests.fakes.hive import FakeHive
from tests.waiting import eventually_async
from tests.web.conftest import serving


@pytest.mark.slow
async def test_who_comes_when_no_descriptor_is_free_waits_and_is_served_when_one_is(
    hive: FakeHive, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().set_exception_handler(Complaints())
    async with serving(hive) as served, served.client() as early:
        assert (await early.get("/healthz")).is_success
        (watched,) = served.server.servers[0].sockets
        listener = watched._sock  # type: ignore[attr-defined]  # what it stands for
        listener._spare = descriptors()
        asked = [asyncio.create_task(_health(served.url)) for _ in range(5)]
        await eventually_async(lambda: "No new connections for now" in caplog.text)
        for _ in range(20):
            assert (await early.get("/api/state")).status_code != 503
        listener._spare = 0
        answers = await asyncio.gather(*asked)
    assert answers == [200] * 5
    assert [record.levelno for record in caplog.records if record.name.endswith("listener")] == [
        logging.ERROR
    ]
    assert "Traceback" not in caplog.text


async def _health(url: str) -> int:
    async with httpx.AsyncClient(timeout=60) as client:
        return (await client.get(f"{url}/healthz")).status_code


def test_it_fails_once_and_then_says_that_nobody_is_there() -> None:
    with Listener(spare=descriptors()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        with pytest.raises(OSError) as failed:
            listener.accept()
        assert failed.value.errno == errno.EMFILE
        for _ in range(5):
            with pytest.raises(BlockingIOError):
                listener.accept()
        for client in clients:
            client.close()


def test_a_crowd_at_the_door_is_let_in_a_few_at_a_time() -> None:
    with Listener() as listener, ExitStack() as crowd:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.setblocking(False)
        for _ in range(40):
            crowd.enter_context(socket.create_connection(listener.getsockname()))
        turns, inside = 0, 0
        while inside < 40:
            turns += 1
            with suppress(BlockingIOError):
                while True:
                    crowd.enter_context(listener.accept()[0])
                    inside += 1
        assert turns == 3


async def test_other_complaints_of_the_loop_are_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    loop, complaints = asyncio.get_running_loop(), Complaints()
    for number in range(3):
        complaints(loop, {"message": f"trouble {number}"})
    assert [record.getMessage() for record in caplog.records] == [f"trouble {number}" for number in range(3)]
