"""The bridge: answers down, frames up; nobody waits on the other side, and no reader misses anything."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hyperhive.actors.ports import Frame
from hyperhive.actors.reply import Reply
from hyperhive.bridge import RING_FRAMES, Bridge
from hyperhive.errors import Broken, Deadline, Refused
from tests.waiting import eventually_async


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    bridge = Bridge()
    bridge.open()
    yield bridge
    bridge.close()


def frames(*numbers: int) -> list[Frame]:
    return [Frame(number, "paused", b"%d\n" % number) for number in numbers]


IGNORED: list[object] = []


async def test_an_answer_from_another_thread_is_awaited(bridge: Bridge) -> None:
    def make(reply: Reply[int]) -> None:
        threading.Thread(target=reply.set, args=(7,)).start()

    assert await bridge.call(make, deadline=5) == 7


async def test_a_refusal_is_raised(bridge: Bridge) -> None:
    with pytest.raises(Refused, match="no"):
        await bridge.call(lambda reply: reply.fail(Refused("no")), deadline=5)


async def test_no_answer_is_a_deadline_and_a_late_one_is_handed_back(bridge: Bridge) -> None:
    kept: list[Reply[str]] = []
    late: list[str] = []
    with pytest.raises(Deadline):
        await bridge.call(kept.append, deadline=0.01, undelivered=late.append)
    kept[0].set("too late")
    await eventually_async(lambda: late == ["too late"])


async def test_an_answer_whose_caller_leaves_in_the_moment_it_comes_is_handed_back(bridge: Bridge) -> None:
    kept: list[Reply[str]] = []
    late: list[str] = []
    caller = asyncio.create_task(bridge.call(kept.append, deadline=60, undelivered=late.append))
    await eventually_async(lambda: kept)
    kept[0].set("just in time")
    bridge.post(caller.cancel)  # comes to the loop with the answer, right behind it
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert late == ["just in time"]


async def test_each_of_many_calls_meets_its_own_deadline_and_the_others_are_answered(bridge: Bridge) -> None:
    kept: list[Reply[int]] = []
    unanswered: list[Reply[int]] = []
    long = [asyncio.create_task(bridge.call(kept.append, deadline=60)) for _ in range(50)]
    short = [
        asyncio.create_task(bridge.call(unanswered.append, deadline=hundredths / 100))
        for hundredths in (3, 1, 2)
    ]
    outcomes = await asyncio.gather(*short, return_exceptions=True)
    assert all(isinstance(outcome, Deadline) for outcome in outcomes)
    for number, reply in enumerate(kept):
        reply.set(number)
    assert await asyncio.gather(*long) == list(range(50))


async def test_what_is_posted_runs_in_order_and_one_that_fails_holds_up_no_other(bridge: Bridge) -> None:
    told: list[BaseException] = []
    ran: list[int] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def post() -> None:
        for number in range(500):
            bridge.post(ran.append, number)
            if number % 100 == 50:
                bridge.post(divmod, number, 0)

    await asyncio.gather(*(asyncio.to_thread(post) for _ in range(3)))
    await eventually_async(lambda: len(ran) == 1500)
    assert sorted(ran) == sorted([*range(500)] * 3)
    assert [type(error) for error in told] == [ZeroDivisionError] * 15


async def test_what_is_posted_together_comes_in_one_at_its_end_even_of_a_block_that_fails(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []
    loop = asyncio.get_running_loop()
    call = loop.call_soon_threadsafe

    def calling(callback: Callable[..., object], *args: Any, **options: Any) -> asyncio.Handle:
        ran.append("called")
        return call(callback, *args, **options)

    def post() -> None:
        with pytest.raises(ZeroDivisionError), bridge.together():
            for number in range(3):
                bridge.post(ran.append, number)
            with bridge.together():  # it is one with the block around it
                bridge.feed.post(frames(1), frozenset())
            ran.append("end")
            raise ZeroDivisionError
        with bridge.together():
            pass

    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_soon_threadsafe", calling)
        thread = threading.Thread(target=post)
        thread.start()
        await eventually_async(lambda: bridge.feed.newest == 1)
        await eventually_async(lambda: not thread.is_alive())
    assert ran == ["end", "called", 0, 1, 2]


async def test_what_others_post_while_a_thread_posts_together_comes_too(bridge: Bridge) -> None:
    ran: list[tuple[int, int]] = []

    def alone(thread: int) -> None:
        for number in range(300):
            bridge.post(ran.append, (thread, number))

    def together(thread: int) -> None:
        for number in range(0, 300, 3):
            with bridge.together():
                for one in range(number, number + 3):
                    bridge.post(ran.append, (thread, one))

    await asyncio.gather(
        *(asyncio.to_thread(post, thread) for thread, post in enumerate((alone, together, together, alone)))
    )
    await eventually_async(lambda: len(ran) == 1200)
    for thread in range(4):
        assert [number for of, number in ran if of == thread] == [*range(300)]


async def test_a_block_that_outlives_its_loop_holds_up_nothing_on_the_next(bridge: Bridge) -> None:
    ran: list[str] = []
    with bridge.together():
        bridge.post(ran.append, "of the loop before")
        bridge.open()
    with bridge.together():
        bridge.post(ran.append, "of this one")
    await eventually_async(lambda: bool(ran))
    assert ran == ["of this one"]


async def test_a_bridge_serves_the_next_loop_when_one_ended_with_something_posted(bridge: Bridge) -> None:
    def once() -> None:
        async def leave() -> None:
            bridge.open()
            bridge.post(IGNORED.append, None)  # this loop ends before it comes to it

        asyncio.run(leave())

    await asyncio.to_thread(once)
    bridge.open()

    def make(reply: Reply[str]) -> None:
        reply.set("here")

    assert await bridge.call(make, deadline=20) == "here"


async def test_an_answer_to_a_caller_who_left_or_a_loop_that_closed_is_handed_back(bridge: Bridge) -> None:
    kept: list[Reply[str]] = []
    late: list[str] = []
    call = asyncio.create_task(bridge.call(kept.append, deadline=5, undelivered=late.append))
    await eventually_async(lambda: kept)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    kept[0].set("one")
    await eventually_async(lambda: late == ["one"])
    bridge.close()
    kept[0].set("two")
    assert late == ["one", "two"]


async def test_a_job_that_waits_for_a_loop_that_closed_hears_that_it_stops(bridge: Bridge) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    bridge.close()
    with pytest.raises(Broken, match="stopping"):
        bridge.wait(never(), deadline=1)


async def test_every_reader_gets_every_frame_in_order_whatever_it_lags(bridge: Bridge) -> None:
    feed = bridge.feed
    got: dict[int, list[int | None]] = {lag: [] for lag in range(1, 5)}

    async def read(lag: int) -> None:
        position = 0
        while len(got[lag]) < 3000:
            await feed.more(position, 5)
            for _ in range(lag):
                await asyncio.sleep(0)
            found = feed.since(position, limit=7 * lag)
            assert found is not None
            position += len(found)
            got[lag] += [frame.seq for frame in found]

    readers = [asyncio.create_task(read(lag)) for lag in got]

    def publish() -> None:
        for number in range(0, 3000, 3):
            feed.post(frames(number, number + 1, number + 2), frozenset())

    publisher = threading.Thread(target=publish)
    publisher.start()
    await asyncio.gather(*readers)
    publisher.join()
    assert all(seqs == list(range(3000)) for seqs in got.values())


async def test_a_reader_behind_the_ring_is_told_so(bridge: Bridge) -> None:
    bridge.feed.post(frames(*range(RING_FRAMES + 10)), frozenset())
    bridge.feed.drain()
    assert bridge.feed.since(0) is None
    found = bridge.feed.since(bridge.feed.end - 5)
    assert found is not None
    assert [frame.seq for frame in found] == list(range(RING_FRAMES + 5, RING_FRAMES + 10))


async def test_what_waits_for_a_loop_that_is_held_up_is_bounded_and_nobody_reads_across_the_gap(
    bridge: Bridge,
) -> None:
    feed = bridge.feed
    feed.post(frames(1, 2, 3), frozenset())
    feed.drain()
    for start in range(4, 3 * RING_FRAMES, 100):  # the loop is busy with this test all the while
        feed.post(frames(*range(start, start + 100)), frozenset({"alice"}))
    assert len(feed._incoming) <= RING_FRAMES
    feed.drain()
    assert feed.since(3) is None
    last = feed.since(feed.end - 1)
    assert last is not None
    assert last[0].seq == feed.end


async def test_changes_that_are_not_read_in_time_are_merged(bridge: Bridge) -> None:
    with bridge.feed.changes() as queue:
        for number in range(200):
            bridge.feed.post([], frozenset({f"a{number}"}))
            bridge.feed.drain()
        names: set[str] = set()
        while not queue.empty():
            names |= queue.get_nowait()
    assert names == {f"a{number}" for number in range(200)}
