"""The broadcast by itself: groups, turns of the loop, silence, and what stays behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hyperhive.actors.ports import Frame
from hyperhive.bridge import Bridge
from hyperhive.hive import Tap
from hyperhive.running.broadcast import BEAT, PIECE, RESYNC, Broadcast, Filter
from tests.waiting import eventually_async


class Line:
    """A connection that takes everything."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.over = False
        self.tap: Tap

    def write(self, data: bytes) -> None:
        self.got.append(data)

    def finish(self, packed: bytes) -> None:
        self.got.append(packed)
        self.over = True


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    bridge = Bridge()
    bridge.open()
    yield bridge
    bridge.close()


def joined(
    broadcast: Broadcast,
    bridge: Bridge,
    *,
    seen: int = 0,
    kinds: frozenset[str] | None = None,
    views: bool = False,
) -> Line:
    """A line that is live."""
    line = Line()
    wanted = Filter(seen=seen, kinds=kinds, views=views)
    line.tap = broadcast.join(line, wanted, bridge.feed.end, bytes)
    line.tap.resume()
    return line


def post(bridge: Bridge, *numbers: int, size: int = 1, kind: str = "paused") -> None:
    bridge.feed.post([Frame(number, kind, b"%d" % number * size) for number in numbers], frozenset())
    bridge.feed.drain()


async def test_who_wants_the_same_gets_the_very_same_bytes(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed)
    lines = [joined(broadcast, bridge) for _ in range(3)]
    other = joined(broadcast, bridge, kinds=frozenset({"resumed"}))
    post(bridge, 1)  # from the first event on they are served together
    post(bridge, 2, 3)
    assert [line.got for line in lines] == [[b"1", b"23"]] * 3
    assert len({id(line.got[1]) for line in lines}) == 1
    assert other.got == []


async def test_a_burst_leaves_the_loop_to_others_between_its_pieces(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed)
    line = joined(broadcast, bridge)
    post(bridge, 1)
    post(bridge, *range(10, 60), size=PIECE // 2)
    turns = 0
    while len(b"".join(line.got)) < 50 * PIECE:
        assert len(b"".join(line.got)) <= 1 + (turns + 1) * 2 * PIECE
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 20
    assert b"".join(line.got)[1:] == b"".join(b"%d" % number * (PIECE // 2) for number in range(10, 60))


async def test_who_joins_in_the_middle_of_a_burst_gets_what_comes_behind_it_once(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed)
    first = joined(broadcast, bridge)
    post(bridge, 1)
    post(bridge, *range(10, 20), size=PIECE)
    late = joined(broadcast, bridge, seen=19)
    post(bridge, 20)
    await eventually_async(lambda: first.got[-1] == b"20")
    assert late.got == [b"20"]
    post(bridge, 21)
    assert (first.got[-1], late.got) == (b"21", [b"20", b"21"])


async def test_what_was_read_in_the_record_does_not_come_again(bridge: Bridge) -> None:
    line = joined(Broadcast(feed=bridge.feed), bridge, seen=5)
    post(bridge, 4, 5, 6)
    post(bridge, 6, 7)  # a hub that failed hands up a frame again
    assert line.got == [b"6", b"7"]


async def test_what_came_before_who_joined_is_not_theirs_though_it_still_goes_out(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed)
    first = joined(broadcast, bridge, views=True)
    patches = [Frame(None, "patch", b"%d" % number * PIECE) for number in range(5)]
    bridge.feed.post(patches, frozenset())
    bridge.feed.drain()
    late = joined(broadcast, bridge, views=True)
    await eventually_async(lambda: len(first.got) == len(patches))
    assert late.got == []


async def test_all_who_are_behind_the_ring_are_told(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed)
    lines = [joined(broadcast, bridge) for _ in range(3)]
    for start in range(0, 30_000, 100):  # the loop is busy with this test all the while
        bridge.feed.post([Frame(start + n, "paused", b"x") for n in range(100)], frozenset())
    bridge.feed.drain()
    for line in lines:
        assert line.got[-1] == RESYNC
        assert line.over
    assert broadcast.readers == 0


async def test_who_is_ahead_of_its_group_is_told_as_soon_as_the_others(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed)
    member = joined(broadcast, bridge)
    ahead = joined(broadcast, bridge, seen=50_000)  # it read more in the record than came up so far
    for start in range(0, 30_000, 100):
        bridge.feed.post([Frame(start + n, "paused", b"x") for n in range(100)], frozenset())
    bridge.feed.drain()
    assert (member.got[-1:], ahead.got) == ([RESYNC], [RESYNC])
    assert broadcast.readers == 0


async def test_only_the_silent_hear_a_comment_and_nobody_left_needs_no_timer(bridge: Bridge) -> None:
    broadcast = Broadcast(feed=bridge.feed, heartbeat=0.05)
    line = joined(broadcast, bridge)
    await eventually_async(lambda: line.got.count(BEAT) >= 3)
    line.tap.leave()
    await eventually_async(lambda: broadcast._beat is None)
    heard = len(line.got)
    post(bridge, 1)
    assert len(line.got) == heard
    assert broadcast.readers == 0
